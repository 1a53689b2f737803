//! Faults: MyOTTD's codes and names, ours beside them, and the one place where an error becomes a fault.
//!
//! ```text
//! the framework's:      [api.auth.password] the secret is wrong
//! raised by a method:   (-1) [vservers.no_such_server] no server 7        -1: nothing was recorded of it
//!                       (34) [vservers.busy] server 7 is stopping: ...    34: the seq of its intent in the audit log
//! 8001 and 8002:        function server_strat not found                    as the original's library says it
//! ```
//!
//! All of them are answers with status 200, as XML-RPC wants it.

use super::wire::Response;
use crate::{
    accounts::AccountsError, audit::AuditError, hosting::HostingError, keeper::KeeperError,
    mail::MailError, store::StoreError,
};

macro_rules! codes {
    ($($(#[$about:meta])* $code:ident = $number:literal, $name:literal;)*) => {
        /// Every fault there is. A number, once shipped, keeps its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$about])* $code,)* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$code,)*];

            /// Its `faultCode`.
            pub fn number(self) -> i32 {
                match self { $(Self::$code => $number,)* }
            }

            /// Its dotted name; empty for the two that have none on the wire.
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)* }
            }
        }
    };
}

codes! {
    /// A fault of the box, or a wrong number or type of arguments.
    Internal = 1000, "api.internal";
    /// The parameters are not two arrays, or the first is empty.
    Format = 1011, "api.format";
    /// The first array is not what its method of proof wants.
    AuthFormat = 1021, "api.auth.format";
    /// No such method of proof.
    AuthMethod = 1022, "api.auth.method";
    /// Nobody has that name.
    Username = 1091, "api.auth.username";
    /// The secret is wrong, or there were too many wrong ones.
    Password = 1092, "api.auth.password";
    /// They may not.
    Forbidden = 1101, "api.forbidden";
    /// An argument's value is not acceptable.
    Argument = 1102, "api.argument";
    /// Too much of that in too short a time.
    TooFast = 1103, "api.too_fast";
    /// Too much of that at once.
    TooBusy = 1104, "api.too_busy";
    /// The box is shutting down.
    Closing = 1105, "api.closing";
    /// The disk is full.
    DiskFull = 1106, "api.disk_full";
    /// The account waits for its address to be verified.
    NotVerified = 2011, "auth.check_login.not_verified";
    /// No such account.
    BadUsername = 2012, "auth.check_login.bad_username";
    /// The password is wrong.
    BadPassword = 2013, "auth.check_login.bad_password";
    /// No such account to verify.
    VerifyUid = 2021, "auth.verify.uid";
    /// The token is not the one that was mailed.
    VerifyToken = 2022, "auth.verify.token";
    /// It is verified already.
    VerifyDone = 2023, "auth.verify.alreadydone";
    /// No such account.
    NoSuchUser = 2031, "auth.no_such_user";
    /// The name is taken.
    NameTaken = 2032, "auth.name_taken";
    /// Nobody makes their own account here.
    RegistrationClosed = 2033, "auth.registration_closed";
    /// No such server, or not theirs to see.
    NoSuchServer = 3001, "vservers.no_such_server";
    /// No such game.
    NoSuchGame = 3002, "vservers.no_such_game";
    /// The game has no such version.
    NoSuchVersion = 3003, "vservers.no_such_version";
    /// Only a running server can do that.
    NotRunning = 3004, "vservers.not_running";
    /// The server is doing something else.
    Busy = 3005, "vservers.busy";
    /// Another program holds the server's port.
    PortTaken = 3006, "vservers.port_taken";
    /// It asks for a second confirmation.
    Unconfirmed = 3007, "vservers.unconfirmed";
    /// No port, class or place left for another server.
    NoMoreSlots = 3011, "vservers.initialize_server.no_more_slots";
    /// What carries a server out failed.
    Backend = 3012, "vservers.initialize_server.backend";
    /// No such file or folder.
    NoSuchFile = 4001, "files.no_such_file";
    /// A folder where a file is needed, the other way round, a device, or something that is there already.
    FileKind = 4002, "files.kind";
    /// It is no path, or leads out of the server's folder.
    FilePath = 4003, "files.path";
    /// The server's user may not do that with it.
    FilePermission = 4004, "files.permission";
    /// The server has all the room on the disk that it may have.
    FileLimit = 4005, "files.limit";
    /// The console may not be streamed to there.
    StreamTarget = 5001, "console.stream.target";
    /// Nobody answered there.
    StreamConnect = 5002, "console.stream.connect";
    /// Who answered does not speak the protocol.
    StreamGreeting = 5003, "console.stream.greeting";
    /// Too many consoles are streamed already.
    StreamMany = 5004, "console.stream.too_many";
    /// No such function.
    Function = 8001, "";
    /// The call, or its result, is no XML-RPC.
    Marshal = 8002, "";
}

