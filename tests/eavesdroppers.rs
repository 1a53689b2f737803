//! Who listens at the door of a voice channel, shouts through it, or stands in it: other hosts' forgeries, garbage,
//! floods, crowds.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

mod common;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use common::{
    House, PATIENCE, installed,
    kv::{
        ACCESS, ACK, ADMIN, CREATE, Client, DELETE, GET_CHANNELS, GET_PORT, INVAL, JOIN, KEEPALIVE,
        LEAVE, Member, PACKET, PARAM, REGISTER, UNREGISTER, conversation, heard, legacy, system,
        voice,
    },
    lan::{Host, on_a_host_apart},
    root,
};
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{setsockopt, sockopt},
};
use serde_json::{Value, json};

/// System operations that need a proof.
const SYS_JOIN: u32 = 1;
const SYS_LEAVE: u32 = 2;
const SYS_STOP: u32 = 4;

fn path(channel: u64) -> String {
    format!("/api/v1/voice/channels/{channel}")
}

/// Waits until a view is as it should be.
async fn until(house: &House, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let view = house.ok("GET", path, None).await;
        if wanted(&view) {
            return view;
        }
        assert!(started.elapsed() < PATIENCE, "never {what}: {view:#}");
        tokio::task::yield_now().await;
    }
}

/// Waits until so much was dropped, and checks that it was for these reasons and no others.
async fn until_dropped(house: &House, channel: u64, reasons: &[(&str, u64)]) -> Value {
    let all = reasons.iter().map(|(_, count)| count).sum::<u64>();
    let what = format!("{all} dropped: {reasons:?}");
    let view = until(house, &path(channel), &what, |view| dropped(view) >= all).await;
    for (reason, count) in view["traffic"]["drops"].as_object().unwrap() {
        let wanted = reasons.iter().find(|(name, _)| name == reason);
        let wanted = wanted.map_or(0, |(_, count)| *count);
        assert_eq!(count, wanted, "{reason}: {view:#}");
    }
    view
}

fn dropped(view: &Value) -> u64 {
    let drops = view["traffic"]["drops"].as_object().unwrap();
    drops.values().map(|count| count.as_u64().unwrap()).sum()
}

/// Each says something, and the other hears exactly that.
fn talk(one: &Member, other: &Member, words: u64) {
    for word in 0..words {
        one.say(word);
        assert_eq!(other.hear().unwrap(), (one.uid, word));
        other.say(word);
        assert_eq!(one.hear().unwrap(), (other.uid, word));
    }
}

/// A word that says that it is the box's, about this channel and just now.
fn forged(operation: u32, uid: u64, channel: u64) -> [u8; PACKET] {
    let mut packet = system(operation, uid, 7);
    packet[24..32].copy_from_slice(b"LH-SIG1\0");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = now.as_millis() as u64;
    packet[32..40].copy_from_slice(&now.to_le_bytes());
    packet[40..48].copy_from_slice(&channel.to_le_bytes());
    packet[48..112].fill(0x5a);
    packet
}

/// All that one can send in another's name, and for what reasons it is dropped: 3 misplaced, and 7 unproven.
fn lies(uid: u64, channel: u64) -> [[u8; PACKET]; 10] {
    let mut ticket = system(SYS_JOIN, uid, 7);
    ticket[24..32].copy_from_slice(b"LH-TAG1\0");
    ticket[32..40].fill(0x7f);
    [
        voice(uid, 666),
        system(KEEPALIVE, uid, 7),
        system(ACK, uid, 7),
        system(SYS_JOIN, uid, 7),
        system(SYS_LEAVE, uid, 7),
        system(SYS_STOP, uid, 7),
        forged(SYS_JOIN, uid, channel),
        forged(SYS_LEAVE, uid, channel),
        forged(SYS_STOP, 0, channel),
        ticket,
    ]
}

#[test]
fn another_host_can_neither_act_nor_speak_nor_listen_as_a_member() {
    if root("a network of one's own") && installed("/usr/sbin/ip") {
        on_a_host_apart(another_host);
    }
}

