//! An error as an answer: RFC 9457 problem details with a stable code. Which error is which, `faults` says.
//!
//! ```text
//! HTTP/1.1 404 Not Found
//! content-type: application/problem+json
//!
//! {"type":"about:blank","title":"Not Found","status":404,"code":"no-such-server","detail":"no server 7"}
//! ```
//!
//! What is ours to read (paths of the store, causes) is logged and never leaves; what the caller can act upon is said.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use warp::{
    Rejection, Reply,
    http::{HeaderName, HeaderValue, StatusCode, header},
    reply::Response,
};

/// Every code there is, each with its one status. A code, once shipped, keeps its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The body is not the JSON that was asked for.
    BadJson,
    /// A query parameter is unknown, malformed or out of bounds.
    BadQuery,
    /// Nobody has proved who asks.
    Unauthenticated,
    /// The name or the password is wrong.
    WrongCredentials,
    /// The session or token is unknown, ended or revoked.
    WrongToken,
    /// They may not.
    Forbidden,
    /// Another site made the browser ask.
    CrossSite,
    /// The set-up token is wrong or used.
    SetupRefused,
    /// Only an account can do that: neither the box itself nor its control socket.
    AccountNeeded,
    /// Nothing is at this path.
    NotFound,
    /// No such account.
    NoSuchAccount,
    /// No such token.
    NoSuchToken,
    /// No such grant.
    NoSuchGrant,
    /// No such server, or not theirs to see.
    NoSuchServer,
    /// The server has no such schedule.
    NoSuchSchedule,
    /// No such voice channel.
    NoSuchChannel,
    /// Nobody of that uid is in the voice channel.
    NoSuchMember,
    /// No such room.
    NoSuchRoom,
    /// No such table.
    NoSuchTable,
    /// Nobody of that name is in the lobby, or has an account, or was there lately.
    NoSuchPlayer,
    /// Nobody of that name is banned.
    NoSuchBan,
    /// No such definition of a room or table game.
    NoSuchDefinition,
    /// No such saved game.
    NoSuchSavegame,
    /// No such letter waits.
    NoSuchLetter,
    /// The link was used, has expired or gave way to a newer one.
    LinkGone,
    /// No such file or folder.
    NoSuchFile,
    /// No such upload, or it has expired.
    NoSuchUpload,
    /// Nothing of that number is in the server's bin.
    NoSuchDeletion,
    /// No such snapshot of that server.
    NoSuchSnapshot,
    /// Not in that way.
    MethodNotAllowed,
    /// The body took too long.
    BodyTooSlow,
    /// The name belongs to another account.
    NameTaken,
    /// The last administrator stays one.
    LastAdmin,
    /// The game cannot be hosted here just now.
    GameUnavailable,
    /// The pool has no free port left.
    NoFreePort,
    /// Another program holds the server's port.
    PortTaken,
    /// Only a running server can do that.
    NotRunning,
    /// The server is doing something else.
    Busy,
    /// A consistent snapshot was asked for, and could not be had.
    NotConsistent,
    /// Nothing was restored that could be undone.
    NothingToUndo,
    /// Deleting asks for the name.
    Unconfirmed,
    /// That asks for a stopped server.
    NotStopped,
    /// The server is not marked to be destroyed.
    NotMarked,
    /// The box has not enough left for the server.
    OverBudget,
    /// The server could not be prepared.
    MountFailed,
    /// A step of creating failed, and all of it was undone.
    CreationFailed,
    /// The server has as many schedules as it may.
    TooManySchedules,
    /// The lobby's rules are against it just now; `result` is what its protocol calls that.
    LobbyRefused,
    /// Something of that name is there already.
    FileExists,
    /// A folder where a file is needed, the other way round, or a device, pipe or socket.
    WrongKind,
    /// The path leads out of the server's folder.
    LeadsOut,
    /// The server's user may not do that with the file.
    NotPermitted,
    /// The file is not what `If-Match` says.
    FileChanged,
    /// The piece does not begin where the upload goes on; `offset` says where that is.
    WrongOffset,
    /// The server has all the room on the disk that it may have.
    OverLimit,
    /// The range begins after the end of the file.
    BadRange,
    /// The body ended before its time.
    BrokenOff,
    /// The path cannot be one of a server's file.
    BadPath,
    /// The archive is damaged, of no known kind, or holds what is not unpacked.
    BadArchive,
    /// The content is not what was announced.
    ContentMismatch,
    /// The body has too many bytes.
    BodyTooLarge,
    /// The body must say that it is JSON.
    NotJson,
    /// The name cannot be one.
    BadName,
    /// The password cannot be one.
    BadPassword,
    /// A field's value is not acceptable.
    BadField,
    /// No such game.
    NoSuchGame,
    /// The game has no such version.
    NoSuchVersion,
    /// Only a WebSocket can have that.
    UpgradeRequired,
    /// Too many failed attempts.
    LockedOut,
    /// Too many connections.
    TooManyConnections,
    /// One caller asked for too much of that in too short a time.
    TooFast,
    /// A fault of the box; its log says more.
    Internal,
    /// A stored record is damaged; the box's log says which.
    CorruptRecord,
    /// The process beside the server could not be reached or started.
    KeeperFailed,
    /// What is stored of a server's snapshots is damaged.
    SnapshotDamaged,
    /// A job on snapshots failed; `detail` says how.
    SnapshotFailed,
    /// The box is shutting down.
    Closing,
    /// Too much of that at once: again in a moment.
    TooBusy,
    /// The disk is full: changes are refused until there is room.
    DiskFull,
}

