//! Secrets: how they come in, how they are made, and how they are compared.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

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

    /// What it may be where clients send a password or its SHA-1 hex, and do not say which: most likely first.
    pub(super) fn readings(&self) -> Vec<Hashed> {
        let is_hash = self.0.len() == 40 && self.0.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = is_hash.then(|| Hashed(self.0.to_ascii_lowercase()));
        hash.into_iter().chain([self.hashed()]).collect()
    }

    /// What every door hands on: some clients never send more than this.
    pub(super) fn hashed(&self) -> Hashed {
        Hashed(HEXLOWER.encode(&sha1::Sha1::digest(&self.0)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
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
