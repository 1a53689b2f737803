//! What every door holds: rights, audit, and a clear answer.

use std::{
    net::IpAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;

use super::{
    ChannelId, ChannelView, NewChannel, News, StatsView, TicketView, Traffic, Uid, VoiceError, Why,
    book::{Book, readable},
    clerk::Clerk,
    guests::Guests,
    moments::Moments,
    records::{BOX, KEYS, Key, USERS},
    relay::{Shared, Sources},
    rights::Asker,
    seal::{self, Signer},
    service::{Ask, Change, Ground, Seen, Service},
    tcp::{self, Counts},
};
use crate::{
    accounts::{Accounts, Principal, Subject, Verb},
    audit::Audit,
    clock::UnixMillis,
    store::{Store, StoreError, Tx},
};

/// Questions that may wait for the service; more wait at their doors.
const QUEUE: usize = 256;
/// News that a listener may be behind.
const NEWS: usize = 1024;
/// Petitions that may wait; more are dropped.
const PETITIONS: usize = 256;
/// How long a ticket's key is good.
const TICKET: Duration = Duration::from_secs(24 * 3600);

/// How voice is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the channels' UDP sockets are bound.
    pub address: IpAddr,
    /// The pool of UDP ports.
    pub ports: RangeInclusive<u16>,
    /// Whether uid 0 is an administrator, and for whom.
    pub legacy_admin: Legacy,
    /// Packets per second that one member may send.
    pub rate: u32,
    /// Sockets that one channel may have; none: as many as there are cores.
    pub shards: Option<usize>,
}

/// Whether the original's uid 0 is an administrator, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Legacy {
    /// There is no uid 0.
    #[default]
    Off,
    /// For programs on this box.
    Loopback,
    /// For everybody.
    Anywhere,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Voice {
    book: Book,
    audit: Audit,
    asks: mpsc::Sender<Ask>,
    news: broadcast::Sender<News>,
    signer: Arc<Signer>,
    guests: Arc<Mutex<Guests>>,
    counts: Arc<Counts>,
}

/// Opens the channels that the store knows. The future is the service; it ends when `stop` says so.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn open(
    settings: Settings,
    control: TcpListener,
    store: Store,
    accounts: Accounts,
    audit: Audit,
    stop: CancellationToken,
) -> Result<(Voice, impl Future<Output = ()> + Send + use<>), VoiceError> {
    let signer = Arc::new(Signer::new(&key(&store).await?));
    let moments = Arc::new(Moments::new(UnixMillis::now()));
    let guests = Arc::new(Mutex::new(guests(&store)));
    let book = Book {
        store,
        accounts,
        legacy: settings.legacy_admin,
    };
    let (petitions, petitioners) = mpsc::channel(PETITIONS);
    let (bound, binds) = mpsc::channel(QUEUE);
    let (asks, asked) = mpsc::channel(QUEUE);
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let news = broadcast::Sender::new(NEWS);
    let service = Service::open(Ground {
        book: book.clone(),
        signer: signer.clone(),
        moments: moments.clone(),
        shared: Shared {
            epoch: Instant::now(),
            petitions,
            bound,
            sources: Arc::new(Sources::new()),
            rate: settings.rate,
            shards: settings.shards.unwrap_or_else(cores),
        },
        address: settings.address,
        ports: settings.ports,
        news: news.clone(),
    })?;
    let voice = Voice {
        book,
        audit,
        asks,
        news,
        signer,
        guests,
        counts: Arc::default(),
    };
    let clerk = Clerk {
        voice: voice.clone(),
        moments,
    };
    let answerer = voice.clone();
    let control = tcp::serve(
        control,
        move |from, command| {
            let voice = answerer.clone();
            async move { voice.command(from, command).await }
        },
        tcp::Limits::default(),
        voice.counts.clone(),
        stop.clone(),
    );
    let run = async move {
        tokio::join!(
            service.run(asked, binds, stop.clone()),
            clerk.run(petitioners, stop.clone()),
            control,
        );
    };
    Ok((voice, run))
}

/// The box's own key, made at its first start.
async fn key(store: &Store) -> Result<seal::Key, StoreError> {
    if let Some(Key(key)) = store.get(KEYS, BOX)? {
        return Ok(key);
    }
    let key = Key(seal::Key::fresh());
    store.write(|tx| tx.put(KEYS, BOX, &key)).await?;
    Ok(key.0)
}

fn guests(store: &Store) -> Guests {
    let mut guests = Guests::default();
    for (_, user) in readable(store.scan(USERS, b"")) {
        if let (true, Some(home)) = (user.guest, user.home) {
            guests.seen(user.uid, home, user.seen);
        }
    }
    guests
}

