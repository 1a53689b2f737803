//! How mail leaves the box.

use std::path::PathBuf;

use lettre::message::Mailbox;

use super::{
    Password,
    keys::{MAIL_CA, MAIL_FROM, MAIL_PASSWORD, MAIL_SMTP, MAIL_TLS, MAIL_USER},
    values::Values,
};
use crate::mail::Tls;

/// How mail leaves the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The server that takes it, by name and port; none: it waits, and administrators are shown the links.
    pub smtp: Option<(String, u16)>,
    /// How that is kept from listeners.
    pub tls: Tls,
    /// Whom it is from; always there when a server is.
    pub from: Option<Mailbox>,
    /// The name that the server wants; empty: it wants none.
    pub user: String,
    /// And its password.
    pub password: Password,
    /// A file of authorities (PEM) that are trusted beside the system's.
    pub ca: Option<PathBuf>,
}

impl Mail {
    pub(super) fn read(values: &mut Values) -> Self {
        let mail = Self {
            smtp: values.parse(MAIL_SMTP, place),
            tls: values.parse(MAIL_TLS, tls),
            from: values.parse(MAIL_FROM, mailbox),
            user: values.text(MAIL_USER).into(),
            password: Password(values.text(MAIL_PASSWORD).into()),
            ca: Some(PathBuf::from(values.text(MAIL_CA)))
                .filter(|path| !path.as_os_str().is_empty()),
        };
        if mail.smtp.is_some() && mail.from.is_none() {
            let why = "must be said when mail.smtp is, like Longhouse <box@example.org>";
            values.fault(MAIL_FROM, why.into());
        }
        if let Some(ca) = &mail.ca
            && !ca.is_file()
        {
            values.fault(MAIL_CA, format!("{} is not a file", ca.display()));
        }
        if mail.smtp.is_some() && mail.tls == Tls::None && !mail.user.is_empty() {
            values.notes.push(format!(
                "{MAIL_TLS} is none: the password for {MAIL_SMTP} goes over the network in clear"
            ));
        }
        mail
    }
}

fn place(text: &str) -> Result<Option<(String, u16)>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("`{text}` is not HOST:PORT like mail.example.org:587");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || host.len() > 255 || port == 0 || !host.chars().all(plain) {
        return Err(wrong());
    }
    Ok(Some((host.trim_matches(['[', ']']).into(), port)))
}

fn tls(text: &str) -> Result<Tls, String> {
    match text {
        "starttls" => Ok(Tls::Starttls),
        "tls" => Ok(Tls::Tls),
        "none" => Ok(Tls::None),
        _ => Err(format!("`{text}` is none of starttls, tls, none")),
    }
}

fn mailbox(text: &str) -> Result<Option<Mailbox>, String> {
    let wrong = |_| format!("`{text}` is not like Longhouse <box@example.org>");
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load;

    #[test]
    fn mail_waits_until_a_server_is_named() {
        let mail = load("", &[], &[]).unwrap().mail;
        assert_eq!((mail.smtp, mail.tls), (None, Tls::Starttls));
        let file =
            "[mail]\nsmtp = \"[::1]:465\"\ntls = \"tls\"\nfrom = \"The box <box@example.org>\"\n";
        let mail = load(file, &[], &[]).unwrap().mail;
        assert_eq!(mail.smtp, Some(("::1".into(), 465)));
        assert_eq!(mail.from.unwrap().email.to_string(), "box@example.org");
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key_and_without_the_password() {
        let secret = ("LONGHOUSE_MAIL_PASSWORD", "hunter22");
        for (set, key) in [
            ("mail.smtp=mail.example.org", "mail.smtp"),
            ("mail.smtp=mail.example.org:0", "mail.smtp"),
            ("mail.smtp=a b:25", "mail.smtp"),
            ("mail.smtp=mail.example.org:25", "mail.from: must be said"),
            ("mail.tls=maybe", "mail.tls"),
            ("mail.from=nobody", "mail.from"),
            ("mail.from=a@b.example\r\nBcc: c@d.example", "mail.from"),
            ("mail.ca=/no/such/file", "mail.ca"),
        ] {
            let faults = load("", &[secret], &[set]).unwrap_err();
            assert!(faults.len() == 1 && faults[0].contains(key), "{faults:?}");
            assert!(!faults[0].contains("hunter22"));
        }
        let config = load("", &[secret], &[]).unwrap();
        assert!(!format!("{config:?}").contains("hunter22"));
    }
}
