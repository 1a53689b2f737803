//! What people say to each other, and who hears it.

use std::net::IpAddr;

use super::{At, Effect, Hall, SessionId, TableKey, Who};
use crate::{
    accounts::AccountId,
    lobby::wire::{
        push::Push,
        terms::{Action, ChatKind, Code, Permission, RoomId},
    },
    net::network,
};

/// Characters that one may say at once, as every client is told. Without an end a few of them could fill the outboxes of
/// a whole room.
pub(in crate::lobby) const LENGTH: usize = 512;
/// As whom the box speaks.
pub(in crate::lobby) const BOX: &str = "[Server]";

impl Hall {
    pub(super) fn chat(
        &mut self,
        by: SessionId,
        kind: Option<ChatKind>,
        to: Option<&str>,
        text: String,
    ) {
        let heard = match kind {
            _ if text.chars().count() > LENGTH => Err(Code::TooLong),
            None | Some(ChatKind::Normal) => self.heard_by_room(by),
            Some(ChatKind::Announce) => self.heard_by_all(by),
            Some(ChatKind::Table) => self.heard_by_table(by),
            Some(ChatKind::Private | ChatKind::Beep) => self.heard_by_one(by, to),
        };
        // The result comes first, as the original has it.
        self.answer(
            by,
            Action::Chat,
            heard.as_ref().err().copied().unwrap_or(Code::Ok),
        );
        let from = self.person(by).who.name.clone();
        let text = (kind != Some(ChatKind::Beep)).then_some(text);
        let push = Push::Chat { kind, from, text };
        let effect = match heard {
            Err(_) => return,
            Ok(Heard::Nobody) => return,
            Ok(Heard::One(id)) => Effect::Tell(id, push),
            Ok(Heard::Room(room)) => Effect::Room(room, None, push),
            Ok(Heard::All) => Effect::Everybody(push),
            Ok(Heard::Table(key)) => {
                for (id, _) in self.table(key).everybody() {
                    self.tell(id, push.clone());
                }
                return;
            }
        };
        self.effects.push(effect);
    }

    pub(super) fn is_gagged(&self, id: SessionId) -> bool {
        !self.gagged.is_empty() && self.gagged.contains(&(&self.person(id).who).into())
    }

    /// Gags somebody, here or not. False: they are gagged already.
    pub(in crate::lobby) fn gag(&mut self, who: &Who) -> bool {
        self.gagged.insert(who.into())
    }

    /// Ungags an account, and every guest of this name. False: nobody was gagged.
    pub(in crate::lobby) fn ungag(&mut self, name: &str, account: Option<AccountId>) -> bool {
        let before = self.gagged.len();
        self.gagged.retain(|gagged| match gagged {
            Gagged::Account(theirs) => Some(*theirs) != account,
            Gagged::Guest(theirs, _) => !theirs.eq_ignore_ascii_case(name),
        });
        self.gagged.len() < before
    }

    /// A guest who is gagged does not get rid of it by making an account of their name.
    pub(super) fn take_gag_along(&mut self, who: &Who) {
        let guest = Who {
            account: None,
            ..who.clone()
        };
        if self.gagged.contains(&(&guest).into()) {
            self.gag(who);
        }
    }

    fn heard_by_room(&self, by: SessionId) -> Result<Heard, Code> {
        let room = self.person(by).room.ok_or(Code::NotInRoom)?;
        match self.is_gagged(by) {
            true => Ok(Heard::One(by)),
            false => Ok(Heard::Room(room)),
        }
    }

    fn heard_by_all(&self, by: SessionId) -> Result<Heard, Code> {
        if !self.person(by).permissions.has(Permission::ChatAnnounce) {
            return Err(Code::NoPermission);
        }
        match self.is_gagged(by) {
            true => Ok(Heard::One(by)),
            false => Ok(Heard::All),
        }
    }

    fn heard_by_table(&self, by: SessionId) -> Result<Heard, Code> {
        let (key, _) = self.person(by).table().ok_or(Code::NoTable)?;
        match self.is_gagged(by) {
            true => Ok(Heard::One(by)),
            false => Ok(Heard::Table(key)),
        }
    }

    fn heard_by_one(&self, by: SessionId, to: Option<&str>) -> Result<Heard, Code> {
        let to = self
            .named(to.ok_or(Code::BadOptions)?)
            .ok_or(Code::UsrLookup)?;
        let may = |id| self.person(id).permissions.has(Permission::EditPrivmsg);
        let plays = |id| matches!(self.person(id).at, At::Table(..));
        if (plays(by) || plays(to)) && !may(by) && !may(to) {
            return Err(Code::AtTable);
        }
        let keeps_order = self.keeps_order(to);
        match self.is_gagged(by) && !keeps_order {
            true => Ok(Heard::Nobody),
            false => Ok(Heard::One(to)),
        }
    }

    /// Whether they are a host or an administrator.
    pub(in crate::lobby) fn keeps_order(&self, id: SessionId) -> bool {
        use crate::lobby::wire::terms::PlayerKind::{Admin, Host};
        let person = self.people.get(&id);
        person.is_some_and(|person| matches!(person.kind(), Admin | Host))
    }

    /// A word to one person.
    pub(in crate::lobby) fn whisper(&mut self, to: SessionId, from: &str, text: &str) {
        let push = Push::Chat {
            kind: Some(ChatKind::Private),
            from: from.into(),
            text: Some(text.into()),
        };
        self.tell(to, push);
    }

    /// Somebody says something in a room without being there, or in all rooms.
    pub(in crate::lobby) fn call(
        &mut self,
        room: Option<RoomId>,
        from: &str,
        account: Option<AccountId>,
        text: &str,
    ) -> bool {
        if account.is_some_and(|account| self.gagged.contains(&Gagged::Account(account))) {
            return false;
        }
        let push = |kind| Push::Chat {
            kind: Some(kind),
            from: from.into(),
            text: Some(text.into()),
        };
        let effect = match room {
            Some(room) => Effect::Room(room, None, push(ChatKind::Normal)),
            None => Effect::Everybody(push(ChatKind::Announce)),
        };
        self.effects.push(effect);
        true
    }
}

/// Who is gagged: a person, and not whoever has their name later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Gagged {
    Account(AccountId),
    /// Their name in lower case, and the network that they came from.
    Guest(String, IpAddr),
}

impl From<&Who> for Gagged {
    fn from(who: &Who) -> Self {
        match who.account {
            Some(account) => Self::Account(account),
            None => Self::Guest(who.name.to_ascii_lowercase(), network(who.address)),
        }
    }
}

enum Heard {
    Nobody,
    One(SessionId),
    Table(TableKey),
    Room(RoomId),
    All,
}
