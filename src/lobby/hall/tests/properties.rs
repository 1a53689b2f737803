//! What holds after any sequence of operations, for the hall and for every client's picture of it.

mod client;
mod operation;

use std::collections::{BTreeSet, HashSet};

use proptest::prelude::*;

use self::{
    client::Client,
    operation::{Operation, operation, variation},
};
use super::*;
use crate::lobby::wire::push::{PlayerView, RoomView, TableView};

/// Who may be there, two namesakes among them.
const CAST: [(&str, Option<Permissions>, u8); 7] = [
    ("ann", Some(Permissions::REGISTERED), 1),
    ("ben", Some(Permissions::REGISTERED), 2),
    ("cat", Some(Permissions::REGISTERED), 3),
    ("gus", None, 4),
    ("Gus", None, 5),
    ("hal", Some(Permissions::HOST), 6),
    ("ada", Some(Permissions::ADMIN), 7),
];

/// The hall, and the world around it: clients, channels and processes.
struct Stage {
    scene: Scene,
    sessions: [Option<SessionId>; CAST.len()],
    clients: HashMap<SessionId, Client>,
    channels: BTreeSet<ChannelKey>,
    spent: HashSet<ChannelKey>,
    /// Games that were started, have not ended, and were not told to.
    running: BTreeSet<TableKey>,
    /// Those that were told to, and have not ended yet.
    ending: BTreeSet<TableKey>,
    started: HashSet<TableKey>,
}

impl Stage {
    fn new() -> Self {
        let mut stage = Self {
            scene: Scene::new(),
            sessions: [None; CAST.len()],
            clients: HashMap::new(),
            channels: BTreeSet::new(),
            spent: HashSet::new(),
            running: BTreeSet::new(),
            ending: BTreeSet::new(),
            started: HashSet::new(),
        };
        for who in 0..CAST.len() {
            stage.run(Operation::Come(who));
            stage.run(Operation::Say(who, Request::Enter { room: DUELS }));
            stage.run(Operation::Channel(who));
        }
        stage
    }

    fn run(&mut self, operation: Operation) {
        let now = self.scene.now;
        let world = World {
            now,
            standings: &standings,
        };
        let session = |who: usize| self.sessions[who];
        let hall = &mut self.scene.hall;
        match operation.clone() {
            Operation::Come(who) if session(who).is_none() => {
                let id = SessionId(self.scene.next);
                self.scene.next += 1;
                let (name, permissions, from) = CAST[who];
                let mut newcomer = newcomer(name, permissions.unwrap_or(Permissions::GUEST));
                newcomer.who.address = address(from);
                newcomer.who.account = permissions.map(|_| AccountId(who as u64));
                if hall.come(id, newcomer).is_ok() {
                    self.sessions[who] = Some(id);
                    self.clients.insert(id, Client::new(name));
                }
            }
            Operation::Channel(who) => {
                let key = ChannelKey(self.scene.next);
                self.scene.next += 1;
                if hall.channel(CAST[who].0, address(CAST[who].2), None, key) {
                    self.channels.insert(key);
                }
            }
            Operation::Say(who, request) => {
                if let Some(id) = session(who) {
                    hall.apply(id, request, world);
                }
            }
            Operation::Gone(who) => {
                if let Some(id) = self.sessions[who].take() {
                    hall.gone(id, world);
                    self.clients.remove(&id);
                }
            }
            Operation::Kick(who) => {
                if let Some(id) = session(who) {
                    hall.kick(id, "hal", "enough", world);
                }
            }
            Operation::Gag(who, gag) => {
                let (name, account) = (CAST[who].0, Some(AccountId(who as u64)));
                match session(who).and_then(|id| hall.who(id)).cloned() {
                    Some(who) if gag => drop(hall.gag(&who)),
                    _ => drop(hall.ungag(name, account)),
                }
            }
            Operation::Permit(who, bits) => {
                if let Some(id) = session(who) {
                    hall.permit(id, Permissions::from_bits(bits));
                }
            }
            Operation::Lag(who, lag) => {
                if let Some(id) = session(who) {
                    hall.lag(id, lag);
                }
            }
            Operation::Rated(who, wins) => {
                let stats = Stats {
                    records: Some([wins; 4]),
                    ..Stats::default()
                };
                hall.rated("duel", AccountId(who as u64), stats);
            }
            Operation::Game(which, said) => {
                // Also one that has ended may have said something before.
                let key = self.running.iter().nth(which).copied();
                let key = key.unwrap_or(TableKey(1));
                if said == FromGame::State(GameState::Done) && self.running.remove(&key) {
                    self.ending.insert(key);
                }
                hall.said(key, said);
            }
            Operation::Dies(which, failed) => {
                if let Some(key) = self.running.iter().nth(which).copied() {
                    self.running.remove(&key);
                    hall.ended(key, failed.then_some("it broke"));
                }
            }
            Operation::Define(variant) => hall.define(&variation(variant)),
            Operation::LaunchFor(room) => {
                let seats = [seat("open"), seat("reserved gus")];
                let _ = hall.launch_for(RoomId(room), String::new(), &seats);
            }
            Operation::Resume(room) => {
                let seats = ["player ann", "bot Deep"].map(|words| seat(words).unwrap());
                let _ = hall.resume(RoomId(room), "file".into(), None, seats.into(), now);
            }
            Operation::Wait(seconds) => {
                self.scene.now += Duration::from_secs(seconds);
                hall.expire(self.scene.now);
                for key in std::mem::take(&mut self.ending) {
                    hall.ended(key, None);
                }
            }
            Operation::Count => assert!(!hall.count(usize::MAX)),
            Operation::Come(_) => {}
        }
        self.carry_out();
        self.look();
        self.check();
        self.check_counts(matches!(operation, Operation::Count));
    }

