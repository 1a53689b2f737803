//! Where letters are handed in, looked at and taken back: the handle that others hold.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use data_encoding::HEXLOWER;
use serde_json::json;
use tokio::sync::Notify;
use url::Url;

use super::{
    LetterKind, LetterState, LetterView, MailError, Queue, Server,
    records::{LETTERS, Letter, State},
    service,
    templates::{Templates, Words},
};
use crate::{
    audit::{Actor, Audit},
    clock::UnixMillis,
    net,
    store::{Store, StoreError, Tx},
};

/// Letters that may wait at once. A stranger must not fill the store.
const MOST: usize = 1000;
/// How long a test letter is tried.
const TEST: Duration = Duration::from_secs(3600);

/// What mail is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the box calls itself in letters.
    pub name: String,
    /// What links begin with; ends with a slash.
    pub base: Url,
    /// Who takes letters; none: they wait.
    pub server: Option<Server>,
}

impl Settings {
    /// For a box that nobody has told anything.
    pub fn silent() -> Self {
        Self {
            name: net::host_name(),
            base: Url::parse("http://localhost/").expect("a constant"),
            server: None,
        }
    }
}

/// A letter to be written.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// What for.
    pub kind: LetterKind,
    /// Whom to.
    pub to: &'a str,
    /// The account that it is about, by id.
    pub account: Option<u64>,
    /// What its reader is called.
    pub name: &'a str,
    /// The link in it, below the box's address.
    pub link: Option<&'a str>,
    /// When what it says is no longer true.
    pub until: UnixMillis,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Post(pub(super) Arc<Office>);

/// What all handles and the task share.
pub(super) struct Office {
    pub(super) store: Store,
    pub(super) settings: Settings,
    texts: Templates,
    /// That there may be something to do.
    pub(super) bell: Notify,
    /// That an administrator wants it done now.
    pub(super) hurry: AtomicBool,
    /// Why nothing leaves just now. Locked for one look or one change.
    trouble: Mutex<Option<String>>,
}

impl Post {
    /// The handle, and the task to run until `stop`; texts that are not whole are logged, and the shipped ones used.
    /// Blocks while it reads them.
    pub fn open(
        store: Store,
        data: Option<&Path>,
        settings: Settings,
        stop: tokio_util::sync::CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let post = Self::quiet(store, data, settings);
        let task = service::run(post.clone(), stop);
        (post, task)
    }

    /// A handle without a task: letters are taken, and wait.
    pub(crate) fn quiet(store: Store, data: Option<&Path>, settings: Settings) -> Self {
        let (texts, faults) = Templates::load(data);
        for fault in faults {
            tracing::error!("{fault}");
        }
        Self(Arc::new(Office {
            store,
            settings,
            texts,
            bell: Notify::new(),
            hurry: AtomicBool::new(false),
            trouble: Mutex::new(None),
        }))
    }

    /// Whether letters leave the box.
    pub fn delivers(&self) -> bool {
        self.0.settings.server.is_some()
    }

    /// What links begin with.
    pub fn base(&self) -> &Url {
        &self.0.settings.base
    }

    /// Puts a letter into the transaction of the change that wants it; its id. Ring the bell once that is written.
    pub fn put(&self, tx: &mut Tx<'_>, wish: Wish<'_>, now: UnixMillis) -> Result<u64, MailError> {
        if !super::is_address(wish.to) {
            return Err(MailError::BadAddress(
                wish.to.escape_debug().take(100).collect(),
            ));
        }
        self.make_room(tx)?;
        let link = wish
            .link
            .map(|link| format!("{}{link}", self.0.settings.base));
        let until = jiff::Timestamp::from_millisecond(wish.until.0.try_into().unwrap_or(i64::MAX))
            .unwrap_or(jiff::Timestamp::MAX)
            .strftime("%Y-%m-%d %H:%M UTC")
            .to_string();
        let words = Words {
            name: wish.name,
            house: &self.0.settings.name,
            link: link.as_deref().unwrap_or_default(),
            until: &until,
        };
        let (subject, body) = self.0.texts.write(wish.kind, words);
        let letter = Letter {
            id: tx.next_id("mail")?,
            kind: wish.kind,
            to: wish.to.into(),
            account: wish.account,
            subject,
            body,
            link,
            message_id: message_id(),
            created: now,
            until: wish.until,
            state: State::Waiting,
            attempts: 0,
            next: now,
            error: None,
        };
        tx.put(LETTERS, letter.key(), &letter)?;
        Ok(letter.id)
    }

