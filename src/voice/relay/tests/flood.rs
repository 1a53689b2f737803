//! Who sends too much does not keep others from being heard.

use super::*;

#[tokio::test]
async fn who_sends_too_much_is_held_to_the_rate() {
    let (room, all) = talk(2, 1).await;
    for number in 0..100 {
        all[0].speak(&room, number).await;
    }
    until(|| room.relay.tally().packets + room.relay.tally().limited >= 100).await;
    // 32 at once, of which a keepalive was one.
    let limited = all[0].seat.limited();
    assert!((60..=69).contains(&limited), "{limited}");
    assert_eq!(room.relay.tally().limited, limited);
}

/// Strangers' packets from a port of their own, until the shield is up.
async fn besiege(room: &Room, stranger: &Member, uid: u64) {
    until(|| {
        let to = room.relay.address;
        for _ in 0..50 {
            stranger.socket.try_send_to(&voice(Uid(uid), 0), to).ok();
        }
        room.relay.tally().shield
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_strangers_is_kept_out_and_members_are_heard() {
    let (mut room, mut all) = talk(3, 1_000_000).await;
    let stranger = member(1, "127.0.0.1").await;
    besiege(&room, &stranger, 1).await;
    // What was queued by then is counted by then.
    all[0].speak(&room, 0).await;
    assert_eq!(all[1].hear_voice().await, (1, 0));
    assert_eq!(all[2].hear_voice().await, (1, 0));
    let before = room.relay.tally();
    for number in 0..100 {
        for _ in 0..200 {
            stranger.speak(&room, 0).await;
        }
        all[0].speak(&room, number).await;
        assert_eq!(all[1].hear_voice().await, (1, number));
        assert_eq!(all[2].hear_voice().await, (1, number));
    }
    let after = room.relay.tally();
    let seen = after.misplaced - before.misplaced;
    // A sample of one in 64 is let in, and counted; what is not is counted too.
    assert!(seen < 20_000 / 20, "{seen}");
    assert_eq!(after.overrun - before.overrun + seen, 20_000);

    // Who gets a seat meanwhile is let in with the first packet, whatever that is.
    all.push(member(4, "127.0.0.1").await);
    all.push(member(5, "127.0.0.1").await);
    room.seat(&all);
    all[3].speak(&room, 1).await;
    assert_eq!(all[0].hear_voice().await, (4, 1));
    let swapped = System::new(Operation::Keepalive, Uid(5u64.swap_bytes()), 9);
    all[4].say(&room, &swapped.encode()).await;
    assert_eq!(all[4].hear().await[16..20], [9, 0, 0, 0]);

    // Narrowed to where everybody is by now, and down after ten seconds of calm.
    let now = Instant::now();
    room.relay.tend(now + Duration::from_secs(1));
    assert!(room.relay.tally().shield);
    all[4].speak(&room, 2).await;
    assert_eq!(all[3].hear_voice().await, (5, 2));
    room.relay.tend(now + Duration::from_secs(60));
    assert!(!room.relay.tally().shield);
    stranger.speak(&room, 0).await;
    until(|| room.relay.tally().misplaced > after.misplaced).await;
}

/// A member's packets, until the shield is up and nothing of them is taken.
async fn provoke(room: &Room, flooder: &Member, bytes: &[u8]) {
    until(|| {
        for _ in 0..50 {
            let to = room.relay.address;
            flooder.socket.try_send_to(bytes, to).ok();
        }
        flooder.seat.is_muzzled(room.shared.epoch.elapsed())
    })
    .await;
    assert!(room.relay.tally().shield);
}

#[tokio::test]
async fn a_member_who_floods_is_kept_out_and_the_others_are_heard() {
    for bytes in [&voice(Uid(1), 7)[..], &voice(Uid(99), 7), b"not a packet"] {
        // A seat has 100 at once.
        let (mut room, all) = talk(3, 400).await;
        provoke(&room, &all[0], bytes).await;
        // What was relayed before that, and what was queued.
        all[1].speak(&room, 1_000).await;
        while all[2].hear_voice().await != (2, 1_000) {}
        let before = room.relay.tally();
        for number in 0..90 {
            for _ in 0..200 {
                all[0].say(&room, bytes).await;
            }
            all[1].speak(&room, number).await;
            assert_eq!(all[2].hear_voice().await, (2, number));
        }
        let after = room.relay.tally();
        let kept_out = after.overrun - before.overrun;
        assert!(kept_out > 18_000 * 19 / 20, "{kept_out}");
        assert_eq!(after.packets - before.packets, 90);

        // As long as they go on; down after ten seconds of calm, and then they are heard as before.
        let now = Instant::now();
        room.relay.tend(now + Duration::from_secs(1));
        assert!(room.relay.tally().shield);
        room.relay.tend(now + Duration::from_secs(60));
        assert!(!room.relay.tally().shield);
        let limited = all[0].seat.limited();
        all[0].speak(&room, 1).await;
        until(|| all[0].seat.limited() == limited + 1).await;
    }
}

#[tokio::test]
async fn who_was_muzzled_is_let_in_again_when_that_has_passed() {
    let (mut room, all) = talk(2, 400).await;
    provoke(&room, &all[0], &voice(Uid(1), 7)).await;
    let now = Instant::now();
    room.relay.tend(now + Duration::from_secs(9));
    let dropped = room.relay.tally().overrun;
    for _ in 0..5_000 {
        all[0].speak(&room, 1).await;
    }
    // What was queued is read by then.
    all[1].speak(&room, 1).await;
    assert_eq!(all[0].hear_voice().await, (2, 1));
    assert!(room.relay.tally().overrun > dropped + 4_500);
    // That was a flood, and so the shield stays up.
    room.relay.tend(now + Duration::from_secs(11));
    assert!(room.relay.tally().shield);
    let dropped = room.relay.tally().overrun;
    let limited = all[0].seat.limited();
    for _ in 0..100 {
        all[0].speak(&room, 1).await;
    }
    // The judge's own time has not come yet.
    until(|| all[0].seat.limited() == limited + 100).await;
    assert_eq!(room.relay.tally().overrun, dropped);
}
