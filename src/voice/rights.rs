//! The rules: who may do what, as which uid, from where.
//!
//! | asked by | acts as | from |
//! |---|---|---|
//! | the web API, the command line | their account | wherever they proved who they are |
//! | a KV user | its uid, with the permissions that it was registered with | the address that registered it; without permissions and for somebody else: the first that joins with it |
//! | an account's uid | itself alone: it joins, leaves, unregisters | the address that asked for its ticket, while that is good |
//! | uid 0 | an administrator | where `voice.legacy_admin` says, else nowhere |

use std::net::IpAddr;

use super::{
    ChannelId, Legacy, Uid, VoiceError,
    book::{Book, Done},
    records::{Channel, USERS, User},
};
use crate::{
    accounts::{AccountId, Caller, Principal, Subject, Verb},
    audit::{Actor, Door},
    clock::UnixMillis,
};

/// The original's permission bits.
pub(super) mod permission {
    /// Register users.
    pub(in crate::voice) const REGISTER: u32 = 1 << 1;
    /// Unregister others.
    pub(in crate::voice) const UNREGISTER: u32 = 1 << 2;
    /// Create channels.
    pub(in crate::voice) const CREATE: u32 = 1 << 3;
    /// Delete channels of others.
    pub(in crate::voice) const DELETE: u32 = 1 << 4;
    /// Join others to a channel.
    pub(in crate::voice) const JOIN: u32 = 1 << 5;
    /// Remove others from a channel.
    pub(in crate::voice) const KICK: u32 = 1 << 6;
    /// All of them.
    pub(in crate::voice) const ADMIN: u32 = 0x7fff_ffff;
}
use permission::{ADMIN, CREATE, DELETE, JOIN, KICK, REGISTER, UNREGISTER};

/// Who asks.
#[derive(Debug, Clone)]
pub(super) enum Asker {
    /// Somebody who proved who they are.
    Person(Principal),
    /// Whoever says so over the KV protocol, and where they are.
    Kv(Uid, IpAddr),
    /// The box, or who holds its key.
    Box,
}

impl Book {
    /// For the audit log. The KV protocol proves nothing, so nobody's account is named for it.
    pub(super) fn actor(&self, by: &Asker) -> Actor {
        let unproven = |name: String, from| Actor {
            account: None,
            name,
            from,
            door: Door::Voice,
        };
        match by {
            Asker::Person(by) => by.actor.clone(),
            Asker::Box => unproven("box".into(), None),
            Asker::Kv(uid, from) => unproven(format!("voice user {}", uid.0), Some(*from)),
        }
    }

    /// Whether an account may be in a channel.
    pub(super) fn may_stay(&self, account: AccountId) -> bool {
        let (door, from) = (Door::Voice, None);
        let by = self.accounts.vouched(&Caller { door, from }, account);
        by.is_some_and(|by| self.accounts.allows(&by, Verb::VoiceJoin, Subject::Box))
    }

    fn is_legacy_admin(&self, uid: Uid, from: IpAddr) -> bool {
        uid == Uid::ADMIN
            && match self.legacy {
                Legacy::Off => false,
                Legacy::Loopback => from.to_canonical().is_loopback(),
                Legacy::Anywhere => true,
            }
    }

    /// What a uid may do from that address, in the original's bits; none when it is not theirs to act there.
    fn permissions(&self, uid: Uid, from: IpAddr) -> Done<Option<u32>> {
        if self.is_legacy_admin(uid, from) {
            return Ok(Some(ADMIN));
        }
        let user = self.store.get(USERS, uid.key())?;
        let Some(user) = user.filter(|user| user.acts_from(from, UnixMillis::now())) else {
            return Ok(None);
        };
        Ok(match user.account {
            None => Some(user.permissions),
            // Itself alone: an address is not proof enough for the power of a role.
            Some(account) => self.may_stay(account).then_some(0),
        })
    }

    /// Whether `by` may do what needs `verb` of people and `bits` of KV users.
    pub(super) fn need(&self, by: &Asker, verb: Verb, subject: Subject, bits: u32) -> Done<()> {
        let may = match by {
            Asker::Person(by) => self.accounts.allows(by, verb, subject),
            Asker::Kv(uid, from) => self
                .permissions(*uid, *from)?
                .is_some_and(|has| has & bits == bits),
            Asker::Box => true,
        };
        match may {
            true => Ok(()),
            false => Err(VoiceError::Forbidden(verb.name())),
        }
    }

