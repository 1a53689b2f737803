//! Who is where at a table.

use std::time::Instant;

use super::{Chair, Effect, Link, Place, SPECTATORS, Table};
use crate::{
    games::{
        rules::Rules,
        search::Strength,
        wire::{Complaint, Status, Told},
    },
    lobby::wire::terms::{Seat, SeatKind},
};

/// Who is where.
impl<R: Rules> Table<R> {
    /// What this seat plays as.
    pub(super) fn side(&self, seat: usize) -> usize {
        let seats = self.chairs.len();
        (seat + seats - self.first) % seats
    }

    /// The seat of this player.
    pub(super) fn at(&self, side: usize) -> usize {
        (side + self.first) % self.chairs.len()
    }

    pub(super) fn strength(&self, seat: usize) -> Strength {
        let named = self.chairs[seat].name.as_deref().and_then(Strength::named);
        named.unwrap_or(self.strength)
    }

    pub(super) fn place(&self, link: Link) -> Option<Place> {
        let sits = |chair: &Chair| chair.link == Some(link);
        if let Some(seat) = self.chairs.iter().position(sits) {
            return Some(Place::Seat(seat));
        }
        let mut spectators = self.spectators.iter();
        let (number, _) = spectators.find(|(_, (_, own))| *own == link)?;
        Some(Place::Spectator(*number))
    }

    /// Every connection, and the seat that it belongs to.
    pub(super) fn links(&self) -> impl Iterator<Item = (Link, Option<usize>)> + '_ {
        let sitting = self.chairs.iter().enumerate();
        let sitting = sitting.filter_map(|(seat, chair)| Some((chair.link?, Some(seat))));
        sitting.chain(self.spectators.values().map(|(_, link)| (*link, None)))
    }

    pub(super) fn close(&mut self, link: Option<Link>) {
        self.effects.extend(link.map(Effect::Close));
    }

    pub(super) fn seat(&mut self, now: Instant, number: usize, seat: Seat, link: Option<Link>) {
        if number >= self.chairs.len() || (seat.kind == SeatKind::Player) != link.is_some() {
            let count = self.chairs.len();
            self.effects.push(Effect::Log(format!(
                "there is no seat {number}: the table has {count}"
            )));
            self.close(link);
            return;
        }
        let name = seat.name.filter(|name| !name.is_empty());
        if let Some(link) = link {
            self.sit(number, name.unwrap_or_default(), link);
            return;
        }
        let playing = self.status == Status::Playing;
        let chair = &mut self.chairs[number];
        if chair.kind == SeatKind::Bot || seat.kind == SeatKind::Bot {
            self.serial += 1;
        }
        let left = chair.link.take();
        *chair = Chair {
            kind: seat.kind,
            name,
            link: None,
            ready: false,
            away: (playing && seat.kind == SeatKind::Abandoned).then(|| chair.away.unwrap_or(now)),
            bound: chair.bound.take(),
        };
        self.changed = true;
        self.close(left);
    }

    pub(super) fn sit(&mut self, number: usize, name: String, link: Link) {
        let status = self.status;
        let chair = &mut self.chairs[number];
        if let Some(bound) = chair
            .bound
            .as_ref()
            .filter(|bound| !bound.eq_ignore_ascii_case(&name))
        {
            let complaint =
                Complaint::new(format!("in this saved game seat {number} is {bound}'s"));
            self.effects
                .push(Effect::Tell(link, Told::Complaint(complaint)));
            self.effects.push(Effect::Close(link));
            self.effects.push(Effect::Boot(name));
            return;
        }
        if chair.kind == SeatKind::Bot {
            self.serial += 1;
        }
        let same = chair.kind == SeatKind::Player && chair.name.as_ref() == Some(&name);
        let before = chair.link.replace(link);
        chair.ready = match status {
            Status::Waiting => true,
            Status::Playing => false,
            // Who sits down came to play; who merely comes back has not said so yet.
            Status::Over => !same || chair.ready,
        };
        (chair.kind, chair.name, chair.away) = (SeatKind::Player, Some(name), None);
        self.changed = true;
        self.close(before);
    }

    pub(super) fn spectator(&mut self, number: u32, who: Option<(String, Link)>) {
        let before = self.spectators.remove(&number).map(|(_, link)| link);
        self.close(before);
        self.changed |= before.is_some();
        if let Some((name, link)) = who {
            self.watch(number, name, link);
        }
    }

    pub(super) fn watch(&mut self, number: u32, name: String, link: Link) {
        if self.spectators.len() >= SPECTATORS {
            let complaint = Complaint::new(format!("{SPECTATORS} people are watching already"));
            self.effects
                .push(Effect::Tell(link, Told::Complaint(complaint)));
            self.effects.push(Effect::Close(link));
            // The lobby has them at the table, and would list them for ever.
            self.effects.push(Effect::Boot(name));
            return;
        }
        self.spectators.insert(number, (name, link));
        self.changed = true;
    }

    pub(super) fn reseat(&mut self, now: Instant, from: Place, to: Place) {
        let fits = match to {
            Place::Seat(seat) => self
                .chairs
                .get(seat)
                .is_some_and(|chair| chair.kind != SeatKind::Player),
            Place::Spectator(number) => !self.spectators.contains_key(&number),
        };
        let who = match from {
            _ if !fits => None,
            Place::Spectator(number) => self
                .spectators
                .remove(&number)
                .map(|(name, link)| (name, Some(link))),
            Place::Seat(seat) => {
                let playing = self.status == Status::Playing;
                let chair = self.chairs.get_mut(seat);
                chair
                    .filter(|chair| chair.kind == SeatKind::Player)
                    .map(|chair| {
                        let name = chair.name.clone();
                        chair.ready = false;
                        if playing {
                            chair.kind = SeatKind::Abandoned;
                            chair.away = chair.away.or(Some(now));
                        } else {
                            (chair.kind, chair.name, chair.away) = (SeatKind::Open, None, None);
                        }
                        (name.unwrap_or_default(), chair.link.take())
                    })
            }
        };
        let Some((name, link)) = who else {
            self.effects.push(Effect::Log(format!(
                "nobody can go from {from:?} to {to:?}"
            )));
            return;
        };
        self.changed = true;
        match (to, link) {
            (Place::Seat(seat), Some(link)) => self.sit(seat, name, link),
            (Place::Spectator(number), Some(link)) => self.watch(number, name, link),
            // They are away, and so are they at the other place.
            (Place::Seat(seat), None) => {
                let chair = &mut self.chairs[seat];
                self.serial += u64::from(chair.kind == SeatKind::Bot);
                (chair.kind, chair.name, chair.away) = (SeatKind::Player, Some(name), Some(now));
            }
            (Place::Spectator(_), None) => {}
        }
    }

    pub(super) fn hung(&mut self, now: Instant, link: Link) {
        match self.place(link) {
            Some(Place::Seat(seat)) => {
                self.chairs[seat].link = None;
                self.chairs[seat].away = Some(now);
                self.changed = true;
            }
            Some(Place::Spectator(number)) => {
                self.spectators.remove(&number);
                self.changed = true;
            }
            None => {}
        }
    }
}
