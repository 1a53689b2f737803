//! What changes, each as one transaction over users, channels, seats and tickets. Who may is in [`rights`](super::rights).

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::{
    ChannelId, Legacy, Uid, VoiceError,
    records::{CHANNELS, Channel, OWN, Own, SEATS, SeatRecord, TICKETS, Ticket, USERS, User, pair},
    rights::Asker,
    seal::{self, Tagged},
};
use crate::{
    accounts::{AccountId, Accounts, Principal, Subject, Verb},
    clock::UnixMillis,
    net::network,
    store::{Store, StoreError, Tx},
};

/// Seats of one channel, at most: a packet is sent once for each.
pub(super) const SEATS_EACH: usize = 512;
/// Records that one transaction changes, at most, where there may be any number.
pub(super) const AT_ONCE: usize = 512;
/// What the rules stand on.
#[derive(Clone)]
pub(super) struct Book {
    pub(super) store: Store,
    pub(super) accounts: Accounts,
    pub(super) legacy: Legacy,
}

/// A seat that was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seated {
    pub(super) channel: ChannelId,
    /// Who had to give way, the channel being full.
    pub(super) instead: Option<Uid>,
}

pub(super) type Done<T> = Result<T, VoiceError>;

impl Book {
    /// The user, outside of any transaction; none as well when the record cannot be read.
    pub(super) fn user(&self, uid: Uid) -> Option<User> {
        self.store.get(USERS, uid.key()).ok().flatten()
    }

    /// The channel's owner, as accounts know them.
    pub(super) fn owner(&self, channel: &Channel) -> Option<AccountId> {
        self.user(channel.owner?)?.account
    }

    /// A uid that has never been one.
    fn next_uid(tx: &mut Tx<'_>) -> Done<Uid> {
        loop {
            let uid = Uid(tx.next_id("voice_user")?);
            if uid.is_sound() {
                return Ok(uid);
            }
        }
    }

    /// The uid of an account; a new one if need be.
    fn own(&self, tx: &mut Tx<'_>, account: AccountId) -> Done<User> {
        if let Some(Own(uid)) = tx.get(OWN, account.0.to_be_bytes())?
            && let Some(user) = tx.get(USERS, uid.key())?
        {
            return Ok(user);
        }
        let now = UnixMillis::now();
        let user = User {
            uid: Self::next_uid(tx)?,
            account: Some(account),
            guest: false,
            permissions: 0,
            home: None,
            // Nowhere, until it asks for a ticket.
            until: Some(UnixMillis(0)),
            created: now,
            seen: now,
        };
        tx.put(OWN, account.0.to_be_bytes(), &Own(user.uid))?;
        tx.put(USERS, user.uid.key(), &user)?;
        Ok(user)
    }

    /// Before a socket is opened for a new channel: its id.
    pub(super) fn reserve(&self, tx: &mut Tx<'_>, by: &Asker) -> Done<ChannelId> {
        self.may_create(by)?;
        Ok(ChannelId(tx.next_id("channel")?))
    }

    /// A new channel, whose port is open.
    pub(super) fn create(
        &self,
        tx: &mut Tx<'_>,
        by: &Asker,
        id: ChannelId,
        title: String,
        port: u16,
    ) -> Done<Channel> {
        let owner = match by {
            Asker::Kv(uid, _) => Some(*uid),
            Asker::Person(by) => match by.actor.account {
                Some(account) => Some(self.own(tx, AccountId(account))?.uid),
                None => None,
            },
            Asker::Box => None,
        };
        let channel = Channel {
            id,
            title,
            port,
            owner,
            created: UnixMillis::now(),
        };
        tx.put(CHANNELS, id.key(), &channel)?;
        Ok(channel)
    }

    pub(super) fn channel(&self, id: ChannelId) -> Done<Channel> {
        let channel = self.store.get(CHANNELS, id.key())?;
        channel.ok_or(VoiceError::NoSuchChannel(id))
    }

    /// Ends a channel, with its seats. Its tickets are worth nothing from then on, and are [thrown away](Self::expire).
    pub(super) fn delete(&self, tx: &mut Tx<'_>, by: &Asker, id: ChannelId) -> Done<()> {
        self.may_delete(by, id)?;
        for (key, _) in readable(self.store.scan(SEATS, &id.key())) {
            tx.delete(SEATS, key)?;
        }
        tx.delete(CHANNELS, id.key())?;
        Ok(())
    }

    /// A seat for `juid`, which whoever is at the asker's address may take.
    pub(super) fn join(
        &self,
        tx: &mut Tx<'_>,
        by: (Uid, IpAddr),
        juid: Uid,
        id: ChannelId,
    ) -> Done<Seated> {
        let (uid, from) = by;
        if uid != juid {
            self.may_seat(&Asker::Kv(uid, from))?;
        }
        let channel = self.channel(id)?;
        let user = tx.get(USERS, juid.key())?;
        let mut user = user.ok_or(VoiceError::NoSuchUser(juid))?;
        if uid == juid {
            if user.account.is_none() && user.home.is_none() {
                user.home = Some(from);
            } else {
                self.acts(uid, from)?;
            }
        }
        user.seen = UnixMillis::now();
        tx.put(USERS, juid.key(), &user)?;
        self.seat(tx, &channel, juid, Some(from), None)
    }

