//! Bans: who may not come in.

use std::{collections::HashSet, net::IpAddr, time::Duration};

use super::{
    LedgerError,
    checks::{NAME, text},
    handle::{Ledger, Touched},
    records::{BANS, Ban},
};
use crate::{
    accounts::AccountId,
    clock::UnixMillis,
    net::network,
    store::{StoreError, Tx},
};

/// How long a guest is barred, unless said otherwise: an address belongs to somebody else soon.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Bytes of a reason, at most.
const REASON: usize = 512;
/// Bans, at most.
const ALL: usize = 10_000;
/// Bans that have ended and are thrown away by a new one, at most.
const AT_ONCE: usize = 64;

/// How long a ban lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Term {
    /// A guest for a day, an account for good.
    #[default]
    Usual,
    /// So long.
    For(Duration),
    /// For good.
    Always,
}

/// A ban that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sentence {
    /// What they are called.
    pub(crate) name: String,
    /// Whose account it is; none: a guest is barred.
    pub(crate) account: Option<AccountId>,
    /// Where they are, as far as that is known.
    pub(crate) address: Option<IpAddr>,
    /// Why, in words.
    pub(crate) reason: String,
    /// Who wants it.
    pub(crate) by: String,
    /// For how long.
    pub(crate) term: Term,
}

impl Ledger {
    /// Bars somebody; an earlier ban of the same name is replaced.
    pub(crate) async fn ban(
        &self,
        sentence: Sentence,
        now: UnixMillis,
    ) -> Result<Ban, LedgerError> {
        text("player's name", &sentence.name, 1, NAME)?;
        text("name of who bans", &sentence.by, 0, NAME)?;
        text("reason", &sentence.reason, 0, REASON)?;
        let ban = sentence.into_ban(now);
        let key = key(&ban.name);
        let ended = self.make_room(&key, now)?;
        let touched = ended.iter().chain([&key]).cloned().map(Touched::Ban);
        let _touching = self.touching(touched.collect());
        let work = |tx: &mut Tx<'_>| {
            for key in &ended {
                tx.delete(BANS, key)?;
            }
            tx.put(BANS, &key, &ban)
        };
        self.store.write(work).await?;
        Ok(ban)
    }

    /// Some that have ended.
    fn make_room(&self, key: &[u8], now: UnixMillis) -> Result<Vec<Vec<u8>>, LedgerError> {
        let image = self.image();
        let ended = image.bans.iter().filter(|(_, ban)| ban.has_ended(now));
        let ended: Vec<_> = ended.map(|(key, _)| key.clone()).take(AT_ONCE).collect();
        let full = image.bans.len() - ended.len() >= ALL && !image.bans.contains_key(key);
        match full {
            false => Ok(ended),
            true => Err(LedgerError::TooMany {
                what: "bans",
                most: ALL,
            }),
        }
    }

    /// Ends a ban; true when there was one.
    pub(crate) async fn lift(&self, name: &str) -> Result<bool, LedgerError> {
        let key = key(name);
        let _touching = self.touching(vec![Touched::Ban(key.clone())]);
        let work = |tx: &mut Tx<'_>| tx.delete(BANS, key);
        Ok(self.store.write::<_, StoreError>(work).await?)
    }

    /// All that hold, by name.
    pub(crate) fn bans(&self, now: UnixMillis) -> Vec<Ban> {
        let image = self.image();
        let holding = image.bans.values().filter(|ban| !ban.has_ended(now));
        holding.cloned().collect()
    }

    /// The ban that keeps somebody out. An account is kept out by its own; a guest, or a first login (`account` is none),
    /// by any of a guest that has their name or came from their network.
    pub(crate) fn banned(
        &self,
        name: &str,
        account: Option<AccountId>,
        address: Option<IpAddr>,
        now: UnixMillis,
    ) -> Option<Ban> {
        let from = address.map(network);
        let image = self.image();
        if !image.barred.may_bar(name, account, from) {
            return None;
        }
        let mut holding = image.bans.values().filter(|ban| !ban.has_ended(now));
        let fits = |ban: &&Ban| match (account, ban.account) {
            (Some(account), Some(barred)) => account == barred,
            (None, None) => {
                ban.name.eq_ignore_ascii_case(name)
                    || ban.network.is_some_and(|network| from == Some(network))
            }
            _ => false,
        };
        holding.find(fits).cloned()
    }
}

impl Sentence {
    fn into_ban(self, now: UnixMillis) -> Ban {
        let until = match (self.term, self.account) {
            (Term::For(duration), _) => Some(now.after(duration)),
            (Term::Usual, None) => Some(now.after(DAY)),
            (Term::Usual, Some(_)) | (Term::Always, _) => None,
        };
        Ban {
            name: self.name,
            account: self.account,
            network: match self.account {
                None => self.address.map(network),
                Some(_) => None,
            },
            reason: self.reason,
            by: self.by,
            when: now,
            until,
        }
    }
}

impl Ban {
    fn has_ended(&self, now: UnixMillis) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

/// Whom bans name, so that a look at everybody in the house need not go through all bans for each.
#[derive(Debug, Default)]
pub(super) struct Barred {
    accounts: HashSet<AccountId>,
    /// In lower case.
    names: HashSet<String>,
    networks: HashSet<IpAddr>,
}

impl Barred {
    pub(super) fn by<'a>(bans: impl Iterator<Item = &'a Ban>) -> Self {
        let mut barred = Self::default();
        for ban in bans {
            match ban.account {
                Some(account) => drop(barred.accounts.insert(account)),
                None => drop(barred.names.insert(ban.name.to_ascii_lowercase())),
            }
            barred.networks.extend(ban.network);
        }
        barred
    }

    /// False: no ban keeps them out.
    fn may_bar(&self, name: &str, account: Option<AccountId>, from: Option<IpAddr>) -> bool {
        match account {
            Some(account) => self.accounts.contains(&account),
            None => {
                !self.names.is_empty()
                    && (self.names.contains(&name.to_ascii_lowercase())
                        || from.is_some_and(|network| self.networks.contains(&network)))
            }
        }
    }
}

fn key(name: &str) -> Vec<u8> {
    name.to_ascii_lowercase().into_bytes()
}
