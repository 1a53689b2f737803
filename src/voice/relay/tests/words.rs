//! Seats are taken, and words answered, by the rules.

use super::*;

#[tokio::test]
async fn the_first_packet_binds_its_address_and_is_relayed() {
    let (mut room, all) = party(2, 100).await;
    all[0].say(&room, &keepalive(Uid(1))).await;
    all[1].speak(&room, 9).await;
    assert_eq!(all[0].hear_voice().await, (2, 9));
    for member in &all {
        assert_eq!(soon(room.bound.recv()).await, Some(CHANNEL));
        let address = member.socket.local_addr().unwrap();
        assert_eq!(member.seat.address(), Some(address));
    }
    // Another port of the same address is another address.
    let thief = member(2, "127.0.0.1").await;
    thief.speak(&room, 10).await;
    until(|| room.relay.tally().misplaced == 1).await;
    assert_eq!(all[1].seat.address(), all[1].socket.local_addr().ok());
    assert_eq!(room.relay.tally().packets, 1);
}

#[tokio::test]
async fn a_seat_is_not_taken_from_another_address_than_the_claimed_one() {
    let (room, _all) = party(1, 100).await;
    let thief = member(1, "127.0.0.2").await;
    let to = ("127.0.0.1", room.relay.port());
    for packet in [voice(Uid(1), 1), keepalive(Uid(1))] {
        thief.socket.send_to(&packet, to).await.unwrap();
    }
    until(|| room.relay.tally().misplaced == 2).await;
}

#[tokio::test]
async fn only_512_bytes_are_a_packet() {
    let (room, all) = talk(2, 1000).await;
    let long = [voice(Uid(1), 1).as_slice(), b"x"].concat();
    for bytes in [&long[..0], &long[..1], &long[..511], &long] {
        all[0].say(&room, bytes).await;
    }
    let mut unknown = keepalive(Uid(1));
    unknown[7] = 5;
    all[0].say(&room, &unknown).await;
    until(|| room.relay.tally().malformed == 5).await;
    all[0].speak(&room, 2).await;
    assert_eq!(all[1].hear_voice().await, (1, 2));
}

#[tokio::test]
async fn words_are_checked_and_acknowledged_where_they_came_from() {
    let (room, all) = talk(2, 1000).await;
    let system = System::new(Operation::Keepalive, Uid(1), 77);
    all[0].say(&room, &system.encode()).await;
    let ack = System::new(Operation::Ack, Uid(1), 77);
    assert_eq!(decode(&all[0].hear().await), Ok(Datagram::System(ack)));

    let mut unsound = system.encode();
    unsound[20] ^= 1;
    all[0].say(&room, &unsound).await;
    until(|| room.relay.tally().unsound == 1).await;

    // The same uid, the other way round.
    let swapped = System::new(Operation::Keepalive, Uid(1u64.swap_bytes()), 78);
    all[0].say(&room, &swapped.encode()).await;
    let ack = System::new(Operation::Ack, Uid(1u64.swap_bytes()), 78);
    assert_eq!(decode(&all[0].hear().await), Ok(Datagram::System(ack)));

    // An answer is not answered, and a stranger is not either.
    all[0].say(&room, &ack.encode()).await;
    let stranger = System::new(Operation::Keepalive, Uid(3), 1);
    all[0].say(&room, &stranger.encode()).await;
    all[0].say(&room, &voice(Uid(3), 1)).await;
    until(|| room.relay.tally().strangers == 2).await;
    assert_eq!(room.relay.tally().words, 2 + 3);
    all[1].speak(&room, 5).await;
    assert_eq!(all[0].hear_voice().await, (2, 5));
}

#[tokio::test]
async fn words_that_need_a_proof_are_petitions_or_nothing() {
    let (mut room, all) = talk(1, 1000).await;
    let marked = |operation, marker: &[u8; 8]| {
        let mut packet = System::new(operation, Uid(9), 0).encode();
        packet[24..32].copy_from_slice(marker);
        packet
    };
    let (ticket, signed) = (b"LH-TAG1\0", b"LH-SIG1\0");
    for (operation, marker) in [
        (Operation::Join, ticket),
        (Operation::Stop, signed),
        (Operation::Leave, signed),
    ] {
        let packet = marked(operation, marker);
        all[0].say(&room, &packet).await;
        let petition = soon(room.petitions.recv()).await.unwrap();
        assert_eq!(petition.channel, CHANNEL);
        assert_eq!(Some(petition.from), all[0].socket.local_addr().ok());
        assert_eq!(petition.system.operation, operation);
        assert_eq!(petition.head, packet[..HEAD]);
    }
    let unproven = [
        marked(Operation::Leave, ticket),
        marked(Operation::Stop, ticket),
        marked(Operation::Join, b"LH-TAG2\0"),
        System::new(Operation::Leave, Uid(1), 0).encode(),
        System::new(Operation::Stop, Uid(1), 0).encode(),
    ];
    for packet in &unproven {
        all[0].say(&room, packet).await;
    }
    until(|| room.relay.tally().unproven == 5).await;
    // Four fit, and a source has twenty at once.
    for _ in 0..40 {
        all[0].say(&room, &marked(Operation::Join, ticket)).await;
    }
    until(|| room.relay.tally().limited >= 30).await;
}

#[tokio::test]
async fn a_plain_join_binds_and_refreshes_but_never_moves() {
    let (room, all) = party(1, 1000).await;
    let join = System::new(Operation::Join, Uid(1), 0).encode();
    all[0].say(&room, &join).await;
    all[0].say(&room, &join).await;
    until(|| room.relay.tally().words == 2).await;
    let other = member(1, "127.0.0.1").await;
    other.say(&room, &join).await;
    until(|| room.relay.tally().unproven == 1).await;
    assert_eq!(all[0].seat.address(), all[0].socket.local_addr().ok());
}