    fn seat(
        &self,
        tx: &mut Tx<'_>,
        channel: &Channel,
        uid: Uid,
        from: Option<IpAddr>,
        place: Option<SocketAddr>,
    ) -> Done<Seated> {
        let key = pair(channel.id, uid);
        let mut instead = None;
        if tx.get(SEATS, key)?.is_none() {
            let seats = readable(self.store.scan(SEATS, &channel.id.key()));
            let seats: Vec<_> = seats.map(|(_, seat)| seat).collect();
            if seats.len() >= SEATS_EACH {
                let home = place.map(|place| place.ip()).or(from);
                let full = VoiceError::Full {
                    channel: channel.id,
                    most: SEATS_EACH,
                };
                let uid = crowded_out(&seats, home).ok_or(full)?;
                tx.delete(SEATS, pair(channel.id, uid))?;
                instead = Some(uid);
            }
        }
        let seat = SeatRecord {
            channel: channel.id,
            uid,
            session: tx.next_id("voice_session")?,
            from,
            address: None,
            scope: 0,
        };
        let seat = match place {
            Some(place) => seat.at(place),
            None => seat,
        };
        tx.put(SEATS, key, &seat)?;
        Ok(Seated {
            channel: channel.id,
            instead,
        })
    }

    /// Takes somebody's seat away.
    pub(super) fn remove(&self, tx: &mut Tx<'_>, by: &Asker, uid: Uid, id: ChannelId) -> Done<()> {
        self.may_remove(by, uid, id)?;
        match tx.delete(SEATS, pair(id, uid))? {
            true => Ok(()),
            false => Err(VoiceError::NoSuchMember { uid, channel: id }),
        }
    }

    /// A new user: a guest without permissions, or what whoever may register says.
    pub(super) fn register(
        &self,
        tx: &mut Tx<'_>,
        auid: Uid,
        from: IpAddr,
        wanted: u64,
    ) -> Done<Uid> {
        let (permissions, home) = match self.registers(auid, from, wanted) {
            true => {
                let given = self.may_register(auid, from, wanted)?;
                // Power stays where it was asked for; without it, a uid is for whoever joins with it first.
                (given, (given != 0).then_some(from))
            }
            false => (0, Some(from)),
        };
        let now = UnixMillis::now();
        let user = User {
            uid: Self::next_uid(tx)?,
            account: None,
            guest: !self.registers(auid, from, wanted),
            permissions,
            home,
            until: None,
            created: now,
            seen: now,
        };
        tx.put(USERS, user.uid.key(), &user)?;
        Ok(user.uid)
    }

    /// Ends a user, and the seats that it has in `channels`; what channels it made stay.
    pub(super) fn unregister(
        &self,
        tx: &mut Tx<'_>,
        auid: Uid,
        from: IpAddr,
        uid: Uid,
        channels: &[ChannelId],
    ) -> Done<()> {
        self.may_unregister(auid, from, uid)?;
        for channel in channels {
            tx.delete(SEATS, pair(*channel, uid))?;
        }
        if let Some(account) = self.user(uid).and_then(|user| user.account) {
            tx.delete(OWN, account.0.to_be_bytes())?;
        }
        tx.delete(USERS, uid.key())?;
        Ok(())
    }

    /// Ends those of these who are guests.
    pub(super) fn retire(&self, tx: &mut Tx<'_>, uids: &[Uid]) -> Result<(), StoreError> {
        for uid in uids {
            if self.user(*uid).is_some_and(|user| user.guest) {
                tx.delete(USERS, uid.key())?;
            }
        }
        Ok(())
    }

    /// The right of an account to take a seat with a proof, and to join by the control port from where it asks.
    pub(super) fn ticket(
        &self,
        tx: &mut Tx<'_>,
        by: &Principal,
        id: ChannelId,
        key: seal::Key,
        expires: UnixMillis,
    ) -> Done<(Ticket, Channel)> {
        let account = by.actor.account.ok_or(VoiceError::NoAccount)?;
        let asker = Asker::Person(by.clone());
        self.need(&asker, Verb::VoiceJoin, Subject::Box, 0)?;
        let channel = self.channel(id)?;
        let mut user = self.own(tx, AccountId(account))?;
        let from = by.actor.from.map(|from| from.to_canonical());
        (user.home, user.until) = (from, Some(expires));
        user.seen = UnixMillis::now();
        tx.put(USERS, user.uid.key(), &user)?;
        let ticket = Ticket {
            channel: id,
            uid: user.uid,
            key,
            from,
            expires,
            sequence: 0,
        };
        tx.put(TICKETS, pair(id, user.uid), &ticket)?;
        Ok((ticket, channel))
    }

