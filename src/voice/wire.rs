//! The TCP control protocol: commands and replies. Pure: bytes in, values out.
//!
//! ```text
//!  command  | type: u32 BE | body: one to three u64 BE, or none                |
//!           | 0 CREATE     | uid               4 REGISTER     | auid | perm    |
//!           | 1 DELETE     | uid | chid        5 UNREGISTER   | auid | uid     |
//!           | 2 JOIN       | uid | juid | chid 6 GET_PORT     | chid           |
//!           | 3 LEAVE      | uid | luid | chid 7 GET_CHANNELS |                |
//!
//!  reply    | value: u64 BE, not 0 |
//!           | 0: u64 BE | error: u32 BE |
//!           | count: u64 BE | count channels, u64 BE each | 0: u64 BE |  to GET_CHANNELS
//! ```

use super::{ChannelId, Uid};

/// Bytes of the type that a command begins with.
pub(super) const TYPE: usize = 4;
/// Bytes of body that the original's programs send with every command, whatever its type needs.
pub(super) const BODY: usize = 32;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// A new channel.
    Create { uid: Uid },
    /// Ends a channel.
    Delete { uid: Uid, channel: ChannelId },
    /// A seat for `juid`.
    Join {
        uid: Uid,
        juid: Uid,
        channel: ChannelId,
    },
    /// Takes `luid`'s seat.
    Leave {
        uid: Uid,
        luid: Uid,
        channel: ChannelId,
    },
    /// A new user.
    Register { auid: Uid, permissions: u64 },
    /// Ends a user.
    Unregister { auid: Uid, uid: Uid },
    /// The UDP port of a channel.
    GetPort { channel: ChannelId },
    /// All channels.
    GetChannels,
}

/// What it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Done; never 0.
    Done(u64),
    /// The channels.
    Channels(Vec<ChannelId>),
    /// Not done.
    Refused(Refusal),
}

/// Why not, by the original's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The box failed, or a channel to join or leave does not exist.
    Serv = 1,
    /// A user, channel or command does not exist.
    Param = 2,
    /// The request is not complete.
    Inval = 3,
    /// They may not.
    Access = 4,
}

/// The type of a command, and no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Delete,
    Join,
    Leave,
    Register,
    Unregister,
    GetPort,
    GetChannels,
}

impl Kind {
    fn of(number: u32) -> Result<Self, Refusal> {
        Ok(match number {
            0 => Self::Create,
            1 => Self::Delete,
            2 => Self::Join,
            3 => Self::Leave,
            4 => Self::Register,
            5 => Self::Unregister,
            6 => Self::GetPort,
            7 => Self::GetChannels,
            _ => return Err(Refusal::Param),
        })
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Command {
    /// The command that `bytes` begin with; none while they end within it. What follows it is not looked at.
    ///
    /// # Errors
    /// [`Refusal::Param`] as soon as the type is known and does not exist.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let Some((number, mut body)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let kind = Kind::of(u32::from_be_bytes(*number))?;
        Ok(Self::read(kind, &mut body))
    }

    fn read(kind: Kind, body: &mut &[u8]) -> Option<Self> {
        Some(match kind {
            Kind::Create => Self::Create {
                uid: Uid(field(body)?),
            },
            Kind::Delete => Self::Delete {
                uid: Uid(field(body)?),
                channel: ChannelId(field(body)?),
            },
            Kind::Join => Self::Join {
                uid: Uid(field(body)?),
                juid: Uid(field(body)?),
                channel: ChannelId(field(body)?),
            },
            Kind::Leave => Self::Leave {
                uid: Uid(field(body)?),
                luid: Uid(field(body)?),
                channel: ChannelId(field(body)?),
            },
            Kind::Register => Self::Register {
                auid: Uid(field(body)?),
                permissions: field(body)?,
            },
            Kind::Unregister => Self::Unregister {
                auid: Uid(field(body)?),
                uid: Uid(field(body)?),
            },
            Kind::GetPort => Self::GetPort {
                channel: ChannelId(field(body)?),
            },
            Kind::GetChannels => Self::GetChannels,
        })
    }

    /// As a client sends it, without bytes that it does not need.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (kind, fields) = match *self {
            Self::Create { uid } => (Kind::Create, vec![uid.0]),
            Self::Delete { uid, channel } => (Kind::Delete, vec![uid.0, channel.0]),
            Self::Join { uid, juid, channel } => (Kind::Join, vec![uid.0, juid.0, channel.0]),
            Self::Leave { uid, luid, channel } => (Kind::Leave, vec![uid.0, luid.0, channel.0]),
            Self::Register { auid, permissions } => (Kind::Register, vec![auid.0, permissions]),
            Self::Unregister { auid, uid } => (Kind::Unregister, vec![auid.0, uid.0]),
            Self::GetPort { channel } => (Kind::GetPort, vec![channel.0]),
            Self::GetChannels => (Kind::GetChannels, Vec::new()),
        };
        out.extend_from_slice(&(kind as u32).to_be_bytes());
        out.extend(fields.into_iter().flat_map(u64::to_be_bytes));
    }
}

