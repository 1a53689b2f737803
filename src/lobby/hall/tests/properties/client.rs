//! A client as small as can be, and as strict as the original's: what it does not know must not be changed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) room: Option<RoomId>,
    /// Where they sit, as they were told.
    pub(super) table: Option<TableId>,
    players: BTreeMap<String, PlayerView>,
    tables: BTreeMap<TableId, TableView>,
    /// None: they have not asked yet.
    rooms: Option<BTreeMap<RoomId, Known>>,
    /// Rooms that were closed before they could hear of them.
    unseen: BTreeSet<RoomId>,
}

/// A room as it was told.
struct Known {
    view: RoomView,
    open: bool,
}

impl Client {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            room: None,
            table: None,
            players: BTreeMap::new(),
            tables: BTreeMap::new(),
            rooms: None,
            unseen: BTreeSet::new(),
        }
    }

    pub(super) fn has_asked_for_rooms(&self) -> bool {
        self.rooms.is_some()
    }

    /// What there is, as it was told to who asked; `closed` is what nobody tells any more.
    pub(super) fn reads(&mut self, rooms: Vec<RoomView>, closed: BTreeSet<RoomId>) {
        let rooms = rooms
            .into_iter()
            .map(|view| (view.id, Known { view, open: true }));
        self.rooms = Some(rooms.collect());
        self.unseen = closed;
    }

    /// Whether the rooms that they know of are those that are listed now. How many are in them is told later.
    pub(super) fn agrees_on_rooms(&self, listed: Vec<RoomView>) {
        let without_count = |view: &RoomView| RoomView {
            players: 0,
            description: None,
            ..view.clone()
        };
        let rooms = self.rooms.as_ref().expect("they have asked");
        let known = rooms.iter();
        let known = known.filter(|(id, room)| room.open || self.room == Some(**id));
        let known: Vec<RoomView> = known.map(|(_, room)| without_count(&room.view)).collect();
        let listed: Vec<RoomView> = listed.iter().map(without_count).collect();
        assert_eq!(known, listed, "as {} sees it", self.name);
    }

    /// How many are in each room, as they know it.
    pub(super) fn counts(&self) -> impl Iterator<Item = (RoomId, u32)> {
        let rooms = self.rooms.as_ref().expect("they have asked");
        rooms.iter().map(|(id, room)| (*id, room.view.players))
    }

    pub(super) fn enters(
        &mut self,
        room: RoomId,
        players: Vec<PlayerView>,
        tables: Vec<TableView>,
    ) {
        self.room = Some(room);
        self.players = players
            .into_iter()
            .map(|one| (one.name.clone(), one))
            .collect();
        self.tables = tables
            .into_iter()
            .map(|one| (one.id, trimmed(one)))
            .collect();
    }

    /// Whether all that was heard since has led to what is there now.
    pub(super) fn agrees(&self, players: Vec<PlayerView>, tables: Vec<TableView>) {
        let known: Vec<&PlayerView> = self.players.values().collect();
        let mut players: Vec<&PlayerView> = players.iter().collect();
        players.sort_by(|one, other| one.name.cmp(&other.name));
        assert_eq!(known, players, "as {} sees it", self.name);
        let known: Vec<TableView> = self.tables.values().cloned().map(trimmed).collect();
        let tables: Vec<TableView> = tables.into_iter().map(trimmed).collect();
        assert_eq!(known, tables, "as {} sees it", self.name);
    }

    pub(super) fn hears(&mut self, push: &Push) {
        match push {
            Push::Join { table, .. } => {
                assert_eq!(self.table.replace(*table), None, "joined twice");
                assert!(self.tables.contains_key(table), "joined what is not known");
            }
            Push::Leave { .. } => self.table = None,
            Push::Update(update) => self.updates(update),
            _ => {}
        }
    }

    fn updates(&mut self, update: &Update) {
        match update {
            Update::RoomPlayers { .. }
            | Update::RoomAdd { .. }
            | Update::RoomClose { .. }
            | Update::RoomDelete { .. } => return self.rooms_change(update),
            Update::PlayerAdd { room, .. }
            | Update::PlayerDelete { room, .. }
            | Update::PlayerLag { room, .. }
            | Update::PlayerStats { room, .. }
            | Update::PlayerPerms { room, .. }
            | Update::TableAdd { room, .. }
            | Update::TableDelete { room, .. }
            | Update::TableStatus { room, .. }
            | Update::TableJoin { room, .. }
            | Update::TableLeave { room, .. }
            | Update::TableSeat { room, .. }
            | Update::TableDesc { room, .. }
            | Update::TableResize { room, .. } => {
                if self.room != Some(*room) {
                    // On their way into it, and about to ask what is there.
                    return;
                }
            }
        }
        self.changes(update);
    }

    /// Those of which they have not heard are those that they need not hear of.
    fn rooms_change(&mut self, update: &Update) {
        let Some(rooms) = &mut self.rooms else {
            return; // about to ask what is there
        };
        match update {
            Update::RoomAdd { room } => {
                let (view, open) = (room.clone(), true);
                let known = rooms.insert(room.id, Known { view, open });
                assert!(known.is_none(), "{:?} came twice", room.id);
            }
            Update::RoomPlayers { room, players } => match rooms.get_mut(room) {
                Some(known) => known.view.players = *players,
                None => assert!(self.unseen.contains(room), "{room:?} is counted"),
            },
            Update::RoomClose { room } => {
                let known = rooms.get_mut(room).expect("a known room closes");
                assert!(std::mem::take(&mut known.open), "{room:?} closed twice");
            }
            Update::RoomDelete { room } => {
                let known = rooms.remove(room).is_some() || self.unseen.remove(room);
                assert!(known, "{room:?} is gone");
            }
            _ => unreachable!("about rooms alone"),
        }
    }

    fn changes(&mut self, update: &Update) {
        match update {
            Update::PlayerAdd { player, .. } => {
                assert_ne!(player.name, self.name, "about oneself");
                let known = self.players.insert(player.name.clone(), player.clone());
                assert_eq!(known, None, "came twice");
            }
            Update::PlayerDelete { name, .. } => {
                assert_ne!(name, self.name, "about oneself");
                self.players.remove(name).expect("somebody known left");
            }
            Update::PlayerLag { name, lag, .. } => self.player(name).lag = *lag,
            Update::PlayerStats { name, stats, .. } => self.player(name).stats = *stats,
            Update::PlayerPerms {
                name,
                kind,
                permissions,
                ..
            } => {
                let player = self.player(name);
                (player.kind, player.permissions) = (*kind, *permissions);
            }
            Update::TableAdd { table, .. } => {
                let known = self.tables.insert(table.id, table.clone());
                assert_eq!(known, None, "added twice");
            }
            Update::TableDelete { table, .. } => {
                let table = self.tables.remove(table).expect("a known table is gone");
                let player = |seat: &Seat| seat.kind == SeatKind::Player;
                assert!(!table.seats.iter().any(player), "somebody still sits there");
            }
            Update::TableStatus { table, status, .. } => self.table(table).status = *status,
            Update::TableJoin {
                table, place, name, ..
            } => {
                let at = self.player(name).table.replace(*table);
                assert_eq!(at, None, "{name} was somewhere else");
                *self.place(table, *place) = Some(name.clone());
            }
            Update::TableLeave {
                table, place, name, ..
            } => {
                let at = self.player(name).table.take();
                assert_eq!(at, Some(*table), "{name} was somewhere else");
                assert_eq!(self.place(table, *place).take().as_ref(), Some(name));
                if let Place::Seat(number) = place {
                    self.table(table).seats[*number as usize].kind = SeatKind::Open;
                }
            }
            Update::TableSeat {
                table,
                number,
                seat,
                ..
            } => self.table(table).seats[*number as usize] = seat.clone(),
            Update::TableDesc {
                table, description, ..
            } => self.table(table).description.clone_from(description),
            Update::TableResize { table, .. } => *self.table(&table.id) = table.clone(),
            _ => unreachable!("about rooms"),
        }
    }

    fn player(&mut self, name: &str) -> &mut PlayerView {
        self.players.get_mut(name).expect("somebody known")
    }

    fn table(&mut self, table: &TableId) -> &mut TableView {
        self.tables.get_mut(table).expect("a known table")
    }

    /// Whose a place is. At a seat that is a player's from now on.
    fn place(&mut self, table: &TableId, place: Place) -> &mut Option<String> {
        let table = self.table(table);
        match place {
            Place::Seat(number) => {
                let seat = &mut table.seats[number as usize];
                seat.kind = SeatKind::Player;
                &mut seat.name
            }
            Place::Spectator(number) => {
                let number = number as usize;
                let more = table.spectators.len().max(number + 1);
                table.spectators.resize(more, None);
                &mut table.spectators[number]
            }
        }
    }
}

/// Numbers at the end that nobody has are not there.
fn trimmed(mut table: TableView) -> TableView {
    while table.spectators.last() == Some(&None) {
        table.spectators.pop();
    }
    table
}
