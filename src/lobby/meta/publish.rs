//! Publishes this box's entries in another meta server, as long as the box runs.

use std::{fmt, io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    Directory, Entry,
    element::Malformed,
    wire::{Answer, Request, Status},
};
use crate::accounts::Secret;

/// Another meta server, and who we are there.
#[derive(Clone)]
pub struct Target {
    /// Its name or address.
    pub host: String,
    /// Its port, [`PORT`](super::PORT) as a rule.
    pub port: u16,
    /// Our account there.
    pub username: String,
    /// In clear, as its protocol wants it.
    pub password: Secret,
}

/// Without the password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.username, self.host, self.port)
    }
}

/// How often.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// When all is well.
    pub every: Duration,
    /// After the first failure; twice as long after each further one,
    pub again: Duration,
    /// but no longer than this.
    pub at_most: Duration,
    /// For one entry.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(5 * 60),
            again: Duration::from_secs(10),
            at_most: Duration::from_secs(10 * 60),
            patience: Duration::from_secs(10),
        }
    }
}

impl Pace {
    fn pause(&self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => self.every,
            Some(doublings) => self
                .again
                .saturating_mul(1 << doublings.min(16))
                .min(self.at_most),
        }
    }
}

/// How it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Published {
    /// Not known yet.
    #[default]
    Unknown,
    /// So many entries, at the last attempt.
    Fine(usize),
    /// Why not, at the last attempt.
    Failing(String),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it cannot be reached: {0}")]
    Io(#[from] io::Error),
    #[error("it does not answer")]
    Late,
    #[error("its answer cannot be understood: {0}")]
    Answer(#[from] Malformed),
    #[error("it says `{0:?}` to {1}")]
    Status(Status, String),
}

/// Publishes the directory's [own](Directory::own) entries until `stop`. A change for better or worse is logged once.
pub async fn publish(
    target: Target,
    directory: Directory,
    pace: Pace,
    state: watch::Sender<Published>,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let Some(done) = stop
            .run_until_cancelled(round(&target, &directory, &pace))
            .await
        else {
            return;
        };
        let was_fine = matches!(*state.borrow(), Published::Fine(_));
        let now = match done {
            Ok(entries) => {
                if !was_fine {
                    tracing::info!(?target, entries, "published in the meta server");
                }
                failures = 0;
                Published::Fine(entries)
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(?target, %error, "cannot publish in the meta server; trying again");
                }
                failures += 1;
                Published::Failing(error.to_string())
            }
        };
        state.send_replace(now);
        let pause = tokio::time::sleep(pace.pause(failures));
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

async fn round(target: &Target, directory: &Directory, pace: &Pace) -> Result<usize, Failure> {
    let own = directory.own();
    let entries = own.len();
    for entry in own {
        let told = timeout(pace.patience, tell(target, entry)).await;
        told.map_err(|_| Failure::Late)??;
    }
    Ok(entries)
}

async fn tell(target: &Target, entry: Entry) -> Result<(), Failure> {
    let uri = entry.uri.clone();
    let request = Request::Update {
        entry,
        username: target.username.clone(),
        password: target.password.clone(),
        mode: "add".into(),
    };
    let mut stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
    stream.write_all(&request.encode()).await?;
    let (mut bytes, mut more) = (Vec::new(), [0; 512]);
    loop {
        let n = stream.read(&mut more).await?;
        bytes.extend(&more[..n]);
        match Answer::status(&bytes, n == 0)? {
            None => {}
            Some(Status::Accepted) => return Ok(()),
            Some(status) => return Err(Failure::Status(status, uri)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::tcp::{Limits, tests::server};
    use super::*;

    fn target(at: SocketAddr, password: &str) -> Target {
        Target {
            host: at.ip().to_string(),
            port: at.port(),
            username: "ada".into(),
            password: Secret::new(password),
        }
    }

    fn quickly() -> Pace {
        Pace {
            every: Duration::from_millis(1),
            again: Duration::from_millis(1),
            at_most: Duration::from_millis(4),
            ..Pace::default()
        }
    }

    #[tokio::test]
    async fn what_is_ours_is_published_again_and_again_until_the_end() {
        let (at, there, stop, served) = server(Limits::default()).await;
        let here = Directory::default();
        here.set_own(Entry::of_box("here", 5688, &Default::default()));
        let (state, mut states) = watch::channel(Published::Unknown);
        let task = publish(
            target(at, "secret"),
            here.clone(),
            quickly(),
            state,
            stop.clone(),
        );
        let task = tokio::spawn(task);
        states
            .wait_for(|state| *state == Published::Fine(1))
            .await
            .unwrap();
        let more = crate::lobby::definition::load(None, &[]);
        here.set_own(Entry::of_box("here", 5688, &more));
        states
            .wait_for(|state| *state == Published::Fine(6))
            .await
            .unwrap();
        let query = Request::Query {
            class: "chess".into(),
            kind: "gameroom".into(),
            options: Vec::new(),
        };
        let found = there.answer(&query, std::time::Instant::now());
        assert!(matches!(found, Some(Answer::Results(found)) if found.len() == 1));
        stop.cancel();
        task.await.unwrap();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn a_server_that_refuses_or_is_gone_is_tried_again() {
        let (at, _, stop, served) = server(Limits::default()).await;
        let here = Directory::default();
        here.set_own(Entry::of_box("here", 5688, &Default::default()));
        let (state, mut states) = watch::channel(Published::Unknown);
        let apart = CancellationToken::new();
        let task = publish(target(at, "wrong"), here, quickly(), state, apart.clone());
        let task = tokio::spawn(task);
        let failing = |what: &'static str| move |state: &Published| matches!(state, Published::Failing(why) if why.contains(what));
        states.wait_for(failing("Rejected")).await.unwrap();
        stop.cancel();
        served.await.unwrap();
        states.wait_for(failing("reached")).await.unwrap();
        apart.cancel();
        task.await.unwrap();
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let pace = Pace::default();
        let pauses: Vec<_> = (0..9).map(|n| pace.pause(n).as_secs()).collect();
        assert_eq!(pauses, [300, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(pace.pause(u32::MAX), pace.at_most);
    }

    #[test]
    fn a_password_is_not_told() {
        let at = "127.0.0.1:1".parse().unwrap();
        assert_eq!(format!("{:?}", target(at, "secret")), "ada@127.0.0.1:1");
    }
}
