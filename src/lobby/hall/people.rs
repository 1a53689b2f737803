//! Coming, going, and what people may.

use std::net::IpAddr;

use super::{At, ChannelKey, Effect, Hall, Newcomer, Person, SessionId, Who, World, chat::BOX};
use crate::{
    accounts::AccountId,
    lobby::wire::{
        push::{Body, PlayerView, Push, Stats, Update},
        terms::{Action, Code, LeaveReason, Permissions, RoomId},
    },
};

impl Hall {
    /// Whether somebody of this name is here, in whatever case.
    pub(in crate::lobby) fn is_here(&self, name: &str) -> bool {
        self.names.contains_key(&name.to_ascii_lowercase())
    }

    /// Lets somebody in; fails when somebody of their name is here, or when they are called like the box.
    pub(in crate::lobby) fn come(&mut self, id: SessionId, newcomer: Newcomer) -> Result<(), Code> {
        let Newcomer {
            who,
            permissions,
            language,
            token,
            motd,
            fresh,
        } = newcomer;
        if who.is_called(BOX) {
            return Err(Code::BadUsername);
        }
        if self.is_here(&who.name) {
            return Err(Code::AlreadyLoggedIn);
        }
        if fresh.is_some() {
            self.take_gag_along(&who);
        }
        self.names.insert(who.name.to_ascii_lowercase(), id);
        self.members
            .extend(who.account.map(|account| (account, id)));
        self.people.insert(
            id,
            Person {
                who,
                permissions,
                language,
                token,
                room: None,
                at: At::Nowhere,
                lag: 1,
                channel: None,
                stats: Stats::default(),
            },
        );
        let body = fresh.map_or(Body::None {}, Body::Password);
        let (action, code) = (Action::Login, Code::Ok);
        self.tell(id, Push::Result { action, code, body });
        self.tell(id, motd);
        Ok(())
    }

    /// Their connection has ended. What they played is kept for them.
    pub(in crate::lobby) fn gone(&mut self, id: SessionId, world: World<'_>) {
        if self.people.contains_key(&id) {
            self.remove(id, LeaveReason::Normal, true, world);
        }
    }

    /// Takes somebody out of everything.
    fn remove(&mut self, id: SessionId, reason: LeaveReason, may_return: bool, world: World<'_>) {
        match self.person(id).at {
            At::Table(key, place) => {
                self.vacate(key, place, reason, may_return.then_some(world.now));
            }
            At::Launching(key) => {
                // Nobody waits for its game any more.
                self.table_mut(key).launcher = None;
                self.end_table(key);
            }
            At::Nowhere => {}
        }
        self.leave_room(id, None);
        self.take_channel(id);
        let person = self.people.remove(&id).expect("still here");
        self.names.remove(&person.who.name.to_ascii_lowercase());
        if let Some(account) = person.who.account {
            self.members.remove(&account);
        }
    }

    /// Takes their waiting channel away, unused.
    pub(super) fn take_channel(&mut self, id: SessionId) {
        if let Some(channel) = self.person_mut(id).channel.take() {
            self.effects.push(Effect::Close(channel));
        }
    }

    /// Sends somebody away, with a reason to read; a stranger cannot come between the two. False: they are not here.
    pub(in crate::lobby) fn kick(
        &mut self,
        id: SessionId,
        by: &str,
        reason: &str,
        world: World<'_>,
    ) -> bool {
        if !self.people.contains_key(&id) {
            return false;
        }
        self.whisper(id, by, reason);
        self.tell(id, Push::End);
        self.effects.push(Effect::Disconnect(id));
        self.remove(id, LeaveReason::Boot, false, world);
        true
    }

    pub(in crate::lobby) fn named(&self, name: &str) -> Option<SessionId> {
        self.names.get(&name.to_ascii_lowercase()).copied()
    }

    /// Who this is.
    pub(in crate::lobby) fn who(&self, id: SessionId) -> Option<&Who> {
        self.people.get(&id).map(|person| &person.who)
    }

    /// Where this account is.
    pub(in crate::lobby) fn member(&self, account: AccountId) -> Option<SessionId> {
        self.members.get(&account).copied()
    }

