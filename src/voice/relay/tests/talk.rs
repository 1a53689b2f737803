//! Voices reach everybody, whole and in order.

use super::*;

#[tokio::test]
async fn what_one_says_everybody_else_hears_once_and_in_order() {
    let (room, all) = talk(5, 100_000).await;
    // No more at once than a queue holds.
    for round in 0..10 {
        let numbers = || round * 60..(round + 1) * 60;
        for number in numbers() {
            all[number as usize % 3].speak(&room, number).await;
        }
        for (at, member) in all.iter().enumerate() {
            for number in numbers().filter(|number| *number as usize % 3 != at) {
                assert_eq!(member.hear_voice().await, (number % 3 + 1, number));
            }
        }
    }
    let tally = room.relay.tally();
    assert_eq!((tally.packets, tally.deliveries), (600, 2400));
    assert_eq!((tally.unsent, tally.overrun), (0, 0));
    assert!(tally.coalesced > 0 && tally.gso_refused == 0);
    assert!(all[0].seat.spoke().is_some() && all[4].seat.spoke().is_none());
    assert_eq!(all[0].seat.packets(), 200);
}

#[tokio::test]
async fn no_packet_is_left_lying_whatever_the_size_of_the_batch() {
    let (room, all) = talk(2, 10_000_000).await;
    let mut number = 0;
    for round in 0..600 {
        let burst = [1, 2, 63, 64, 65, 100, 128][round % 7];
        for _ in 0..burst {
            number += 1;
            all[0].speak(&room, number).await;
        }
        for heard in number + 1 - burst..=number {
            assert_eq!(all[1].hear_voice().await, (1, heard));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_packet_is_left_lying_when_it_comes_while_a_batch_ends() {
    let (room, all) = talk(2, 10_000_000).await;
    let (port, talker) = (room.relay.port(), std::net::UdpSocket::bind("127.0.0.1:0"));
    let talker = talker.unwrap();
    let seat = Seat::new(
        Uid(3),
        3,
        Claim::Taken,
        talker.local_addr().ok(),
        Duration::ZERO,
    );
    let seats = [Arc::new(seat), Arc::clone(&all[1].seat)];
    room.relay.publish(Arc::new(Roster::new(seats)));
    // From a thread without pauses, so that arrivals fall anywhere in a turn; each burst must come out by itself.
    let (next, wait) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for (round, ()) in wait.iter().enumerate() {
            for number in 0..(round % 9) as u64 + 1 {
                talker
                    .send_to(&voice(Uid(3), number), ("127.0.0.1", port))
                    .unwrap();
            }
        }
    });
    for round in 0..5_000 {
        next.send(()).unwrap();
        for number in 0..round % 9 + 1 {
            assert_eq!(all[1].hear_voice().await, (3, number));
        }
    }
    drop(next);
    thread.join().unwrap();
}

#[tokio::test]
async fn without_segmentation_offload_everything_is_sent_singly() {
    let (room, all) = talk(3, 100_000).await;
    // The kernel cuts no message into packets without checksums.
    socket::without_checksums(room.relay.first().fd()).unwrap();
    for number in 0..100 {
        all[0].speak(&room, number).await;
    }
    for number in 0..100 {
        assert_eq!(all[1].hear_voice().await, (1, number));
        assert_eq!(all[2].hear_voice().await, (1, number));
    }
    let tally = room.relay.tally();
    // Once for each receiver.
    assert_eq!((tally.gso_refused, tally.coalesced), (2, 0));
    assert_eq!((tally.deliveries, tally.unsent), (200, 0));
}

#[tokio::test]
async fn a_way_without_segmentation_offload_does_not_take_it_from_the_others() {
    let room = room("::", 100_000, 1);
    let mut all = Vec::new();
    for (uid, ip) in [(1, "::1"), (2, "127.0.0.1"), (3, "::1")] {
        all.push(member(uid, ip).await);
    }
    room.seat(&all);
    for member in &all {
        member.say(&room, &keepalive(member.seat.uid())).await;
    }
    until(|| room.relay.tally().words == 3).await;
    // For IPv4 only.
    socket::without_checksums(room.relay.first().fd()).unwrap();
    // The relay reads nothing before there is something to wait for, and then 60 at once.
    let to = SocketAddr::from((Ipv6Addr::LOCALHOST, room.relay.port()));
    for round in 0..5 {
        for number in round * 60..(round + 1) * 60 {
            let packet = voice(Uid(1), number);
            while all[0].socket.try_send_to(&packet, to).is_err() {
                task::yield_now().await;
            }
        }
        for number in round * 60..(round + 1) * 60 {
            assert_eq!(all[1].hear_voice().await, (1, number));
            assert_eq!(all[2].hear_voice().await, (1, number));
        }
    }
    let tally = room.relay.tally();
    assert_eq!((tally.deliveries, tally.unsent), (600, 0));
    assert_eq!(tally.gso_refused, 1);
    assert!(tally.coalesced >= 5, "{}", tally.coalesced);
}

#[tokio::test]
async fn a_receiver_that_cannot_be_reached_takes_nothing_from_the_others() {
    let (room, mut all) = talk(2, 100_000).await;
    // Nobody may send to the broadcast address without having said so.
    let nowhere = SocketAddr::from(([255, 255, 255, 255], 9));
    let seat = Seat::new(Uid(0), 1, Claim::Taken, Some(nowhere), Duration::ZERO);
    all.push(Member {
        seat: Arc::new(seat),
        socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
    });
    room.seat(&all);
    for number in 0..100 {
        all[0].speak(&room, number).await;
    }
    for number in 0..100 {
        assert_eq!(all[1].hear_voice().await, (1, number));
    }
    until(|| room.relay.tally().unsent == 100).await;
    assert_eq!(room.relay.tally().gso_refused, 0);
}

#[tokio::test]
async fn a_socket_for_both_families_carries_both() {
    let room = room("::", 1000, 1);
    let four = member(1, "127.0.0.1").await;
    let six = member(2, "::1").await;
    let known = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let seat = Seat::new(
        Uid(3),
        3,
        Claim::Taken,
        known.local_addr().ok(),
        Duration::ZERO,
    );
    let known = Member {
        seat: Arc::new(seat),
        socket: known,
    };
    let all = [four, six, known];
    room.seat(&all);
    all[0].say(&room, &keepalive(Uid(1))).await;
    until(|| room.relay.tally().words == 1).await;
    all[1].speak(&room, 1).await;
    assert_eq!(all[0].hear_voice().await, (2, 1));
    assert_eq!(all[2].hear_voice().await, (2, 1));
    all[2].speak(&room, 2).await;
    assert_eq!(all[0].hear_voice().await, (3, 2));
    assert_eq!(all[1].hear_voice().await, (3, 2));
    assert_eq!(
        all[0].seat.address().unwrap().ip(),
        IpAddr::from([127, 0, 0, 1])
    );
    assert_eq!(
        all[1].seat.address().unwrap().ip(),
        IpAddr::from(Ipv6Addr::LOCALHOST)
    );
    let word = keepalive(Uid(1));
    room.relay.send(&word, all[0].seat.address().unwrap());
    assert_eq!(all[0].hear().await, word);
}