async fn another_host() {
    let house = House::open_with(&[
        "voice.listen=0.0.0.0:0".into(),
        "voice.legacy_admin=true".into(),
    ])
    .await;
    let [home, office, cellar, elsewhere] = [1, 2, 3, 4].map(Host::new);
    let at = |host: &Host| Client::at(&house, host.gate.into());
    let admin = Client::at(&house, Ipv4Addr::LOCALHOST.into());
    let channel = admin.get(CREATE, &[0]).unwrap();
    let alice = home.within(|| at(&home).join(at(&home).guest(), channel));
    let bob = office.within(|| at(&office).member(channel));
    let uid = alice.uid;
    let SocketAddr::V4(port) = alice.socket.peer_addr().unwrap() else {
        panic!("an IPv4 port")
    };

    // Over the control port, a uid is no good from elsewhere.
    cellar.within(|| {
        let eve = at(&cellar);
        let guest = eve.guest();
        for (command, fields) in [
            (JOIN, &[uid, uid, channel][..]),
            (JOIN, &[guest, uid, channel]),
            (JOIN, &[0, uid, channel]),
            (LEAVE, &[uid, uid, channel]),
            (LEAVE, &[guest, uid, channel]),
            (LEAVE, &[0, uid, channel]),
            (UNREGISTER, &[uid, uid]),
            (UNREGISTER, &[guest, uid]),
            (UNREGISTER, &[0, uid]),
            (REGISTER, &[uid, ADMIN]),
            (CREATE, &[uid]),
            (CREATE, &[0]),
            (DELETE, &[uid, channel]),
            (DELETE, &[0, channel]),
        ] {
            assert_eq!(
                eve.get(command, fields),
                Err(ACCESS),
                "command {command} {fields:?}"
            );
        }
        let wishes = eve.get(REGISTER, &[0, ADMIN]).unwrap();
        assert_eq!(eve.get(CREATE, &[wishes]), Err(ACCESS));
    });

    // Before the member's first packet nobody takes the seat, from their own address or a third one's.
    let gate = |host: &Host| SocketAddrV4::new(host.gate, port.port());
    let stranger = cellar.udp(cellar.ip, gate(&cellar));
    let bystander = SocketAddrV4::new(elsewhere.ip, 4000);
    for lie in lies(uid, channel) {
        stranger.send(&lie).unwrap();
        cellar.forge(bystander, gate(&cellar), &lie);
    }
    let early = [("misplaced", 2 * 3), ("unproven", 2 * 7)];
    let view = until_dropped(&house, channel, &early).await;
    let members = view["members"].as_array().unwrap();
    assert_eq!((&members[0]["uid"], members.len()), (&json!(uid), 2));
    assert_eq!(members[0]["present"], false);

    // Nor afterwards: from there, from a third one's address, from the member's own but for the port.
    alice.appear();
    cellar.usurp(home.ip);
    let usurper = cellar.udp(home.ip, port);
    let twin = SocketAddrV4::new(home.ip, 4000);
    for lie in lies(uid, channel) {
        stranger.send(&lie).unwrap();
        usurper.send(&lie).unwrap();
        cellar.forge(bystander, gate(&cellar), &lie);
        cellar.forge(twin, gate(&cellar), &lie);
    }
    let outsiders = [voice(1 << 40, 1), system(KEEPALIVE, 1 << 40, 7)];
    for packet in &outsiders {
        stranger.send(packet).unwrap();
        cellar.forge(bystander, gate(&cellar), packet);
    }
    let late = [("misplaced", 6 * 3), ("unproven", 6 * 7), ("strangers", 4)];
    until_dropped(&house, channel, &late).await;
    // With the member's address over TCP, the answer goes to the member.
    let stats = house.ok("GET", "/api/v1/voice/stats", None).await;
    let control = SocketAddr::from((home.gate, admin.control.port()));
    let greeted =
        cellar.within(|| TcpStream::connect_timeout(&control, Duration::from_millis(200)));
    assert!(greeted.is_err(), "{greeted:?}");

    // The talk goes on, and is heard by who is in it, and as often as it was said.
    assert_eq!(home.smelled() + office.smelled(), 2, "the members' ACKs");
    talk(&alice, &bob, 50);
    let after = house.ok("GET", &path(channel), None).await;
    assert_eq!(after["members"][0]["address"], json!(alice.address()));
    assert_eq!(after["members"][1]["address"], json!(bob.address()));
    assert_eq!(after["members"].as_array().unwrap().len(), 2);
    let traffic = &after["traffic"];
    assert_eq!(
        (&traffic["packets"], &traffic["deliveries"]),
        (&json!(100), &json!(100))
    );
    assert_eq!((home.smelled(), office.smelled()), (50, 50));
    assert_eq!((cellar.smelled(), elsewhere.smelled()), (0, 0));
    let now = house.ok("GET", "/api/v1/voice/stats", None).await;
    assert_eq!(now["commands"], stats["commands"]);

    // Who forges the member's very address before their first packet keeps them out, but hears nothing; and is out
    // as soon as the member joins again.
    let carol = home.within(|| at(&home).join(at(&home).guest(), channel));
    cellar.forge(twin, gate(&cellar), &system(KEEPALIVE, carol.uid, 7));
    let taken = |view: &Value| view["members"][2]["address"] == json!(twin.to_string());
    until(&house, &path(channel), "taken", taken).await;
    let carol = home.within(|| at(&home).join(carol.uid, channel));
    carol.appear();
    talk(&carol, &bob, 5);
    assert_eq!((cellar.smelled(), elsewhere.smelled()), (0, 0));
}

