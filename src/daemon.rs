//! Where the box is put together: lock, open, build, bind, run, drain. The only file that knows every part.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use nix::{
    ifaddrs::getifaddrs,
    net::if_::InterfaceFlags,
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use url::Url;
use warp::Filter as _;

use crate::{
    accounts::{self, Accounts},
    audit::{self, Audit},
    clock::UnixMillis,
    config::{self, Config},
    files::{self, Files},
    hosting::{self, Hosting},
    http::{self, Limits, redirect::Redirects},
    lobby::{self, Lobby},
    mail::{self, Post},
    net,
    panel::{self, Doors, Finding},
    rpc::{self, Rpc},
    sandbox,
    schedules::{self, Schedules},
    snapshots::{self, Snapshots},
    store::{Catalog, LockError, StateLock, Store},
    telemetry::{self, Metrics, http::Readiness},
    tls,
    voice::{self, Voice},
};

/// How long parts may take to stop. Games are not among them: they go on.
const DRAIN: Duration = Duration::from_secs(10);

/// How often unverified accounts are looked at.
const SWEEP: Duration = Duration::from_secs(600);

/// Threads for what blocks: files of servers, launches, passwords. More would only wait for the same disk.
const BLOCKING: usize = 64;

/// Every table of the box, for backup, restore and check.
pub fn catalog() -> Catalog {
    let people = accounts::tables(audit::tables(Catalog::new()));
    let people = mail::tables(people);
    let servers = files::tables(schedules::tables(hosting::catalog(people)));
    let servers = snapshots::tables(servers);
    tls::tables(voice::tables(servers))
}

/// What is wrong with the game definitions and the texts of letters, shipped and in `data`: a sentence each.
pub(crate) fn definition_faults(data: Option<&Path>) -> Vec<String> {
    let faults = hosting::check(data);
    let mut faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    faults.extend(lobby::faults(data));
    faults.extend(mail::check(data));
    faults
}

/// Serves until SIGTERM or SIGINT. Blocking; builds its own runtime. Fails when the box cannot start, or a part of it ends early.
pub fn run(mut config: Config) -> anyhow::Result<()> {
    sandbox::process::give_back();
    telemetry::init()?;
    abort_on_panic();
    raise_descriptors();
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    let lock = take(&config.state)?;
    // Games are told absolute paths, and outlive the folder that we were started in.
    config.state = config
        .state
        .canonicalize()
        .with_context(|| format!("cannot find {} any more", config.state.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?;
    let served = runtime.block_on(async { House::build(config).await?.serve().await });
    runtime.shutdown_timeout(DRAIN);
    drop(lock); // only when nothing of ours can touch the folder any more
    served
}

/// Who kills a daemon and starts the next at once may be quicker than the kernel's tidying up.
fn take(state: &Path) -> Result<StateLock, LockError> {
    let patience = std::time::Instant::now() + Duration::from_secs(1);
    loop {
        match StateLock::take(state) {
            Err(LockError::Taken { .. }) if std::time::Instant::now() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            taken => return taken,
        }
    }
}

/// Panic means bug: it is logged with version and backtrace, and ends the process. Games live on with their keepers.
fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::force_capture();
        tracing::error!(version = env!("CARGO_PKG_VERSION"), %panic, %trace, "bug: the daemon aborts; games go on");
        std::process::abort();
    }));
}

/// A thousand keepers are a thousand sockets: as many descriptors as the system grants.
fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The box, bound to every port and serving nothing yet: a table of contents.
struct House {
    config: Config,
    store: Store,
    accounts: Accounts,
    audit: Audit,
    post: Post,
    redirects: Redirects,
    hosting: Hosting,
    schedules: Schedules,
    files: Files,
    snapshots: Snapshots,
    voice: Voice,
    lobby: Lobby,
    metrics: Metrics,
    http: TcpListener,
    admin: TcpListener,
    control: UnixListener,
    /// MyOTTD's daemons that have a port of their own.
    rpc: Vec<(rpc::Daemon, TcpListener)>,
    endpoints: BTreeMap<String, String>,
    parts: JoinSet<&'static str>,
    stop: CancellationToken,
}

