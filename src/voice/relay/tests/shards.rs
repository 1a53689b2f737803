//! Sockets come and go.

use super::*;

/// Opens what was closed. Another test may hold it for a moment: by binding any port, or, as all our sockets, in a
/// process that it has started and that is not another program yet.
async fn reopen(address: SocketAddr, shared: &Shared) {
    until(|| Relay::open(CHANNEL, address, shared).is_ok()).await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_also_when_it_is_shared() {
    let mut one = room("127.0.0.1", 100, 2);
    let address = one.relay.address;
    let refused = Relay::open(CHANNEL, address, &one.shared).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    one.relay.open_another();
    assert_eq!(one.relay.tally().shards, 2);
    let refused = Relay::open(CHANNEL, address, &one.shared).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    one.relay.close().await;
    reopen(address, &one.shared).await;
}

#[tokio::test]
async fn a_port_that_could_not_be_shared_is_ours_alone_again() {
    let mut room = room("127.0.0.1", 100, 2);
    let address = room.relay.address;
    // An address that this machine does not have.
    room.relay.address = SocketAddr::from(([192, 0, 2, 1], address.port()));
    room.relay.open_another();
    assert_eq!(room.relay.tally().shards, 1);
    let refused = socket::open(address, true).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_dropped_at_full_load_ends_at_once() {
    let (room, all) = talk(8, u32::MAX).await;
    let (port, address) = (room.relay.port(), room.relay.address);
    let running = Arc::new(());
    let flood = Arc::clone(&running);
    let talker = all[0].socket.local_addr().unwrap();
    let std = all.into_iter().next().unwrap().socket.into_std().unwrap();
    std.set_nonblocking(false).unwrap();
    assert_eq!(std.local_addr().unwrap(), talker);
    let thread = std::thread::spawn(move || {
        while Arc::strong_count(&flood) > 1 {
            std.send_to(&voice(Uid(1), 1), ("127.0.0.1", port)).unwrap();
        }
    });
    until(|| room.relay.tally().packets > 5_000).await;
    let shard = Arc::downgrade(&room.relay.shards[0].shard);
    drop(room.relay);
    until(|| shard.strong_count() == 0).await;
    reopen(address, &room.shared).await;
    drop(running);
    thread.join().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_channel_has_more_sockets_and_loses_nothing_when_it_cools() {
    let mut room = room("127.0.0.1", 1_000_000, 3);
    let mut all = Vec::new();
    for uid in 1..=6 {
        all.push(member(uid, "127.0.0.1").await);
    }
    room.seat(&all);
    for member in &all {
        member.say(&room, &keepalive(member.seat.uid())).await;
    }
    until(|| room.relay.tally().words == 6).await;

    let mut number = 0;
    let mut shards = Vec::new();
    for round in 0..40 {
        for _ in 0..15 {
            number += 1;
            for member in &all {
                member.speak(&room, number).await;
            }
        }
        // Among packets that are under way: hot, hot, and then a long calm.
        let worked = Duration::from_nanos(room.relay.busy() - room.relay.load.busy);
        let time = room.relay.load.seen
            + match round {
                0..10 => worked / 3,
                _ => Duration::from_secs(20),
            };
        room.relay.tend(time);
        shards.push(room.relay.tally().shards);
        for (at, member) in all.iter().enumerate() {
            let mut heard = [number - 15; 7];
            for _ in 0..15 * 5 {
                let (uid, said) = member.hear_voice().await;
                let heard = &mut heard[uid as usize];
                assert!(uid as usize != at + 1 && said > number - 15 && said <= number);
                *heard += 1;
            }
            assert!((1..=6).all(|uid| uid == at + 1 || heard[uid] == number));
        }
    }
    assert_eq!(shards.iter().max(), Some(&3));
    assert_eq!(shards.last(), Some(&1));
    let tally = room.relay.tally();
    assert_eq!((tally.packets, tally.deliveries), (6 * number, 30 * number));
    assert_eq!((tally.overrun, tally.unsent), (0, 0));
}

/// Names the test below to itself, in a process of its own.
const ALONE: &str = "LONGHOUSE_TEST_ALONE";

#[test]
fn a_thousand_idle_channels_need_less_than_20_mib() {
    let name = "voice::relay::tests::shards::a_thousand_idle_channels_need_less_than_20_mib";
    if std::env::var_os(ALONE).is_none() {
        let program = std::env::current_exe().unwrap();
        let alone = std::process::Command::new(program)
            .args([name, "--exact", "--nocapture"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        assert!(alone.status.success(), "{alone:?}");
        return;
    }
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages
            * nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
                .unwrap()
                .unwrap() as usize
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (one, _all) = talk(2, 100).await;
        let before = resident();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let open = |_| Relay::open(CHANNEL, address, &one.shared).unwrap();
        let mut idle: Vec<_> = (0..1000).map(open).collect();
        let roster = Arc::new(Roster::default());
        for relay in &mut idle {
            relay.publish(Arc::clone(&roster));
            relay.tend(Instant::now());
        }
        let grown = resident().saturating_sub(before);
        println!("{grown} bytes for 1,000 idle channels");
        assert!(grown < 20 << 20, "{grown}");
    });
}