    /// Whether a ticket is good for that proof.
    pub(super) fn fits(ticket: &Ticket, tagged: &Tagged<'_>) -> bool {
        tagged.sequence > ticket.sequence
            && UnixMillis::now() < ticket.expires
            && tagged.is_by(&ticket.key, ticket.channel)
    }

    /// A seat for a ticket's holder, where they are; none when the proof is not good, or not any more.
    pub(super) fn prove(
        &self,
        tx: &mut Tx<'_>,
        id: ChannelId,
        uid: Uid,
        tagged: &Tagged<'_>,
        address: SocketAddr,
    ) -> Done<Option<Seated>> {
        let ticket = tx.get(TICKETS, pair(id, uid))?;
        let Some(ticket) = ticket.filter(|ticket| Self::fits(ticket, tagged)) else {
            return Ok(None);
        };
        let channel = self.channel(id)?;
        let user = self.user(uid).ok_or(VoiceError::NoSuchUser(uid))?;
        if !user.account.is_some_and(|account| self.may_stay(account)) {
            return Err(VoiceError::Forbidden(Verb::VoiceJoin.name()));
        }
        let sequence = tagged.sequence;
        tx.put(TICKETS, pair(id, uid), &Ticket { sequence, ..ticket })?;
        let seated = self.seat(tx, &channel, uid, None, Some(address))?;
        Ok(Some(seated))
    }

    /// A seat that the box's own key gives, at the address that its word came from.
    pub(super) fn admit(
        &self,
        tx: &mut Tx<'_>,
        id: ChannelId,
        uid: Uid,
        address: SocketAddr,
    ) -> Done<Seated> {
        let channel = self.channel(id)?;
        if tx.get(USERS, uid.key())?.is_none() {
            return Err(VoiceError::NoSuchUser(uid));
        }
        self.seat(tx, &channel, uid, None, Some(address))
    }

    /// Notes where members turned out to be.
    pub(super) fn note(
        &self,
        tx: &mut Tx<'_>,
        bound: &[(ChannelId, Uid, u64, SocketAddr)],
    ) -> Result<(), StoreError> {
        for (channel, uid, session, address) in bound {
            let key = pair(*channel, *uid);
            if let Some(seat) = tx.get(SEATS, key)?
                && seat.session == *session
            {
                tx.put(SEATS, key, &seat.at(*address))?;
            }
        }
        Ok(())
    }

    /// Removes seats that have been empty for too long; those that were given anew meanwhile stay.
    pub(super) fn vacate(
        &self,
        tx: &mut Tx<'_>,
        silent: &[(ChannelId, Uid, u64)],
    ) -> Result<(), StoreError> {
        for (channel, uid, session) in silent {
            let key = pair(*channel, *uid);
            let seat = tx.get(SEATS, key)?;
            if seat.is_some_and(|seat| seat.session == *session) {
                tx.delete(SEATS, key)?;
            }
        }
        Ok(())
    }

    /// Throws away tickets that have ended, or whose channel or user has.
    pub(super) fn expire(&self, tx: &mut Tx<'_>, now: UnixMillis) -> Result<(), StoreError> {
        let tickets = readable(self.store.scan(TICKETS, b""));
        let ended = tickets.filter(|(_, ticket)| {
            let channel = self.store.get(CHANNELS, ticket.channel.key());
            now >= ticket.expires || matches!(channel, Ok(None)) || self.user(ticket.uid).is_none()
        });
        for (key, _) in ended.take(AT_ONCE) {
            tx.delete(TICKETS, key)?;
        }
        Ok(())
    }
}

/// Who gives way in a full channel to somebody from `from`: a seat of the network that has the most of them, if that is
/// not the newcomer's own; there, and there first, one that was never taken.
fn crowded_out(seats: &[SeatRecord], from: Option<IpAddr>) -> Option<Uid> {
    let home = |seat: &SeatRecord| {
        seat.address
            .map(|place| place.ip())
            .or(seat.from)
            .map(network)
    };
    let mut crowds: BTreeMap<Option<IpAddr>, Vec<&SeatRecord>> = BTreeMap::new();
    for seat in seats {
        crowds.entry(home(seat)).or_default().push(seat);
    }
    let untaken = |crowd: &[&SeatRecord]| {
        let untaken = crowd.iter().filter(|seat| seat.address.is_none());
        untaken.min_by_key(|seat| seat.session).map(|seat| seat.uid)
    };
    let own = crowds
        .get(&from.map(network))
        .map_or(&[][..], Vec::as_slice);
    let most = crowds.values().max_by_key(|crowd| crowd.len())?;
    if most.len() > own.len() + 1 {
        let newest = most.iter().max_by_key(|seat| seat.session);
        return untaken(most).or(newest.map(|seat| seat.uid));
    }
    untaken(own)
}

/// What can be read of a scan; what cannot has been logged by whoever opened it, and harms nobody else.
pub(super) fn readable<R>(
    scan: impl Iterator<Item = Result<(Vec<u8>, R), StoreError>>,
) -> impl Iterator<Item = (Vec<u8>, R)> {
    scan.filter_map(Result::ok)
}
