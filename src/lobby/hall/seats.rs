//! Changing seats, and changing a table that stands.

use std::time::Instant;

use super::{
    At, Chair, Hall, SessionId, TableKey, World,
    launch::{DESCRIPTION, chair},
};
use crate::lobby::{
    dmod::wire::ToGame,
    wire::{
        push::{Place, Update},
        request::{Change, Reseat},
        terms::{Action, Code, LeaveReason, Permission, RoomId, SeatKind, TableId},
    },
};

impl Hall {
    pub(super) fn reseat(
        &mut self,
        by: SessionId,
        action: Reseat,
        seat: Option<u32>,
        world: World<'_>,
    ) {
        let moved = self.move_seat(by, action, seat, world.now);
        self.answer(by, Action::Reseat, moved.err().unwrap_or(Code::Ok));
    }

    fn move_seat(
        &mut self,
        by: SessionId,
        action: Reseat,
        asked: Option<u32>,
        now: Instant,
    ) -> Result<(), Code> {
        let (key, from) = match self.person(by).at {
            At::Table(key, place) => (key, place),
            At::Launching(_) => return Err(Code::InTransit),
            At::Nowhere => return Err(Code::NoTable),
        };
        if !self.person(by).permissions.has(Permission::JoinTable) {
            return Err(Code::NoPermission);
        }
        let who = self.person(by).who.clone();
        let table = self.table_mut(key);
        let game = table.game.clone();
        let held = table.is_playing() && !game.allow_leave;
        let to = match (action, from) {
            (Reseat::Sit, Place::Spectator(_)) => Place::Seat(table.choose(&who, asked)?),
            (Reseat::Move, Place::Seat(_)) if !game.allow_leave => {
                return Err(Code::LeaveForbidden);
            }
            (Reseat::Move, Place::Seat(_)) => Place::Seat(table.choose_free(&who, asked)?),
            (Reseat::Stand, Place::Seat(_)) if held => return Err(Code::LeaveForbidden),
            (Reseat::Stand, Place::Seat(_)) if game.spectators => {
                if !table.can_be_watched() {
                    return Err(Code::TableFull);
                }
                Place::Spectator(table.place_to_watch())
            }
            (Reseat::Stand, Place::Seat(_)) => return Err(Code::NoPermission),
            _ => return Err(Code::BadOptions),
        };
        self.carry_over(by, key, from, to);
        // Who stands up can sit down again: nothing ends yet.
        let table = self.table_mut(key);
        table.deserted = (game.kill_when_empty && table.players() == 0).then_some(now);
        Ok(())
    }

    /// Somebody changes places. Their connection stays with the game, which marks what they leave as we do.
    fn carry_over(&mut self, by: SessionId, key: TableKey, from: Place, to: Place) {
        let who = self.person(by).who.clone();
        match from {
            Place::Seat(number) => {
                self.take_seat(key, number, true);
            }
            Place::Spectator(number) => {
                self.table_mut(key).spectators[number as usize] = None;
                self.tell_moved(key, from, &who.name, false);
            }
        }
        let table = self.table_mut(key);
        match to {
            Place::Seat(number) => {
                table.chairs[number as usize] = Chair::Player(by, who.clone());
                table.meet(&who);
            }
            Place::Spectator(number) => {
                table.spectators[number as usize] = Some((by, who.name.clone()));
            }
        }
        self.person_mut(by).at = At::Table(key, to);
        self.tell_moved(key, to, &who.name, true);
        let ((from, was_spectator), (to, is_spectator)) = (number(from), number(to));
        self.order(
            key,
            ToGame::Reseat {
                from,
                was_spectator,
                to,
                is_spectator,
            },
        );
    }

    fn tell_moved(&mut self, key: TableKey, place: Place, name: &str, joins: bool) {
        let table = self.table(key);
        let (room, seats, name) = (table.room, table.places(place), name.to_owned());
        let table = table.id;
        self.tell_room(
            room,
            match joins {
                true => Update::TableJoin {
                    room,
                    table,
                    place,
                    name,
                    seats,
                },
                false => Update::TableLeave {
                    room,
                    table,
                    place,
                    name,
                    seats,
                },
            },
        );
    }

