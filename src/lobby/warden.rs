//! Keeping order: gag, ungag, kick, ban, and what people may.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};

use super::{
    Lobby,
    ask::Ask,
    error::LobbyError,
    hall::Who,
    ledger::{Ban, Mask, Sentence, Term},
    wire::{
        request::AdminAction,
        terms::{Code, Permission, Permissions, PlayerKind},
    },
};
use crate::{
    accounts::{AccountId, Principal, Subject, Verb},
    audit::Actor,
    clock::UnixMillis,
};

/// Somebody who keeps order.
#[derive(Debug, Clone)]
pub(super) struct Warden {
    actor: Actor,
    /// As people read it.
    name: String,
    /// Administrators keep hosts in order, and not the other way round.
    is_admin: bool,
}

/// Who has been here lately: they may be banned after they left.
#[derive(Debug, Clone, Default)]
pub(super) struct Departed(Arc<Mutex<Recent>>);

#[derive(Debug, Default)]
struct Recent {
    people: HashMap<String, Who>,
    order: VecDeque<String>,
}

/// Bytes of a reason, at most: it is told to who is sent away, and it is in the audit log.
const REASON: usize = 512;
/// So many are remembered.
const REMEMBERED: usize = 1024;

impl Departed {
    fn add(&self, who: Who) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = who.name.to_ascii_lowercase();
        if recent.people.insert(name.clone(), who).is_none() {
            recent.order.push_back(name);
        }
        if recent.order.len() > REMEMBERED
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.people.remove(&oldest);
        }
    }

    fn find(&self, name: &str) -> Option<Who> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.people.get(&name.to_ascii_lowercase()).cloned()
    }
}

impl Lobby {
    /// As whom somebody who is logged in keeps order, if they may.
    pub(super) fn warden(&self, who: &Who, actor: Actor) -> Option<Warden> {
        let kind = self.rights(who.account?)?.kind();
        matches!(kind, PlayerKind::Host | PlayerKind::Admin).then(|| Warden {
            actor,
            name: who.name.clone(),
            is_admin: kind == PlayerKind::Admin,
        })
    }

    /// The same for the API (`lobby.moderate`).
    fn web_warden(&self, by: &Principal) -> Result<Warden, LobbyError> {
        self.need(by, Verb::LobbyModerate)?;
        self.not_banned(by)?;
        Ok(Warden {
            actor: by.actor.clone(),
            name: by.actor.name.clone(),
            is_admin: self.accounts.allows(by, Verb::LobbyManage, Subject::Box),
        })
    }

    pub(super) fn departed(&self, who: Who) {
        self.departed.add(who);
    }

    /// Gags, ungags, kicks or bans (`lobby.moderate`). `term` is for bans.
    pub async fn keep_order(
        &self,
        by: &Principal,
        action: AdminAction,
        player: &str,
        reason: Option<String>,
        term: Term,
    ) -> Result<(), LobbyError> {
        let warden = self.web_warden(by)?;
        let reason = reason.or_else(|| Some("no reason was given".into()));
        self.moderate(&warden, action, player, reason, term).await
    }

