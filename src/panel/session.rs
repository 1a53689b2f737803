//! The WebSocket that is a whole lobby session: text frames are words, binary frames the game data of one's table.
//!
//! Who comes with a cookie or a token is let in as their account; who shows nothing logs in by a request, or as a guest.
//! Everything else is decided by the lobby ([`Visit`]), which does not know that this is HTTP.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::json;
use warp::{
    http::{Method, StatusCode},
    ws::Message,
};

use super::{
    Outcome, State, api,
    live::{End, Heard, OVER, Viewer, attach},
};
use crate::{
    accounts::{AccountsError, Verb},
    http::{
        Peer,
        caller::Proof,
        problem::{Code, Fault},
        routes::{Call, Route},
    },
    lobby::{Visit, Word, wire::request::Request},
};

const SILENT: End = End::Close(4408, "nobody has logged in");

pub(super) fn routes() -> Vec<Route<State>> {
    vec![
        Route::new(
            Method::GET,
            api!("lobby/session"),
            "WebSocket: a whole lobby session in JSON, with the game data in binary frames; see docs/lobby.md",
            session,
        )
        .open()
        .bare(StatusCode::SWITCHING_PROTOCOLS)
        .faults(&[
            Code::UpgradeRequired,
            Code::CrossSite,
            Code::Forbidden,
            Code::WrongToken,
        ]),
    ]
}

async fn session(doors: State, mut call: Call) -> Outcome {
    // A route that anybody may ask is judged without its cookie; here the cookie counts.
    call.proof.same_site(&call.headers, true)?;
    let by = match &call.proof {
        // What the box itself asks for has no account, and logs in like anybody.
        Proof::None | Proof::Local { .. } => None,
        _ => Some(doors.by_with(&call, Verb::LobbyJoin).await?),
    };
    // A session has all the power of its account, which is more than a scope can say.
    if by.as_ref().is_some_and(|by| by.scopes.is_some()) {
        return Err(AccountsError::Forbidden("a token without scopes").into());
    }
    let ws = call.upgrade()?;
    let address = match call.peer {
        Peer::Tcp(address) => address.ip().to_canonical(),
        Peer::Local { .. } => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    Ok(attach(doors, call, ws, (), move |viewer| async move {
        let mut visit = viewer.doors.lobby.visit(address);
        if let Some(by) = by {
            visit.come_as(by).await;
        }
        go_on(viewer, visit).await;
    }))
}

async fn go_on(mut viewer: Viewer<()>, mut visit: Visit) {
    let end = loop {
        if let Err(end) = once(&mut viewer, &mut visit).await {
            break end;
        }
    };
    drop(visit); // the seat is free for them again at once, however long they take to go
    viewer.leave(end).await;
}

async fn once(viewer: &mut Viewer<()>, visit: &mut Visit) -> Result<(), End> {
    let wanted = !visit.is_choked();
    tokio::select! {
        word = visit.next() => match word {
            Word::Said(batch) => {
                let text = |push: &bytes::Bytes| {
                    Message::text(String::from_utf8_lossy(push))
                };
                tell(viewer, visit, batch.iter().map(text)).await
            }
            Word::Played(bytes) => {
                tell(viewer, visit, [Message::binary(bytes)].into_iter()).await
            }
            Word::HungUp => viewer.tell(&json!({ "push": "hung_up" })).await,
            Word::Taken => Ok(()),
            Word::Over => Err(OVER),
            Word::Overrun => Err(End::Gone),
            Word::Silent => Err(SILENT),
        },
        heard = viewer.hear_if(wanted) => match heard? {
            Heard::Beat => viewer.prove().await.map(drop),
            Heard::Text(text) => match serde_json::from_str::<Request>(&text) {
                Ok(request) => match visit.hear(request).await {
                    Some(refusal) => viewer.tell(&refusal).await,
                    None => Ok(()),
                },
                Err(error) => refuse(viewer, Fault::new(Code::BadJson, error.to_string())).await,
            },
            Heard::Data(bytes) => match visit.play(&bytes) {
                true => Ok(()),
                false => {
                    let detail = "you sit at no table: there is nobody to pass that on to";
                    refuse(viewer, Fault::new(Code::NotRunning, detail)).await
                }
            },
        },
    }
}

async fn refuse(viewer: &mut Viewer<()>, fault: Fault) -> Result<(), End> {
    viewer.tell(&json!({ "problem": fault.json() })).await
}

/// Who does not read is dropped when too much waits for them, and not when the carrier's patience ends.
async fn tell(
    viewer: &mut Viewer<()>,
    visit: &Visit,
    messages: impl Iterator<Item = Message>,
) -> Result<(), End> {
    tokio::select! {
        told = viewer.send_all(messages) => told,
        () = visit.overrun() => Err(End::Gone),
    }
}