#[tokio::test]
async fn garbage_is_counted_and_never_answered() {
    let house = legacy().await;
    let client = Client::of(&house);
    let channel = client.get(CREATE, &[0]).unwrap();
    let (alice, bob) = (client.member(channel), client.member(channel));
    let guest = client.guest();
    let mallory = Member::new(guest, alice.socket.peer_addr().unwrap());

    let whole = voice(alice.uid, 666);
    for size in [0, 1, 511, 513, 65507] {
        let bytes: Vec<_> = whole.iter().copied().cycle().take(size).collect();
        mallory.socket.send(&bytes).unwrap();
        alice.socket.send(&bytes).unwrap();
    }
    let unknown = (5..=8)
        .chain((3..31).map(|bit| 1 << bit))
        .chain([0x7fff_ffff]);
    let mut malformed = 2 * 5;
    for operation in unknown {
        for member in [&mallory, &alice] {
            let packet = system(operation, member.uid, 7);
            member.socket.send(&packet).unwrap();
            malformed += 1;
        }
    }
    // 0xffffffffffffffff is the box's sign and an operation that does not exist; the others are voices of nobody.
    mallory.socket.send(&voice(u64::MAX, 1)).unwrap();
    malformed += 1;
    let nobodies = [0, 0xffff_ffff, 0x7f_ffff_ffff, guest, u64::MAX - 1];
    for uid in nobodies {
        mallory.socket.send(&voice(uid, 1)).unwrap();
    }
    for operation in [KEEPALIVE, ACK] {
        for uid in nobodies {
            mallory.socket.send(&system(operation, uid, 7)).unwrap();
        }
    }
    let strangers = 3 * nobodies.len() as u64;
    let mut unsound = 0;
    for operation in [KEEPALIVE, SYS_JOIN, SYS_LEAVE, ACK, SYS_STOP] {
        for bit in 0..4 {
            let mut packet = system(operation, alice.uid, 7);
            packet[20 + bit] ^= 1 << bit;
            mallory.socket.send(&packet).unwrap();
            alice.socket.send(&packet).unwrap();
            unsound += 2;
        }
    }
    let reasons = [
        ("malformed", malformed),
        ("strangers", strangers),
        ("unsound", unsound),
    ];
    let view = until_dropped(&house, channel, &reasons).await;
    assert_eq!(view["traffic"]["words"], 2, "{view:#}");
    assert_eq!(
        view["sockets"]["shield"], false,
        "too much at once for exact figures"
    );
    for member in [&mallory, &alice, &bob] {
        assert!(member.heard().is_empty());
    }

    // The other order of bytes is understood, from a member; an ACK is for nobody.
    let swapped = alice.uid.swap_bytes();
    alice.socket.send(&system(KEEPALIVE, swapped, 8)).unwrap();
    alice.socket.send(&system(SYS_JOIN, swapped, 9)).unwrap();
    alice.socket.send(&system(ACK, alice.uid, 10)).unwrap();
    alice.socket.send(&system(KEEPALIVE, alice.uid, 0)).unwrap();
    mallory.socket.send(&system(KEEPALIVE, swapped, 8)).unwrap();
    let words = |view: &Value| view["traffic"]["words"] == 6;
    until(&house, &path(channel), "all words", words).await;
    assert_eq!(
        alice.heard(),
        [8, 9].map(|ackid| system(ACK, swapped, ackid))
    );
    let reasons = reasons
        .into_iter()
        .chain([("misplaced", 1)])
        .collect::<Vec<_>>();
    until_dropped(&house, channel, &reasons).await;
    talk(&alice, &bob, 20);
    let view = until_dropped(&house, channel, &reasons).await;
    assert_eq!(view["traffic"]["packets"], 40);
    assert_eq!(view["traffic"]["deliveries"], 40);
    for member in [&mallory, &alice, &bob] {
        assert!(member.heard().is_empty());
    }
}