    /// Everybody here, and what they may.
    pub(in crate::lobby) fn everybody(&self) -> Vec<(SessionId, Who, Permissions)> {
        let person = |(id, person): (&SessionId, &Person)| {
            let Person {
                who, permissions, ..
            } = person;
            (*id, who.clone(), *permissions)
        };
        self.people.iter().map(person).collect()
    }

    /// What they may has changed.
    pub(in crate::lobby) fn permit(&mut self, id: SessionId, permissions: Permissions) {
        let Some(person) = self.people.get_mut(&id) else {
            return;
        };
        if person.permissions == permissions {
            return;
        }
        person.permissions = permissions;
        let (name, kind) = (person.who.name.clone(), person.kind());
        if let Some(room) = person.room {
            self.tell_room(
                room,
                Update::PlayerPerms {
                    room,
                    name,
                    kind,
                    permissions,
                },
            );
        }
    }

    /// How slow their connection is, 1 to 5.
    pub(in crate::lobby) fn lag(&mut self, id: SessionId, lag: u8) {
        let Some(person) = self.people.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut person.lag, lag) == lag {
            return;
        }
        let name = person.who.name.clone();
        if let Some(room) = person.room {
            self.tell_room(room, Update::PlayerLag { room, name, lag });
        }
    }

    /// A connection for somebody's game data: from their own address, or with their token. False: it is nobody's.
    pub(in crate::lobby) fn channel(
        &mut self,
        name: &str,
        from: IpAddr,
        token: Option<&str>,
        channel: ChannelKey,
    ) -> bool {
        let Some(id) = self.named(name) else {
            return false;
        };
        let person = self.person(id);
        let proved = match token {
            Some(token) => same(token, &person.token),
            None => person.who.address == from,
        };
        if proved {
            self.take_channel(id);
            self.person_mut(id).channel = Some(channel);
        }
        proved
    }

    /// A waiting connection for game data was lost before anybody could use it.
    pub(in crate::lobby) fn lost(&mut self, channel: ChannelKey) {
        for person in self.people.values_mut() {
            person.channel = person.channel.filter(|own| *own != channel);
        }
    }

    /// Who is in a room.
    pub(in crate::lobby) fn people_in(&self, room: RoomId) -> impl Iterator<Item = SessionId> {
        let people = self.room_of(room).map(|room| &room.people);
        people.into_iter().flatten().copied()
    }

    /// What somebody of this account has come to in a game.
    pub(in crate::lobby) fn rated(&mut self, game: &str, account: AccountId, stats: Stats) {
        let Some(id) = self.member(account) else {
            return; // they have left
        };
        let Some(room) = self.person(id).room else {
            return;
        };
        let played_here = self.game_of(room).is_some_and(|played| played.name == game);
        if !played_here || self.hides_stats(id) {
            return;
        }
        let person = self.person_mut(id);
        person.stats = stats;
        let name = person.who.name.clone();
        self.tell_room(room, Update::PlayerStats { room, name, stats });
    }

    pub(super) fn hides_stats(&self, id: SessionId) -> bool {
        use crate::lobby::wire::terms::Permission::NoStats;
        let person = self.person(id);
        person.who.account.is_none() || person.permissions.has(NoStats)
    }

    pub(super) fn player_view(&self, id: SessionId) -> PlayerView {
        let person = self.person(id);
        let table = person.table().map(|(key, _)| self.table(key).id);
        PlayerView {
            name: person.who.name.clone(),
            kind: person.kind(),
            table,
            permissions: person.permissions,
            lag: person.lag,
            stats: person.stats,
        }
    }

    /// Takes somebody out of their room; `to` is where they go.
    pub(super) fn leave_room(&mut self, id: SessionId, to: Option<RoomId>) {
        let Some(room) = self.person_mut(id).room.take() else {
            return;
        };
        let name = self.person(id).who.name.clone();
        let left = self.room_mut(room);
        left.people.remove(&id);
        left.changed = true;
        self.tell_room(
            room,
            Update::PlayerDelete {
                room,
                name,
                to_room: to,
            },
        );
        self.drop_if_over(room);
    }
}

/// In a time that tells nothing.
fn same(one: &str, other: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
