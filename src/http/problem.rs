//! The one place where an error becomes an answer: RFC 9457 problem details with a stable code.
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

use crate::{
    accounts::AccountsError,
    audit::AuditError,
    hosting::HostingError,
    keeper::KeeperError,
    lobby::{LobbyError, ledger::LedgerError, wire::terms},
    store::StoreError,
    voice::VoiceError,
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
    /// Deleting asks for the name.
    Unconfirmed,
    /// The lobby's rules are against it just now; `result` is what its protocol calls that.
    LobbyRefused,
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
            BadJson | BadQuery => StatusCode::BAD_REQUEST,
            Unauthenticated | WrongCredentials | WrongToken => StatusCode::UNAUTHORIZED,
            Forbidden | CrossSite | SetupRefused | AccountNeeded => StatusCode::FORBIDDEN,
            NotFound | NoSuchAccount | NoSuchToken | NoSuchGrant | NoSuchServer | NoSuchChannel
            | NoSuchMember | NoSuchRoom | NoSuchTable | NoSuchPlayer | NoSuchBan
            | NoSuchDefinition | NoSuchSavegame => StatusCode::NOT_FOUND,
            MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            NameTaken | LastAdmin | GameUnavailable | NoFreePort | PortTaken | NotRunning
            | Busy | Unconfirmed | LobbyRefused => StatusCode::CONFLICT,
            BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            BadName | BadPassword | BadField | NoSuchGame | NoSuchVersion => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            LockedOut | TooManyConnections | TooFast => StatusCode::TOO_MANY_REQUESTS,
            Internal | CorruptRecord | KeeperFailed => StatusCode::INTERNAL_SERVER_ERROR,
            Closing | TooBusy => StatusCode::SERVICE_UNAVAILABLE,
            DiskFull => StatusCode::INSUFFICIENT_STORAGE,
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
    fn internal(code: Code, detail: &str, cause: &(dyn std::error::Error + 'static)) -> Self {
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

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull { .. } => Self::new(
                Code::DiskFull,
                "the box's disk is full: changes are refused until there is room",
            ),
            StoreError::Closed => Self::new(Code::Closing, "the box is shutting down"),
            StoreError::Corrupt { .. } => Self::internal(
                Code::CorruptRecord,
                "a stored record is damaged; the box's log says which",
                &error,
            ),
            StoreError::TooLarge { .. } => Self::new(Code::BodyTooLarge, error.to_string()),
            StoreError::Uncertain { .. } => Self::internal(
                Code::Internal,
                "the disk failed, and the change may or may not have been kept",
                &error,
            ),
            StoreError::Unusable { .. } | StoreError::Newer { .. } => Self::internal(
                Code::Internal,
                "the store cannot be used; the box's log says why",
                &error,
            ),
        }
    }
}

impl From<AuditError> for Fault {
    fn from(AuditError(error): AuditError) -> Self {
        error.into()
    }
}

