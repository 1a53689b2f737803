//! Secrets: how they come in, how they are made, and how they are compared.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

use crate::audit::Door;

/// A password on its way in: never printed, never logged.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Secret(String);

/// In a time that tells nothing of how much was alike.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl Secret {
    /// Wraps a clear password.
    pub fn new(clear: impl Into<String>) -> Self {
        Self(clear.into())
    }

    /// As it is, for the one who has to send it: our own clients.
    pub(crate) fn clear(&self) -> &str {
        &self.0
    }

    /// As it is, into what is sent to the one whose it is.
    pub(crate) fn serialize_clear<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What every door hands on: some clients never send more than this.
    pub(super) fn hashed(&self) -> Hashed {
        Hashed::of(&self.0)
    }

    /// What it is held against. `md5`: the account's password was set as its MD5 in hex, by one of MyOTTD's clients,
    /// which send whatever hash they like. A door that is given the password itself hashes it so first; what looks
    /// like an MD5 is one. So one password opens every door.
    pub(super) fn shown(&self, md5: bool) -> Hashed {
        match (md5, self.form()) {
            (false, _) => self.hashed(),
            (true, Form::Md5) => Hashed::of(&self.0.to_ascii_lowercase()),
            (true, _) => Hashed::of(&HEXLOWER.encode(&md5::Md5::digest(&self.0))),
        }
    }

    /// What it may be where clients send a password or its SHA-1 hex, and do not say which: most likely first.
    pub(super) fn readings(&self, md5: bool) -> Vec<Hashed> {
        let hash = self.form() == Form::Sha1;
        let hash = hash.then(|| Hashed(self.0.to_ascii_lowercase()));
        hash.into_iter().chain([self.shown(md5)]).collect()
    }

    /// What is kept of a new password that somebody sets at `door`, and whether that is of its MD5.
    pub(super) fn set_at(&self, door: Door) -> (Hashed, bool) {
        match self.form() {
            Form::Sha1 if door == Door::Rpc => (Hashed(self.0.to_ascii_lowercase()), false),
            Form::Md5 if door == Door::Rpc => (self.shown(true), true),
            _ => (self.hashed(), false),
        }
    }

    fn form(&self) -> Form {
        let hex = self.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        match self.0.len() {
            32 if hex => Form::Md5,
            40 if hex => Form::Sha1,
            _ => Form::Clear,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What a password looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Clear,
    Md5,
    Sha1,
}

impl Hashed {
    fn of(clear: &str) -> Self {
        Self(HEXLOWER.encode(&sha1::Sha1::digest(clear)))
    }
}

/// The lowercase SHA-1 hex of a password: as good as the password itself, and as secret.
#[derive(Clone)]
pub(super) struct Hashed(pub(super) String);

/// The SHA-256 of a secret that we made. Those have 256 bits, so that no salt and no slow hash is
/// needed, and looking one up by its hash tells nothing about the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Digest(pub(super) [u8; 32]);

impl Digest {
    pub(super) fn of(secret: &str) -> Self {
        Self(sha2::Sha256::digest(secret).into())
    }

    /// Compares in constant time.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Which session. Not its secret, and of no use without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub(super) Digest);

/// `N` random bytes from the kernel.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("a running kernel has random bytes");
    bytes
}

/// A fresh secret of 256 bits, as text that fits a cookie, a header and a link.
pub(super) fn fresh(prefix: &str) -> String {
    format!("{prefix}{}", BASE64URL_NOPAD.encode(&random::<32>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_handed_on_as_eternity_clients_send_them() {
        let hashed = Secret::new("password").hashed();
        assert_eq!(hashed.0, "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8");
    }

    #[test]
    fn one_password_opens_every_door_whichever_hash_a_client_sends() {
        let clear = "correct horse";
        let md5 = HEXLOWER.encode(&md5::Md5::digest(clear));
        let sha1 = Secret::new(clear).hashed().0;
        let opens = |kept: &Hashed, sent: &str, md5| {
            let readings = Secret::new(sent).readings(md5);
            readings.iter().any(|reading| reading.0 == kept.0)
        };
        // Set in clear or as SHA-1: in clear anywhere, as SHA-1 where MyOTTD's clients come in.
        for set in [clear, &sha1, &sha1.to_ascii_uppercase()] {
            let (kept, flag) = Secret::new(set).set_at(Door::Rpc);
            assert!(!flag && kept.0 == sha1 && Secret::new(clear).shown(false).0 == sha1);
            assert!(opens(&kept, clear, false) && opens(&kept, &sha1, false));
            assert!(!opens(&kept, &md5, false));
        }
        // Set as MD5: as MD5 again, or in clear anywhere.
        let (kept, flag) = Secret::new(md5.to_ascii_uppercase()).set_at(Door::Rpc);
        assert!(flag && Secret::new(clear).shown(true).0 == kept.0);
        assert!(opens(&kept, &md5, true) && opens(&kept, clear, true));
        assert!(!opens(&kept, &sha1, true));
        // Elsewhere digits are a password like any other.
        for odd in [&md5, &sha1] {
            let (kept, flag) = Secret::new(&**odd).set_at(Door::Web);
            assert!(!flag && kept.0 == Secret::new(&**odd).hashed().0);
        }
    }

    #[test]
    fn secrets_are_fresh_and_never_printed() {
        let (one, other) = (fresh("lh_"), fresh("lh_"));
        assert_ne!(one, other);
        assert_eq!(one.len(), 3 + 43);
        assert!(
            Digest::of(&one).is(&Digest::of(&one)) && !Digest::of(&one).is(&Digest::of(&other))
        );
        let shown = format!(
            "{:?} {:?}",
            Secret::new("hunter22"),
            SessionId(Digest::of(&one))
        );
        assert_eq!(shown, "Secret(..) SessionId(Digest(..))");
    }
}