    /// What was given up gives way, the oldest first.
    fn make_room(&self, tx: &mut Tx<'_>) -> Result<(), MailError> {
        // Unlike the transaction's own scan, this goes on past records that do not decode.
        let letters = self.0.store.scan(LETTERS, &[]).filter_map(Result::ok);
        let letters: Vec<_> = letters.map(|(_, letter)| letter).collect();
        if letters.len() < MOST {
            return Ok(());
        }
        let oldest = letters.iter().find(|letter| letter.state == State::GivenUp);
        let oldest = oldest.ok_or(MailError::Full(MOST))?;
        tx.delete(LETTERS, oldest.key())?;
        Ok(())
    }

    /// Takes a letter back within a transaction, wherever it is: what it says is no longer true.
    pub fn withdraw(&self, tx: &mut Tx<'_>, id: u64) -> Result<(), StoreError> {
        tx.delete(LETTERS, id.to_be_bytes()).map(drop)
    }

    /// Says that something was written that may be due.
    pub fn ring(&self) {
        self.0.bell.notify_one();
    }

    /// Everything that has not left. `links`: with the links, which only administrators may see; told only while no
    /// server is configured.
    pub fn queue(&self, links: bool) -> Queue {
        let office = &self.0;
        let letters = office.letters().into_iter();
        let now = UnixMillis::now();
        Queue {
            server: office.settings.server.as_ref().map(Server::place),
            trouble: office.trouble().clone(),
            letters: letters
                .map(|letter| letter.view(self.delivers(), links, now))
                .collect(),
        }
    }

    /// Tries a letter again at once. Recorded before it is done.
    pub async fn retry(&self, audit: &Audit, by: &Actor, id: u64) -> Result<(), MailError> {
        let now = UnixMillis::now();
        let work = self.0.store.write(move |tx| {
            let letter = tx.get(LETTERS, id.to_be_bytes())?;
            let mut letter = letter.ok_or(MailError::NoSuchLetter(id))?;
            if letter.state == State::Sending {
                return Err(MailError::Sending(id));
            }
            if letter.is_too_old(now) {
                return Err(MailError::TooOld(id));
            }
            letter.again(now);
            Ok(tx.put(LETTERS, letter.key(), &letter)?)
        });
        let detail = serde_json::Value::Null;
        audit
            .run(by, "mail.retry", subject(id), detail, work)
            .await?;
        self.0.hurry.store(true, Ordering::Relaxed);
        self.ring();
        Ok(())
    }

    /// Takes a letter out for good. Recorded before it is done.
    pub async fn remove(&self, audit: &Audit, by: &Actor, id: u64) -> Result<(), MailError> {
        let work = self.0.store.write(move |tx| {
            let letter = tx.get(LETTERS, id.to_be_bytes())?;
            let letter = letter.ok_or(MailError::NoSuchLetter(id))?;
            if letter.state == State::Sending {
                return Err(MailError::Sending(id));
            }
            tx.delete(LETTERS, letter.key())?;
            Ok(())
        });
        let detail = serde_json::Value::Null;
        audit
            .run(by, "mail.remove", subject(id), detail, work)
            .await
    }

    /// Writes a letter that shows whether mail leaves the box; its id. Recorded before it is done.
    pub async fn test(&self, audit: &Audit, by: &Actor, to: &str) -> Result<u64, MailError> {
        let now = UnixMillis::now();
        let wish = Wish {
            kind: LetterKind::Test,
            to,
            account: by.account,
            name: &by.name,
            link: None,
            until: now.after(TEST),
        };
        let work = self.0.store.write(|tx| self.put(tx, wish, now));
        let detail = json!({ "to": to });
        let made = audit.run(by, "mail.test", "mail".into(), detail, work);
        let id = made.await?;
        self.ring();
        Ok(id)
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post(..)")
    }
}

impl Office {
    /// All that can be read, oldest first.
    pub(super) fn letters(&self) -> Vec<Letter> {
        let items = self.store.scan(LETTERS, &[]);
        items
            .filter_map(|item| match item {
                Ok((_, letter)) => Some(letter),
                Err(error) => {
                    tracing::error!(%error, "a letter is left out");
                    None
                }
            })
            .collect()
    }

