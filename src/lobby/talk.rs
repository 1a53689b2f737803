//! One conversation, whatever carries it: who it is with, and what the box answers before the hall does.

mod login;

use std::{net::IpAddr, sync::Arc, time::Instant};

use super::{
    Lobby,
    ask::{Ask, Channel, Stream},
    error::LobbyError,
    hall::Who,
    handle::Session,
    lag::{Beat, Lag},
    ledger::Term,
    outbox::Outbox,
    wire::{
        push::{Body, Push},
        request::{AdminAction, Refusal, Request},
        terms::{Action, Code},
    },
};
use crate::{
    accounts::{Caller, Principal},
    audit::Door,
};

/// One conversation. It ends when this is dropped.
pub(super) struct Talk {
    lobby: Lobby,
    caller: Caller,
    address: IpAddr,
    outbox: Arc<Outbox>,
    language: String,
    known: Option<Known>,
}

/// Somebody who is logged in.
struct Known {
    session: Session,
    who: Who,
    lag: Lag,
    by: Option<Principal>,
}

/// What the carrier has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Read on.
    Listen,
    /// Speak TLS from here on.
    Encrypt,
    /// It is to become this person's game data connection.
    Hand { name: String, token: Option<String> },
    /// Close, once all was told.
    Close,
}

impl Talk {
    pub(super) fn new(lobby: Lobby, door: Door, address: IpAddr, outbox: Arc<Outbox>) -> Self {
        let from = Some(address);
        Self {
            lobby,
            caller: Caller { door, from },
            address,
            outbox,
            language: String::new(),
            known: None,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.is_some()
    }

    fn answer(&self, action: Action, code: Code) {
        let body = Body::None {};
        self.outbox.tell(&Push::Result { action, code, body });
    }

    /// What cannot be a request.
    pub(super) async fn refuse(&self, refusal: Refusal) {
        self.catch_up().await;
        let Refusal { action, code } = refusal;
        match self.known.is_some() || action == Action::Login {
            true => self.answer(action, code),
            false => self.answer(action, Code::NotLoggedIn),
        }
    }

    /// What they say. Dropping the future of a login gives its place in the line up.
    pub(super) async fn hear(&mut self, request: Request) -> Next {
        self.outbox.heard(Instant::now());
        match request {
            Request::Language { language } => {
                self.language.clone_from(&language);
                self.pass_on(Request::Language { language }).await;
            }
            Request::Ping { id } => self.outbox.tell(&Push::Pong { id }),
            Request::Pong => self.pong().await,
            Request::End => {
                self.catch_up().await;
                self.outbox.tell(&Push::End);
                return Next::Close;
            }
            Request::Login(login) => self.login(login).await,
            Request::TlsStart if !self.is_known() => return Next::Encrypt,
            Request::Channel { name, token } if !self.is_known() => {
                return Next::Hand { name, token };
            }
            Request::TlsStart | Request::Channel { .. } | Request::Unknown => {}
            request if !self.is_known() => {
                if let Some(action) = request.action() {
                    self.answer(action, Code::NotLoggedIn);
                }
            }
            Request::Motd => {
                self.catch_up().await;
                let motd = self.lobby.motd().await;
                self.outbox.tell(&motd);
            }
            Request::Admin {
                action,
                player,
                reason,
            } => {
                self.catch_up().await;
                self.moderate(action, &player, reason).await;
            }
            Request::AdminPerm {
                player,
                permission,
                value,
            } => {
                self.catch_up().await;
                let done = match self.warden().await {
                    Some(warden) => self.lobby.permit(&warden, &player, permission, value).await,
                    None => Err(LobbyError::Forbidden("an administrator")),
                };
                self.admin_result(done);
            }
            request => self.pass_on(request).await,
        }
        Next::Listen
    }

    /// What they said before is answered before what we answer ourselves: the hall has heard it when it answers this.
    async fn catch_up(&self) {
        if let Some(known) = &self.known {
            self.lobby.is_taken(&known.who.name, None).await;
        }
    }

    async fn pass_on(&self, request: Request) {
        if let Some(known) = &self.known {
            self.lobby
                .tell(Ask::Said(known.session.id(), request))
                .await;
        }
    }

    /// When [`tick`](Self::tick) is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.known.as_ref()?.lag.due(&self.lobby.rhythm)
    }

    /// Time has passed.
    pub(super) async fn tick(&mut self) {
        if let Some(known) = &mut self.known {
            let beat = known.lag.tick(Instant::now(), &self.lobby.rhythm);
            self.beat(beat).await;
        }
    }

    async fn pong(&mut self) {
        self.outbox.answered();
        if let Some(known) = &mut self.known {
            let beat = known.lag.pong(Instant::now(), &self.lobby.rhythm);
            self.beat(beat).await;
        }
    }

    async fn beat(&self, beat: Option<Beat>) {
        match (beat, &self.known) {
            (Some(Beat::Ping), _) => self.outbox.ping(Instant::now()),
            (Some(Beat::Class(class)), Some(known)) => {
                self.lobby.tell(Ask::Lag(known.session.id(), class)).await;
            }
            _ => {}
        }
    }

    /// As whom they keep order, if they may.
    async fn warden(&self) -> Option<super::Warden> {
        let known = self.known.as_ref()?;
        let actor = known.by.as_ref()?.actor.clone();
        self.lobby.warden(&known.who, actor)
    }

    async fn moderate(&self, action: AdminAction, player: &str, reason: Option<String>) {
        let done = match self.warden().await {
            Some(warden) => {
                let term = Term::Usual;
                self.lobby
                    .moderate(&warden, action, player, reason, term)
                    .await
            }
            None => Err(LobbyError::Forbidden("a host")),
        };
        self.admin_result(done);
    }

    fn admin_result(&self, done: Result<(), LobbyError>) {
        let code = done.as_ref().err().map_or(Code::Ok, LobbyError::code);
        if let Err(error) = done {
            tracing::debug!(%error, "keeping order was refused");
        }
        self.answer(Action::Admin, code);
    }

    /// Hands a connection over as somebody's game data connection.
    pub(super) async fn hand(&self, name: String, token: Option<String>, stream: Stream) {
        let channel = Channel {
            name,
            from: self.address,
            token,
            stream,
        };
        self.lobby.tell(Ask::Channel(channel)).await;
    }

    /// The same for one's own, which needs no proof.
    pub(super) async fn hand_own(&self, stream: Stream) {
        if let Some(known) = &self.known {
            let name = known.who.name.clone();
            self.hand(name, None, stream).await;
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        if let Some(known) = self.known.take() {
            self.lobby.departed(known.who);
        }
        self.outbox.finish();
    }
}
