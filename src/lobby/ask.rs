//! What the service can be asked, and what it hands on.

use std::{
    net::{IpAddr, TcpStream},
    os::fd::OwnedFd,
    sync::Arc,
};

use tokio::sync::oneshot;

use super::{
    definition::{self, Definitions, TableGame},
    hall::{Newcomer, Report, Saved, SessionId, Who},
    ledger::{Savegame, Sitting},
    outbox::Outbox,
    view::RoomView,
    wire::{
        push::{GameView, Stats},
        request::Request,
        terms::{Code, Permissions, RoomId, Seat, TableId},
    },
};
use crate::accounts::AccountId;

/// What can be asked of the service.
pub(super) enum Ask {
    /// Whether somebody of this name is here to whom somebody of this account has to give way.
    IsTaken(String, Option<AccountId>, oneshot::Sender<bool>),
    /// Somebody comes in.
    Come(
        SessionId,
        Box<Newcomer>,
        Arc<Outbox>,
        oneshot::Sender<Result<(), Code>>,
    ),
    /// Their connection has ended.
    Gone(SessionId),
    /// What they say.
    Said(SessionId, Request),
    /// How slow they are.
    Lag(SessionId, u8),
    /// A connection for somebody's game data.
    Channel(Channel),
    /// Send somebody away: name, by whom, why. False: they are not here.
    Kick(String, String, String, oneshot::Sender<bool>),
    /// Gag. False: they are.
    Gag(Who, oneshot::Sender<bool>),
    /// Ungag whoever is called so, and this account, here or not. False: nobody was gagged.
    Ungag(String, Option<AccountId>, oneshot::Sender<bool>),
    /// Send away who may not be here any more: by whom, why. False: they have left.
    PutOut(SessionId, String, String, oneshot::Sender<bool>),
    /// What this account may has changed.
    Permit(AccountId, Permissions),
    /// The same of somebody who is here.
    PermitSession(SessionId, Permissions),
    /// Everybody who is here, and what they may.
    People(oneshot::Sender<Vec<(SessionId, Who, Permissions)>>),
    /// Who is here, by account or as a guest: for what depends on it.
    Find(String, oneshot::Sender<Option<Who>>),
    /// What is defined has changed.
    Define(Arc<Definitions>, oneshot::Sender<()>),
    /// How people do now.
    Rated(Arc<TableGame>, Vec<(AccountId, Stats)>),
    /// Everything, for the API.
    Rooms(oneshot::Sender<Vec<RoomView>>),
    /// The same of one room.
    Room(RoomId, oneshot::Sender<Option<RoomView>>),
    /// Who may come into that room, if it is there.
    EntryOf(RoomId, oneshot::Sender<Option<definition::Entry>>),
    /// The games, for the API.
    Games(oneshot::Sender<Vec<GameView>>),
    /// Say something to a room, or to all: as whom, with which account, what. False: they are gagged.
    Call(
        Option<RoomId>,
        String,
        Option<AccountId>,
        String,
        oneshot::Sender<bool>,
    ),
    /// A table that nobody here launches.
    Launch(
        RoomId,
        String,
        Vec<Seat>,
        oneshot::Sender<Result<TableId, Code>>,
    ),
    /// A saved game goes on.
    Resume(
        Box<Savegame>,
        oneshot::Sender<Result<(RoomId, TableId), Code>>,
    ),
    /// End a table. False: it is not there.
    End(RoomId, TableId, oneshot::Sender<bool>),
}

/// A connection that has said `<CHANNEL>` and `</SESSION>`.
pub(super) struct Channel {
    pub(super) name: String,
    pub(super) from: IpAddr,
    pub(super) token: Option<String>,
    pub(super) stream: Stream,
}

/// What carries game data.
pub(super) enum Stream {
    /// A player's own connection. It is still to be told that it was taken, or not.
    Tcp(TcpStream),
    /// One end of a pair of ours.
    Pair(OwnedFd),
}

/// What the ledger is to be told, in order.
pub(super) enum Entry {
    Report(Report, Sitting),
    Saved(Saved, Sitting),
    /// The table is gone.
    Over(Sitting, Ending),
}

/// How a table came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its game was done.
    Done,
    /// Everybody left, somebody ended it, or its game failed.
    Left,
    /// The box stopped: its game goes on with the next start.
    Interrupted,
}