impl House {
    /// Binds everything first, so that a taken port fails before any work starts.
    async fn build(config: Config) -> anyhow::Result<Self> {
        let http = listen(config.http_listen, "http.listen")?;
        let admin = listen(config.admin_listen, "admin.listen")?;
        let kv = listen(config.voice.listen, "voice.listen")?;
        let ggz = listen(config.lobby.listen, "lobby.listen")?;
        let meta = config.lobby.meta_listen;
        let meta = meta
            .map(|address| listen(address, "lobby.meta_listen"))
            .transpose()?;
        let control = listen_locally(&config.state).with_context(|| {
            format!(
                "cannot make the control socket in {}",
                config.state.display()
            )
        })?;
        let mut endpoints = BTreeMap::from([
            ("http.listen".into(), http.local_addr()?.to_string()),
            ("admin.listen".into(), admin.local_addr()?.to_string()),
            ("voice.listen".into(), kv.local_addr()?.to_string()),
            ("lobby.listen".into(), ggz.local_addr()?.to_string()),
        ]);
        if let Some(meta) = &meta {
            endpoints.insert("lobby.meta_listen".into(), meta.local_addr()?.to_string());
        }

        let mut own = Vec::new();
        for &(key, daemon, address) in &config.rpc.doors {
            let door = listen(address, key)?;
            endpoints.insert(key.into(), door.local_addr()?.to_string());
            own.push((daemon, door));
        }

        let store = Store::open(&config.state)?;
        let audit = Audit::open(store.clone())?;
        let accounts = Accounts::open(store.clone(), audit.clone())?;
        accounts.set_registration(config.registration);
        let stop = CancellationToken::new();
        let mut parts = JoinSet::new();
        let base = match &config.web.url {
            Some(url) => url.clone(),
            None => Url::parse(&format!("http://{}/", reachable(&endpoints["http.listen"])))?,
        };
        let (post, run) = Post::open(
            store.clone(),
            config.data.as_deref(),
            mail::Settings {
                name: config.lobby.name.clone(),
                base: base.clone(),
                server: server(&config.mail),
            },
            stop.clone(),
        );
        accounts.set_post(post.clone());
        parts.spawn(async move {
            run.await;
            "mail"
        });
        let redirects = Redirects::new(base, config.web.redirects.clone());
        let (hosting, run) = hosting::open(
            hosting::Settings {
                state: config.state.clone(),
                data: config.data.clone(),
                ports: config.hosting.ports.first.get()..=config.hosting.ports.last.get(),
                uids: config.hosting.uids.first.get()..=config.hosting.uids.last.get(),
                memory: config.hosting.memory,
                recycle: config.hosting.recycle,
                history: config.hosting.console,
                program: std::env::current_exe().context("cannot find my own program")?,
            },
            store.clone(),
            accounts.clone(),
            audit.clone(),
        )?;
        let stopped = stop.clone();
        parts.spawn(async move {
            stopped.run_until_cancelled(run).await;
            "hosting"
        });
        let (people, owners, stopped) = (accounts.clone(), hosting.clone(), stop.clone());
        parts.spawn(async move {
            stopped.run_until_cancelled(sweep(people, owners)).await;
            "accounts"
        });
        let (files, run) = files::open(
            files::Settings {
                state: config.state.clone(),
                bin: config.files.bin,
            },
            hosting.clone(),
            store.clone(),
            audit.clone(),
        );
        let stopped = stop.clone();
        parts.spawn(async move {
            stopped.run_until_cancelled(run).await;
            "files"
        });
        let (snapshots, run) = snapshots::open(
            snapshots::Settings {
                state: config.state.clone(),
                program: "/proc/self/exe".into(),
                rate: config.snapshot_rate,
                recycle: config.hosting.recycle,
            },
            hosting.clone(),
            store.clone(),
            audit.clone(),
            stop.clone(),
        )?;
        parts.spawn(async move {
            run.await;
            "snapshots"
        });
        let (schedules, run) = schedules::open(
            &schedules::Settings {
                zone: config.schedules_zone.clone(),
            },
            store.clone(),
            hosting.clone(),
            accounts.clone(),
            audit.clone(),
            Some(Arc::new(Shots(snapshots.clone()))),
        )?;
        let stopped = stop.clone();
        parts.spawn(async move {
            stopped.run_until_cancelled(run).await;
            "schedules"
        });
        let (voice, run) = voice::open(
            voice::Settings {
                address: config.voice.listen.ip(),
                ports: config.voice.ports.first.get()..=config.voice.ports.last.get(),
                legacy_admin: config.voice.legacy_admin,
                rate: config.voice.rate.get(),
                shards: config.voice.shards.map(NonZeroUsize::get),
            },
            kv,
            store.clone(),
            accounts.clone(),
            audit.clone(),
            stop.clone(),
        )
        .await?;
        parts.spawn(async move {
            run.await;
            "voice"
        });
        let identity = match config.lobby.tls {
            true => Some(tls::identity(&store).await?),
            false => None,
        };
        let (lobby, run) = lobby::open(
            lobby::Settings {
                state: config.state.clone(),
                data: config.data.clone(),
                name: config.lobby.name.clone(),
                tls: identity.map(|identity| identity.acceptor),
                uids: config.lobby.uids.first.get()..=config.lobby.uids.last.get(),
                tables: config.lobby.tables.get(),
                sessions: config.lobby.sessions.get(),
                sessions_per_network: config.lobby.sessions_per_network.get(),
                lag: config.lobby.lag,
                ping: config.lobby.ping,
                room_update: config.lobby.room_update,
                announce: config.lobby.announce,
                publish: config.lobby.publish.as_deref().and_then(|place| {
                    let (host, port) = place.rsplit_once(':')?;
                    Some(lobby::Target {
                        host: host.trim_matches(['[', ']']).into(),
                        port: port.parse().ok()?,
                        username: config.lobby.publish_name.clone(),
                        password: accounts::Secret::new(config.lobby.publish_password.clear()),
                    })
                }),
            },
            lobby::Doors { lobby: ggz, meta },
            store.clone(),
            accounts.clone(),
            audit.clone(),
            stop.clone(),
        )
        .await?;
        parts.spawn(async move {
            run.await;
            "lobby"
        });
        Ok(Self {
            config,
            store,
            accounts,
            audit,
            post,
            redirects,
            hosting,
            schedules,
            files,
            snapshots,
            voice,
            lobby,
            metrics: Metrics::default(),
            http,
            admin,
            control,
            rpc: own,
            endpoints,
            parts,
            stop,
        })
    }