impl Reply {
    /// As the client gets it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Done(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::Channels(channels) => {
                out.reserve(8 * (channels.len() + 2));
                out.extend_from_slice(&(channels.len() as u64).to_be_bytes());
                for channel in channels {
                    out.extend_from_slice(&channel.0.to_be_bytes());
                }
                out.extend_from_slice(&[0; 8]);
            }
            Self::Refused(refusal) => {
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(&(*refusal as u32).to_be_bytes());
            }
        }
    }

    /// All that a client got, as it reads it: only it knows whether it asked for the channels. None: no reply.
    #[cfg(test)]
    pub(super) fn decode(mut bytes: &[u8], channels: bool) -> Option<Self> {
        let rest = &mut bytes;
        let value = field(rest)?;
        let reply = match (value, rest.len()) {
            (0, 4) => {
                let error = rest.split_off(..4)?;
                let refusals = [
                    Refusal::Serv,
                    Refusal::Param,
                    Refusal::Inval,
                    Refusal::Access,
                ];
                let of = |&refusal: &Refusal| (refusal as u32).to_be_bytes() == error;
                Self::Refused(refusals.into_iter().find(of)?)
            }
            (1.., 0) if !channels => Self::Done(value),
            (_, 8..) if channels => {
                let ids = rest.split_off(..rest.len() - 8)?;
                let (ids, []) = ids.as_chunks() else {
                    return None;
                };
                (field(rest)? == 0 && ids.len() as u64 == value).then_some(())?;
                let id = |&id: &[u8; 8]| ChannelId(u64::from_be_bytes(id));
                Self::Channels(ids.iter().map(id).collect())
            }
            _ => return None,
        };
        rest.is_empty().then_some(reply)
    }
}

