//! What time brings to the channels: addresses that turned out, silence, who talks, ports that are free again.

use std::time::{Duration, Instant};

use super::{ChannelId, Event, Uid, Why, book::AT_ONCE, room::is_talking, service::Service};
use crate::store::StoreError;

/// Silence after which a seat is empty.
const SILENCE: Duration = Duration::from_secs(60);

/// What tasks that the service started report.
pub(super) enum Input {
    /// Addresses of these seats are in the store, or not.
    Noted(Vec<(ChannelId, Uid, u64)>, Result<(), StoreError>),
    /// The records of these seats are gone, or not.
    Cleared(Vec<(ChannelId, Uid, u64)>, Result<(), StoreError>),
}

/// What is being written.
#[derive(Debug, Default)]
pub(super) struct Writing {
    notes: bool,
    clears: bool,
    /// The last of them failed, and that was said.
    fails: bool,
}

impl Service {
    pub(super) fn look(&mut self, now: Instant) {
        self.note(None);
        self.vacate(now.duration_since(self.ground.shared.epoch));
        self.clear();
        let mut shut = Vec::new();
        for (id, room) in &mut self.rooms {
            match &mut room.relay {
                Some(relay) if room.seats.is_empty() && relay.rests() => {}
                Some(relay) => relay.tend(now),
                None => shut.push(*id),
            }
        }
        for id in shut {
            let channel = &self.rooms[&id].channel;
            if let Ok(relay) = self.reopen(channel)
                && let Some(room) = self.rooms.get_mut(&id)
            {
                tracing::info!(
                    channel = id.0,
                    port = relay.port(),
                    "its port is open again"
                );
                room.relay = Some(relay);
                room.publish();
            }
        }
    }

