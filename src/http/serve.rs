//! The accept loop: connections in, within limits, until told to stop.

use std::{convert::Infallible, io, sync::Arc};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::unistd::Uid;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;
use tracing::Instrument;
use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

use super::{
    Limits, Peer,
    gate::{Full, Gate},
    patient::Patient,
    problem::{Code, Fault, guard, unrouted},
};
use crate::{net::accepted, telemetry::Metrics};

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// The network.
    Tcp(TcpListener),
    /// The control socket: only root and the daemon's own user are served.
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Peer::Tcp(address)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let credentials = stream.peer_cred()?;
                let (uid, pid) = (credentials.uid(), credentials.pid());
                Ok((Stream::Unix(stream), Peer::Local { uid, pid }))
            }
        }
    }
}

/// Serves `routes` on `listener` until `stop`; then answers what is under way, for as long as `limits` grant, and returns.
pub async fn serve(
    listener: impl Into<Listener>,
    routes: BoxedFilter<(Response,)>,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let listener = listener.into();
    let gate = Gate::new(limits);
    let open = TaskTracker::new();
    let routes = routes.recover(|rejection: Rejection| async move {
        Ok::<_, Infallible>(guard(unrouted(&rejection)))
    });
    let carrier = Arc::new(Carrier {
        routes: routes.map(Reply::into_response).boxed(),
        limits,
        metrics,
        stop: stop.clone(),
    });
    while let Some((stream, peer)) = accepted("connections", &stop, || listener.accept()).await {
        let carrier = carrier.clone();
        match gate.admit(peer) {
            Ok(slot) => {
                let held = (slot, carrier.metrics.connection());
                let span = tracing::debug_span!("connection", ?peer);
                match stream {
                    Stream::Tcp(tcp) => {
                        let io = Patient::new(tcp, &limits, held);
                        open.spawn(carrier.connection(io, peer).instrument(span));
                    }
                    Stream::Unix(unix) => {
                        let io = Patient::new(unix, &limits, held);
                        open.spawn(carrier.connection(io, peer).instrument(span));
                    }
                }
            }
            Err(full) => {
                carrier.metrics.refused();
                tracing::debug!(?peer, %full, "connection refused");
                turn_away(stream, full);
            }
        }
    }
    open.close();
    if timeout(limits.drain, open.wait()).await.is_err() {
        tracing::warn!(grace = ?limits.drain, left = open.len(), "requests did not end in time");
    }
}

/// What all connections of a listener share.
struct Carrier {
    routes: BoxedFilter<(Response,)>,
    limits: Limits,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Carrier {
    async fn connection<S>(self: Arc<Self>, io: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let carrier = &self;
        let service = service_fn(move |request| async move {
            Ok::<_, Infallible>(carrier.answer(request, peer).await)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "connection ended");
        }
    }

    async fn answer(&self, mut request: Request<Incoming>, peer: Peer) -> Response {
        let response = match welcome(peer).and_then(|()| has_path(&request)) {
            Err(fault) => guard(fault.into_response()),
            Ok(()) => {
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(self.limits);
                let mut routes = warp::service(self.routes.clone());
                let Ok(response) = routes.call(request).await;
                response
            }
        };
        self.metrics.answered(response.status());
        response
    }
}

/// The control socket is for root and for who runs the daemon.
pub(super) fn welcome(peer: Peer) -> Result<(), Fault> {
    match peer {
        Peer::Local { uid, .. } if uid != 0 && uid != Uid::effective().as_raw() => {
            let detail =
                format!("the control socket is for root and the daemon's user, not uid {uid}");
            Err(Fault::new(Code::Forbidden, detail))
        }
        _ => Ok(()),
    }
}

/// What asks for a host alone (`CONNECT host:1`, as proxies are asked) has no path; warp cannot be given that.
fn has_path<B>(request: &Request<B>) -> Result<(), Fault> {
    match request.uri().path_and_query() {
        Some(_) => Ok(()),
        None => Err(Fault::new(Code::NotFound, "this is no proxy")),
    }
}

/// Says why in one write that cannot wait, and hangs up.
fn turn_away(stream: Stream, full: Full) {
    let fault = Fault::new(Code::TooManyConnections, full.to_string());
    let (status, body) = (fault.code.status(), fault.json().to_string());
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: 5\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Best effort: a fresh socket's buffer has room.
    match stream {
        Stream::Tcp(tcp) => drop(tcp.try_write(answer.as_bytes())),
        Stream::Unix(unix) => drop(unix.try_write(answer.as_bytes())),
    }
}
