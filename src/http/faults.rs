//! The one place where an error becomes an answer: what each room refuses, as a code and words.

use serde_json::json;
use warp::http::header;

use super::problem::{Code, Fault};
use crate::{
    accounts::AccountsError,
    audit::AuditError,
    files::FilesError,
    hosting::HostingError,
    keeper::KeeperError,
    lobby::{LobbyError, ledger::LedgerError, wire::terms},
    mail::MailError,
    schedules::SchedulesError,
    snapshots::SnapshotsError,
    store::StoreError,
    voice::VoiceError,
};

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
            AccountsError::TooManyLetters { retry_after } => {
                let seconds = retry_after.as_secs().max(1);
                return Self::new(Code::TooFast, error.to_string())
                    .member("retry_after_s", seconds)
                    .header(header::RETRY_AFTER, seconds);
            }
            AccountsError::Mail(error) => return error.into(),
            AccountsError::Unverified(_) => Code::WrongCredentials,
            AccountsError::AlreadyVerified(_) | AccountsError::LinkGone => Code::LinkGone,
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

impl From<MailError> for Fault {
    fn from(error: MailError) -> Self {
        let detail = error.to_string();
        let code = match error {
            MailError::Store(error) => return error.into(),
            MailError::Audit(error) => return error.into(),
            MailError::BadAddress(_) => {
                return Self::new(Code::BadField, detail).member("field", "mail address");
            }
            MailError::Full(_) => {
                return Self::new(Code::TooBusy, detail).header(header::RETRY_AFTER, 60);
            }
            MailError::NoSuchLetter(_) => Code::NoSuchLetter,
            MailError::Sending(_) => Code::Busy,
            MailError::TooOld(_) => Code::LinkGone,
        };
        Self::new(code, detail)
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
            HostingError::OverBudget { .. } => Code::OverBudget,
            HostingError::Unprepared { .. } => Code::MountFailed,
            HostingError::NotCreated { .. } => Code::CreationFailed,
            HostingError::NotStopped(_) => Code::NotStopped,
            HostingError::NotMarked(_) => Code::NotMarked,
            HostingError::Forbidden { .. }
            | HostingError::MayNotCreate
            | HostingError::MayNotCreateFor(_)
            | HostingError::MayNotSetClasses
            | HostingError::ClassClosed { .. } => Code::Forbidden,
            HostingError::Closed => Code::Closing,
        };
        Self::new(code, detail)
    }
}

impl From<SchedulesError> for Fault {
    fn from(error: SchedulesError) -> Self {
        let detail = error.to_string();
        let code = match error {
            SchedulesError::Store(error) => return error.into(),
            SchedulesError::Audit(error) => return error.into(),
            SchedulesError::Hosting(error) => return error.into(),
            SchedulesError::Bad { field, why } => {
                return Self::new(Code::BadField, detail)
                    .member("field", field)
                    .member("why", why);
            }
            SchedulesError::NoSuchSchedule { .. } => Code::NoSuchSchedule,
            SchedulesError::TooMany { .. } => Code::TooManySchedules,
            SchedulesError::Running(_) => Code::Busy,
            SchedulesError::Closed => Code::Closing,
        };
        Self::new(code, detail)
    }
}

impl From<FilesError> for Fault {
    fn from(error: FilesError) -> Self {
        let detail = error.to_string();
        let code = match error {
            FilesError::Store(error) => return error.into(),
            FilesError::Audit(error) => return error.into(),
            FilesError::Hosting(error) => return error.into(),
            FilesError::Path(_) => Code::BadPath,
            FilesError::Archive(_) => Code::BadArchive,
            FilesError::NoSuchFile(_) => Code::NoSuchFile,
            FilesError::NotFolder(_)
            | FilesError::IsFolder(_)
            | FilesError::NotEmpty(_)
            | FilesError::Special { .. }
            | FilesError::Link(_)
            | FilesError::IntoItself { .. } => Code::WrongKind,
            FilesError::Exists(_) => Code::FileExists,
            FilesError::LeadsOut(_) => Code::LeadsOut,
            FilesError::NotPermitted(_) => Code::NotPermitted,
            FilesError::Changed(_) => Code::FileChanged,
            FilesError::Checksum { .. } | FilesError::Length { .. } => Code::ContentMismatch,
            FilesError::DiskFull(_) => Code::DiskFull,
            FilesError::OverLimit {
                limit,
                used,
                wanted,
            } => {
                return Self::new(Code::OverLimit, detail)
                    .member("limit", limit)
                    .member("used", used)
                    .member("wanted", wanted);
            }
            FilesError::TooLarge(most) => {
                return Self::new(Code::BodyTooLarge, detail).member("limit", most);
            }
            FilesError::TooManyUploads(_) => Code::TooBusy,
            FilesError::Bad { what, .. } => {
                return Self::new(Code::BadField, detail).member("field", what);
            }
            FilesError::NoSuchUpload(_) => Code::NoSuchUpload,
            FilesError::Offset { at, .. } => {
                return Self::new(Code::WrongOffset, detail).member("offset", at);
            }
            FilesError::Busy(_) => Code::Busy,
            FilesError::NoSuchDeletion(_) => Code::NoSuchDeletion,
            FilesError::BrokenOff(_) => Code::BrokenOff,
            FilesError::Io { .. } => {
                let detail =
                    "a file of the server could not be read or written; the box's log says which";
                return Self::internal(Code::Internal, detail, &error);
            }
        };
        Self::new(code, detail)
    }
}

impl From<SnapshotsError> for Fault {
    fn from(error: SnapshotsError) -> Self {
        let detail = error.to_string();
        let code = match error {
            SnapshotsError::Hosting(error) => return error.into(),
            SnapshotsError::Store(error) => return error.into(),
            SnapshotsError::Audit(error) => return error.into(),
            SnapshotsError::Bad { field, why } => {
                return Self::new(Code::BadField, detail)
                    .member("field", field)
                    .member("why", why);
            }
            SnapshotsError::Io { .. } => {
                let detail = "a folder of the snapshots could not be read or written; the box's log says which";
                return Self::internal(Code::Internal, detail, &error);
            }
            SnapshotsError::Job(_) => return Self::internal(Code::SnapshotFailed, &detail, &error),
            SnapshotsError::NoSuchSnapshot { .. } => Code::NoSuchSnapshot,
            SnapshotsError::NoSuchPath(_) | SnapshotsError::Empty(_) => Code::NoSuchFile,
            SnapshotsError::Busy(_) | SnapshotsError::WouldNotStop(_) => Code::Busy,
            SnapshotsError::Running(_) => Code::NotStopped,
            SnapshotsError::Inconsistent(_) => Code::NotConsistent,
            SnapshotsError::NothingToUndo(_) => Code::NothingToUndo,
            SnapshotsError::DiskFull(_) => Code::DiskFull,
            SnapshotsError::Damaged(_) => Code::SnapshotDamaged,
            SnapshotsError::Closed => Code::Closing,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use warp::Reply as _;

    use super::*;
    use crate::voice::{ChannelId, Uid};

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