impl Code {
    /// Its one status.
    pub fn status(self) -> StatusCode {
        use Code::*;
        match self {
            BadJson | BadQuery | BrokenOff | BadPath => StatusCode::BAD_REQUEST,
            FileChanged => StatusCode::PRECONDITION_FAILED,
            BadRange => StatusCode::RANGE_NOT_SATISFIABLE,
            LeadsOut | NotPermitted => StatusCode::FORBIDDEN,
            FileExists | WrongKind | WrongOffset => StatusCode::CONFLICT,
            ContentMismatch => StatusCode::UNPROCESSABLE_ENTITY,
            NoSuchFile | NoSuchUpload | NoSuchDeletion => StatusCode::NOT_FOUND,
            Unauthenticated | WrongCredentials | WrongToken => StatusCode::UNAUTHORIZED,
            Forbidden | CrossSite | SetupRefused | AccountNeeded => StatusCode::FORBIDDEN,
            NotFound | NoSuchAccount | NoSuchToken | NoSuchGrant | NoSuchServer | NoSuchChannel
            | NoSuchSchedule | NoSuchMember | NoSuchRoom | NoSuchTable | NoSuchPlayer
            | NoSuchBan | NoSuchDefinition | NoSuchSavegame => StatusCode::NOT_FOUND,
            NoSuchLetter | NoSuchSnapshot => StatusCode::NOT_FOUND,
            LinkGone => StatusCode::GONE,
            MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            NameTaken | LastAdmin | GameUnavailable | NoFreePort | PortTaken | NotRunning
            | Busy | Unconfirmed | NotStopped | NotMarked | OverBudget | LobbyRefused
            | NotConsistent | NothingToUndo | TooManySchedules => StatusCode::CONFLICT,
            BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BadName | BadPassword | BadField | BadArchive | NoSuchGame | NoSuchVersion => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            LockedOut | TooManyConnections | TooFast => StatusCode::TOO_MANY_REQUESTS,
            Internal | CorruptRecord | KeeperFailed | MountFailed | CreationFailed
            | SnapshotDamaged | SnapshotFailed => StatusCode::INTERNAL_SERVER_ERROR,
            Closing | TooBusy => StatusCode::SERVICE_UNAVAILABLE,
            DiskFull | OverLimit => StatusCode::INSUFFICIENT_STORAGE,
        }
    }
}

/// The shape of a problem, for the document. Some codes add members, such as `field` or `retry_after_s`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the code says which problem it is.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What a program can act upon.
    code: Code,
    /// What a person can act upon.
    detail: String,
}

/// What leaves the box when something is refused or fails.
#[derive(Debug)]
pub struct Fault {
    /// What a program can act upon.
    pub code: Code,
    /// What a person can act upon; fit for strangers.
    pub detail: String,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Fault {
    /// A fault without more to say.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut fault = Self {
            code,
            detail: detail.into(),
            members: Map::new(),
            headers: Vec::new(),
        };
        if code.status() == StatusCode::UNAUTHORIZED {
            // `Basic` is taken as well, but offering it would make browsers ask in their own window.
            let offer = HeaderValue::from_static("Bearer realm=\"longhouse\"");
            fault = fault.header(header::WWW_AUTHENTICATE, offer);
        }
        fault
    }

    /// Adds a member to the body.
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body.
    pub fn json(&self) -> Value {
        let status = self.code.status();
        let mut body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(object) = body.as_object_mut() {
            object.extend(self.members.clone());
        }
        body
    }

    /// Logs a cause that is not the caller's to read.
    pub(super) fn internal(
        code: Code,
        detail: &str,
        cause: &(dyn std::error::Error + 'static),
    ) -> Self {
        tracing::error!(error = cause, "a request failed");
        Self::new(code, detail)
    }
}

impl Reply for Fault {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = Response::new(self.json().to_string().into());
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// What no route took.
pub(crate) fn unrouted(rejection: &Rejection) -> Response {
    match rejection.is_not_found() {
        true => Fault::new(Code::NotFound, "nothing is here"),
        false => Fault::new(Code::BadQuery, "the request cannot be understood"),
    }
    .into_response()
}

/// What every answer carries: nobody guesses types, frames us, stores secrets, or runs what an API says.
pub(crate) fn guard(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