    pub(super) fn update(
        &mut self,
        by: SessionId,
        room: Option<RoomId>,
        table: TableId,
        change: Change,
    ) {
        let changed = self.change(by, room, table, change);
        self.answer(by, Action::Update, changed.err().unwrap_or(Code::Ok));
    }

    fn change(
        &mut self,
        by: SessionId,
        room: Option<RoomId>,
        table: TableId,
        change: Change,
    ) -> Result<(), Code> {
        let person = self.person(by);
        let room = room.or(person.room).ok_or(Code::NotInRoom)?;
        let key = self.find_table(room, table).ok_or(Code::NoTable)?;
        let table = self.table(key);
        let owns = table
            .owner
            .as_ref()
            .is_some_and(|owner| owner.is(&person.who));
        if !owns && !person.permissions.has(Permission::EditTables) {
            return Err(Code::NoPermission);
        }
        let allow_leave = table.game.allow_leave;
        let by = person.who.name.clone();
        match change {
            Change::Desc(description) => self.describe(key, description),
            Change::Seat(..) | Change::Boot(_) if !allow_leave => Err(Code::LeaveForbidden),
            Change::Seat(number, seat) => {
                let chair = chair(&table.game, &seat).ok_or(Code::BadOptions)?;
                self.set_chair(key, number, chair)
            }
            Change::Boot(name) => match self.boot(key, &name, &by) {
                true => Ok(()),
                false => Err(Code::UsrLookup),
            },
        }
    }

    fn describe(&mut self, key: TableKey, description: String) -> Result<(), Code> {
        if description.len() > DESCRIPTION {
            return Err(Code::TooLong);
        }
        let table = self.table_mut(key);
        table.description.clone_from(&description);
        let (room, id, seats) = (table.room, table.id, table.seats());
        self.tell_room(
            room,
            Update::TableDesc {
                room,
                table: id,
                description,
                seats,
            },
        );
        Ok(())
    }

    /// Makes a seat what the owner wants, when nobody sits there.
    fn set_chair(&mut self, key: TableKey, number: u32, chair: Chair) -> Result<(), Code> {
        let table = self.table(key);
        let now = table.chair(number).ok_or(Code::BadOptions)?;
        if matches!(now, Chair::Player(..)) {
            return Err(Code::SeatAssignFail);
        }
        if let Chair::Bot(name) = &chair {
            let others = (0..).zip(&table.chairs).filter(|(at, _)| *at != number);
            let bots: Vec<_> = others
                .filter_map(|(_, one)| match one {
                    Chair::Bot(name) => Some(name),
                    _ => None,
                })
                .collect();
            let twice = name.is_some() && bots.contains(&name);
            if twice || !table.game.bots.has(bots.len() as u32 + 1) {
                return Err(Code::BadOptions);
            }
        }
        self.put_chair(key, number, chair);
        Ok(())
    }

    /// Makes a seat something that is nobody's, and tells the game and the room.
    pub(super) fn put_chair(&mut self, key: TableKey, number: u32, chair: Chair) {
        let seat = chair.seat();
        self.table_mut(key).chairs[number as usize] = chair;
        self.order(key, ToGame::Seat { number, seat });
        self.show_seat(key, number);
    }

    /// Removes whoever is called so, players before spectators. False: nobody is.
    pub(super) fn boot(&mut self, key: TableKey, name: &str, by: &str) -> bool {
        let everybody = self.table(key).everybody();
        let called = |(id, _): &&(SessionId, Place)| self.person(*id).who.is_called(name);
        let Some(&(id, place)) = everybody.iter().find(called) else {
            return false;
        };
        self.tell_left(id, LeaveReason::Boot, Some(by));
        self.vacate(key, place, LeaveReason::Boot, None);
        true
    }

    /// The seat of which the game itself makes something, if that is one of those.
    pub(super) fn seat_among(&self, key: TableKey, number: i32, kinds: &[SeatKind]) -> Option<u32> {
        let number = u32::try_from(number).ok()?;
        let chair = self.table(key).chair(number)?;
        kinds.contains(&chair.seat().kind).then_some(number)
    }
}

fn number(place: Place) -> (u32, bool) {
    match place {
        Place::Seat(number) => (number, false),
        Place::Spectator(number) => (number, true),
    }
}