/// The seq of an audit record, where there is one.
type Record = Option<u64>;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What a program can act upon.
    pub(crate) code: Code,
    /// What a person can act upon; fit for strangers.
    pub(crate) text: String,
    /// By a method rather than by what is around it, with the audit record that it left.
    raised: Option<Record>,
}

impl Fault {
    /// A fault.
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            code,
            text,
            raised: None,
        }
    }

    /// One whose cause is not the caller's to read, but is logged.
    pub(crate) fn internal(text: &str, cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "a call failed");
        Self::new(Code::Internal, text)
    }

    /// That argument `name` cannot be so.
    pub(crate) fn argument(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(Code::Argument, format!("{name}: {why}"))
    }

    /// Raised by a method that left this record.
    pub(super) fn raised(mut self, record: Record) -> Self {
        self.raised = Some(record);
        self
    }

    pub(super) fn response(self) -> Response {
        let (code, name, text) = (self.code.number(), self.code.name(), self.text);
        let text = match (name, self.raised) {
            ("", _) => text,
            (_, None) => format!("[{name}] {text}"),
            (_, Some(None)) => format!("(-1) [{name}] {text}"),
            (_, Some(Some(record))) => format!("({record}) [{name}] {text}"),
        };
        Response::Fault { code, text }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
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
            StoreError::TooLarge { .. } => Self::new(Code::Argument, error.to_string()),
            error => Self::internal("the box's store failed; its log says how", &error),
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
        let text = error.to_string();
        let code = match error {
            AccountsError::Store(error) => return error.into(),
            AccountsError::Audit(error) => return error.into(),
            AccountsError::WrongCredentials | AccountsError::WrongToken => Code::Password,
            AccountsError::LockedOut { .. } => Code::Password,
            AccountsError::TooManyRegistrations { .. } => Code::TooFast,
            AccountsError::Busy => Code::TooBusy,
            AccountsError::RegistrationClosed => Code::RegistrationClosed,
            AccountsError::SetupRefused
            | AccountsError::Forbidden(_)
            | AccountsError::LastAdmin(_) => Code::Forbidden,
            AccountsError::NoSuchAccount(_) | AccountsError::NoSuch { .. } => Code::NoSuchUser,
            AccountsError::Mail(error) => return error.into(),
            AccountsError::TooManyLetters { .. } => Code::TooFast,
            AccountsError::Unverified(_) => Code::NotVerified,
            AccountsError::AlreadyVerified(_) => Code::VerifyDone,
            AccountsError::LinkGone => Code::VerifyToken,
            AccountsError::NameTaken(_) => Code::NameTaken,
            AccountsError::BadName(_)
            | AccountsError::BadPassword(_)
            | AccountsError::Invalid { .. } => Code::Argument,
        };
        Self::new(code, text)
    }
}

impl From<MailError> for Fault {
    fn from(error: MailError) -> Self {
        let text = error.to_string();
        let code = match error {
            MailError::Store(error) => return error.into(),
            MailError::Audit(error) => return error.into(),
            MailError::Full(_) | MailError::Sending(_) => Code::TooBusy,
            MailError::BadAddress(_) | MailError::NoSuchLetter(_) | MailError::TooOld(_) => {
                Code::Argument
            }
        };
        Self::new(code, text)
    }
}

