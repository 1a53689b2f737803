//! What is heard, by whom, and what is told of it.

use super::*;

#[tokio::test]
async fn what_one_says_all_others_hear_and_nobody_hears_themselves() {
    let house = House::new().await;
    let channel = house.channel().await;
    let [ada, bob, eve] = [
        house.member(channel).await,
        house.member(channel).await,
        house.member(channel).await,
    ];
    ada.say(1).await;
    bob.hears(ada.uid, 1).await;
    eve.hears(ada.uid, 1).await;
    ada.hears_nothing().await;
    let left = house.here(leave(bob.uid, bob.uid, channel)).await;
    assert_eq!(left, Ok(1));
    ada.say(2).await;
    eve.hears(ada.uid, 2).await;
    bob.say(3).await;
    let view = house
        .until(channel, |view| view.traffic.drops.strangers == 1)
        .await;
    assert_eq!(view.members.len(), 2);
    assert_eq!((view.traffic.packets, view.traffic.deliveries), (2, 3));
    assert!(view.members[0].talking, "{:?}", view.members[0]);
}

#[tokio::test]
async fn the_first_words_are_heard_and_bind_their_address() {
    let house = House::new().await;
    let channel = house.channel().await;
    let listener = house.member(channel).await;
    let uid = house.guest().await;
    let port = house.here(join(uid, channel)).await.unwrap();
    let ada = Member::new(uid, port).await;
    ada.say(1).await;
    listener.hears(uid, 1).await;
    let thief = Member::new(uid, port).await;
    thief.say(2).await;
    house
        .until(channel, |view| view.traffic.drops.misplaced == 1)
        .await;
    ada.say(3).await;
    listener.hears(uid, 3).await;
    // Until the member joins again.
    house.here(join(uid, channel)).await.unwrap();
    thief.say(4).await;
    listener.hears(uid, 4).await;
    ada.say(5).await;
    house
        .until(channel, |view| view.traffic.drops.misplaced == 2)
        .await;
}

#[tokio::test]
async fn what_happens_is_told_in_order() {
    let house = House::new().await;
    let mut news = house.voice.news();
    let begun = Instant::now();
    let channel = house.channel().await;
    let ada = house.member(channel).await;
    let mut told = Vec::new();
    while told.len() < 5 {
        // They talk until that was noticed.
        if told.len() == 3 {
            ada.say(1).await;
        }
        match timeout(GLANCE, news.recv()).await {
            Ok(next) => {
                let next = next.unwrap();
                assert_eq!(next.channel, channel);
                told.push(next.event);
            }
            Err(_) => assert!(begun.elapsed() < PATIENCE, "{told:?}"),
        }
    }
    let uid = ada.uid;
    assert!(matches!(told[0], Event::Created { .. }), "{told:?}");
    assert_eq!(
        told[1..4],
        [
            Event::Joined { uid, name: None },
            Event::Present { uid },
            Event::Talking { uid },
        ]
    );
    assert_eq!(told[4], Event::Quiet { uid });
    house.here(leave(uid, uid, channel)).await.unwrap();
    let next = timeout(PATIENCE, news.recv())
        .await
        .expect("no news")
        .unwrap();
    assert_eq!(
        next.event,
        Event::Left {
            uid,
            why: Why::Left
        }
    );
}
