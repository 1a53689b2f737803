//! What players say at a table, and what they are told.

use std::time::Instant;

#[cfg(test)]
use super::Link;
use super::{Chair, PATIENCE, Place, Table};
use crate::{
    games::{
        rules::Rules,
        wire::{Complaint, Draw, PROTOCOL, Say, Sitting, State, Status},
    },
    lobby::{dmod::wire::Outcome, wire::terms::SeatKind},
};

/// What players say.
impl<R: Rules> Table<R> {
    pub(super) fn said(&mut self, now: Instant, place: Place, say: Say) -> Result<(), Complaint> {
        let Place::Seat(seat) = place else {
            return Err(Complaint::hinted(
                "you are watching, and only who has a seat can say that",
                "take a seat in the lobby",
            ));
        };
        match (&say, self.status) {
            (Say::Again(_) | Say::Done(_), Status::Playing) => {
                return Err(Complaint::new("the match is not over yet"));
            }
            (Say::Again(_), Status::Waiting) => {
                return Err(Complaint::new("the match begins when all seats are taken"));
            }
            (Say::Again(_) | Say::Done(_), _) | (_, Status::Playing) => {}
            (_, Status::Waiting) => return Err(Complaint::new("the match has not begun yet")),
            (_, Status::Over) => {
                return Err(Complaint::hinted(
                    "the match is over",
                    r#"{"again":true} asks for another one"#,
                ));
            }
        }
        match say {
            Say::Move(text) => {
                if self.at(self.game.turn()) != seat {
                    return Err(Complaint::new("it is not your turn"));
                }
                let mv = self.game.parse(&text).map_err(|wrong| Complaint {
                    error: wrong.to_string(),
                    hint: wrong.hint().map(Into::into),
                })?;
                self.play(mv);
                Ok(())
            }
            Say::Resign(_) => self.resign(seat),
            Say::Draw(word) => self.draw(seat, word),
            Say::Claim(_) => self.claim(now, seat),
            Say::Again(_) => {
                self.chairs[seat].ready = true;
                self.changed = true;
                Ok(())
            }
            Say::Done(_) => {
                let others =
                    |(at, chair): (usize, &Chair)| at != seat && chair.kind == SeatKind::Player;
                if self.chairs.iter().enumerate().any(others) {
                    return Err(Complaint::hinted(
                        "others sit here, too",
                        "leave the table instead",
                    ));
                }
                self.end();
                Ok(())
            }
        }
    }

    pub(super) fn resign(&mut self, loser: usize) -> Result<(), Complaint> {
        if self.chairs.len() > 2 {
            return Err(Complaint::hinted(
                "only a match of two can be resigned",
                "leave the table: the lobby can give your seat to somebody else",
            ));
        }
        let outcome = move |_: &Self, seat| {
            if seat == loser {
                Outcome::Loss
            } else {
                Outcome::Win
            }
        };
        self.finish(outcome, format!("{} resigned", self.called(loser)));
        Ok(())
    }

    pub(super) fn draw(&mut self, seat: usize, word: Draw) -> Result<(), Complaint> {
        if !R::DRAWS {
            return Err(Complaint::new(format!(
                "a draw cannot be agreed on in {}",
                R::NAME
            )));
        }
        let other = (seat + 1) % self.chairs.len();
        match (word, self.offer) {
            (Draw::Offer | Draw::Accept, Some(by)) if by == other => {
                self.finish(|_, _| Outcome::Tie, "a draw was agreed on");
                return Ok(());
            }
            (Draw::Offer, _) if self.chairs[other].kind == SeatKind::Bot => {
                return Err(Complaint::new("the computer plays on"));
            }
            (Draw::Offer, _) if self.offered == Some((seat, self.moves.len())) => {
                return Err(Complaint::hinted(
                    "you have offered a draw already",
                    "make a move first",
                ));
            }
            (Draw::Offer, _) => {
                self.offer = Some(seat);
                self.offered = Some((seat, self.moves.len()));
            }
            (Draw::Decline, Some(by)) if by == other => self.offer = None,
            (Draw::Accept | Draw::Decline, _) => {
                return Err(Complaint::new("nobody has offered you a draw"));
            }
        }
        self.changed = true;
        Ok(())
    }

