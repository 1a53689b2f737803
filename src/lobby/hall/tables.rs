//! Tables: who comes and goes, and how they end.

use std::time::Instant;

use super::{At, Chair, Effect, Hall, KEPT, SessionId, Table, TableKey};
use crate::lobby::{
    dmod::wire::ToGame,
    wire::{
        push::{Place, Push, Update},
        terms::{Action, Code, LeaveReason, Permission, RoomId, TableId},
    },
};

impl Hall {
    pub(super) fn join(
        &mut self,
        by: SessionId,
        table: TableId,
        spectator: bool,
        seat: Option<u32>,
    ) {
        let room = match self.may_join(by, spectator) {
            Ok(room) => room,
            Err(code) => return self.answer(by, Action::Join, code),
        };
        let before = self.effects.len();
        let table = self.find_table(room, table).ok_or(Code::NoTable);
        let joined = table.and_then(|key| match spectator {
            true => self.seat_spectator(by, key),
            false => self.seat_player(by, key, seat),
        });
        if joined.is_err() {
            // An attempt that got as far as looking for the table has used the channel up.
            self.take_channel(by);
        }
        // The result comes before all that follows from it.
        self.answer(by, Action::Join, joined.err().unwrap_or(Code::Ok));
        self.effects[before..].rotate_right(1);
    }

    fn may_join(&self, by: SessionId, spectator: bool) -> Result<RoomId, Code> {
        let person = self.person(by);
        match person.at {
            At::Table(..) => return Err(Code::AtTable),
            At::Launching(_) => return Err(Code::InTransit),
            At::Nowhere => {}
        }
        if !person.permissions.has(Permission::JoinTable) {
            return Err(Code::NoPermission);
        }
        let room = person.room.ok_or(Code::NotInRoom)?;
        match person.channel.is_some() || spectator {
            true => Ok(room),
            false => Err(Code::NoChannel),
        }
    }

    /// One that the room has been told of.
    pub(super) fn find_table(&self, room: RoomId, table: TableId) -> Option<TableKey> {
        let key = self.room_of(room)?.tables.get(&table)?;
        self.table(*key).is_announced().then_some(*key)
    }

    /// A table's number in its room; none: it is gone.
    pub(in crate::lobby) fn number_of(&self, key: TableKey) -> Option<TableId> {
        self.tables.get(&key).map(|table| table.id)
    }

    /// The table that has this number, announced or not.
    pub(in crate::lobby) fn table_at(&self, room: RoomId, table: TableId) -> Option<TableKey> {
        self.room_of(room)?.tables.get(&table).copied()
    }

    pub(super) fn seat_player(
        &mut self,
        by: SessionId,
        key: TableKey,
        asked: Option<u32>,
    ) -> Result<(), Code> {
        let who = self.person(by).who.clone();
        let number = self.table(key).choose(&who, asked)?;
        let channel = self.person_mut(by).channel.take();
        let channel = channel.ok_or(Code::NoChannel)?;
        let table = self.table_mut(key);
        table.chairs[number as usize] = Chair::Player(by, who.clone());
        table.meet(&who);
        table.deserted = None;
        let seat = table.chairs[number as usize].seat();
        let order = ToGame::Seat { number, seat };
        self.effects.push(Effect::Order(key, order, Some(channel)));
        self.seated(by, key, Place::Seat(number));
        Ok(())
    }

    fn seat_spectator(&mut self, by: SessionId, key: TableKey) -> Result<(), Code> {
        if !self.table(key).game.spectators {
            return Err(Code::NoPermission);
        }
        if !self.table(key).can_be_watched() {
            return Err(Code::TableFull);
        }
        let name = self.person(by).who.name.clone();
        let channel = self.person_mut(by).channel.take();
        let channel = channel.ok_or(Code::SeatAssignFail)?;
        let table = self.table_mut(key);
        let number = table.place_to_watch();
        table.spectators[number as usize] = Some((by, name.clone()));
        let order = ToGame::Spectator {
            number,
            name: Some(name),
        };
        self.effects.push(Effect::Order(key, order, Some(channel)));
        self.seated(by, key, Place::Spectator(number));
        Ok(())
    }

    /// Tells somebody and their room where they are now.
    fn seated(&mut self, by: SessionId, key: TableKey, place: Place) {
        self.person_mut(by).at = At::Table(key, place);
        let name = self.person(by).who.name.clone();
        let table = self.table(key);
        let (room, number, seats) = (table.room, table.id, table.places(place));
        let spectator = matches!(place, Place::Spectator(_));
        self.tell(
            by,
            Push::Join {
                table: number,
                spectator,
            },
        );
        self.tell_room(
            room,
            Update::TableJoin {
                room,
                table: number,
                place,
                name,
                seats,
            },
        );
    }

    pub(super) fn leave(&mut self, by: SessionId, force: bool) {
        let (key, place) = match self.person(by).at {
            At::Launching(_) => return self.answer(by, Action::Leave, Code::InTransit),
            At::Nowhere => {
                self.answer(by, Action::Leave, Code::Ok);
                return self.tell_left(by, LeaveReason::Normal, None);
            }
            At::Table(key, place) => (key, place),
        };
        let table = self.table(key);
        let plays = matches!(place, Place::Seat(_)) && table.is_playing();
        let held = plays && !table.game.allow_leave;
        if held && !force {
            return self.answer(by, Action::Leave, Code::LeaveForbidden);
        }
        self.answer(by, Action::Leave, Code::Ok);
        self.vacate(key, place, LeaveReason::Normal, None);
        self.tell_left(by, LeaveReason::Normal, None);
        if held && self.tables.contains_key(&key) {
            self.end_table(key);
        }
    }

