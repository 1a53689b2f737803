//! The routes: `POST /xmlrpc`, and `/xmlrpc/{daemon}` where all daemons are.

use std::{str::FromStr as _, time::Duration};

use warp::{
    filters::BoxedFilter,
    http::{HeaderValue, Method, header},
    reply::Response,
};

use super::{Daemon, Rpc};
use crate::{
    accounts::Caller,
    audit::Door,
    http::{
        Bulk, caller,
        problem::{Code, Fault},
        routes::{Call, Route, Table},
    },
};

/// Bytes of one call: a file of some 12 MiB, in base64.
const BODY: usize = 16 << 20;
/// Bytes of all calls that are under way: nobody has proved anything before their call is read.
const BODIES: usize = 128 << 20;
/// Until a call is complete.
const PATIENCE: Duration = Duration::from_secs(60);

/// Room for the calls of all doors.
pub(super) fn bulk() -> Bulk {
    Bulk::new(BODY, BODIES, PATIENCE)
}

/// The routes of one daemon, for a port of its own, or of all.
pub(crate) fn routes(rpc: Rpc, only: Option<Daemon>) -> BoxedFilter<(Response,)> {
    let here = move |rpc, call| answer(rpc, only, call);
    let mut routes = vec![Route::new(Method::POST, "/xmlrpc", "XML-RPC", here).open()];
    if only.is_none() {
        let path = "/xmlrpc/{daemon}";
        routes.push(Route::new(Method::POST, path, "XML-RPC of one daemon", named).open());
    }
    Table::new(routes).filter(rpc)
}

async fn named(rpc: Rpc, call: Call) -> Result<Response, Fault> {
    let daemon = Daemon::from_str(&call.word("daemon")?);
    let daemon = daemon.map_err(|_| Fault::new(Code::NotFound, "no daemon has that name"))?;
    answer(rpc, Some(daemon), call).await
}

async fn answer(rpc: Rpc, only: Option<Daemon>, mut call: Call) -> Result<Response, Fault> {
    let (body, _room) = call.bulk(&rpc.0.bulk).await?;
    let caller = Caller {
        door: Door::Rpc,
        ..caller::caller(call.peer)
    };
    let answer = rpc.answer(only, caller, body).await;
    let mut response = Response::new(answer.into());
    let kind = HeaderValue::from_static("text/xml");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}
