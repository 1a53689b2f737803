//! The KV protocol's commands, obeyed: what each does, and by which number it is refused.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use super::{
    ChannelId, Uid, Voice, VoiceError, Why,
    book::Seated,
    handle::{Deed, of},
    rights::Asker,
    service::{Ask, Change},
    wire::{Command, Refusal, Reply},
};
use crate::{clock::UnixMillis, store::Tx};

/// Guests that are asked to give way before a new one is refused.
const TRIES: usize = 8;

impl Voice {
    /// One command, from whoever is at `from`. The control port never drops it before its end.
    pub(super) async fn command(&self, from: SocketAddr, command: Command) -> Reply {
        let from = from.ip().to_canonical();
        match self.obey(from, command).await {
            Ok(reply) => reply,
            Err(error) => Reply::Refused(refusal(&command, &error)),
        }
    }

    async fn obey(&self, from: IpAddr, command: Command) -> Result<Reply, VoiceError> {
        let kv = |uid| Asker::Kv(uid, from);
        Ok(Reply::Done(match command {
            Command::Create { uid } => self.make(kv(uid), None).await?.0,
            Command::Delete { uid, channel } => {
                self.end(kv(uid), channel).await?;
                channel.0
            }
            Command::Join { uid, juid, channel } => {
                let port = self.join((uid, from), juid, channel).await?;
                u64::from(port)
            }
            Command::Leave { uid, luid, channel } if uid == luid => {
                self.leave((uid, from), channel).await?;
                1
            }
            Command::Leave { uid, luid, channel } => {
                self.remove(kv(uid), channel, luid).await?;
                1
            }
            Command::Register { auid, permissions } => {
                self.register(auid, from, permissions).await?.0
            }
            Command::Unregister { auid, uid } => {
                self.unregister(auid, from, uid).await?;
                uid.0
            }
            Command::GetPort { channel } => u64::from(self.port(channel).await?),
            Command::GetChannels => return Ok(Reply::Channels(self.ask(Ask::Ids).await?)),
        }))
    }

    async fn join(&self, by: (Uid, IpAddr), juid: Uid, id: ChannelId) -> Result<u16, VoiceError> {
        let voice = self.clone();
        let work = async move {
            let book = voice.book();
            let write = |tx: &mut Tx<'_>| book.join(tx, by, juid, id);
            let seated = book.store.write(write).await?;
            voice.active(juid);
            voice.changed(vec![seated.change()]).await?;
            voice.port(id).await
        };
        let (uid, from) = by;
        if uid == juid {
            return work.await;
        }
        let deed = Deed {
            action: "voice.seat",
            subject: format!("voice channel {}", id.0),
            detail: json!({ "uid": juid }),
        };
        let by = Asker::Kv(uid, from);
        self.audited(deed, &by, self.book().may_seat(&by), work)
            .await
    }

    /// A guest did something: it is not idle.
    fn active(&self, uid: Uid) {
        let mut guests = self.guests();
        if let Some(home) = guests.home(uid) {
            guests.seen(uid, home, UnixMillis::now());
        }
    }

    async fn leave(&self, by: (Uid, IpAddr), id: ChannelId) -> Result<(), VoiceError> {
        let (uid, from) = by;
        let write = |tx: &mut Tx<'_>| self.book().remove(tx, &Asker::Kv(uid, from), uid, id);
        self.act(vec![of(id)], write).await
    }

    async fn register(&self, auid: Uid, from: IpAddr, permissions: u64) -> Result<Uid, VoiceError> {
        if self.book().registers(auid, from, permissions) {
            let deed = Deed {
                action: "voice.register",
                subject: "voice user".into(),
                detail: json!({ "permissions": permissions }),
            };
            let voice = self.clone();
            let work = async move {
                let book = voice.book();
                let write = |tx: &mut Tx<'_>| book.register(tx, auid, from, permissions);
                book.store.write(write).await
            };
            let may = self.book().may_register(auid, from, permissions);
            let by = Asker::Kv(auid, from);
            return self.audited(deed, &by, may, work).await;
        }
        self.make_room(from).await?;
        let book = self.book();
        let write = |tx: &mut Tx<'_>| book.register(tx, auid, from, 0);
        let uid = book.store.write(write).await?;
        self.guests().seen(uid, from, UnixMillis::now());
        Ok(uid)
    }

    /// Guests who have been idle the longest give way, unless they have seats.
    async fn make_room(&self, from: IpAddr) -> Result<(), VoiceError> {
        for _ in 0..TRIES {
            let Some(uid) = self.guests().crowded_out(from) else {
                return Ok(());
            };
            if self.retire(vec![uid]).await? == 0 {
                self.active(uid);
            }
        }
        Err(VoiceError::TooManyGuests)
    }

    /// Ends those of these guests that have no seat; how many.
    pub(super) async fn retire(&self, uids: Vec<Uid>) -> Result<usize, VoiceError> {
        let mut unused = Vec::new();
        for uid in uids {
            let sits = self.ask(|reply| Ask::Sits(uid, reply)).await?;
            if sits.is_empty() {
                unused.push(uid);
            }
        }
        let book = self.book();
        book.store.write(|tx| book.retire(tx, &unused)).await?;
        let mut guests = self.guests();
        unused.iter().for_each(|uid| guests.gone(*uid));
        Ok(unused.len())
    }

    async fn unregister(&self, auid: Uid, from: IpAddr, uid: Uid) -> Result<(), VoiceError> {
        let voice = self.clone();
        let own = auid == uid;
        let work = async move {
            let channels = voice.ask(|reply| Ask::Sits(uid, reply)).await?;
            let left = Some((uid, if own { Why::Left } else { Why::Kicked }));
            let changes = channels.iter().map(|&channel| Change { channel, left });
            let book = voice.book();
            let write = |tx: &mut Tx<'_>| book.unregister(tx, auid, from, uid, &channels);
            voice.act(changes.collect(), write).await?;
            voice.guests().gone(uid);
            Ok(())
        };
        if own {
            return work.await;
        }
        let deed = Deed {
            action: "voice.unregister",
            subject: format!("voice user {}", uid.0),
            detail: Value::Null,
        };
        let may = self.book().may_unregister(auid, from, uid);
        self.audited(deed, &Asker::Kv(auid, from), may, work).await
    }
}

impl Seated {
    /// What it changes in its channel.
    pub(super) fn change(&self) -> Change {
        let left = self.instead.map(|uid| (uid, Why::Crowded));
        let channel = self.channel;
        Change { channel, left }
    }
}

/// By the original's numbers; it has other words for a missing channel where people come and go.
fn refusal(command: &Command, error: &VoiceError) -> Refusal {
    match error {
        VoiceError::NoSuchChannel(_) => match command {
            Command::Join { .. } | Command::Leave { .. } => Refusal::Serv,
            _ => Refusal::Param,
        },
        VoiceError::NoSuchUser(_) | VoiceError::NoSuchMember { .. } => Refusal::Param,
        VoiceError::Forbidden(_) | VoiceError::NoAccount => Refusal::Access,
        VoiceError::Store(_)
        | VoiceError::Audit(_)
        | VoiceError::BadTitle
        | VoiceError::NoFreePort { .. }
        | VoiceError::Shut { .. }
        | VoiceError::Socket(_)
        | VoiceError::Full { .. }
        | VoiceError::TooManyGuests
        | VoiceError::Closed => {
            tracing::debug!(%error, "a KV command failed");
            Refusal::Serv
        }
    }
}
