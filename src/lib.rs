//! Longhouse: a game night in one box. This page is how it is built.
//!
//! Bytes are decoded by pure code, decisions are made by synchronous state that one task owns, effects
//! happen at the rim, and one file ([`daemon`]) shows how it is all put together.
//!
//! ```text
//!            players and admins
//!        HTTP 8080 │ control.sock │ admin 9090 │ KV 8085+udp │ GGZ 5688 │ mDNS
//!  ────────────────┴──────────────┴────────────┴─────────────┴──────────┴── rim: http carries, panel decodes;
//!                  │                               │             │              voice and lobby have their own
//!                  │                               │           lobby ─► games (processes that speak ggzdmod)
//!                  │                             voice ─► relay (UDP, one message per receiver)
//!              hosting  (what should be) ──► worker (this box)
//!                  │                            │ unix socket
//!     accounts   audit                       keeper ─► the game, in its sandbox
//!        └─────────┴──── store (sled)        (outlives the daemon; appends the console's files)
//! ```
//!
//! # The rooms
//!
//! | room | owns |
//! |---|---|
//! | [`store`] | sled: typed tables, transactions, durable commits, backup and restore. The only `use sled` |
//! | [`accounts`] | people: credentials, registration, roles, grants, tokens, sessions, throttling |
//! | [`audit`] | the write-ahead, hash-chained record of who did what |
//! | [`hosting`] | servers as they should be: definitions, ports, lifecycle |
//! | [`schedules`] | what servers do by the clock |
//! | [`worker`] | carries hosting's wishes out on this box: folders, files, launch, observe |
//! | [`files`] | a server's files: paths that cannot leave, whole writes, the bin, uploads |
//! | [`keeper`] | the small process beside each game server (one thread) |
//! | [`sandbox`] | users, rlimits, cgroups, pidfds, process trees. The only unsafe, but for the relay's socket calls |
//! | [`snapshots`] | what servers' folders were: taking, keeping, verifying and restoring, in processes of their own |
//! | [`voice`] | the KV relay: users, channels, seats, the control port, the hot path |
//! | [`discovery`] | what the box announces in the local network |
//! | [`mail`] | letters that wait for an SMTP server, and the task that takes them there |
//! | [`lobby`] | GGZ: rooms, tables, seats, chat, ratings, and the sessions and games that meet there |
//! | [`games`] | table games that ship with the box, each a program that speaks ggzdmod |
//! | [`discovery`] | being found in the local network |
//! | [`tls`] | the box's own certificate authority |
//! | [`console`] | lines with sequence numbers in segment files |
//! | [`http`] | the one HTTP tree's carrier: accept loop, limits, callers, problems, routes |
//! | [`panel`] | the web API under `/api/v1`, its OpenAPI document, and manman's routes |
//! | [`rpc`] | MyOTTD's XML-RPC: its daemons' methods over the same services |
//! | `net` | what every TCP door knows: who is one address, how many may come in |
//! | [`tls`] | the box's own authority, and the certificate that its doors show |
//! | [`telemetry`] | logs, metrics, the admin listener |
//! | [`cli`] | verbs, which talk to the daemon over its control socket |
//! | [`config`] | `longhouse.toml`, checked |
//! | [`daemon`] | the only wiring |
//!
//! Arrows: the rim calls services, services own state and talk to the store; `wire.rs` files, `store`
//! and `sandbox` import nothing else of ours; nobody imports `daemon`.
//!
//! # Decisions, and where they went further than the design
//!
//! - **The console's files are the console.** A keeper appends blocks to segment files and tells the
//!   daemon only how far it is. Every viewer is a cursor over those files, in the page cache: none has a
//!   queue, none can stall the writer or another viewer, and a daemon that was killed goes on reading
//!   where it was. One that lags too far skips ahead and is told by how much.
//! - **The control socket speaks the same HTTP API** as the network does; who calls is known by
//!   `SO_PEERCRED`. So a command-line verb and a browser cannot disagree.
//! - **The keeper decides restarts; hosting decides wishes.** Both are one total function of state and
//!   event each ([`keeper`]'s over processes, [`hosting`]'s over keepers), so that a game is restarted
//!   within a millisecond even while no daemon runs.
//! - **A keeper's death is its game's death** (parent-death signal), and whatever else is left is swept by
//!   cgroup, user and mark before a new keeper starts: nothing of a server can be orphaned.
//! - **The keeper's loop is one `ppoll`.** smol runs what waits on sockets (a game's TCP probe, its TCP console) aside,
//!   while there is any: async-io's reactor thread stood between a game's death and its replacement.
//! - **The keeper's wire is written by hand**, with golden bytes, not in bincode: it outlives releases, and a few
//!   bytes that one can read are easier to keep for ever than an encoding's idea of them.
//! - **sled's own transactions are not used.** Readers would wait for its flush. Transactions join a group in memory;
//!   one thread applies the group under one journal entry, which is replayed at open when a crash cut it short.
//! - **Room is promised before a change is taken**, because sled gives up for good at its first failed write: a full
//!   disk then refuses changes and harms nothing.
//! - **One room more than the design names:** [`http`] holds what every HTTP door shares, so that the
//!   doors themselves stay thin.
//! - **In voice the store is the truth and memory its image.** A change is one transaction that checks everything
//!   itself; then the service reads what was touched and puts it into effect. A restart is the same as one large change.
//! - **The relay's roster is immutable but for atomics in its seats.** A member's address is bound by its first packet
//!   where that packet is read, so that it is heard too; nothing has to be asked, swapped or locked for it.
//! - **A flood of strangers is turned away in the kernel**, by a socket filter that is made of the roster while the flood
//!   lasts: user space alone would lose members' packets to a full queue before it could look at them.
//! - **A uid acts only from its home address.** The KV protocol proves nothing; so a guest's uid is worth something only
//!   where it was registered, and an account's only where its ticket was asked for.
//! - **Who works on a game's folder has the game's rights, and no more.** A snapshot is taken by a process with the effective
//!   user of the server, and a real one that no server has: what a game plants cannot lead it anywhere, and the game can
//!   neither stop nor read it.
//! - **Own comings and goings in voice are not audited**, what somebody does to others or to the box is: the protocol
//!   lets strangers come and go as fast as they like, and the record is not theirs to fill.
//! - **In the lobby memory is the truth and the store its history.** Who sits where ends with the games that know it; what
//!   lasts (ratings, matches, saved games, bans, permissions, definitions) is written by one scribe, in the order of the
//!   reports. After a crash the saved games go on at tables of their own, with the seats kept.
//! - **The hall is pure.** Everything that happens goes in by a method and comes out as a list of effects, so that a
//!   property test can play ten thousand evenings and compare what each client was told with what is.
//! - **A game data connection is proved**: it comes from the session's address or carries a token that the session was
//!   given. The original takes any connection that says a name.
//! - **One user per table, one group per game type** (as root), so that a table's end is certain and two games cannot
//!   read each other's files. A cgroup per table where there can be one: it alone limits the processor.
//! - **Our table games speak JSON lines** to their clients, all five the same, with full state in every message: what is
//!   lost is never missed, and a client is written in an afternoon.
//! - **One table of routes** drives both the routing and the OpenAPI document; they cannot drift.
//!
//! Panic means bug, never input: the daemon logs it and aborts, and games live on with their keepers.

pub mod accounts;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod daemon;
pub mod discovery;
pub mod files;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod games;
pub mod hosting;
pub mod http;
pub mod keeper;
pub mod lobby;
pub mod mail;
mod net;
pub mod panel;
pub mod rpc;
pub mod sandbox;
pub mod schedules;
pub mod snapshots;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod voice;
pub mod worker;