    /// Whether a person may manage that channel. In memory.
    pub(super) fn may_manage(&self, by: &Principal, channel: &Channel) -> bool {
        let owner = self.owner(channel);
        self.accounts
            .allows(by, Verb::VoiceManage, Subject::Channel { owner })
    }

    /// Power over one channel: its owner's, or who may do `bits` to all of them.
    fn need_over(&self, by: &Asker, channel: &Channel, bits: u32) -> Done<()> {
        if let Asker::Kv(uid, from) = by
            && channel.owner == Some(*uid)
            && bits == DELETE
            && self.owner(channel).is_none()
            && self.permissions(*uid, *from)?.is_some()
        {
            return Ok(());
        }
        let owner = self.owner(channel);
        self.need(by, Verb::VoiceManage, Subject::Channel { owner }, bits)
    }

    /// Whether they may have a new channel.
    pub(super) fn may_create(&self, by: &Asker) -> Done<()> {
        self.need(by, Verb::VoiceCreate, Subject::Box, CREATE)
    }

    /// Whether there is such a channel, and they may end it.
    pub(super) fn may_delete(&self, by: &Asker, id: ChannelId) -> Done<()> {
        self.need_over(by, &self.channel(id)?, DELETE)
    }

    /// Whether they may give a seat to somebody else.
    pub(super) fn may_seat(&self, by: &Asker) -> Done<()> {
        self.need(by, Verb::VoiceManage, Subject::Box, JOIN)
    }

    /// Whether they may take that seat away: their own, or one in a channel that they may clear.
    pub(super) fn may_remove(&self, by: &Asker, uid: Uid, id: ChannelId) -> Done<()> {
        match by {
            Asker::Kv(own, from) if *own == uid => {
                self.channel(id)?;
                self.acts(uid, *from)
            }
            Asker::Kv(..) => {
                self.need(by, Verb::VoiceManage, Subject::Box, KICK)?;
                self.channel(id).map(drop)
            }
            Asker::Person(_) | Asker::Box => self.need_over(by, &self.channel(id)?, KICK),
        }
    }

    /// Whether a uid exists, and it is theirs to act as it from there.
    pub(super) fn acts(&self, uid: Uid, from: IpAddr) -> Done<()> {
        if self.store.get(USERS, uid.key())?.is_none() {
            return Err(VoiceError::NoSuchUser(uid));
        }
        match self.permissions(uid, from)? {
            Some(_) => Ok(()),
            None => Err(VoiceError::Forbidden("the address that it belongs to")),
        }
    }

    /// Whether they may register somebody with these permissions, which are then given. Nobody gives what they have not.
    pub(super) fn may_register(&self, auid: Uid, from: IpAddr, permissions: u64) -> Done<u32> {
        let given = u32::try_from(permissions & u64::from(ADMIN)).unwrap_or(ADMIN);
        let by = Asker::Kv(auid, from);
        self.need(&by, Verb::VoiceManage, Subject::Box, REGISTER | given)?;
        Ok(given)
    }

    /// Whether that is an administrator's registration, and not a guest's own.
    pub(super) fn registers(&self, auid: Uid, from: IpAddr, permissions: u64) -> bool {
        auid != Uid::ADMIN || (permissions != 0 && self.is_legacy_admin(auid, from))
    }

    /// Whether there is such a user, and they may end it.
    pub(super) fn may_unregister(&self, auid: Uid, from: IpAddr, uid: Uid) -> Done<()> {
        if auid == uid {
            return self.acts(uid, from);
        }
        let by = Asker::Kv(auid, from);
        self.need(&by, Verb::VoiceManage, Subject::Box, UNREGISTER)?;
        match self.store.get(USERS, uid.key())? {
            Some(_) => Ok(()),
            None => Err(VoiceError::NoSuchUser(uid)),
        }
    }
}

impl User {
    /// Whether it is theirs to act from that address.
    fn acts_from(&self, from: IpAddr, now: UnixMillis) -> bool {
        let home = self.home.is_some_and(|home| home == from.to_canonical());
        home && self.until.is_none_or(|until| now < until)
    }
}
