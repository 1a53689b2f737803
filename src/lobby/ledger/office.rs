//! What administrators set: permissions of accounts, and definitions of games and rooms.

use super::{
    LedgerError,
    checks::{NAME, text},
    handle::{Ledger, Touched, readable},
    records::{DEFINITIONS, Definition, DefinitionKind, PERMISSIONS, PermissionRecord},
};
use crate::{
    accounts::{AccountId, Role},
    lobby::wire::terms::Permissions,
    store::{StoreError, Tx},
};

/// Bytes of a definition's text, at most.
const TEXT: usize = 32 << 10;
/// Definitions, at most.
const ALL: usize = 1000;

/// What somebody has set that an account may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask {
    /// All of it.
    pub(crate) permissions: Permissions,
    /// What the account was then.
    pub(crate) role: Role,
}

impl Ledger {
    /// What an account may, if somebody has set it. In memory, unless some record does not decode. One that does not is
    /// an error: what it took away must not come back by itself.
    pub(crate) fn mask(&self, account: AccountId) -> Result<Option<Mask>, LedgerError> {
        let image = self.image();
        let (known, doubtful) = (image.masks.get(&account).copied(), image.doubtful);
        drop(image);
        let found = match known {
            None if doubtful => self.store.get(PERMISSIONS, account.0.to_be_bytes())?,
            known => known,
        };
        Ok(found.map(|found| Mask {
            permissions: Permissions::from_bits(found.mask),
            role: found.role,
        }))
    }

    /// Sets what an account may.
    pub(crate) async fn set_mask(&self, account: AccountId, mask: Mask) -> Result<(), LedgerError> {
        let record = PermissionRecord {
            account,
            mask: mask.permissions.bits(),
            role: mask.role,
        };
        let _touching = self.touching(vec![Touched::Mask(account)]);
        let work = |tx: &mut Tx<'_>| tx.put(PERMISSIONS, account.0.to_be_bytes(), &record);
        Ok(self.store.write(work).await?)
    }

    /// The account may again what everybody of its kind may; true when something was set.
    pub(crate) async fn clear_mask(&self, account: AccountId) -> Result<bool, LedgerError> {
        let _touching = self.touching(vec![Touched::Mask(account)]);
        let work = |tx: &mut Tx<'_>| tx.delete(PERMISSIONS, account.0.to_be_bytes());
        Ok(self.store.write::<_, StoreError>(work).await?)
    }

    /// All that was defined or removed over the API: games, then rooms, by name.
    pub(crate) fn definitions(&self) -> Result<Vec<Definition>, LedgerError> {
        let found = readable(self.store.scan(DEFINITIONS, b""))?;
        Ok(found
            .into_iter()
            .map(|(_, definition)| definition)
            .collect())
    }

    /// Keeps a definition. It stands before a file of the same name.
    pub(crate) async fn put_definition(
        &self,
        kind: DefinitionKind,
        name: &str,
        toml: String,
    ) -> Result<(), LedgerError> {
        self.define(kind, name, Some(toml)).await
    }

    /// Removes one, be it of the API, of a file, or shipped.
    pub(crate) async fn remove_definition(
        &self,
        kind: DefinitionKind,
        name: &str,
    ) -> Result<(), LedgerError> {
        self.define(kind, name, None).await
    }

    /// Only what a file or this release says of it counts again; true when something else did.
    pub(crate) async fn forget_definition(
        &self,
        kind: DefinitionKind,
        name: &str,
    ) -> Result<bool, LedgerError> {
        let work = |tx: &mut Tx<'_>| tx.delete(DEFINITIONS, kind.key(name));
        Ok(self.store.write::<_, StoreError>(work).await?)
    }

    async fn define(
        &self,
        kind: DefinitionKind,
        name: &str,
        toml: Option<String>,
    ) -> Result<(), LedgerError> {
        text("definition's name", name, 1, NAME)?;
        if toml.as_ref().is_some_and(|toml| toml.len() > TEXT) {
            return Err(LedgerError::TooMany {
                what: "bytes of a definition",
                most: TEXT,
            });
        }
        let definition = Definition {
            kind,
            name: name.into(),
            text: toml,
        };
        let store = &self.store;
        let key = kind.key(name);
        let work = |tx: &mut Tx<'_>| {
            let known = store
                .get(DEFINITIONS, &key)
                .is_ok_and(|found| found.is_some());
            if !known && store.scan(DEFINITIONS, b"").count() >= ALL {
                return Err(LedgerError::TooMany {
                    what: "definitions",
                    most: ALL,
                });
            }
            Ok(tx.put(DEFINITIONS, &key, &definition)?)
        };
        self.store.write(work).await
    }
}