    pub(super) async fn moderate(
        &self,
        by: &Warden,
        action: AdminAction,
        player: &str,
        reason: Option<String>,
        term: Term,
    ) -> Result<(), LobbyError> {
        let here = self.find(player).await?;
        let who = match (&here, action) {
            (Some(found), _) => Target::from(found),
            (None, AdminAction::Ban) => self.absent(player)?,
            (None, AdminAction::Ungag) => Target {
                name: player.into(),
                account: self.accounts.id_of(player),
                address: None,
            },
            (None, AdminAction::Gag | AdminAction::Kick) => {
                return Err(LobbyError::NobodyHere(player.into()));
            }
        };
        if by.name.eq_ignore_ascii_case(&who.name) {
            return Err(LobbyError::Oneself);
        }
        let theirs = who.account.and_then(|account| self.rights(account));
        let above = theirs.is_some_and(|theirs| theirs.kind() == PlayerKind::Admin);
        if above && !by.is_admin {
            return Err(LobbyError::Above(who.name));
        }
        let reason = match (action, reason) {
            (AdminAction::Kick | AdminAction::Ban, None) => {
                return Err(LobbyError::Refused(Code::BadOptions));
            }
            (_, reason) => reason.unwrap_or_default(),
        };
        if reason.len() > REASON || reason.contains(char::is_control) {
            return Err(LobbyError::BadReason(REASON));
        }
        let name = match action {
            AdminAction::Gag => "lobby.gag",
            AdminAction::Ungag => "lobby.ungag",
            AdminAction::Kick => "lobby.kick",
            AdminAction::Ban => "lobby.ban",
        };
        let subject = format!("player {}", who.name);
        let detail = match reason.is_empty() {
            true => Value::Null,
            false => json!({ "reason": reason }),
        };
        let (lobby, keeper) = (self.clone(), by.name.clone());
        let work = async move {
            match action {
                AdminAction::Gag => {
                    let who = here.ok_or(LobbyError::NobodyHere(who.name))?;
                    lobby.ask(|reply| Ask::Gag(who, reply)).await.map(drop)
                }
                AdminAction::Ungag => {
                    let Target { name, account, .. } = who;
                    let ungag = |reply| Ask::Ungag(name.clone(), account, reply);
                    match lobby.ask(ungag).await? || here.is_some() {
                        true => Ok(()),
                        false => Err(LobbyError::NobodyHere(name)),
                    }
                }
                AdminAction::Kick => lobby.kick(who.name, keeper, reason).await.map(drop),
                AdminAction::Ban => {
                    let sentence = Sentence {
                        name: who.name.clone(),
                        account: who.account,
                        address: who.address,
                        reason: reason.clone(),
                        by: keeper.clone(),
                        term,
                    };
                    lobby.ledger.ban(sentence, UnixMillis::now()).await?;
                    lobby.kick(who.name, keeper, reason).await.map(drop)
                }
            }
        };
        self.audited(&by.actor, name, subject, detail, work).await
    }

    async fn kick(&self, name: String, by: String, reason: String) -> Result<bool, LobbyError> {
        self.ask(|reply| Ask::Kick(name, by, reason, reply)).await
    }

    pub(super) async fn find(&self, name: &str) -> Result<Option<Who>, LobbyError> {
        self.ask(|reply| Ask::Find(name.into(), reply)).await
    }

    /// Somebody who is not here: an account, or a guest who has just left.
    fn absent(&self, name: &str) -> Result<Target, LobbyError> {
        if let Some(account) = self.accounts.id_of(&name.to_ascii_lowercase()) {
            return Ok(Target {
                name: name.into(),
                account: Some(account),
                address: None,
            });
        }
        let who = self.departed.find(name);
        let who = who.ok_or_else(|| LobbyError::NobodyHere(name.into()))?;
        Ok(Target::from(&who))
    }

    /// Gives or takes one permission; for administrators of the lobby.
    pub(super) async fn permit(
        &self,
        by: &Warden,
        player: &str,
        permission: Permission,
        value: bool,
    ) -> Result<(), LobbyError> {
        if !by.is_admin {
            return Err(LobbyError::Forbidden("an administrator"));
        }
        if by.name.eq_ignore_ascii_case(player) {
            return Err(LobbyError::Refused(Code::BadOptions));
        }
        let account = self.accounts.id_of(&player.to_ascii_lowercase());
        let Some(account) = account else {
            return Err(match self.find(player).await? {
                Some(_) => LobbyError::Refused(Code::BadOptions), // a guest has nothing to be kept in
                None => LobbyError::NobodyHere(player.into()),
            });
        };
        let mask = self
            .rights(account)
            .unwrap_or_default()
            .with(permission, value);
        self.set_mask(&by.actor, account, Some(mask)).await
    }