    /// Serves until told to stop, or until any part ends; then all of it ends.
    async fn serve(self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let readiness = Readiness::default();
        let admin = self.admin_routes(&readiness);
        let doors = self.doors();
        let rpc = self.rpc();
        let Self {
            config,
            accounts,
            metrics,
            http,
            admin: admin_listener,
            control,
            rpc: own,
            endpoints,
            mut parts,
            stop,
            ..
        } = self;

        let routes = panel::routes(doors).or(panel::pages()).unify();
        let routes = routes.or(rpc::routes(rpc.clone(), None)).unify().boxed();
        let limits = Limits::default();
        let mut served = vec![
            ("http", http::Listener::from(http), routes.clone()),
            ("control", control.into(), routes),
            ("admin", admin_listener.into(), admin),
        ];
        for (daemon, listener) in own {
            let routes = rpc::routes(rpc.clone(), Some(daemon));
            served.push((daemon.name(), listener.into(), routes));
        }
        for (part, listener, routes) in served {
            let serving = http::serve(listener, routes, limits, metrics.clone(), stop.clone());
            parts.spawn(async move {
                serving.await;
                part
            });
        }

        publish(&config.state, &endpoints)?;
        greet(&config, &endpoints, accounts.setup_token().as_deref());
        sd_notify::notify(&[sd_notify::NotifyState::Ready])
            .unwrap_or_else(|error| tracing::warn!(%error, "systemd could not be told"));
        tracing::info!(version = env!("CARGO_PKG_VERSION"), state = %config.state.display(), ?endpoints, "open");

        let ended = tokio::select! {
            _ = terminate.recv() => None,
            _ = interrupt.recv() => None,
            ended = parts.join_next() => ended,
        };
        readiness.lacks("box", "shutting down");
        sd_notify::notify(&[sd_notify::NotifyState::Stopping]).ok(); // said above already if it cannot be told
        tracing::info!("closing; games go on");
        stop.cancel();
        let drained = async { while parts.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(grace = ?DRAIN, "some parts did not stop in time");
        }
        match ended {
            None => Ok(()),
            Some(Ok(part)) => anyhow::bail!("{part} ended early"),
            Some(Err(error)) => Err(error).context("a part of the box ended early"),
        }
    }