    /// As the service does: after each operation, with the people of then.
    fn carry_out(&mut self) {
        for effect in self.scene.hall.effects() {
            match effect {
                Effect::Tell(id, push) => {
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.hears(&push);
                    }
                }
                Effect::Room(room, but, push) => {
                    for id in &self.scene.hall.rooms[room.0 as usize].people {
                        if Some(*id) != but {
                            self.clients.get_mut(id).unwrap().hears(&push);
                        }
                    }
                }
                Effect::Everybody(push) => {
                    for client in self.clients.values_mut() {
                        client.hears(&push);
                    }
                }
                Effect::Disconnect(id) => {
                    self.clients.remove(&id).unwrap();
                    let gone = self.sessions.iter_mut().find(|one| **one == Some(id));
                    *gone.unwrap() = None;
                }
                Effect::Launch { key, .. } => {
                    assert!(self.started.insert(key) && self.running.insert(key));
                }
                Effect::Order(key, order, channel) => {
                    assert!(self.started.contains(&key));
                    assert_eq!(order.carries(), channel.is_some(), "{order:?}");
                    if let Some(channel) = channel {
                        assert!(self.spent.insert(channel), "handed over twice");
                    }
                }
                Effect::End(key) => {
                    assert!(self.running.remove(&key), "ended twice");
                    self.ending.insert(key);
                }
                Effect::Close(channel) => assert!(self.spent.insert(channel), "spent twice"),
                Effect::Report(report) => {
                    let names = report
                        .scores
                        .iter()
                        .filter_map(|(score, _)| score.name.as_ref());
                    let names: Vec<_> = names.collect();
                    let once: BTreeSet<_> = names.iter().collect();
                    assert_eq!(names.len(), once.len());
                }
                Effect::Saved(_) | Effect::Rankings(..) | Effect::Odd(..) => {}
            }
        }
    }

    /// Whoever has come into another room asks what is there, as every client does.
    fn look(&mut self) {
        let ids: Vec<SessionId> = self.clients.keys().copied().collect();
        for id in ids {
            if !self.clients[&id].has_asked_for_rooms() {
                let listed = rooms(&mut self.scene, id);
                let all = (0..).map(RoomId).zip(&self.scene.hall.rooms);
                let closed = all.filter(|(_, room)| room.state == RoomState::Closed);
                let closed = closed.map(|(id, _)| id).collect();
                let client = self.clients.get_mut(&id).unwrap();
                client.reads(listed, closed);
            }
            let room = self.scene.hall.people[&id].room;
            let client = self.clients.get_mut(&id).unwrap();
            if client.room == room {
                continue;
            }
            let (players, tables) = lists(&mut self.scene, id);
            let client = self.clients.get_mut(&id).unwrap();
            client.enters(room.unwrap(), players, tables);
        }
    }

    fn check(&mut self) {
        self.check_places();
        let hall = &self.scene.hall;
        let waiting = hall.people.values().filter_map(|person| person.channel);
        let waiting: HashSet<ChannelKey> = waiting.collect();
        for channel in &self.channels {
            assert_ne!(
                waiting.contains(channel),
                self.spent.contains(channel),
                "{channel:?}"
            );
        }
        let standing: BTreeSet<TableKey> = hall.tables.keys().copied().collect();
        assert_eq!(
            standing, self.running,
            "every table has its game, and every game its table"
        );
        let processes: HashSet<TableKey> = self.running.union(&self.ending).copied().collect();
        assert_eq!(hall.running, processes);
        assert!(processes.len() <= hall.limits.tables);
        for (id, client) in &self.clients {
            let seated = hall.people[id].table().map(|(key, _)| hall.tables[&key].id);
            assert_eq!(client.table, seated, "{} knows where they are", client.name);
        }
        let ids: Vec<SessionId> = self.clients.keys().copied().collect();
        for id in ids {
            let listed = rooms(&mut self.scene, id);
            for room in &listed {
                let people = self.scene.hall.rooms[room.id.0 as usize].people.len();
                assert_eq!(room.players as usize, people, "{room:?}");
            }
            self.clients[&id].agrees_on_rooms(listed);
            if self.clients[&id].room.is_some() {
                let (players, tables) = lists(&mut self.scene, id);
                self.clients[&id].agrees(players, tables);
            }
        }
    }

    /// How many are in a room is right for everybody once it is `told`, and until then where nothing has changed.
    fn check_counts(&self, told: bool) {
        for client in self.clients.values() {
            for (id, known) in client.counts() {
                let room = &self.scene.hall.rooms[id.0 as usize];
                let right = known as usize == room.people.len();
                let owed = room.changed && !told;
                assert!(right || owed, "{known} in {room:?}, {} hears", client.name);
            }
        }
    }

    fn check_places(&self) {
        let hall = &self.scene.hall;
        let mut places = HashMap::new();
        for (key, table) in &hall.tables {
            let room = &hall.rooms[table.room.0 as usize];
            assert_eq!(room.tables.get(&table.id), Some(key));
            for (id, place) in table.everybody() {
                assert_eq!(hall.people[&id].room, Some(table.room));
                assert_eq!(places.insert(id, (*key, place)), None, "in two places");
            }
            if let Some(id) = table.launcher {
                assert_eq!(hall.people[&id].at, At::Launching(*key));
            }
            // What nobody has come to by themselves, nobody needs to stay for.
            let empty = table.everybody().is_empty() && table.launcher.is_none();
            let left = table.owner.is_some() && table.game.kill_when_empty && empty;
            let by_staff = table.met.is_empty();
            assert!(
                !left || by_staff || table.deserted.is_some(),
                "for ever: {table:?}"
            );
        }
        for (id, person) in &hall.people {
            assert_eq!(person.table(), places.remove(id), "{}", person.who.name);
            if let At::Launching(key) = person.at {
                assert_eq!(hall.tables[&key].launcher, Some(*id));
            }
            let name = person.who.name.to_ascii_lowercase();
            assert_eq!(hall.names.get(&name), Some(id));
        }
        assert_eq!(hall.names.len(), hall.people.len());
        let tables: usize = hall.rooms.iter().map(|room| room.tables.len()).sum();
        assert_eq!(tables, hall.tables.len());
        for (number, room) in (0..).map(RoomId).zip(&hall.rooms) {
            let inside = hall
                .people
                .iter()
                .filter(|(_, one)| one.room == Some(number));
            let inside: BTreeSet<SessionId> = inside.map(|(id, _)| *id).collect();
            assert_eq!(room.people, inside);
            let gone = room.state == RoomState::Gone;
            assert!(!gone || room.people.is_empty() && room.tables.is_empty());
        }
    }
}

