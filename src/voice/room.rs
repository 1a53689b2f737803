//! One channel as it is: its sockets, its seats, and how all that looks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    ChannelView, Drops, MemberView, Sockets, Traffic, Uid,
    records::Channel,
    relay::{Relay, Roster, Seat, TALKING, Tally},
};
use crate::accounts::{AccountId, Accounts};

pub(super) struct Room {
    pub(super) channel: Channel,
    pub(super) owner: Option<AccountId>,
    /// None: its port is taken by somebody else at present.
    pub(super) relay: Option<Relay>,
    pub(super) seats: BTreeMap<Uid, Place>,
    /// Joins whose seats fell empty, and whose records are on their way out of the store.
    pub(super) ended: BTreeMap<u64, Uid>,
    /// Words with a proof that turned out not to be good, beside those that the relay could tell.
    pub(super) unproven: u64,
}

pub(super) struct Place {
    pub(super) seat: Arc<Seat>,
    pub(super) account: Option<AccountId>,
    /// It was told that its address is known,
    pub(super) told: bool,
    /// and that is in the store.
    pub(super) noted: bool,
    pub(super) talking: bool,
}

impl Room {
    /// As people see it, `now` after the epoch.
    pub(super) fn view(&self, now: Duration, accounts: &Accounts) -> ChannelView {
        let name = |account: Option<AccountId>| account.and_then(|id| accounts.name_of(id));
        let members = self.seats.iter().map(|(uid, place)| {
            let address = place.seat.address();
            MemberView {
                uid: *uid,
                account: place.account,
                name: name(place.account),
                address,
                present: address.is_some(),
                talking: is_talking(&place.seat, now),
                silent_ms: millis(now.saturating_sub(place.seat.heard())),
                packets: place.seat.packets(),
                limited: place.seat.limited(),
            }
        });
        let tally = self.tally();
        let (receive_buffer, send_buffer) = tally.buffers;
        ChannelView {
            id: self.channel.id,
            title: self.channel.title.clone(),
            port: self.channel.port,
            owner: self.channel.owner,
            owner_name: name(self.owner),
            created: self.channel.created,
            members: members.collect(),
            traffic: traffic(&tally),
            sockets: Sockets {
                shards: tally.shards,
                receive_buffer,
                send_buffer,
                shield: tally.shield,
                gso_refused: tally.gso_refused,
            },
        }
    }

    /// What went through it since the daemon started.
    pub(super) fn traffic(&self) -> Traffic {
        traffic(&self.tally())
    }

    /// Lets the relay know who is there.
    pub(super) fn publish(&self) {
        if let Some(relay) = &self.relay {
            let seats = self.seats.values().map(|place| place.seat.clone());
            relay.publish(Arc::new(Roster::new(seats)));
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = self.relay.as_ref().map(Relay::tally).unwrap_or_default();
        tally.unproven += self.unproven;
        tally
    }
}

pub(super) fn is_talking(seat: &Seat, now: Duration) -> bool {
    seat.spoke()
        .is_some_and(|spoke| now.saturating_sub(spoke) < TALKING)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn traffic(tally: &Tally) -> Traffic {
    Traffic {
        packets: tally.packets,
        deliveries: tally.deliveries,
        coalesced: tally.coalesced,
        words: tally.words,
        drops: Drops {
            malformed: tally.malformed,
            strangers: tally.strangers,
            misplaced: tally.misplaced,
            unsound: tally.unsound,
            unproven: tally.unproven,
            limited: tally.limited,
            unsent: tally.unsent,
            overrun: tally.overrun,
        },
    }
}

impl Traffic {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        let (a, b) = (self.drops, other.drops);
        Self {
            packets: self.packets + other.packets,
            deliveries: self.deliveries + other.deliveries,
            coalesced: self.coalesced + other.coalesced,
            words: self.words + other.words,
            drops: Drops {
                malformed: a.malformed + b.malformed,
                strangers: a.strangers + b.strangers,
                misplaced: a.misplaced + b.misplaced,
                unsound: a.unsound + b.unsound,
                unproven: a.unproven + b.unproven,
                limited: a.limited + b.limited,
                unsent: a.unsent + b.unsent,
                overrun: a.overrun + b.overrun,
            },
        }
    }
}