    fn doors(&self) -> Doors {
        let data = self.config.data.clone();
        let store = self.store.clone();
        let catalog = Arc::new(catalog());
        let tables = catalog.clone();
        Doors {
            accounts: self.accounts.clone(),
            audit: self.audit.clone(),
            post: self.post.clone(),
            redirects: self.redirects.clone(),
            hosting: self.hosting.clone(),
            schedules: self.schedules.clone(),
            files: self.files.clone(),
            snapshots: self.snapshots.clone(),
            voice: self.voice.clone(),
            lobby: self.lobby.clone(),
            store: self.store.clone(),
            catalog,
            metrics: self.metrics.clone(),
            started: Instant::now(),
            endpoints: self.endpoints.clone(),
            check: Arc::new(move || {
                let mut faults = definition_faults(data.as_deref());
                faults.extend(store.check(&tables).iter().map(ToString::to_string));
                faults
            }),
            doctor: Arc::new(findings),
            rhythm: panel::RHYTHM,
            stop: self.stop.clone(),
        }
    }

    fn rpc(&self) -> Rpc {
        Rpc::new(rpc::Services {
            accounts: self.accounts.clone(),
            audit: self.audit.clone(),
            hosting: self.hosting.clone(),
            redirects: self.redirects.clone(),
            files: self.files.clone(),
            streams: rpc::Streams::new(
                self.config.rpc.stream_targets.clone(),
                self.endpoints.values().filter_map(|door| door.parse().ok()),
                self.stop.clone(),
            ),
            metrics: self.metrics.clone(),
            game: self.config.rpc.game.as_str().into(),
        })
    }

    fn admin_routes(
        &self,
        readiness: &Readiness,
    ) -> warp::filters::BoxedFilter<(warp::reply::Response,)> {
        let (hosting, metrics, started) =
            (self.hosting.clone(), self.metrics.clone(), Instant::now());
        let (voice, lobby) = (self.voice.clone(), self.lobby.clone());
        let watcher = Accounts::local(0, "box".into());
        let page = move || {
            let (hosting, metrics, watcher) = (hosting.clone(), metrics.clone(), watcher.clone());
            let voice = voice.clone();
            metrics.lobby(&lobby.figures());
            async move {
                let servers = hosting.list(&watcher).await.unwrap_or_default();
                let states = servers.iter().map(|server| server.state);
                let voice = voice.census().await;
                metrics.page(started.elapsed(), states, voice.as_ref())
            }
        };
        let store = self.store.clone();
        let works = move || {
            let store = store.clone();
            async move {
                let works = store.works().await;
                works.map_err(|error| format!("store: {error}"))
            }
        };
        telemetry::http::routes(readiness.clone(), works, page)
    }
}

/// Who takes the box's mail, as configured.
fn server(mail: &config::Mail) -> Option<mail::Server> {
    let ((host, port), from) = (mail.smtp.clone()?, mail.from.clone()?);
    let user = mail.user.clone();
    Some(mail::Server {
        host,
        port,
        tls: mail.tls,
        ca: mail.ca.clone(),
        credentials: (!user.is_empty()).then(|| (user, mail.password.clear().into())),
        from,
        patience: mail::Patience::default(),
    })
}

/// Deletes new accounts that nobody has verified in time.
async fn sweep(accounts: Accounts, hosting: Hosting) {
    let watcher = Accounts::local(0, "box".into());
    let mut rounds = tokio::time::interval(SWEEP);
    loop {
        rounds.tick().await;
        // Without knowing who has servers, nobody is deleted.
        let Ok(servers) = hosting.list(&watcher).await else {
            continue;
        };
        let owns = |id| servers.iter().any(|server| server.owner_id == id);
        match accounts.expire(UnixMillis::now(), owns).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "new accounts that nobody verified are gone"),
            Err(error) => tracing::error!(%error, "unverified accounts cannot be deleted just now"),
        }
    }
}

/// What schedules take snapshots with.
struct Shots(Snapshots);