impl From<HostingError> for Fault {
    fn from(error: HostingError) -> Self {
        let text = error.to_string();
        let code = match error {
            HostingError::Store(error) => return error.into(),
            HostingError::Audit(error) => return error.into(),
            HostingError::Keeper(KeeperError::Refused(_)) => Code::Backend,
            HostingError::Keeper(_) | HostingError::Io { .. } => {
                let text =
                    "the server's keeper or files could not be reached; the box's log says why";
                let code = Code::Backend;
                return Self {
                    code,
                    ..Self::internal(text, &error)
                };
            }
            HostingError::Unavailable { .. } => Code::Backend,
            HostingError::NoSuchServer(_) => Code::NoSuchServer,
            HostingError::NoSuchGame(_) => Code::NoSuchGame,
            HostingError::NoSuchVersion { .. } => Code::NoSuchVersion,
            HostingError::Bad { .. } => Code::Argument,
            HostingError::NoFreePort { .. } => Code::NoMoreSlots,
            HostingError::PortTaken { .. } => Code::PortTaken,
            HostingError::NotRunning(_) => Code::NotRunning,
            HostingError::Busy { .. } => Code::Busy,
            HostingError::Unconfirmed { .. } => Code::Unconfirmed,
            HostingError::OverBudget { .. } => Code::NoMoreSlots,
            HostingError::Unprepared { .. } | HostingError::NotCreated { .. } => Code::Backend,
            HostingError::NotStopped(_) => Code::Busy,
            HostingError::NotMarked(_) => Code::Unconfirmed,
            HostingError::Forbidden { .. }
            | HostingError::MayNotCreate
            | HostingError::MayNotCreateFor(_)
            | HostingError::MayNotSetClasses
            | HostingError::ClassClosed { .. } => Code::Forbidden,
            HostingError::Closed => Code::Closing,
        };
        Self::new(code, text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn told(fault: Fault) -> (i32, String) {
        match fault.response() {
            Response::Fault { code, text } => (code, text),
            Response::Value(value) => panic!("{value:?}"),
        }
    }

    #[test]
    fn a_number_and_a_name_mean_one_thing() {
        let numbers: BTreeSet<_> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers.len(), Code::ALL.len());
        let named = Code::ALL
            .iter()
            .map(|code| code.name())
            .filter(|name| !name.is_empty());
        let named: Vec<_> = named.collect();
        assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len());
        assert_eq!(named.len(), Code::ALL.len() - 2);
    }

    #[test]
    fn the_wording_tells_who_raised_it() {
        let fault = || Fault::from(HostingError::NoSuchServer(7));
        assert_eq!(
            told(fault()),
            (3001, "[vservers.no_such_server] no server 7".into())
        );
        let raised = |record| told(fault().raised(record)).1;
        assert_eq!(raised(None), "(-1) [vservers.no_such_server] no server 7");
        assert_eq!(
            raised(Some(34)),
            "(34) [vservers.no_such_server] no server 7"
        );
        let unknown = Fault::new(Code::Function, "function x not found");
        assert_eq!(
            told(unknown.raised(None)),
            (8001, "function x not found".into())
        );
    }

    #[test]
    fn what_is_too_much_at_once_and_what_comes_too_late_are_told_apart() {
        for (fault, code) in [
            (Fault::from(AccountsError::Busy), Code::TooBusy),
            (Fault::from(MailError::Full(9)), Code::TooBusy),
            (Fault::from(HostingError::Closed), Code::Closing),
            (Fault::from(StoreError::Closed), Code::Closing),
        ] {
            assert_eq!(fault.code, code, "{fault:?}");
        }
    }

    #[test]
    fn what_is_the_boxes_own_to_know_is_not_told() {
        let io = std::io::Error::other("secret cause");
        let path = "/secret/path".into();
        for fault in [
            Fault::from(HostingError::Io { path, source: io }),
            Fault::from(StoreError::Corrupt {
                table: "secret",
                key: "secret".into(),
            }),
            Fault::from(StoreError::DiskFull {
                path: "/secret".into(),
            }),
        ] {
            assert!(!fault.text.contains("secret"), "{fault:?}");
        }
    }
}