    /// What an account may in the lobby, and whether somebody has set it (`lobby.manage`).
    pub fn mask(
        &self,
        by: &Principal,
        account: AccountId,
    ) -> Result<(Permissions, bool), LobbyError> {
        self.need(by, Verb::LobbyManage)?;
        self.accounts
            .name_of(account)
            .ok_or_else(|| LobbyError::NobodyHere(format!("account {}", account.0)))?;
        let set = self.ledger.mask(account)?;
        Ok((self.rights(account).unwrap_or_default(), set.is_some()))
    }

    /// Sets what an account may in the lobby; none: what its role may (`lobby.manage`). When its role changes, what was
    /// taken stays taken, and what was given is gone.
    pub async fn put_mask(
        &self,
        by: &Principal,
        account: AccountId,
        mask: Option<Permissions>,
    ) -> Result<(), LobbyError> {
        self.mask(by, account)?;
        self.set_mask(&by.actor, account, mask).await
    }

    async fn set_mask(
        &self,
        actor: &Actor,
        account: AccountId,
        mask: Option<Permissions>,
    ) -> Result<(), LobbyError> {
        let name = self.accounts.name_of(account).unwrap_or_default();
        let detail = json!({ "mask": mask });
        let lobby = self.clone();
        let work = async move {
            match mask {
                Some(permissions) => {
                    let gone = || LobbyError::NobodyHere(format!("account {}", account.0));
                    let (role, _) = lobby.accounts.role_of(account).ok_or_else(gone)?;
                    let mask = Mask { permissions, role };
                    lobby.ledger.set_mask(account, mask).await?;
                }
                None => drop(lobby.ledger.clear_mask(account).await?),
            }
            let mask = lobby.rights(account).unwrap_or_default();
            lobby.tell(Ask::Permit(account, mask)).await;
            Ok(())
        };
        let subject = format!("account {name}");
        self.audited(actor, "lobby.permit", subject, detail, work)
            .await
    }

    /// Who is banned, by name (`lobby.moderate`).
    pub(crate) fn bans(&self, by: &Principal) -> Result<Vec<Ban>, LobbyError> {
        self.need(by, Verb::LobbyModerate)?;
        Ok(self.ledger.bans(UnixMillis::now()))
    }

    /// Lets somebody in again (`lobby.moderate`).
    pub async fn unban(&self, by: &Principal, name: &str) -> Result<(), LobbyError> {
        self.need(by, Verb::LobbyModerate)?;
        self.not_banned(by)?;
        let banned = self.ledger.bans(UnixMillis::now());
        if !banned.iter().any(|ban| ban.name.eq_ignore_ascii_case(name)) {
            return Err(LobbyError::NotBanned(name.into()));
        }
        let (lobby, banned) = (self.clone(), name.to_owned());
        let work = async move {
            lobby.ledger.lift(&banned).await?;
            Ok(())
        };
        let subject = format!("player {name}");
        self.audited(&by.actor, "lobby.unban", subject, Value::Null, work)
            .await
    }
}

struct Target {
    name: String,
    account: Option<AccountId>,
    address: Option<std::net::IpAddr>,
}

impl From<&Who> for Target {
    fn from(who: &Who) -> Self {
        Self {
            name: who.name.clone(),
            account: who.account,
            address: Some(who.address),
        }
    }
}

impl LobbyError {
    /// What a GGZ client is told.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::NobodyHere(_) | Self::Oneself | Self::NotBanned(_) => Code::UsrLookup,
            Self::Forbidden(_)
            | Self::Above(_)
            | Self::NoAccount
            | Self::MayNotEnter(_)
            | Self::Gagged
            | Self::Banned => Code::NoPermission,
            Self::NoSuchTable(..) => Code::NoTable,
            Self::Refused(code) => *code,
            _ => Code::BadOptions,
        }
    }
}
