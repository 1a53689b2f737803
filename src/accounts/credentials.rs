//! Argon2id over the SHA-1 of a password: computing it off the runtime's threads, and remembering
//! for a while what was right.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, Version,
    password_hash::{self, Output, ParamsString, PasswordHash, Salt, SaltString},
};
use sha2::{Digest as _, Sha256};

use super::{
    AccountId, AccountsError,
    records::Credential,
    secret::{Digest, Hashed, random},
    turns::{Turn, Turns},
};
use crate::audit::Door;

/// KiB per computation.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// How long a right password is remembered.
const REMEMBER: Duration = Duration::from_secs(300);
/// How many are remembered.
const REMEMBERED: usize = 1024;

/// Computes and remembers.
pub(super) struct Vault {
    boot: [u8; 32],
    turns: Turns,
    /// Until when each is good. Locked for one look or insertion.
    right: Mutex<HashMap<Digest, Instant>>,
    /// What strangers' passwords are held against, so that they take as long.
    nobody: Credential,
}

impl Vault {
    pub(super) fn new() -> Self {
        let bytes = |bytes: &[u8]| data_encoding::BASE64_NOPAD.encode(bytes);
        let (salt, hash) = (bytes(&random::<16>()), bytes(&random::<32>()));
        Self {
            boot: random(),
            turns: Turns::new(),
            right: Mutex::default(),
            nobody: Credential(format!(
                "$argon2id$v=19$m={MEMORY},t={PASSES},p={LANES}${salt}${hash}"
            )),
        }
    }

    /// Whether this very password was right for this very credential a short while ago. A new
    /// credential is another key, so that nothing has to be dropped when one changes.
    pub(super) fn remembers(
        &self,
        now: Instant,
        account: AccountId,
        given: &Hashed,
        stored: &Credential,
    ) -> bool {
        let key = self.key(account, given, stored);
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(&key).is_some_and(|until| now < *until)
    }

    pub(super) fn remember(
        &self,
        now: Instant,
        account: AccountId,
        given: &Hashed,
        stored: &Credential,
    ) {
        let key = self.key(account, given, stored);
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= REMEMBERED {
            right.retain(|_, until| now < *until);
        }
        if right.len() >= REMEMBERED {
            let soonest = right.iter().min_by_key(|(_, until)| **until);
            let soonest = soonest.map(|(key, _)| *key);
            soonest.map(|key| right.remove(&key));
        }
        right.insert(key, now + REMEMBER);
    }

    fn key(&self, account: AccountId, given: &Hashed, stored: &Credential) -> Digest {
        let hash = Sha256::new()
            .chain_update(self.boot)
            .chain_update(account.key())
            .chain_update(&given.0)
            .chain_update(&stored.0);
        Digest(hash.finalize().into())
    }

    /// Waits for a turn, as long as people at that door do.
    pub(super) async fn turn(&self, door: Door) -> Result<Turn, AccountsError> {
        self.turns.take(door).await
    }

    /// Whether `given` is the password of `stored`. Without one it takes as long and is not.
    pub(super) async fn verify(
        &self,
        mut turn: Turn,
        given: Hashed,
        stored: Option<Credential>,
    ) -> bool {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.nobody.clone());
        // The turn ends with the computation, though nobody may wait for it any more.
        let verify = move || fits(&mut turn, &given, &stored).unwrap_or(false);
        // A failed join is the runtime going down: nobody comes in then.
        tokio::task::spawn_blocking(verify).await.unwrap_or(false) && exists
    }

    /// The credential to store for a new password.
    pub(super) async fn hash(
        &self,
        door: Door,
        given: Hashed,
    ) -> Result<Credential, AccountsError> {
        let mut turn = self.turn(door).await?;
        let hash = move || {
            let salt = SaltString::encode_b64(&random::<16>()).expect("16 bytes are a salt");
            let made = credential(&mut turn, &given, salt.as_salt());
            made.expect("the parameters are constants within their ranges")
        };
        let hashed = tokio::task::spawn_blocking(hash).await;
        hashed.map_err(|_| AccountsError::Busy)
    }
}

