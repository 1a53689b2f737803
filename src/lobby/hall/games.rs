//! What games say, and what follows.

use super::{Chair, Effect, Hall, Report, Saved, TableKey, chat::BOX};
use crate::lobby::{
    dmod::wire::{FromGame, GameState, Score},
    wire::{
        push::Update,
        terms::{LeaveReason, SeatKind, TableStatus},
    },
};

/// As whom the box removes people from tables, at the word of a game.
const REMOVER: &str = "[server]";
/// Seats that a table can have.
const SEATS: u32 = 32;

impl Hall {
    /// A game has said something. What makes no sense is logged and changes nothing.
    pub(in crate::lobby) fn said(&mut self, key: TableKey, said: FromGame) {
        if !self.tables.contains_key(&key) {
            return; // it ends already
        }
        match said {
            FromGame::Log(_) => {} // logged where it came in
            FromGame::State(state) => self.state(key, state),
            FromGame::NumSeats(number) => self.resize(key, number),
            FromGame::Boot(name) => {
                if !self.boot(key, &name, REMOVER) {
                    self.odd(key, format!("it boots {name:?}, who is not there"));
                }
            }
            FromGame::Bot(number) => match self.seat_among(key, number, &[SeatKind::Open]) {
                Some(seat) => self.put_chair(key, seat, Chair::Bot(None)),
                None => {
                    let what = format!("it wants a bot in seat {number}, which is not open");
                    self.odd(key, what);
                }
            },
            FromGame::Open(number) => {
                // One that is kept is nobody's business but the game's once it does not wait for them any more.
                let kinds = [SeatKind::Bot, SeatKind::Reserved, SeatKind::Abandoned];
                match self.seat_among(key, number, &kinds) {
                    Some(seat) => self.put_chair(key, seat, Chair::Open),
                    None => self.odd(key, format!("it opens seat {number}, which it cannot")),
                }
            }
            FromGame::Report(scores) => self.report(key, scores),
            FromGame::Savegame(file) => self.saved(key, file),
        }
    }

    fn state(&mut self, key: TableKey, state: GameState) {
        let table = self.table_mut(key);
        let (was, announced) = (table.status, table.is_announced());
        table.status = match state {
            GameState::Created => return self.odd(key, "it goes back to the beginning"),
            GameState::Waiting => TableStatus::Waiting,
            GameState::Playing => TableStatus::Playing,
            GameState::Done => TableStatus::Done,
        };
        let (status, room, id, seats) = (table.status, table.room, table.id, table.seats());
        if announced && was != status {
            let update = Update::TableStatus {
                room,
                table: id,
                status,
                seats,
            };
            self.tell_room(room, update);
        }
        if status == TableStatus::Done {
            // One that never waited for players was never there.
            if !announced {
                self.table_mut(key).status = TableStatus::Created;
            }
            self.clear_table(key, LeaveReason::GameOver);
            return; // and it exits, when it has told its players all
        }
        if status == TableStatus::Playing && was != status {
            self.start_match(key);
        }
        if was == TableStatus::Playing && status == TableStatus::Waiting {
            self.open_after_match(key);
        }
        if !announced && self.tables.contains_key(&key) {
            self.announce(key);
        }
    }

    /// Who has left before has no part in this match.
    fn start_match(&mut self, key: TableKey) {
        let table = self.table_mut(key);
        table.reported = false;
        let here = |chair: &Chair| match chair {
            Chair::Player(_, who) | Chair::Abandoned(who) => {
                Some((who.name.to_ascii_lowercase(), who.clone()))
            }
            _ => None,
        };
        table.met = table.chairs.iter().filter_map(here).collect();
    }

    /// A match is over when its result is in and it is not played any more: then nobody has to come back to it. Until
    /// then a game that waits may do so for those who left.
    fn open_after_match(&mut self, key: TableKey) {
        let table = self.table(key);
        if !table.reported || table.is_playing() {
            return;
        }
        let chairs = (0..).zip(&self.table(key).chairs);
        let kept: Vec<u32> = chairs
            .filter(|(_, chair)| matches!(chair, Chair::Abandoned(_)))
            .map(|(number, _)| number)
            .collect();
        for number in &kept {
            self.put_chair(key, *number, Chair::Open);
        }
        let table = self.table(key);
        if !kept.is_empty() && table.players() == 0 && table.game.kill_when_empty {
            self.end_table(key);
        }
    }