#[tokio::test]
async fn a_talk_goes_on_in_a_flood() {
    const EACH: u64 = 70_000;
    let house = legacy().await;
    let client = Client::of(&house);
    let channel = client.get(CREATE, &[0]).unwrap();
    let (alice, bob) = (client.member(channel), client.member(channel));
    let port = alice.socket.peer_addr().unwrap();
    // Two strangers, one of them with a new uid each time; and one who says to be alice.
    let whom: [fn(u64, u64) -> u64; 3] = [
        |_, _| 1 << 40,
        |_, n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        |alice, _| alice,
    ];
    let uid = alice.uid;
    let floods = whom.map(|whom| {
        thread::spawn(move || {
            let socket = UdpSocket::bind((port.ip(), 0)).unwrap();
            socket.connect(port).unwrap();
            for n in 0..EACH {
                socket.send(&voice(whom(uid, n), n)).unwrap();
            }
            socket
        })
    });
    let over = Arc::new(AtomicBool::new(false));
    let until_over = over.clone();
    let talk = thread::spawn(move || {
        let (said, lost) = conversation(&alice, &bob, 200, &until_over);
        (said, lost, [alice, bob])
    });
    let started = Instant::now();
    let sockets = floods.map(|flood| flood.join().unwrap());
    let lasted = started.elapsed();
    over.store(true, Relaxed);
    let (said, lost, members) = talk.join().unwrap();
    let view = house.ok("GET", &path(channel), None).await;
    println!(
        "{} strangers' packets in {lasted:?}; of {said} words {lost} were lost; {} {}",
        3 * EACH,
        view["sockets"],
        view["traffic"]
    );
    assert!(
        lost * 10 < said,
        "{lost} of {said} words were lost: {view:#}"
    );
    assert_eq!(view["sockets"]["shield"], true, "{view:#}");
    let traffic = &view["traffic"];
    let taken = traffic["packets"].as_u64().unwrap();
    assert!(taken <= said && taken + lost >= said, "{view:#}");
    assert_eq!(traffic["deliveries"], traffic["packets"]);
    assert_eq!(traffic["drops"]["limited"], 0);
    // Nothing is unaccounted for; what the kernel lost on the way to the socket, nobody can count.
    let seen = dropped(&view) + taken;
    assert!(seen <= 3 * EACH + said, "{view:#}");
    for socket in &sockets {
        assert!(heard(socket).is_empty());
    }
    for member in &members {
        assert!(member.heard().is_empty());
    }
    // Who comes now is let in, through the shield.
    let carol = client.member(channel);
    members[0].say(1);
    assert_eq!(carol.hear().unwrap(), (uid, 1));
}

fn descriptors(house: &House) -> usize {
    let folder = format!("/proc/{}/fd", house.pid());
    std::fs::read_dir(folder).unwrap().count()
}

/// A command of the control port, and how many fields it has.
const COMMANDS: [(u32, usize); 8] = [
    (CREATE, 1),
    (DELETE, 2),
    (JOIN, 3),
    (LEAVE, 3),
    (REGISTER, 2),
    (UNREGISTER, 2),
    (GET_PORT, 1),
    (GET_CHANNELS, 0),
];

fn command(number: u32, fields: &[u64]) -> Vec<u8> {
    let fields = fields.iter().flat_map(|field| field.to_be_bytes());
    number.to_be_bytes().into_iter().chain(fields).collect()
}