impl Voice {
    /// Every channel (`voice.join`).
    pub async fn channels(&self, by: &Principal) -> Result<Vec<ChannelView>, VoiceError> {
        self.need(by, Verb::VoiceJoin)?;
        let seen = self.views(None).await?;
        Ok(seen.into_iter().map(|seen| self.show(by, seen)).collect())
    }

    /// One channel (`voice.join`).
    pub async fn channel(&self, by: &Principal, id: ChannelId) -> Result<ChannelView, VoiceError> {
        self.need(by, Verb::VoiceJoin)?;
        let seen = self.views(Some(id)).await?.pop();
        let seen = seen.ok_or(VoiceError::NoSuchChannel(id))?;
        Ok(self.show(by, seen))
    }

    /// Where members are is for those who manage the channel.
    fn show(&self, by: &Principal, seen: Seen) -> ChannelView {
        let Seen { channel, mut view } = seen;
        if !self.book.may_manage(by, &channel) {
            for member in &mut view.members {
                member.address = None;
            }
        }
        view
    }

    async fn views(&self, which: Option<ChannelId>) -> Result<Vec<Seen>, VoiceError> {
        self.ask(|reply| Ask::Views(which, reply)).await
    }

    /// A new channel (`voice.create`).
    pub async fn create(
        &self,
        by: &Principal,
        wish: NewChannel,
    ) -> Result<ChannelView, VoiceError> {
        let title = wish.title.map(|title| title.trim().to_owned());
        let is_title = |title: &String| {
            (1..=64).contains(&title.chars().count()) && !title.chars().any(char::is_control)
        };
        if title.as_ref().is_some_and(|title| !is_title(title)) {
            return Err(VoiceError::BadTitle);
        }
        let asker = Asker::Person(by.clone());
        let id = self.make(asker, title).await?;
        self.channel(by, id).await
    }

    pub(super) async fn make(
        &self,
        by: Asker,
        title: Option<String>,
    ) -> Result<ChannelId, VoiceError> {
        let deed = Deed {
            action: "voice.create",
            subject: "voice channel".into(),
            detail: json!({ "title": title }),
        };
        let voice = self.clone();
        let asker = by.clone();
        let work = async move {
            let book = &voice.book;
            let id = book.store.write(|tx| book.reserve(tx, &asker)).await?;
            let port = voice.ask(|reply| Ask::Open(id, reply)).await??;
            let title = title.unwrap_or_else(|| format!("channel {}", id.0));
            let write = |tx: &mut Tx<'_>| book.create(tx, &asker, id, title, port);
            let created = book.store.write(write).await;
            // After a failure too: the socket is not needed then, or the store knows more than it could promise.
            voice.changed(vec![of(id)]).await?;
            created.map(|_| id)
        };
        self.audited(deed, &by, self.book.may_create(&by), work)
            .await
    }

    /// Deletes a channel (its owner, or `voice.manage`).
    pub async fn delete(&self, by: &Principal, id: ChannelId) -> Result<(), VoiceError> {
        self.end(Asker::Person(by.clone()), id).await
    }

    pub(super) async fn end(&self, by: Asker, id: ChannelId) -> Result<(), VoiceError> {
        let deed = Deed {
            action: "voice.delete",
            subject: format!("voice channel {}", id.0),
            detail: Value::Null,
        };
        let (voice, asker) = (self.clone(), by.clone());
        let work = async move {
            let write = |tx: &mut Tx<'_>| voice.book.delete(tx, &asker, id);
            voice.act(vec![of(id)], write).await
        };
        self.audited(deed, &by, self.book.may_delete(&by, id), work)
            .await
    }

    /// Removes somebody from a channel (its owner, or `voice.manage`). They may come back.
    pub async fn kick(&self, by: &Principal, id: ChannelId, uid: Uid) -> Result<(), VoiceError> {
        self.remove(Asker::Person(by.clone()), id, uid).await
    }

    pub(super) async fn remove(
        &self,
        by: Asker,
        id: ChannelId,
        uid: Uid,
    ) -> Result<(), VoiceError> {
        let deed = Deed {
            action: "voice.kick",
            subject: format!("voice channel {}", id.0),
            detail: json!({ "uid": uid }),
        };
        let (voice, asker) = (self.clone(), by.clone());
        let work = async move {
            let change = Change {
                channel: id,
                left: Some((uid, Why::Kicked)),
            };
            let write = |tx: &mut Tx<'_>| voice.book.remove(tx, &asker, uid, id);
            voice.act(vec![change], write).await
        };
        self.audited(deed, &by, self.book.may_remove(&by, uid, id), work)
            .await
    }