/// Whether this is the password. A credential that cannot be read is an error.
fn fits(turn: &mut Turn, given: &Hashed, stored: &Credential) -> password_hash::Result<bool> {
    let stored = PasswordHash::new(&stored.0)?;
    let (Some(salt), Some(hash)) = (stored.salt, stored.hash) else {
        return Ok(false);
    };
    Ok(compute(turn, Params::try_from(&stored)?, given, salt)? == hash)
}

fn credential(
    turn: &mut Turn,
    given: &Hashed,
    salt: Salt<'_>,
) -> password_hash::Result<Credential> {
    let params = Params::new(MEMORY, PASSES, LANES, None)?;
    let written = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt),
        hash: Some(compute(turn, params, given, salt)?),
    };
    Ok(Credential(written.to_string()))
}

/// Two outputs are compared in constant time.
fn compute(
    turn: &mut Turn,
    params: Params,
    given: &Hashed,
    salt: Salt<'_>,
) -> password_hash::Result<Output> {
    let mut bytes = [0; Salt::MAX_LENGTH];
    let salt = salt.decode_b64(&mut bytes)?;
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let memory = turn.memory(params.block_count());
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    Output::init_with(length, |out| {
        argon2.hash_password_into_with_memory(given.0.as_bytes(), salt, out, memory)?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher as _;

    use super::*;
    use crate::accounts::Secret;

    #[tokio::test]
    async fn a_password_fits_its_own_credential_only() {
        let vault = Vault::new();
        let [right, wrong] = ["correct horse", "battery staple"].map(|p| Secret::new(p).hashed());
        let stored = vault.hash(Door::Web, right.clone()).await.unwrap();
        assert!(stored.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let check = async |given: &Hashed, stored: Option<&Credential>| {
            let turn = vault.turn(Door::Web).await.unwrap();
            vault.verify(turn, given.clone(), stored.cloned()).await
        };
        assert!(check(&right, Some(&stored)).await);
        assert!(!check(&wrong, Some(&stored)).await);
        assert!(!check(&right, None).await);
        assert!(!check(&right, Some(&Credential("junk".into()))).await);
        assert!(PasswordHash::new(&vault.nobody.0).is_ok_and(|hash| hash.hash.is_some()));
    }

    #[tokio::test]
    async fn used_memory_gives_the_same_result_as_a_library_that_takes_its_own() {
        let given = Secret::new("correct horse").hashed();
        let mut turn = Turns::new().take(Door::Web).await.unwrap();
        for salt in [[1; 16], [2; 16]] {
            let salt = SaltString::encode_b64(&salt).unwrap();
            let ours = credential(&mut turn, &given, salt.as_salt()).unwrap();
            let params = Params::new(MEMORY, PASSES, LANES, None).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let theirs = argon2.hash_password(given.0.as_bytes(), &salt).unwrap();
            assert_eq!(ours.0, theirs.to_string());
            assert!(fits(&mut turn, &given, &ours).unwrap());
        }
    }

    #[test]
    fn what_was_right_is_remembered_for_a_while_and_within_bounds() {
        let (vault, now) = (Vault::new(), Instant::now());
        let given = Secret::new("correct horse").hashed();
        let [old, new] = ["old", "new"].map(|c| Credential(c.into()));
        vault.remember(now, AccountId(1), &given, &old);
        assert!(vault.remembers(now, AccountId(1), &given, &old));
        assert!(!vault.remembers(now, AccountId(2), &given, &old));
        assert!(!vault.remembers(now, AccountId(1), &given, &new));
        assert!(!vault.remembers(now + REMEMBER, AccountId(1), &given, &old));
        for id in 0..2 * REMEMBERED as u64 {
            vault.remember(now + Duration::from_millis(id), AccountId(id), &given, &old);
        }
        assert_eq!(vault.right.lock().unwrap().len(), REMEMBERED);
        let last = AccountId(2 * REMEMBERED as u64 - 1);
        assert!(vault.remembers(now, last, &given, &old));
    }
}