/// A list as somebody gets it.
fn ask(scene: &mut Scene, id: SessionId, what: ListOf) -> Body {
    let standings: Standings<'_> = &standings;
    let now = scene.now;
    let list = Request::List {
        what,
        full: false,
        room: None,
    };
    scene.hall.apply(id, list, World { now, standings });
    match scene.hall.effects().remove(0) {
        Effect::Tell(_, Push::Result { body, .. }) => body,
        other => panic!("{other:?}"),
    }
}

/// The rooms that somebody is told of.
fn rooms(scene: &mut Scene, id: SessionId) -> Vec<RoomView> {
    match ask(scene, id, ListOf::Room) {
        Body::Rooms(rooms) => rooms,
        other => panic!("{other:?}"),
    }
}

/// What somebody is told of their room.
fn lists(scene: &mut Scene, id: SessionId) -> (Vec<PlayerView>, Vec<TableView>) {
    match (
        ask(scene, id, ListOf::Player),
        ask(scene, id, ListOf::Table),
    ) {
        (Body::Players(_, players), Body::Tables(_, tables)) => (players, tables),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_everybody_is_in_one_place_and_sees_what_is_there(
        operations in prop::collection::vec(operation(), 1..60),
    ) {
        let mut stage = Stage::new();
        for operation in operations {
            stage.run(operation);
        }
    }
}
