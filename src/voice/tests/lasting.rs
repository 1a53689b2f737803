//! What outlives a restart, and what becomes of ports.

use super::*;

#[tokio::test]
async fn after_a_restart_all_is_as_it_was_and_silent_listeners_hear_at_once() {
    let house = House::new().await;
    let channel = house.channel().await;
    let [ada, bob] = [house.member(channel).await, house.member(channel).await];
    let port = house.here(Command::GetPort { channel }).await.unwrap();
    // The addresses are in the store.
    let seats = || readable(house.store.scan(records::SEATS, b"")).map(|(_, seat)| seat);
    timeout(PATIENCE, async {
        while !seats().all(|seat| seat.address.is_some()) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let house = house.again().await;
    assert_eq!(house.here(Command::GetPort { channel }).await, Ok(port));
    assert_eq!(house.here(Command::GetChannels).await, Ok(1));
    ada.say(1).await;
    bob.hears(ada.uid, 1).await;
    let thief = Member::new(bob.uid, port).await;
    thief.say(2).await;
    house
        .until(channel, |view| view.traffic.drops.misplaced == 1)
        .await;
    let next = house.guest().await;
    assert!(next.0 > bob.uid.0, "ids go on");
}

#[tokio::test]
async fn a_deleted_channel_is_gone_and_its_members_are_told_by_the_box() {
    let house = House::new().await;
    let channel = house.channel().await;
    let ada = house.member(channel).await;
    let deleted = house
        .here(Command::Delete {
            uid: Uid(0),
            channel,
        })
        .await;
    assert_eq!(deleted, Ok(channel.0));
    let word = ada.packet().await;
    let signer = Signer::new(&house.store.get(KEYS, BOX).unwrap().unwrap().0);
    let head = word[..packet::HEAD].try_into().unwrap();
    let signed = signer.verify(&head, channel).unwrap();
    assert_eq!(signed.system.operation, Operation::Stop);
    assert_eq!(house.here(Command::GetChannels).await, Ok(0));
    assert_eq!(
        house.here(Command::GetPort { channel }).await,
        Err(Refusal::Param)
    );
    assert_eq!(readable(house.store.scan(records::SEATS, b"")).count(), 0);
    let house = house.again().await;
    assert_eq!(house.here(Command::GetChannels).await, Ok(0));
    assert_ne!(house.channel().await, channel);
}

#[tokio::test]
async fn no_port_is_left_when_all_are_taken_and_one_is_when_a_channel_ends() {
    let house = House::with(Legacy::Loopback, pool(2)).await;
    let create = || house.here(Command::Create { uid: Uid(0) });
    let made = [create().await, create().await];
    // Somebody else may have had one of the two.
    let channel = ChannelId(made.into_iter().flatten().next().unwrap());
    let full = timeout(PATIENCE, async { while create().await.is_ok() {} });
    full.await.unwrap();
    assert_eq!(create().await, Err(Refusal::Serv));
    let channels = house.here(Command::GetChannels).await;
    house
        .here(Command::Delete {
            uid: Uid(0),
            channel,
        })
        .await
        .unwrap();
    assert!(create().await.is_ok());
    assert_eq!(house.here(Command::GetChannels).await, channels);
}

#[tokio::test]
async fn a_port_that_somebody_took_meanwhile_is_had_again_when_it_is_free() {
    let house = House::new().await;
    let channel = house.channel().await;
    let port = house.here(Command::GetPort { channel }).await.unwrap();
    house.stop.cancel();
    while !house.run.is_finished() {
        tokio::task::yield_now().await;
    }
    let port = u16::try_from(port).unwrap();
    let thief = timeout(PATIENCE, async {
        loop {
            match std::net::UdpSocket::bind((HERE, port)) {
                Ok(socket) => return socket,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let thief = thief.await.unwrap();
    let house = house.again().await;
    let view = house.voice.channel(&root(), channel).await.unwrap();
    assert_eq!((view.port, view.sockets.shards), (port, 0));
    drop(thief);
    house.until(channel, |view| view.sockets.shards == 1).await;
    house.member(channel).await;
}
