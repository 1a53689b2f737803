//! The talk with the server: the effects at the rim. What its answers mean is an [`Outcome`].

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use lettre::{
    Address, Message,
    message::{
        Body, Mailbox,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::time::timeout;

use super::{records::Letter, state::Outcome};
use crate::net;

/// Bytes of a line of a letter, at most: RFC 5322, 2.1.1.
const LINE: usize = 998;

/// How long a server may take to say goodbye: other letters wait for it.
const GOODBYE: Duration = Duration::from_secs(5);

/// How a connection to a mail server is kept from listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It begins in clear and must turn to TLS before anything is said (port 587 or 25).
    Starttls,
    /// It is TLS from its first byte (port 465).
    Tls,
    /// It is not: for a server on this machine or in a network that one trusts.
    None,
}

/// How long a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Until it has greeted, with TLS and name and password.
    pub greeting: Duration,
    /// For each command.
    pub command: Duration,
    /// For its answer to the text.
    pub text: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            greeting: Duration::from_secs(60),
            command: Duration::from_secs(60),
            // Who gives up earlier sends a letter twice: RFC 5321, 4.5.3.2.6.
            text: Duration::from_secs(600),
        }
    }
}

/// The server that takes the box's mail.
#[derive(Clone)]
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is kept from listeners.
    pub tls: Tls,
    /// A file of authorities that its certificate may be of.
    pub ca: Option<PathBuf>,
    /// The name and password that it wants, if it wants any.
    pub credentials: Option<(String, String)>,
    /// Whom letters are from.
    pub from: Mailbox,
    /// How long it may take.
    pub patience: Patience,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.place())
    }
}

/// A server that takes commands.
pub(super) struct Line(AsyncSmtpConnection);

impl Line {
    /// Says goodbye, as far as it is heard.
    pub(super) async fn hang_up(mut self) {
        timeout(GOODBYE, self.0.abort()).await.ok(); // it may have hung up before
    }
}

impl Server {
    pub(super) fn place(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Offers all of a letter but its text: nothing has left the box when this ends in an outcome.
    pub(super) async fn offer(&self, letter: &Letter) -> Result<(Line, Vec<u8>), Outcome> {
        let (to, text) = self.compose(letter).map_err(Outcome::Refused)?;
        let greeting = timeout(self.patience.greeting, self.connect()).await;
        let mut line = match greeting {
            Ok(line) => Line(line.map_err(Outcome::Down)?),
            Err(_) => return Err(Outcome::Down(slow("greet", self.patience.greeting))),
        };
        match self.envelope(&mut line, to, &text).await {
            Ok(()) => Ok((line, text)),
            Err(outcome) => {
                line.hang_up().await;
                Err(outcome)
            }
        }
    }

    async fn envelope(&self, line: &mut Line, to: Address, text: &[u8]) -> Result<(), Outcome> {
        let (Line(smtp), from) = (line, &self.from.email);
        let mut extra = Vec::new();
        let ascii = to.as_ref() as &str;
        if !ascii.is_ascii() || !(from.as_ref() as &str).is_ascii() {
            if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                let why = "the server takes no addresses with letters beyond ASCII";
                return Err(Outcome::Refused(why.into()));
            }
            extra.push(MailParameter::SmtpUtfEight);
        }
        if !text.is_ascii() {
            extra.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let command = self.patience.command;
        // What it says to our own address is not about the letter.
        let from = smtp.command(Mail::new(Some(from.clone()), extra));
        match timeout(command, from).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(Outcome::Down(words(&error))),
            Err(_) => return Err(Outcome::Down(slow("take MAIL", command))),
        }
        let to = smtp.command(Rcpt::new(to, Vec::new()));
        match timeout(command, to).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(answered(&error)),
            Err(_) => Err(Outcome::Down(slow("take RCPT", command))),
        }
    }

    /// Hands over the text. The caller has marked the letter durably.
    pub(super) async fn hand_over(&self, line: &mut Line, text: &[u8]) -> Outcome {
        let (Line(smtp), command) = (line, self.patience.command);
        match timeout(command, smtp.command(Data)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return answered(&error),
            Err(_) => return Outcome::Down(slow("take DATA", command)),
        }
        match timeout(self.patience.text, smtp.message(text)).await {
            Ok(Ok(_)) => Outcome::Sent,
            Ok(Err(error)) if error.status().is_some() => answered(&error),
            Ok(Err(error)) => Outcome::Uncertain(words(&error)),
            Err(_) => Outcome::Uncertain(slow("answer the text", self.patience.text)),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let tls = match self.tls {
            Tls::None => None,
            Tls::Tls | Tls::Starttls => Some(self.tls().await?),
        };
        let host = net::host_name();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let me = match !host.is_empty() && host.chars().all(plain) {
            true => ClientId::Domain(host),
            false => ClientId::default(),
        };
        let (at_once, later) = match self.tls {
            Tls::Starttls => (None, tls),
            Tls::Tls | Tls::None => (tls, None),
        };
        let place = (self.host.as_str(), self.port);
        let wait = Some(self.patience.greeting);
        let mut smtp = AsyncSmtpConnection::connect_tokio1(place, wait, &me, at_once, None)
            .await
            .map_err(|error| words(&error))?;
        if let Some(tls) = later {
            let turned = smtp.starttls(tls, &me).await;
            turned.map_err(|error| words(&error))?;
        }
        if let Some((user, password)) = &self.credentials {
            let shown = Credentials::new(user.clone(), password.clone());
            let known = smtp.auth(DEFAULT_MECHANISMS, &shown).await;
            // Without its words: some repeat what they were sent.
            known.map_err(|error| match error.status() {
                Some(code) => format!("the server does not know mail.user ({code})"),
                None => words(&error),
            })?;
        }
        Ok(smtp)
    }

    /// Reads the system's authorities, and ours.
    async fn tls(&self) -> Result<TlsParameters, String> {
        let (host, ca) = (self.host.clone(), self.ca.clone());
        let read = move || {
            let mut tls = TlsParameters::builder(host);
            if let Some(ca) = ca {
                let told = |error: &dyn fmt::Display| format!("{}: {error}", ca.display());
                let pem = std::fs::read(&ca).map_err(|error| told(&error))?;
                let certificate = Certificate::from_pem(&pem).map_err(|error| told(&error))?;
                tls = tls.add_root_certificate(certificate);
            }
            tls.build().map_err(|error| words(&error))
        };
        let read = tokio::task::spawn_blocking(read).await;
        read.unwrap_or_else(|_| Err("the box is shutting down".into()))
    }

    /// The whole letter as it is sent.
    fn compose(&self, letter: &Letter) -> Result<(Address, Vec<u8>), String> {
        let said = |error: &dyn fmt::Display| format!("this letter cannot be written: {error}");
        let to: Address = letter.to.parse().map_err(|error| said(&error))?;
        // Says to answering machines that nobody reads their answer: RFC 3834.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        let automatic = HeaderValue::new(name, "auto-generated".into());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(letter.subject.as_str())
            .date(SystemTime::now())
            .message_id(Some(letter.message_id.clone()))
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(body(&letter.body));
        Ok((to, message.map_err(|error| said(&error))?.formatted()))
    }
}