    pub(super) fn tell_left(&mut self, to: SessionId, reason: LeaveReason, by: Option<&str>) {
        let player = by.map(Into::into);
        self.tell(to, Push::Leave { reason, player });
    }

    /// Takes whoever has `place` from the table, and tells the game and the room. Players who leave in mid-game of
    /// themselves have their seat kept. `lost` is when their connection was lost, if that is why: then their table is
    /// kept, too.
    pub(super) fn vacate(
        &mut self,
        key: TableKey,
        place: Place,
        reason: LeaveReason,
        lost: Option<Instant>,
    ) {
        match place {
            Place::Spectator(number) => self.stop_watching(key, number),
            Place::Seat(number) => {
                let keeps = reason == LeaveReason::Normal;
                if let Some(left) = self.take_seat(key, number, keeps) {
                    let seat = left.seat();
                    self.order(key, ToGame::Seat { number, seat });
                }
                let table = self.table(key);
                if table.players() == 0 && table.game.kill_when_empty {
                    match lost.filter(|_| table.keeps_a_seat()) {
                        Some(now) => self.table_mut(key).deserted = Some(now),
                        None => self.end_table(key),
                    }
                }
            }
        }
    }

    fn stop_watching(&mut self, key: TableKey, number: u32) {
        let table = self.table_mut(key);
        let taken = table.spectators.get_mut(number as usize);
        let Some((id, name)) = taken.and_then(Option::take) else {
            return;
        };
        self.person_mut(id).at = At::Nowhere;
        self.order(key, ToGame::Spectator { number, name: None });
        self.told_left(key, Place::Spectator(number), name);
        // The last who could have sat down again, and nobody else will come back.
        let table = self.table(key);
        if table.deserted.is_some() && table.everybody().is_empty() && !table.awaits_somebody() {
            self.end_table(key);
        }
    }

    /// Takes a player from their seat, and tells the room; what the seat has become.
    pub(super) fn take_seat(&mut self, key: TableKey, number: u32, keeps: bool) -> Option<Chair> {
        let table = self.table_mut(key);
        let Some(Chair::Player(id, who)) = table.chair(number).cloned() else {
            return None;
        };
        let left = table.left_behind(&who, keeps);
        table.chairs[number as usize] = left.clone();
        self.person_mut(id).at = At::Nowhere;
        self.told_left(key, Place::Seat(number), who.name);
        if left != Chair::Open {
            self.show_seat(key, number);
        }
        Some(left)
    }

    fn told_left(&mut self, key: TableKey, place: Place, name: String) {
        let table = self.table(key);
        let (room, number, seats) = (table.room, table.id, table.places(place));
        self.tell_room(
            room,
            Update::TableLeave {
                room,
                table: number,
                place,
                name,
                seats,
            },
        );
    }

    /// Tells the room what a seat is now, if it knows of the table.
    pub(super) fn show_seat(&mut self, key: TableKey, number: u32) {
        let table = self.table(key);
        let (room, id, seats) = (table.room, table.id, table.seats());
        let chair = table.chair(number).filter(|_| table.is_announced());
        let Some(seat) = chair.map(Chair::seat) else {
            return;
        };
        self.tell_room(
            room,
            Update::TableSeat {
                room,
                table: id,
                number,
                seat,
                seats,
            },
        );
    }

    /// Ends a table, whose game is killed.
    pub(in crate::lobby) fn end_table(&mut self, key: TableKey) {
        if self.tables.contains_key(&key) {
            self.clear_table(key, LeaveReason::GameOver);
            self.effects.push(Effect::End(key));
        }
    }

    /// The table is gone, and everybody is told why.
    pub(super) fn clear_table(&mut self, key: TableKey, reason: LeaveReason) {
        let Some(table) = self.tables.get(&key) else {
            return;
        };
        let (room, id, seats, announced) =
            (table.room, table.id, table.seats(), table.is_announced());
        if let Some(by) = table.launcher {
            self.person_mut(by).at = At::Nowhere;
            self.answer(by, Action::Launch, Code::LaunchFail);
        }
        for (who, place) in self.table(key).everybody() {
            let name = self.person(who).who.name.clone();
            self.person_mut(who).at = At::Nowhere;
            self.tell_left(who, reason, None);
            self.told_left(key, place, name);
        }
        self.tables.remove(&key);
        self.room_mut(room).tables.remove(&id);
        if announced {
            self.tell_room(
                room,
                Update::TableDelete {
                    room,
                    table: id,
                    seats,
                },
            );
        }
    }

    /// Ends what was kept long enough.
    pub(in crate::lobby) fn expire(&mut self, now: Instant) {
        self.launches.expire(now);
        let over = |table: &Table| {
            let since = table.deserted;
            since.is_some_and(|since| now.saturating_duration_since(since) >= KEPT)
        };
        let over: Vec<TableKey> = self
            .tables
            .iter()
            .filter(|(_, table)| over(table))
            .map(|(key, _)| *key)
            .collect();
        for key in over {
            self.end_table(key);
        }
    }
}