impl schedules::Snapshot for Shots {
    fn take<'a>(
        &'a self,
        by: &'a accounts::Principal,
        server: accounts::ServerId,
        label: Option<&'a str>,
    ) -> futures_util::future::BoxFuture<'a, Result<(), String>> {
        let wish = snapshots::Take {
            label: label.unwrap_or_default().into(),
            ..snapshots::Take::default()
        };
        let taken = self.0.take(by, server, wish);
        Box::pin(async move { taken.await.map(drop).map_err(|error| error.to_string()) })
    }
}

fn findings() -> Vec<Finding> {
    sandbox::probe::isolation()
        .into_iter()
        .map(|isolation| Finding {
            name: isolation.name.into(),
            ok: isolation.ok,
            why: isolation.why,
            hint: isolation.hint.map(Into::into),
        })
        .collect()
}

fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    net::listen(address).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; hint: another program has that port: stop it",
            io::ErrorKind::PermissionDenied => "; hint: ports below 1024 are root's: become root",
            io::ErrorKind::AddrNotAvailable => "; hint: this box has no such address: take one it has",
            _ => "",
        };
        let or = match hint {
            "" => "; hint: choose",
            _ => ", or choose",
        };
        anyhow::anyhow!("cannot listen on {address} ({key}): {error}{hint}{or} another with --set {key}=ADDRESS:PORT")
    })
}

/// The control socket, for root and the daemon's own user. We hold the state folder's lock, so one that lies there is a dead daemon's.
fn listen_locally(state: &Path) -> io::Result<UnixListener> {
    let path = state.join("control.sock");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // By way of the folder's descriptor: a socket's path is short, a state folder's need not be.
    let folder = fs::File::open(state)?;
    let short = format!(
        "/proc/self/fd/{}/control.sock",
        std::os::fd::AsRawFd::as_raw_fd(&folder)
    );
    let socket = UnixListener::bind(short)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

/// `endpoints.json`: whole or not at all, so that whoever waits for it can read it.
fn publish(state: &Path, endpoints: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let (part, whole) = (
        state.join("endpoints.json.part"),
        state.join("endpoints.json"),
    );
    fs::write(&part, serde_json::to_vec_pretty(endpoints)?)
        .and_then(|()| fs::rename(&part, &whole))
        .with_context(|| format!("cannot write {}", whole.display()))
}

/// What an administrator wants to see first. The set-up link is told here alone, and never logged.
fn greet(config: &Config, endpoints: &BTreeMap<String, String>, token: Option<&str>) {
    let base = reachable(&endpoints["http.listen"]);
    let mut text = format!(
        "Longhouse {}\n  state    {}\n  http     http://{base}\n  admin    http://{}\n  voice    {}\n  lobby    {}\n",
        env!("CARGO_PKG_VERSION"),
        config.state.display(),
        endpoints["admin.listen"],
        reachable(&endpoints["voice.listen"]),
        reachable(&endpoints["lobby.listen"]),
    );
    if let Some(token) = token {
        text += &format!("  set-up   http://{base}/setup?token={token}   (once)\n");
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok(); // nobody reads it: then nobody needs it
}

/// An address that others can type: that of the first network card when we listen on all of them.
fn reachable(bound: &str) -> String {
    let Ok(address) = bound.parse::<SocketAddr>() else {
        return bound.into();
    };
    if !address.ip().is_unspecified() {
        return bound.into();
    }
    let card = getifaddrs().ok().and_then(|mut cards| {
        cards.find_map(|card| {
            let up = card.flags.contains(InterfaceFlags::IFF_UP);
            let loopback = card.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            let address = card.address?.as_sockaddr_in()?.ip();
            (up && !loopback).then_some(address)
        })
    });
    let host = card.unwrap_or(Ipv4Addr::LOCALHOST);
    SocketAddr::new(IpAddr::V4(host), address.port()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_key_and_what_to_do() {
        let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = holder.local_addr().unwrap();
        let error = listen(address, "http.listen").unwrap_err().to_string();
        for part in [&address.to_string(), "http.listen", "hint:", "--set"] {
            assert!(error.contains(part), "{part} is missing from {error}");
        }
    }

    #[test]
    fn an_address_to_type_is_never_the_unspecified_one() {
        assert_eq!(reachable("127.0.0.1:80"), "127.0.0.1:80");
        assert!(!reachable("0.0.0.0:80").starts_with("0.0.0.0"));
    }
}