    pub(super) fn trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Letter {
    fn view(self, delivers: bool, links: bool, now: UnixMillis) -> LetterView {
        let told = links && !delivers && !self.is_too_old(now);
        LetterView {
            id: self.id,
            kind: self.kind,
            state: match self.state {
                State::Waiting if !delivers => LetterState::WaitingForSmtp,
                State::Waiting => LetterState::Waiting,
                State::Sending => LetterState::Sending,
                State::GivenUp => LetterState::GivenUp,
            },
            to: self.to,
            account: self.account,
            subject: self.subject,
            attempts: self.attempts,
            created: self.created,
            next: self.next,
            until: self.until,
            error: self.error,
            link: self.link.filter(|_| told),
        }
    }
}

fn subject(id: u64) -> String {
    format!("letter {id}")
}

/// Unlike any other's, and it tells nothing of what is in the letter.
fn message_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("a running kernel has random bytes");
    let mut host = net::host_name();
    host.retain(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if host.is_empty() {
        host = "localhost".into();
    }
    format!("<{}@{host}>", HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Door;

    fn office() -> (tempfile::TempDir, Audit, Post) {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        (state, audit, Post::quiet(store, None, Settings::silent()))
    }

    fn ada() -> Actor {
        Actor {
            account: Some(1),
            name: "ada".into(),
            from: None,
            door: Door::Web,
        }
    }

    async fn put(post: &Post, to: &str) -> Result<u64, MailError> {
        let now = UnixMillis::now();
        let wish = Wish {
            kind: LetterKind::Reset,
            to,
            account: Some(1),
            name: "ada",
            link: Some("reset?uid=1&token=secret"),
            until: now.after(TEST),
        };
        post.0.store.write(|tx| post.put(tx, wish, now)).await
    }

    #[tokio::test]
    async fn links_are_told_to_administrators_only_and_while_nothing_leaves() {
        let (_state, _, post) = office();
        put(&post, "ada@example.org").await.unwrap();
        let told = post.queue(true).letters.remove(0);
        assert_eq!(told.state, LetterState::WaitingForSmtp);
        assert_eq!(
            told.link.unwrap(),
            "http://localhost/reset?uid=1&token=secret"
        );
        assert_eq!(post.queue(false).letters[0].link, None);
        let letter = post.0.letters().remove(0);
        let now = letter.created;
        assert_eq!(letter.clone().view(true, true, now).link, None);
        assert_eq!(letter.clone().view(false, true, letter.until).link, None);
        assert!(!format!("{letter:?}{post:?}").contains("secret"));
    }

    #[tokio::test]
    async fn letters_are_bounded_and_those_given_up_give_way() {
        let (_state, _, post) = office();
        for _ in 0..MOST {
            put(&post, "ada@example.org").await.unwrap();
        }
        let full = put(&post, "ada@example.org").await;
        assert!(matches!(full, Err(MailError::Full(MOST))));
        let mut old = post.0.letters().remove(7);
        old.state = State::GivenUp;
        let give_up = |tx: &mut Tx<'_>| tx.put(LETTERS, old.key(), &old);
        post.0.store.write(give_up).await.unwrap();
        put(&post, "ada@example.org").await.unwrap();
        let left = post.0.letters();
        assert_eq!(left.len(), MOST);
        assert!(left.iter().all(|letter| letter.id != old.id));
    }

    #[tokio::test]
    async fn nothing_is_written_to_what_is_no_address() {
        let (_state, audit, post) = office();
        for to in [
            "",
            "nobody",
            "a@b@c",
            "ada@example.org\r\nBcc: eve@example.org",
            "ada@example.org, eve@example.org",
            "<ada@example.org>",
            "ada@exa mple.org",
        ] {
            let refused = put(&post, to).await;
            assert!(matches!(refused, Err(MailError::BadAddress(_))), "{to:?}");
            let refused = post.test(&audit, &ada(), to).await;
            assert!(matches!(refused, Err(MailError::BadAddress(_))), "{to:?}");
        }
        assert_eq!(post.queue(true).letters, []);
    }

    #[tokio::test]
    async fn administrators_retry_and_remove_what_waits_and_it_is_recorded() {
        let (_state, audit, post) = office();
        let id = put(&post, "ada@example.org").await.unwrap();
        let mut letter = post.0.letters().remove(0);
        letter.state = State::GivenUp;
        letter.attempts = 9;
        post.0
            .store
            .write(|tx| tx.put(LETTERS, letter.key(), &letter))
            .await
            .unwrap();
        post.retry(&audit, &ada(), id).await.unwrap();
        let again = post.0.letters().remove(0);
        assert_eq!((again.state, again.attempts), (State::Waiting, 0));
        letter.state = State::Sending;
        post.0
            .store
            .write(|tx| tx.put(LETTERS, letter.key(), &letter))
            .await
            .unwrap();
        let busy = post.remove(&audit, &ada(), id).await;
        assert!(matches!(busy, Err(MailError::Sending(_))));
        letter.state = State::Waiting;
        letter.until = UnixMillis(1);
        post.0
            .store
            .write(|tx| tx.put(LETTERS, letter.key(), &letter))
            .await
            .unwrap();
        let late = post.retry(&audit, &ada(), id).await;
        assert!(matches!(late, Err(MailError::TooOld(_))));
        post.remove(&audit, &ada(), id).await.unwrap();
        let gone = post.remove(&audit, &ada(), id).await;
        assert!(matches!(gone, Err(MailError::NoSuchLetter(_))));
        let log = serde_json::to_string(&audit.list(0, 99).unwrap()).unwrap();
        assert!(log.contains("mail.retry") && log.contains("letter 1") && !log.contains("secret"));
    }
}
