//! What is stored of the box's own authority.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::store::{Record, Table};

pub(super) const AUTHORITIES: Table<Authority> = Table::new();
/// The only key of [`AUTHORITIES`].
pub(super) const BOX: &[u8] = b"box";

/// The authority, once for the life of the box: who trusts it trusts every certificate that it issues.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// What it is called, in its certificate and in those that it issues.
    pub(super) name: String,
    /// Its private key, PKCS #8. Not printed.
    pub(super) key: Vec<u8>,
    /// Its certificate, DER.
    pub(super) certificate: Vec<u8>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Record for Authority {
    const TABLE: &'static str = "authority";
    const FORMAT: u8 = 1;
}