    pub(super) fn claim(&mut self, now: Instant, seat: usize) -> Result<(), Complaint> {
        let long = |since| now.saturating_duration_since(since) >= PATIENCE;
        let away = |chair: &Chair| chair.away.is_some_and(long);
        let gone: Vec<bool> = self.chairs.iter().map(away).collect();
        let Some(first) = gone.iter().position(|gone| *gone) else {
            let waits = self.chairs.iter().any(|chair| chair.away.is_some());
            return Err(Complaint::hinted(
                if waits {
                    "nobody has been away long enough"
                } else {
                    "nobody is away"
                },
                format!(
                    "a match can be claimed when somebody has been away for {} seconds",
                    PATIENCE.as_secs()
                ),
            ));
        };
        debug_assert!(!gone[seat], "who claims is there");
        let reason = format!("{} did not come back", self.called(first));
        // Of those who are there, the most points win; in a match of two that is who is left.
        let here = |table: &Self, seat: usize| {
            !gone[seat] && matches!(table.chairs[seat].kind, SeatKind::Player | SeatKind::Bot)
        };
        let points = |table: &Self, seat: usize| table.game.points(table.side(seat)).unwrap_or(0);
        let present: Vec<_> = (0..gone.len()).filter(|seat| here(self, *seat)).collect();
        let most = present.iter().map(|seat| points(self, *seat)).max();
        let leaders = present
            .iter()
            .filter(|seat| Some(points(self, **seat)) == most)
            .count();
        let outcome = |table: &Self, seat: usize| match gone[seat] {
            true => Outcome::Forfeit,
            false if !here(table, seat) => Outcome::None,
            false if Some(points(table, seat)) != most => Outcome::Loss,
            false if leaders == 1 => Outcome::Win,
            false => Outcome::Tie,
        };
        self.finish(outcome, reason);
        Ok(())
    }

    pub(super) fn called(&self, seat: usize) -> String {
        match &self.chairs[seat].name {
            Some(name) => name.clone(),
            None => R::SIDES[self.side(seat)].into(),
        }
    }

    /// The seat that a connection belongs to.
    #[cfg(test)]
    pub(crate) fn seat_of(&self, link: Link) -> Option<usize> {
        match self.place(link) {
            Some(Place::Seat(seat)) => Some(seat),
            _ => None,
        }
    }

    /// Every connection, once for each place that has it.
    #[cfg(test)]
    pub(crate) fn held(&self) -> Vec<Link> {
        self.links().map(|(link, _)| link).collect()
    }

    /// How everything is, for who has this seat, or for a spectator.
    pub(crate) fn state(&self, you: Option<usize>) -> State {
        let playing = self.status == Status::Playing;
        let sitting = |(seat, chair): (usize, &Chair)| Sitting {
            kind: chair.kind,
            name: chair.name.clone().or_else(|| chair.bound.clone()),
            side: R::SIDES[self.side(seat)].into(),
            points: self.game.points(self.side(seat)),
            strength: (chair.kind == SeatKind::Bot).then(|| self.strength(seat).word().into()),
            present: chair.link.is_some() || chair.kind == SeatKind::Bot,
            again: chair.ready && self.status == Status::Over,
        };
        let moves = if playing {
            self.game.legal()
        } else {
            Vec::new()
        };
        State {
            game: R::NAME.into(),
            protocol: PROTOCOL,
            you,
            seats: self.chairs.iter().enumerate().map(sitting).collect(),
            spectators: self
                .spectators
                .values()
                .map(|(name, _)| name.clone())
                .collect(),
            status: self.status,
            round: self.round,
            turn: playing.then(|| self.at(self.game.turn())),
            board: self.game.board(),
            position: self.game.position(),
            last: self.moves.last().cloned(),
            moves: moves.into_iter().map(|mv| self.game.write(mv)).collect(),
            draw: self.offer,
            result: self.result.as_ref().map(|(result, _)| result.clone()),
            reason: self.result.as_ref().map(|(_, reason)| reason.clone()),
        }
    }
}