/// All that a connection is told, until the box ends it.
fn told(mut stream: TcpStream) -> Vec<u8> {
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    reply
}

fn refusal(error: u32) -> Vec<u8> {
    [&[0; 8][..], &error.to_be_bytes()].concat()
}

/// Closes with a reset.
fn slam(stream: TcpStream) {
    let now = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&stream, sockopt::Linger, &now).unwrap();
}

#[tokio::test]
async fn a_crowd_at_the_control_port_keeps_nobody_out_and_leaves_nothing() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    // Room for the tests beside this one.
    let most = usize::try_from(hard).unwrap_or(usize::MAX);
    let half_open = most.saturating_sub(2_000).min(10_000);
    assert!(half_open >= 2_000, "ulimit -n is {hard}");
    let house = legacy().await;
    let client = Client::of(&house);
    let channel = client.get(CREATE, &[0]).unwrap();
    let bob = client.member(channel);
    let nobody = |stats: &Value| stats["connections"] == 0;
    until(&house, "/api/v1/voice/stats", "nobody", nobody).await;
    let before = descriptors(&house);

    // They have said a part of something, or nothing. The honest one comes from the same address.
    let part = command(JOIN, &[bob.uid, bob.uid, channel]);
    let mut crowd = Vec::new();
    let honest = |word| {
        let alice = client.member(channel);
        alice.say(word);
        assert_eq!(bob.hear().unwrap(), (alice.uid, word));
        let uid = alice.uid;
        assert_eq!(client.get(LEAVE, &[uid, uid, channel]), Ok(1));
        assert_eq!(client.get(UNREGISTER, &[uid, uid]), Ok(uid));
    };
    for n in 0..half_open {
        let mut stream = client.connect().unwrap();
        stream.write_all(&part[..n % part.len()]).unwrap();
        crowd.push(stream);
        if n % 1000 == 0 {
            honest(n as u64);
        }
    }
    honest(u64::MAX);
    let stats = house.ok("GET", "/api/v1/voice/stats", None).await;
    let crowded_out = stats["crowded_out"].as_u64().unwrap();
    assert!(crowded_out >= half_open as u64 - 512, "{stats:#}");
    assert!(stats["connections"].as_u64().unwrap() <= 512, "{stats:#}");

    // While they stay: every truncation, hung up on politely or not.
    for (number, fields) in COMMANDS {
        let whole = command(number, &vec![bob.uid; fields]);
        for length in 0..whole.len() {
            for polite in [true, false] {
                let mut stream = client.connect().unwrap();
                stream.write_all(&whole[..length]).unwrap();
                if polite {
                    stream.shutdown(Shutdown::Write).unwrap();
                    let told = told(stream);
                    assert_eq!(told, refusal(INVAL), "command {number} cut at {length}");
                } else {
                    slam(stream);
                }
            }
        }
    }
    for kind in [8, 64, 0x8000_0000, u32::MAX] {
        let mut stream = client.connect().unwrap();
        stream.write_all(&kind.to_be_bytes()).unwrap();
        assert_eq!(told(stream), refusal(PARAM));
    }
    // Byte by byte.
    let mut stream = client.connect().unwrap();
    for byte in &part {
        stream.write_all(&[*byte]).unwrap();
    }
    let port = bob.socket.peer_addr().unwrap().port();
    assert_eq!(told(stream), u64::from(port).to_be_bytes());
    bob.appear();
    // Who never reads, and who never stops.
    let never_reads: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = client.connect().unwrap();
            stream.write_all(&command(GET_CHANNELS, &[])).unwrap();
            stream
        })
        .collect();
    let mut endless = client.connect().unwrap();
    while endless.write_all(&[0xff; 64]).is_ok() {}
    honest(1);

    // They all stay, and are shown the door, each in its time.
    until(&house, "/api/v1/voice/stats", "nobody", nobody).await;
    drop((crowd, never_reads, endless));
    let started = Instant::now();
    while descriptors(&house) > before {
        assert!(started.elapsed() < PATIENCE, "{} stay", descriptors(&house));
        tokio::task::yield_now().await;
    }
    honest(2);
    assert!(bob.heard().is_empty());
    let view = house.ok("GET", &path(channel), None).await;
    assert_eq!(view["members"].as_array().unwrap().len(), 1, "{view:#}");
}
