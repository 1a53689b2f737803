//! Every key: its name, its default, and what it means.

/// One key: its name, what it is when nobody says otherwise, and what it means.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    meaning: &'static str,
}

pub(super) const STATE: &str = "state";
pub(super) const DATA: &str = "data";
pub(super) const HTTP_LISTEN: &str = "http.listen";
pub(super) const HTTP_URL: &str = "http.url";
pub(super) const HTTP_REDIRECTS: &str = "http.redirects";
pub(super) const ADMIN_LISTEN: &str = "admin.listen";
pub(super) const REGISTRATION: &str = "accounts.registration";
pub(super) const MAIL_SMTP: &str = "mail.smtp";
pub(super) const MAIL_TLS: &str = "mail.tls";
pub(super) const MAIL_FROM: &str = "mail.from";
pub(super) const MAIL_USER: &str = "mail.user";
pub(super) const MAIL_PASSWORD: &str = "mail.password";
pub(super) const MAIL_CA: &str = "mail.ca";
pub(super) const PORTS: &str = "hosting.ports";
pub(super) const UIDS: &str = "hosting.uids";
pub(super) const MEMORY: &str = "hosting.memory";
pub(super) const RECYCLE: &str = "hosting.recycle";
pub(super) const CONSOLE: &str = "hosting.console";
pub(super) const FILES_BIN: &str = "files.bin";
pub(super) const SNAPSHOT_RATE: &str = "snapshots.rate";
pub(super) const VOICE_LISTEN: &str = "voice.listen";
pub(super) const VOICE_PORTS: &str = "voice.ports";
pub(super) const LEGACY_ADMIN: &str = "voice.legacy_admin";
pub(super) const VOICE_RATE: &str = "voice.rate";
pub(super) const VOICE_SHARDS: &str = "voice.shards";
pub(super) const LOBBY_LISTEN: &str = "lobby.listen";
pub(super) const LOBBY_NAME: &str = "lobby.name";
pub(super) const LOBBY_TLS: &str = "lobby.tls";
pub(super) const LOBBY_UIDS: &str = "lobby.uids";
pub(super) const LOBBY_TABLES: &str = "lobby.tables";
pub(super) const LOBBY_SESSIONS: &str = "lobby.sessions";
pub(super) const LOBBY_SHARE: &str = "lobby.sessions_per_network";
pub(super) const LOBBY_ANNOUNCE: &str = "lobby.announce";
pub(super) const META_LISTEN: &str = "lobby.meta_listen";
pub(super) const PUBLISH: &str = "lobby.publish";
pub(super) const PUBLISH_NAME: &str = "lobby.publish_name";
pub(super) const PUBLISH_PASSWORD: &str = "lobby.publish_password";
pub(super) const LAG: &str = "lobby.lag";
pub(super) const PING: &str = "lobby.ping";
pub(super) const ROOM_UPDATE: &str = "lobby.room_update";
pub(super) const RPC_MAUTHD: &str = "rpc.mauthd";
pub(super) const RPC_MVSRVD: &str = "rpc.mvsrvd";
pub(super) const RPC_MFILED: &str = "rpc.mfiled";
pub(super) const RPC_MOTTDD: &str = "rpc.mottdd";
pub(super) const RPC_MLOGD: &str = "rpc.mlogd";
pub(super) const RPC_GAME: &str = "rpc.game";
pub(super) const STREAM_TARGETS: &str = "rpc.stream_targets";
pub(super) const SCHEDULES_ZONE: &str = "schedules.zone";