/// The text as it is where that can be sent: a link stays in one piece, also for readers that decode nothing.
fn body(text: &str) -> Body {
    let plain = text.is_ascii() && !text.contains('\0');
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    let lines: Vec<_> = lines.collect();
    if plain
        && lines
            .iter()
            .all(|line| line.len() <= LINE && !line.contains('\r'))
    {
        let text = lines.join("\r\n") + "\r\n";
        return Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    Body::new(text.to_owned())
}

/// What an answer other than yes means for this letter. The line may have broken: then it is not about the letter.
fn answered(error: &Error) -> Outcome {
    match error.status() {
        Some(_) if error.is_permanent() => Outcome::Refused(words(error)),
        Some(_) => Outcome::Failed(words(error)),
        None => Outcome::Down(words(error)),
    }
}

fn words(error: &Error) -> String {
    error.to_string()
}

fn slow(what: &str, patience: Duration) -> String {
    format!("the server did not {what} within {patience:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::state::tests::letter;

    fn server() -> Server {
        Server {
            host: "::1".into(),
            port: 25,
            tls: Tls::None,
            ca: None,
            credentials: Some(("box".into(), "hunter22".into())),
            from: "The cellar <box@example.org>".parse().unwrap(),
            patience: Patience::default(),
        }
    }

    #[test]
    fn a_letter_is_plain_text_with_its_own_message_id() {
        let (_, text) = server().compose(&letter()).unwrap();
        let text = String::from_utf8(text).unwrap();
        for line in [
            "From: \"The cellar\" <box@example.org>\r\n",
            "To: ada@example.org\r\n",
            "Subject: a subject\r\n",
            "Message-ID: <1@box>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "\r\n\r\na body\r\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing from {text}");
        }
    }

    #[test]
    fn no_letter_has_headers_but_ours() {
        let mut letter = letter();
        letter.subject = "a\r\nBcc: eve@example.org\r\n\r\nb ü".into();
        let (_, text) = server().compose(&letter).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("\nBcc") && text.is_ascii(), "{text}");
        letter.body = format!("{}\n.\nü", "x".repeat(2000));
        let (_, text) = server().compose(&letter).unwrap();
        assert!(
            text.is_ascii()
                && text
                    .split(|byte| *byte == b'\n')
                    .all(|line| line.len() < 80)
        );
        letter.to = "ada@example.org\r\nBcc: eve@example.org".into();
        assert!(server().compose(&letter).is_err());
    }

    #[test]
    fn the_password_is_not_shown() {
        let server = server();
        assert_eq!(format!("{server:?}"), "Server([::1]:25)");
    }
}