    /// The right of the caller's account to a seat (`voice.join`), proved by key.
    pub async fn ticket(
        &self,
        by: &Principal,
        channel: ChannelId,
    ) -> Result<TicketView, VoiceError> {
        let key = seal::Key::fresh();
        let hex = key.hex();
        let expires = UnixMillis::now().after(TICKET);
        let book = &self.book;
        let write = |tx: &mut Tx<'_>| book.ticket(tx, by, channel, key, expires);
        let (ticket, channel) = book.store.write(write).await?;
        Ok(TicketView {
            channel: channel.id,
            port: self.port(channel.id).await?,
            uid: ticket.uid,
            key: hex,
            expires,
            signer: self.signer.public(),
        })
    }

    /// All of it in figures (`voice.join`).
    pub async fn stats(&self, by: &Principal) -> Result<StatsView, VoiceError> {
        self.need(by, Verb::VoiceJoin)?;
        self.count().await
    }

    /// The figures for the metrics page; none when the service has ended.
    pub async fn census(&self) -> Option<StatsView> {
        self.count().await.ok()
    }

    async fn count(&self) -> Result<StatsView, VoiceError> {
        let seen = self.views(None).await?;
        let traffic: Traffic = self.ask(Ask::Traffic).await?;
        let members = || seen.iter().flat_map(|seen| &seen.view.members);
        Ok(StatsView {
            channels: seen.len(),
            members: members().count(),
            talking: members().filter(|member| member.talking).count(),
            guests: self.guests().count(),
            connections: self.counts.open.load(Relaxed),
            crowded_out: self.counts.crowded_out.load(Relaxed),
            commands: self.counts.commands.load(Relaxed),
            traffic,
            signer: self.signer.public(),
        })
    }

    /// What happens from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Whether they may know what happens (`voice.join`). In memory.
    pub fn may_listen(&self, by: &Principal) -> bool {
        self.need(by, Verb::VoiceJoin).is_ok()
    }

    fn need(&self, by: &Principal, verb: Verb) -> Result<(), VoiceError> {
        match self.book.accounts.allows(by, verb, Subject::Box) {
            true => Ok(()),
            false => Err(VoiceError::Forbidden(verb.name())),
        }
    }

    // What the other rims of this room need.

    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    pub(super) fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, VoiceError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.asks.send(ask(reply)).await;
        sent.map_err(|_| VoiceError::Closed)?;
        answer.await.map_err(|_| VoiceError::Closed)
    }

    pub(super) async fn tell(&self, ask: Ask) {
        self.asks.send(ask).await.ok(); // the service has ended
    }

    /// A channel's UDP port, which is open.
    pub(super) async fn port(&self, id: ChannelId) -> Result<u16, VoiceError> {
        let port = self.book.channel(id)?.port;
        let open = self.ask(|reply| Ask::Port(id, reply)).await?;
        open.ok_or(VoiceError::Shut { channel: id, port })
    }

    /// One transaction, and what came of it put into effect.
    pub(super) async fn act<T: Send>(
        &self,
        changes: Vec<Change>,
        write: impl FnOnce(&mut Tx<'_>) -> Result<T, VoiceError> + Send,
    ) -> Result<T, VoiceError> {
        let written = self.book.store.write(write).await;
        // Nothing is known of what is uncertain but by reading it.
        if let Ok(_) | Err(VoiceError::Store(StoreError::Uncertain { .. })) = &written {
            self.changed(changes).await?;
        }
        written
    }

    pub(super) async fn changed(&self, changes: Vec<Change>) -> Result<(), VoiceError> {
        self.ask(|reply| Ask::Changed(changes, reply)).await
    }

    /// Records the intent, works, records the outcome; to its end, whether or not anybody still waits for it. Who may
    /// not is turned away before: the record is not theirs to fill.
    pub(super) async fn audited<T: Send + 'static>(
        &self,
        deed: Deed,
        by: &Asker,
        may: Result<impl Sized, VoiceError>,
        work: impl Future<Output = Result<T, VoiceError>> + Send + 'static,
    ) -> Result<T, VoiceError> {
        may?;
        let (audit, actor) = (self.audit.clone(), self.book.actor(by));
        let run = async move {
            let Deed {
                action,
                subject,
                detail,
            } = deed;
            audit.run(&actor, action, subject, detail, work).await
        };
        uncut(run).await
    }
}

/// What the audit log says of something that is done.
pub(super) struct Deed {
    pub(super) action: &'static str,
    pub(super) subject: String,
    pub(super) detail: Value,
}

/// Runs to its end, whether or not whoever asked still waits.
async fn uncut<T: Send + 'static>(
    work: impl Future<Output = Result<T, VoiceError>> + Send + 'static,
) -> Result<T, VoiceError> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(VoiceError::Closed), // the runtime is going down
    }
}

/// Something of this channel, but nobody's seat was taken away.
pub(super) fn of(channel: ChannelId) -> Change {
    let left = None;
    Change { channel, left }
}