#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    Key { name: STATE, default: "", meaning: "Everything that this box remembers. Empty: /var/lib/longhouse as root, else ./longhouse-data" },
    Key { name: DATA, default: "", meaning: "A folder whose games/NAME.toml add to the shipped definitions or replace them. Empty: none" },
    Key { name: HTTP_LISTEN, default: "0.0.0.0:8080", meaning: "Address and port of the HTTP API; port 0 takes any free one" },
    Key { name: HTTP_URL, default: "", meaning: "What links to this box begin with, like https://box.example.org/. Empty: its address in the network" },
    Key { name: HTTP_REDIRECTS, default: "", meaning: "Hosts beside this box that people may be sent to after a verification, an upload or a download: HOST or HOST:PORT, with commas between them" },
    Key { name: ADMIN_LISTEN, default: "127.0.0.1:9090", meaning: "Address and port of /live, /ready and /metrics" },
    Key { name: REGISTRATION, default: "open", meaning: "Who may make an account for themselves: open (everybody), confirm (an administrator lets them in), or closed" },
    Key { name: MAIL_SMTP, default: "", meaning: "HOST:PORT of the server that takes this box's mail. Empty: mail waits, and administrators are shown the links in it" },
    Key { name: MAIL_TLS, default: "starttls", meaning: "How the way to that server is kept from listeners: starttls (port 587 or 25), tls (port 465), or none" },
    Key { name: MAIL_FROM, default: "", meaning: "Whom mail is from, like Longhouse <box@example.org>" },
    Key { name: MAIL_USER, default: "", meaning: "Name that the mail server wants. Empty: it wants none" },
    Key { name: MAIL_PASSWORD, default: "", meaning: "Password for that name; better said in the environment or in a file that only the box can read" },
    Key { name: MAIL_CA, default: "", meaning: "A file of authorities (PEM) that the mail server's certificate may be of, beside the system's. Empty: none" },
    Key { name: PORTS, default: "7000-7999", meaning: "Ports for game servers; in a pool of 1000, class 0 has the first hundred, class 1 the next" },
    Key { name: UIDS, default: "30000-59999", meaning: "User ids for game servers, one each, when the daemon is root; nobody else may use them" },
    Key { name: MEMORY, default: "", meaning: "Memory that all mounted game servers may have together, like 32G; a server whose limit does not fit any more is not started. Empty: no budget" },
    Key { name: RECYCLE, default: "7d", meaning: "How long a deleted server's folder stays in the recycle bin" },
    Key { name: CONSOLE, default: "16M", meaning: "Console history to keep on disk per server" },
    Key { name: FILES_BIN, default: "7d", meaning: "How long a file that was deleted from a server can be had back" },
    Key { name: SNAPSHOT_RATE, default: "64M", meaning: "Bytes that a snapshot job reads in a second at most, so that games come first; 0 is as many as it can" },
    Key { name: VOICE_LISTEN, default: "0.0.0.0:8085", meaning: "Address and port of the KV voice protocol's control; voice channels use the same address" },
    Key { name: VOICE_PORTS, default: "40000-40999", meaning: "UDP ports for voice channels, one each" },
    Key { name: LEGACY_ADMIN, default: "false", meaning: "Whether KV's uid 0 is an administrator without any proof: false, true (for programs on this box), or anywhere" },
    Key { name: VOICE_RATE, default: "500", meaning: "Voice packets per second that one member may send; more are dropped" },
    Key { name: VOICE_SHARDS, default: "auto", meaning: "Sockets that one busy voice channel may spread over: a number, or auto for one per core" },
    Key { name: LOBBY_LISTEN, default: "0.0.0.0:5688", meaning: "Address and port of the lobby, for GGZ programs" },
    Key { name: LOBBY_NAME, default: "", meaning: "What the lobby calls itself. Empty: the machine's host name" },
    Key { name: LOBBY_TLS, default: "true", meaning: "Whether programs may ask the lobby for TLS, with a certificate of the box's own authority" },
    Key { name: LOBBY_UIDS, default: "60578-61183", meaning: "User ids for table games, one per table, when the daemon is root; nobody else may use them, nor hosting.uids hold any of them" },
    Key { name: LOBBY_TABLES, default: "600", meaning: "Tables that the lobby may have at once" },
    Key { name: LOBBY_SESSIONS, default: "8192", meaning: "Sessions that the lobby may have at once" },
    Key { name: LOBBY_SHARE, default: "64", meaning: "How many of them may come from one IPv4 address or IPv6 /64; loopback is not counted" },
    Key { name: LOBBY_ANNOUNCE, default: "true", meaning: "Whether the lobby is announced on the local network by mDNS" },
    Key { name: META_LISTEN, default: "0.0.0.0:15689", meaning: "Address and port where the box answers as a GGZ meta server. Empty: it does not" },
    Key { name: PUBLISH, default: "", meaning: "HOST:PORT of a meta server that the lobby is published at. Empty: nowhere" },
    Key { name: PUBLISH_NAME, default: "", meaning: "Name by which that meta server knows the box" },
    Key { name: PUBLISH_PASSWORD, default: "", meaning: "Password for that name; better said in the environment or in a file that only the box can read" },
    Key { name: LAG, default: "500,1000,2000,5000", meaning: "Answer times in milliseconds from which a session counts as lagging by one degree more" },
    Key { name: PING, default: "10s", meaning: "How often a session is asked for an answer" },
    Key { name: ROOM_UPDATE, default: "60s", meaning: "How often rooms are told how many people the other rooms have" },
    Key { name: RPC_MAUTHD, default: "", meaning: "Address and port where MyOTTD's mauthd answers alone (the original's is 6915). Empty: at http.listen only" },
    Key { name: RPC_MVSRVD, default: "", meaning: "Address and port where MyOTTD's mvsrvd answers alone (the original's is 6916). Empty: at http.listen only" },
    Key { name: RPC_MFILED, default: "", meaning: "Address and port where MyOTTD's mfiled answers alone. Empty: at http.listen only" },
    Key { name: RPC_MOTTDD, default: "", meaning: "Address and port where MyOTTD's mottdd answers alone. Empty: at http.listen only" },
    Key { name: RPC_MLOGD, default: "", meaning: "Address and port where MyOTTD's mlogd answers alone. Empty: at http.listen only" },
    Key { name: RPC_GAME, default: "openttd", meaning: "The game that create_server makes, which in MyOTTD had no choice" },
    Key { name: STREAM_TARGETS, default: "", meaning: "Addresses and blocks (203.0.113.7, 127.0.0.0/8), with commas between, that consoles may be streamed to beside private ones" },
    Key { name: SCHEDULES_ZONE, default: "", meaning: "The time zone of schedules that name none, like Europe/Berlin. Empty: the machine's" },
];

/// The key of that name.
pub(super) fn find(name: &str) -> Result<&'static str, String> {
    match KEYS.iter().find(|key| key.name == name) {
        Some(key) => Ok(key.name),
        None => {
            let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            Err(format!(
                "there is no key `{name}`; there are {}",
                known.join(", ")
            ))
        }
    }
}

/// The variable of a key.
pub(super) fn variable(key: &str) -> String {
    format!("LONGHOUSE_{}", key.to_uppercase().replace('.', "_"))
}

/// `data/longhouse.toml`: every key with its default, commented out.
pub fn commented_default() -> String {
    let mut text = String::from(
        "# Longhouse configuration. Each key is shown with its default; remove the `#` to change one.\n\
         # Every key is also an environment variable (http.listen: LONGHOUSE_HTTP_LISTEN) and a flag\n\
         # (--set http.listen=0.0.0.0:80); the flag wins over the variable, the variable over this file.\n",
    );
    for key in KEYS {
        let Key {
            name,
            default,
            meaning,
        } = key;
        text += &format!("\n# {meaning}.\n# {name} = \"{default}\"\n");
    }
    text
}