    /// Tells whose address became known, and writes it down, so that a restart finds them.
    pub(super) fn note(&mut self, only: Option<ChannelId>) {
        let (mut present, mut bound) = (Vec::new(), Vec::new());
        let rooms = self.rooms.iter_mut();
        for (id, room) in rooms.filter(|(id, _)| only.is_none_or(|only| only == **id)) {
            for (uid, place) in room.seats.iter_mut().filter(|(_, place)| !place.noted) {
                let Some(address) = place.seat.address() else {
                    continue;
                };
                if !std::mem::replace(&mut place.told, true) {
                    present.push((*id, *uid));
                }
                if bound.len() < AT_ONCE {
                    bound.push((*id, *uid, place.seat.session(), address));
                }
            }
        }
        for (id, uid) in present {
            self.tell(id, Event::Present { uid });
        }
        if bound.is_empty() || self.writing.notes {
            return;
        }
        self.writing.notes = true;
        let (book, inputs) = (self.ground.book.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let written = book.store.write(|tx| book.note(tx, &bound)).await;
            let seats = bound
                .iter()
                .map(|(id, uid, session, _)| (*id, *uid, *session));
            let noted = Input::Noted(seats.collect(), written);
            inputs.send(noted).await.ok(); // the service has ended
        });
    }

    /// Takes the seats of those who are silent, and of those whose accounts may no longer be there.
    fn vacate(&mut self, now: Duration) {
        let mut empty = Vec::new();
        for (id, room) in &self.rooms {
            for (uid, place) in &room.seats {
                let why = if now.saturating_sub(place.seat.heard()) >= SILENCE {
                    Why::Silent
                } else if place
                    .account
                    .is_some_and(|account| !self.ground.book.may_stay(account))
                {
                    Why::Kicked
                } else {
                    continue;
                };
                empty.push((*id, *uid, place.seat.session(), why));
            }
        }
        for (id, uid, session, why) in empty {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.ended.insert(session, uid);
            }
            self.rise(id, uid, why);
        }
    }

    /// Takes the records of empty seats out of the store.
    fn clear(&mut self) {
        let rooms = self.rooms.iter();
        let ended = rooms.flat_map(|(id, room)| {
            let ended = room.ended.iter();
            ended.map(|(session, uid)| (*id, *uid, *session))
        });
        let seats: Vec<_> = ended.take(AT_ONCE).collect();
        if seats.is_empty() || self.writing.clears {
            return;
        }
        self.writing.clears = true;
        let (book, inputs) = (self.ground.book.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let written = book.store.write(|tx| book.vacate(tx, &seats)).await;
            let cleared = Input::Cleared(seats, written);
            inputs.send(cleared).await.ok(); // the service has ended
        });
    }

    pub(super) fn apply(&mut self, input: Input) {
        match input {
            Input::Noted(seats, written) => {
                self.writing.notes = false;
                if !self.is_written(written) {
                    return;
                }
                for (id, uid, session) in seats {
                    let room = self.rooms.get_mut(&id);
                    let place = room.and_then(|room| room.seats.get_mut(&uid));
                    if let Some(place) = place.filter(|place| place.seat.session() == session) {
                        place.noted = true;
                    }
                }
                self.note(None); // those who came meanwhile
            }
            Input::Cleared(seats, written) => {
                self.writing.clears = false;
                if !self.is_written(written) {
                    return;
                }
                for (id, _, session) in seats {
                    if let Some(room) = self.rooms.get_mut(&id) {
                        room.ended.remove(&session);
                    }
                }
            }
        }
    }

    /// What was not is tried again at the next look; that is said once.
    fn is_written(&mut self, written: Result<(), StoreError>) -> bool {
        let fails = written.is_err();
        if let (Err(error), false) = (written, self.writing.fails) {
            tracing::warn!(%error, "where voice members are cannot be written down; trying again");
        }
        self.writing.fails = fails;
        !fails
    }

    /// Tells who began and who stopped to talk.
    pub(super) fn glance(&mut self) {
        let now = self.now();
        let mut changed = Vec::new();
        for (id, room) in &mut self.rooms {
            for (uid, place) in &mut room.seats {
                let talking = is_talking(&place.seat, now);
                if talking != place.talking {
                    place.talking = talking;
                    changed.push((*id, *uid, talking));
                }
            }
        }
        for (id, uid, talking) in changed {
            let event = match talking {
                true => Event::Talking { uid },
                false => Event::Quiet { uid },
            };
            self.tell(id, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr, UdpSocket},
        path::Path,
        sync::Arc,
    };

    use tokio::sync::{broadcast, mpsc};

    use super::*;
    use crate::{
        accounts::Accounts,
        audit::Audit,
        clock::UnixMillis,
        store::Store,
        voice::{
            Legacy,
            book::Book,
            moments::Moments,
            records::{CHANNELS, Channel, SEATS, SeatRecord, USERS, User, pair},
            relay::{Shared, Sources},
            seal::{Key, Signer},
            service::{Change, Ground},
        },
    };

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const CHANNEL: ChannelId = ChannelId(1);

    /// A service whose one channel has guests 1 and 2, and what keeps it going.
    async fn service(state: &Path) -> (Service, mpsc::Receiver<ChannelId>) {
        let store = Store::open(state).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        let accounts = Accounts::open(store.clone(), audit).unwrap();
        let free = UdpSocket::bind((HERE, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let channel = Channel {
            id: CHANNEL,
            title: "one".into(),
            port,
            owner: None,
            created: UnixMillis(0),
        };
        let write = store.write(|tx| {
            tx.put(CHANNELS, CHANNEL.key(), &channel)?;
            for uid in [Uid(1), Uid(2)] {
                let user = User {
                    uid,
                    account: None,
                    guest: true,
                    permissions: 0,
                    home: Some(HERE),
                    until: None,
                    created: UnixMillis(0),
                    seen: UnixMillis(0),
                };
                tx.put(USERS, uid.key(), &user)?;
                let seat = SeatRecord {
                    channel: CHANNEL,
                    uid,
                    session: uid.0,
                    from: Some(HERE),
                    address: None,
                    scope: 0,
                };
                tx.put(SEATS, pair(CHANNEL, uid), &seat)?;
            }
            Ok::<_, StoreError>(())
        });
        write.await.unwrap();
        let (petitions, _) = mpsc::channel(1);
        let (bound, binds) = mpsc::channel(8);
        let service = Service::open(Ground {
            book: Book {
                store,
                accounts,
                legacy: Legacy::Off,
            },
            signer: Arc::new(Signer::new(&Key::fresh())),
            moments: Arc::new(Moments::new(UnixMillis(0))),
            shared: Shared {
                epoch: Instant::now(),
                petitions,
                bound,
                sources: Arc::new(Sources::new()),
                rate: 1000,
                shards: 1,
            },
            address: HERE,
            ports: port..=port,
            news: broadcast::Sender::new(8),
        });
        (service.unwrap(), binds)
    }

    fn seated(service: &Service) -> Vec<u64> {
        let seats = service.rooms[&CHANNEL].seats.keys();
        seats.map(|uid| uid.0).collect()
    }

    #[tokio::test]
    async fn a_minute_of_silence_empties_a_seat_and_any_packet_prevents_it() {
        let state = tempfile::tempdir().unwrap();
        let (mut service, mut binds) = service(state.path()).await;
        let room = &service.rooms[&CHANNEL];
        let heard = |uid| room.seats[&Uid(uid)].seat.heard();
        let member = UdpSocket::bind((HERE, 0)).unwrap();
        let mut packet = [0; 512];
        packet[0] = 2;
        while heard(2) <= heard(1) {
            member.send_to(&packet, (HERE, room.channel.port)).unwrap();
            tokio::task::yield_now().await;
        }
        let end = heard(1) + SILENCE;
        binds.recv().await.unwrap();
        let epoch = service.ground.shared.epoch;
        service.look(epoch + end - Duration::from_millis(1));
        assert_eq!(seated(&service), [1, 2]);
        let mut news = service.ground.news.subscribe();
        service.look(epoch + end);
        assert_eq!(seated(&service), [2]);
        let (uid, why) = (Uid(1), Why::Silent);
        assert_eq!(news.recv().await.unwrap().event, Event::Left { uid, why });
        // Out of the store as well, and not back while it is on its way.
        service.reconcile(Change {
            channel: CHANNEL,
            left: None,
        });
        assert_eq!(seated(&service), [2]);
        loop {
            let input = service.reports.recv().await.unwrap();
            let cleared = matches!(input, Input::Cleared(..));
            service.apply(input);
            if cleared {
                break;
            }
        }
        let left = service.ground.book.store.scan(SEATS, b"").count();
        assert_eq!((left, service.rooms[&CHANNEL].ended.len()), (1, 0));
    }
}
