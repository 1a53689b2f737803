//! The meta server's port: one request per connection, then it is over.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Directory, Refused,
    wire::{Answer, MAX_REQUEST, Request, Status},
};
use crate::{
    accounts::Secret,
    net::{accepted, canonical, network},
};

/// Whether somebody may publish here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They may, as this account.
    Accepted(String),
    /// They may not.
    Rejected,
    /// That cannot be said just now.
    Failed,
}

/// What the port grants.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until a request is complete, and again until its answer is taken.
    pub patience: Duration,
    /// Connections from one address, or household.
    pub per_address: usize,
    /// Connections in all. Those beyond are closed at once.
    pub total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            per_address: 16,
            total: 256,
        }
    }
}

/// Serves `listener` until `stop`. `may_publish` is asked with the name and password of each update, and where it is
/// from.
pub async fn serve<P, V>(
    listener: TcpListener,
    directory: Directory,
    may_publish: P,
    limits: Limits,
    stop: CancellationToken,
) where
    P: Fn(String, Secret, SocketAddr) -> V + Send + Sync + 'static,
    V: Future<Output = Verdict> + Send + 'static,
{
    let (open, places) = (TaskTracker::new(), Arc::new(Places::default()));
    let desk = Arc::new((directory, may_publish));
    let what = "meta server connections";
    while let Some((stream, from)) = accepted(what, &stop, || listener.accept()).await {
        let from = canonical(from);
        let Some(place) = places.take(network(from.ip()), limits) else {
            continue;
        };
        let (desk, stop) = (desk.clone(), stop.clone());
        open.spawn(async move {
            let _place = place;
            let (directory, may_publish) = &*desk;
            let served = connection(stream, from, directory, may_publish, limits.patience);
            if let Some(Err(error)) = stop.run_until_cancelled(served).await {
                tracing::debug!(%from, %error, "a meta server connection ended early");
            }
        });
    }
    open.close();
    open.wait().await;
}