    fn resize(&mut self, key: TableKey, wanted: i32) {
        let possible = u32::try_from(wanted).ok();
        let Some(number) = possible.filter(|number| (1..=SEATS).contains(number)) else {
            return self.odd(key, format!("it wants {wanted} seats"));
        };
        for seat in number..self.table(key).seats() {
            if let Some(Chair::Player(_, who)) = self.table(key).chair(seat) {
                let name = who.name.clone();
                self.boot(key, &name, REMOVER);
                if !self.tables.contains_key(&key) {
                    return; // they were the last
                }
            }
        }
        let table = self.table_mut(key);
        table.chairs.resize(number as usize, Chair::Open);
        let (room, view) = (table.room, table.view());
        if table.is_announced() {
            self.tell_room(room, Update::TableResize { room, table: view });
        }
    }

    /// Believed only about those who are in the match.
    fn report(&mut self, key: TableKey, scores: Vec<Score>) {
        let table = self.table(key);
        let mut known = Vec::new();
        for mut score in scores {
            let name = score
                .name
                .as_deref()
                .unwrap_or_default()
                .to_ascii_lowercase();
            if score.seat == SeatKind::Bot {
                let is_it = |chair: &&Chair| matches!(chair, Chair::Bot(Some(bot)) if bot.eq_ignore_ascii_case(&name));
                let bot = table.chairs.iter().find(is_it);
                score.name = bot.and_then(|bot| bot.seat().name);
                known.push((score, None));
                continue;
            }
            let Some(who) = table.met.get(&name) else {
                return self.odd(
                    key,
                    format!("it reports on {name:?}, who does not play here"),
                );
            };
            score.name = Some(who.name.clone());
            known.push((score, Some(who.clone())));
        }
        let twice = (1..known.len()).any(|at| {
            let name = |at: usize| known[at].0.name.as_deref();
            name(at).is_some() && (0..at).any(|before| name(before) == name(at))
        });
        if twice || known.is_empty() {
            return self.odd(key, "it reports on nobody, or on somebody twice");
        }
        let (room, game) = (table.room, table.game.clone());
        let savegame = self.table_mut(key).savegame.take();
        let room = self.room_mut(room).definition.name.clone();
        self.effects.push(Effect::Report(Report {
            key,
            room,
            game,
            scores: known,
            savegame,
        }));
        self.table_mut(key).reported = true;
        self.open_after_match(key);
    }

    fn saved(&mut self, key: TableKey, file: String) {
        let table = self.table_mut(key);
        table.savegame = Some(file.clone());
        let saved = Saved {
            key,
            room: String::new(),
            game: table.game.clone(),
            owner: table
                .owner
                .as_ref()
                .map_or_else(String::new, |who| who.name.clone()),
            file,
            seats: table.chairs.iter().map(Chair::seat).collect(),
        };
        let room = table.room;
        let room = self.room_mut(room).definition.name.clone();
        self.effects.push(Effect::Saved(Saved { room, ..saved }));
    }

    /// A game's process has ended, whether we wanted it to or not: there is room for another. When it has failed, they
    /// are told why in words, for which the protocol has no place but a chat.
    pub(in crate::lobby) fn ended(&mut self, key: TableKey, failed: Option<&str>) {
        self.running.remove(&key);
        if let (Some(why), Some(table)) = (failed, self.tables.get(&key)) {
            let (title, launcher) = (table.game.title.clone(), table.launcher);
            let there = table.everybody().into_iter().map(|(who, _)| who);
            for who in there.chain(launcher) {
                let title = title.of(&self.person(who).language);
                self.whisper(who, BOX, &format!("{title}: {why}"));
            }
        }
        let reason = match failed {
            Some(_) => LeaveReason::GameError,
            None => LeaveReason::GameOver,
        };
        self.clear_table(key, reason);
    }
}