impl From<AccountsError> for Fault {
    fn from(error: AccountsError) -> Self {
        let code = match error {
            AccountsError::Store(error) => return error.into(),
            AccountsError::Audit(error) => return error.into(),
            AccountsError::LockedOut { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                return Self::new(Code::LockedOut, error.to_string())
                    .member("retry_after_s", seconds)
                    .header(header::RETRY_AFTER, seconds);
            }
            AccountsError::TooManyRegistrations { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                return Self::new(Code::LockedOut, error.to_string())
                    .member("retry_after_s", seconds)
                    .header(header::RETRY_AFTER, seconds);
            }
            AccountsError::RegistrationClosed => Code::Forbidden,
            AccountsError::WrongCredentials => Code::WrongCredentials,
            AccountsError::WrongToken => Code::WrongToken,
            AccountsError::SetupRefused => Code::SetupRefused,
            AccountsError::Forbidden(_) => Code::Forbidden,
            AccountsError::NoSuchAccount(_) => Code::NoSuchAccount,
            AccountsError::NameTaken(_) => Code::NameTaken,
            AccountsError::BadName(_) => Code::BadName,
            AccountsError::BadPassword(_) => Code::BadPassword,
            AccountsError::NoSuch { what: "grant", .. } => Code::NoSuchGrant,
            AccountsError::NoSuch { .. } => Code::NoSuchToken,
            AccountsError::LastAdmin(_) => Code::LastAdmin,
            AccountsError::Invalid { what, .. } => {
                return Self::new(Code::BadField, error.to_string()).member("field", what);
            }
            AccountsError::Busy => {
                return Self::new(Code::TooBusy, error.to_string()).header(header::RETRY_AFTER, 1);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<HostingError> for Fault {
    fn from(error: HostingError) -> Self {
        let detail = error.to_string();
        let code = match error {
            HostingError::Store(error) => return error.into(),
            HostingError::Audit(error) => return error.into(),
            HostingError::Keeper(KeeperError::Refused(_)) => Code::KeeperFailed,
            HostingError::Keeper(_) => {
                let detail = "the server's keeper could not be reached; the box's log says why";
                return Self::internal(Code::KeeperFailed, detail, &error);
            }
            HostingError::Io { .. } => {
                let detail =
                    "a file of the server could not be read or written; the box's log says which";
                return Self::internal(Code::Internal, detail, &error);
            }
            HostingError::Bad { field, why } => {
                return Self::new(Code::BadField, detail)
                    .member("field", field)
                    .member("why", why);
            }
            HostingError::NoSuchServer(_) => Code::NoSuchServer,
            HostingError::NoSuchGame(_) => Code::NoSuchGame,
            HostingError::NoSuchVersion { .. } => Code::NoSuchVersion,
            HostingError::Unavailable { .. } => Code::GameUnavailable,
            HostingError::NoFreePort { .. } => Code::NoFreePort,
            HostingError::PortTaken { .. } => Code::PortTaken,
            HostingError::NotRunning(_) => Code::NotRunning,
            HostingError::Busy { .. } => Code::Busy,
            HostingError::Unconfirmed { .. } => Code::Unconfirmed,
            HostingError::Forbidden { .. } | HostingError::MayNotCreate => Code::Forbidden,
            HostingError::Closed => Code::Closing,
        };
        Self::new(code, detail)
    }
}

impl From<VoiceError> for Fault {
    fn from(error: VoiceError) -> Self {
        let detail = error.to_string();
        let code = match error {
            VoiceError::Store(error) => return error.into(),
            VoiceError::Audit(error) => return error.into(),
            VoiceError::BadTitle => {
                return Self::new(Code::BadField, format!("title: {detail}"))
                    .member("field", "title")
                    .member("why", detail);
            }
            VoiceError::Full { .. } | VoiceError::TooManyGuests => {
                return Self::new(Code::TooBusy, detail).header(header::RETRY_AFTER, 60);
            }
            VoiceError::NoSuchChannel(_) => Code::NoSuchChannel,
            VoiceError::NoSuchUser(_) | VoiceError::NoSuchMember { .. } => Code::NoSuchMember,
            VoiceError::Forbidden(_) => Code::Forbidden,
            VoiceError::NoFreePort { .. } => Code::NoFreePort,
            VoiceError::NoAccount => Code::AccountNeeded,
            VoiceError::Shut { .. } => Code::PortTaken,
            VoiceError::Socket(_) => {
                let detail = "the channel's socket cannot be opened; the box's log says why";
                return Self::internal(Code::Internal, detail, &error);
            }
            VoiceError::Closed => Code::Closing,
        };
        Self::new(code, detail)
    }
}

impl From<LobbyError> for Fault {
    fn from(error: LobbyError) -> Self {
        let detail = error.to_string();
        let bad = |field: &str| {
            Self::new(Code::BadField, format!("{field}: {detail}"))
                .member("field", field)
                .member("why", detail.as_str())
        };
        let code = match error {
            LobbyError::Store(error) | LobbyError::Ledger(LedgerError::Store(error)) => {
                return error.into();
            }
            LobbyError::Audit(error) => return error.into(),
            LobbyError::Accounts(error) => return error.into(),
            LobbyError::Ledger(LedgerError::TooMany { .. }) => Code::TooBusy,
            LobbyError::Ledger(LedgerError::BadFile(_)) => return bad("file"),
            LobbyError::Ledger(LedgerError::BadText { what, .. }) => return bad(what),
            LobbyError::BadDefinition(_) => return bad("toml"),
            LobbyError::BadText(_) => return bad("text"),
            LobbyError::BadReason(_) => return bad("reason"),
            LobbyError::TooFast { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                return Self::new(Code::TooFast, detail)
                    .member("retry_after_s", seconds)
                    .header(header::RETRY_AFTER, seconds);
            }
            LobbyError::Forbidden(_)
            | LobbyError::Above(_)
            | LobbyError::Oneself
            | LobbyError::MayNotEnter(_)
            | LobbyError::Gagged
            | LobbyError::Banned
            | LobbyError::Refused(terms::Code::NoPermission) => Code::Forbidden,
            LobbyError::NoAccount => Code::AccountNeeded,
            LobbyError::NobodyHere(_) => Code::NoSuchPlayer,
            LobbyError::NoSuchRoom(_) => Code::NoSuchRoom,
            LobbyError::NoSuchTable(..) => Code::NoSuchTable,
            LobbyError::NoSuchMatch(_) => Code::NotFound,
            LobbyError::NoSuchGame(_) => Code::NoSuchGame,
            LobbyError::NoSuchSavegame(_) => Code::NoSuchSavegame,
            LobbyError::NoSuchDefinition { .. } | LobbyError::NoSuchOverride { .. } => {
                Code::NoSuchDefinition
            }
            LobbyError::NotBanned(_) => Code::NoSuchBan,
            LobbyError::Refused(code) => {
                return Self::new(Code::LobbyRefused, detail).member("result", json!(code));
            }
            LobbyError::Socket(_) | LobbyError::Stage(_) => {
                let detail = "the lobby cannot do that; the box's log says why";
                return Self::internal(Code::Internal, detail, &error);
            }
            LobbyError::Closed => Code::Closing,
        };
        Self::new(code, detail)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::{ChannelId, Uid};
    use std::time::Duration;

    #[test]
    fn store_details_never_leave() {
        let fault = Fault::from(StoreError::Corrupt {
            table: "account",
            key: "ada".into(),
        });
        let body = fault.json().to_string();
        assert_eq!(fault.code.status().as_u16(), 500);
        assert!(!body.contains("account") && !body.contains("ada"), "{body}");
        let full = Fault::from(AuditError(StoreError::DiskFull {
            path: "/secret".into(),
        }));
        assert_eq!(full.json()["code"], "disk-full");
        assert!(!full.json().to_string().contains("secret"));
    }

    #[test]
    fn a_lockout_says_when_to_come_back() {
        let locked = Fault::from(AccountsError::LockedOut {
            retry_after: Duration::from_secs(30),
        });
        let response = locked.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "30");
    }

    #[test]
    fn who_has_proved_nothing_is_told_how_to() {
        let response = Fault::from(AccountsError::WrongToken).into_response();
        assert_eq!(response.status(), 401);
        assert!(response.headers().contains_key(header::WWW_AUTHENTICATE));
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
    }

    #[test]
    fn what_voice_refuses_can_be_acted_upon() {
        let channel = ChannelId(7);
        for (error, status, code) in [
            (VoiceError::NoSuchChannel(channel), 404, "no-such-channel"),
            (VoiceError::NoSuchUser(Uid(3)), 404, "no-such-member"),
            (
                VoiceError::NoSuchMember {
                    uid: Uid(3),
                    channel,
                },
                404,
                "no-such-member",
            ),
            (VoiceError::Forbidden("voice.manage"), 403, "forbidden"),
            (VoiceError::NoAccount, 403, "account-needed"),
            (VoiceError::Full { channel, most: 2 }, 503, "too-busy"),
            (
                VoiceError::NoFreePort { first: 1, last: 2 },
                409,
                "no-free-port",
            ),
            (VoiceError::BadTitle, 422, "bad-field"),
            (VoiceError::TooManyGuests, 503, "too-busy"),
            (VoiceError::Closed, 503, "closing"),
        ] {
            let body = Fault::from(error).json();
            assert_eq!(
                (&body["status"], &body["code"]),
                (&json!(status), &json!(code)),
                "{body}"
            );
        }
    }

    #[test]
    fn what_the_lobby_refuses_can_be_acted_upon() {
        use terms::{RoomId, TableId};
        let room = RoomId(7);
        for (error, status, code) in [
            (LobbyError::NoSuchRoom(room), 404, "no-such-room"),
            (
                LobbyError::NoSuchTable(room, TableId(1)),
                404,
                "no-such-table",
            ),
            (LobbyError::NobodyHere("eve".into()), 404, "no-such-player"),
            (LobbyError::NotBanned("eve".into()), 404, "no-such-ban"),
            (LobbyError::Above("ada".into()), 403, "forbidden"),
            (LobbyError::MayNotEnter(room), 403, "forbidden"),
            (
                LobbyError::TooFast {
                    retry_after: Duration::from_millis(50),
                },
                429,
                "too-fast",
            ),
            (LobbyError::Gagged, 403, "forbidden"),
            (LobbyError::Banned, 403, "forbidden"),
            (LobbyError::BadText(512), 422, "bad-field"),
            (
                LobbyError::Refused(terms::Code::NoPermission),
                403,
                "forbidden",
            ),
            (
                LobbyError::Refused(terms::Code::RoomFull),
                409,
                "lobby-refused",
            ),
            (LobbyError::Closed, 503, "closing"),
        ] {
            let body = Fault::from(error).json();
            assert_eq!(
                (&body["status"], &body["code"]),
                (&json!(status), &json!(code)),
                "{body}"
            );
        }
        let full = Fault::from(LobbyError::Refused(terms::Code::RoomFull));
        assert_eq!(full.json()["result"], "room-full");
        let fast = Fault::from(LobbyError::TooFast {
            retry_after: Duration::from_millis(50),
        });
        assert_eq!(fast.json()["retry_after_s"], 1);
        assert_eq!(fast.into_response().headers()[header::RETRY_AFTER], "1");
    }

    #[test]
    fn a_bad_field_is_named_apart() {
        let body = Fault::from(HostingError::Bad {
            field: "limits.memory".into(),
            why: "too small".into(),
        })
        .json();
        assert_eq!(body["field"], "limits.memory");
        assert_eq!(body["detail"], "limits.memory: too small");
    }
}