async fn connection<P, V>(
    mut stream: TcpStream,
    from: SocketAddr,
    directory: &Directory,
    may_publish: &P,
    patience: Duration,
) -> io::Result<()>
where
    P: Fn(String, Secret, SocketAddr) -> V,
    V: Future<Output = Verdict>,
{
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let request = timeout(patience, heard(&mut stream))
        .await
        .map_err(late)??;
    let answer = match request {
        Some(request) => answer(request, from, directory, may_publish).await,
        None => Answer::Status(Status::Wrong),
    };
    let told = async {
        stream.write_all(&answer.encode()).await?;
        stream.shutdown().await?;
        // What they still say is read: closing with bytes unread could eat the answer.
        let mut rest = [0; 512];
        for _ in 0..MAX_REQUEST / rest.len() {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    timeout(patience, told).await.map_err(late)?
}

/// What is asked; none: nothing that can be answered.
async fn heard(stream: &mut TcpStream) -> io::Result<Option<Request>> {
    let (mut bytes, mut more) = (Vec::new(), [0; 1024]);
    loop {
        let n = stream.read(&mut more).await?;
        bytes.extend(&more[..n]);
        match Request::decode(&bytes, n == 0) {
            Ok(Some(request)) => return Ok(Some(request)),
            Ok(None) => {}
            Err(_) if bytes.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => {
                tracing::debug!(%error, "no request to the meta server");
                return Ok(None);
            }
        }
    }
}

async fn answer<P, V>(
    request: Request,
    from: SocketAddr,
    directory: &Directory,
    may_publish: &P,
) -> Answer
where
    P: Fn(String, Secret, SocketAddr) -> V,
    V: Future<Output = Verdict>,
{
    if let Some(answer) = directory.answer(&request, Instant::now()) {
        return answer;
    }
    let Request::Update {
        entry,
        username,
        password,
        mode,
    } = request
    else {
        return Answer::Status(Status::Wrong);
    };
    if !mode.is_empty() && !mode.eq_ignore_ascii_case("add") {
        return Answer::Status(Status::Wrong);
    }
    let status = match may_publish(username, password, from).await {
        Verdict::Rejected => Status::Rejected,
        Verdict::Failed => Status::Error,
        Verdict::Accepted(by) => match directory.publish(entry, &by, Instant::now()) {
            Ok(()) => Status::Accepted,
            Err(Refused::Taken) => Status::Rejected,
            Err(Refused::Incomplete) => Status::Wrong,
            Err(Refused::Full) => Status::Error,
        },
    };
    Answer::Status(status)
}

/// How many connections there are.
#[derive(Debug, Default)]
struct Places {
    // Held for a few instructions, never across an await.
    by: Mutex<HashMap<IpAddr, usize>>,
}

struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    fn take(self: &Arc<Self>, address: IpAddr, limits: Limits) -> Option<Place> {
        let mut by = self.lock();
        let theirs = by.get(&address).copied().unwrap_or(0);
        if theirs >= limits.per_address || by.values().sum::<usize>() >= limits.total {
            return None;
        }
        by.insert(address, theirs + 1);
        let places = self.clone();
        Some(Place { places, address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by = self.places.lock();
        if let Some(theirs) = by.get_mut(&self.address) {
            *theirs -= 1;
            if *theirs == 0 {
                by.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::task::JoinHandle;

    use super::super::Entry;
    use super::*;

    /// A meta server where `ada` may publish with the password `secret`.
    pub(in crate::lobby::meta) async fn server(
        limits: Limits,
    ) -> (SocketAddr, Directory, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (directory, stop) = (Directory::default(), CancellationToken::new());
        let judge = |name: String, password: Secret, _| async move {
            match (name.as_str(), password.clear()) {
                ("ada", "secret") => Verdict::Accepted(name),
                ("down", _) => Verdict::Failed,
                _ => Verdict::Rejected,
            }
        };
        let served = serve(listener, directory.clone(), judge, limits, stop.clone());
        (at, directory, stop, tokio::spawn(served))
    }

    async fn ask(at: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn what_is_published_is_found_and_the_rest_is_told_why_not() {
        let (at, directory, stop, served) = server(Limits::default()).await;
        let own = Entry::of_box("here", 5688, &Default::default());
        directory.set_own(own);
        let update = |user: &str, mode: &str| {
            format!(
                "<update class='Chess' type='gameroom' uri='ggz://there/' username='{user}' password='secret' mode='{mode}'><option name='version'>2</option></update>\n\0"
            )
        };
        for (user, mode, status) in [
            ("bob", "add", "rejected"),
            ("down", "add", "error"),
            ("ada", "forget", "wrong"),
            ("ada", "add", "accepted"),
            ("ada", "", "accepted"),
        ] {
            let answer = ask(at, update(user, mode).as_bytes()).await;
            assert_eq!(
                answer,
                format!("<resultset><status>{status}</status></resultset>\n")
            );
        }
        let found = ask(at, b"<query class='chess' type='gameroom'/>\n").await;
        assert!(
            found.contains("<result uri=\"ggz://there/\"><option name=\"version\">2<"),
            "{found}"
        );
        assert_eq!(
            ask(at, b"query://ggz/connection/10\n").await,
            "ggz://here:5688/\n"
        );
        assert!(ask(at, b"hello\n").await.contains("wrong"));
        assert!(ask(at, &[b'x'; MAX_REQUEST + 2]).await.contains("wrong"));
        stop.cancel();
        served.await.unwrap();
    }

    #[tokio::test]
    async fn those_who_say_nothing_are_bounded_and_end() {
        let limits = Limits {
            patience: Duration::from_millis(200),
            per_address: 2,
            total: 8,
        };
        let (at, _, stop, served) = server(limits).await;
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(TcpStream::connect(at).await.unwrap());
        }
        // The third is turned away, the others run out of time.
        for stream in silent.iter_mut().rev() {
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap_or(0), 0);
        }
        assert_eq!(ask(at, b"query://a/b/c\n").await, "\n");
        stop.cancel();
        served.await.unwrap();
    }
}