/// Takes the next number off.
fn field(body: &mut &[u8]) -> Option<u64> {
    let (number, rest) = body.split_first_chunk()?;
    *body = rest;
    Some(u64::from_be_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER_PERMISSIVE;
    use proptest::prelude::*;

    /// For who writes a client; its examples are these.
    const PAGE: &str = include_str!("../../docs/kv.md");

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER_PERMISSIVE
            .decode(text.replace(' ', "").as_bytes())
            .unwrap()
    }

    fn encoded(command: &Command) -> Vec<u8> {
        let mut out = Vec::new();
        command.encode(&mut out);
        out
    }

    fn replied(reply: &Reply) -> Vec<u8> {
        let mut out = Vec::new();
        reply.encode(&mut out);
        out
    }

    #[test]
    fn every_command_has_the_bytes_of_the_original() {
        let (uid, channel) = (Uid(7), ChannelId(0x0102_0304_0506_0708));
        let golden = [
            ("00000000 0000000000000007", Command::Create { uid }),
            (
                "00000001 0000000000000007 0102030405060708",
                Command::Delete { uid, channel },
            ),
            (
                "00000002 0000000000000007 0000000000000009 0102030405060708",
                Command::Join {
                    uid,
                    juid: Uid(9),
                    channel,
                },
            ),
            (
                "00000003 0000000000000007 0000000000000009 0102030405060708",
                Command::Leave {
                    uid,
                    luid: Uid(9),
                    channel,
                },
            ),
            (
                "00000004 0000000000000000 000000007fffffff",
                Command::Register {
                    auid: Uid(0),
                    permissions: 0x7fff_ffff,
                },
            ),
            (
                "00000005 0000000000000007 0000000000000009",
                Command::Unregister {
                    auid: uid,
                    uid: Uid(9),
                },
            ),
            ("00000006 0102030405060708", Command::GetPort { channel }),
            ("00000007", Command::GetChannels),
        ];
        let sizes = golden.map(|(bytes, _)| hex(bytes).len() - TYPE);
        assert_eq!(sizes, [8, 16, 24, 24, 16, 16, 8, 0]);
        for (bytes, command) in golden {
            assert!(PAGE.contains(bytes), "not in docs/kv.md: {bytes}");
            assert_eq!(encoded(&command), hex(bytes));
            assert_eq!(Command::decode(&hex(bytes)), Ok(Some(command)));
        }
    }

    #[test]
    fn every_reply_has_the_bytes_of_the_original() {
        let golden = [
            ("0000000000008ef0", Reply::Done(36592), false),
            ("0000000000000000 00000001", Refusal::Serv.into(), false),
            ("0000000000000000 00000002", Refusal::Param.into(), true),
            ("0000000000000000 00000003", Refusal::Inval.into(), false),
            ("0000000000000000 00000004", Refusal::Access.into(), false),
            (
                "0000000000000000 0000000000000000",
                Reply::Channels(vec![]),
                true,
            ),
            (
                "0000000000000002 0000000000000045 0000000000000046 0000000000000000",
                Reply::Channels(vec![ChannelId(69), ChannelId(70)]),
                true,
            ),
        ];
        for (bytes, reply, channels) in golden {
            assert_eq!(replied(&reply), hex(bytes));
            assert_eq!(Reply::decode(&hex(bytes), channels), Some(reply));
        }
    }

    #[test]
    fn a_type_that_does_not_exist_is_refused_before_its_body() {
        for number in [8, 63, 64, 0x7fff_ffff, u32::MAX] {
            assert_eq!(
                Command::decode(&u32::to_be_bytes(number)),
                Err(Refusal::Param)
            );
        }
    }

    fn command() -> impl Strategy<Value = Command> {
        (0u32..8, any::<[[u8; 8]; 3]>()).prop_map(|(kind, body)| {
            let bytes = [&kind.to_be_bytes()[..], body.as_flattened()].concat();
            Command::decode(&bytes).unwrap().unwrap()
        })
    }

    fn reply() -> impl Strategy<Value = Reply> {
        let channels = prop::collection::vec(any::<u64>().prop_map(ChannelId), 0..40);
        prop_oneof![
            (1u64..).prop_map(Reply::Done),
            channels.prop_map(Reply::Channels),
            Just(Reply::Refused(Refusal::Access)),
        ]
    }

    proptest! {
        #[test]
        fn commands_round_trip_and_every_truncation_waits_for_more(command in command(), more: [u8; 8]) {
            let mut bytes = encoded(&command);
            for n in 0..bytes.len() {
                prop_assert_eq!(Command::decode(&bytes[..n]), Ok(None));
            }
            bytes.extend(more);
            prop_assert_eq!(Command::decode(&bytes), Ok(Some(command)));
        }

        #[test]
        fn replies_round_trip_and_no_truncation_is_a_reply(reply in reply()) {
            let bytes = replied(&reply);
            let channels = matches!(reply, Reply::Channels(_));
            for n in 0..bytes.len() {
                prop_assert_eq!(Reply::decode(&bytes[..n], channels), None);
            }
            prop_assert_eq!(Reply::decode(&bytes, channels), Some(reply));
        }

        #[test]
        fn no_bytes_panic(kind in 0u32..10, bytes in prop::collection::vec(any::<u8>(), 0..80), channels: bool) {
            for bytes in [&bytes[..], &[&kind.to_be_bytes()[..], &bytes].concat()] {
                if let Ok(Some(command)) = Command::decode(bytes) {
                    let size = encoded(&command).len();
                    prop_assert_eq!(&encoded(&command), &bytes[..size]);
                }
                if let Some(reply) = Reply::decode(bytes, channels) {
                    prop_assert_eq!(replied(&reply), bytes);
                }
            }
        }
    }
}
