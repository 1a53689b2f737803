//! The KV commands: who may do what from where, and by which number they are refused.

use super::*;

#[tokio::test]
async fn without_the_switch_nobody_is_an_administrator() {
    let house = House::with(Legacy::Off, pool(5)).await;
    let uid = house.here(register(0, 0x7fff_ffff)).await.unwrap();
    let create = |uid| Command::Create { uid: Uid(uid) };
    assert_eq!(house.here(create(uid)).await, Err(Refusal::Access));
    assert_eq!(house.here(create(0)).await, Err(Refusal::Access));
    assert_eq!(house.here(register(uid, 0)).await, Err(Refusal::Access));
    assert_eq!(
        house.here(unregister(Uid(0), Uid(uid))).await,
        Err(Refusal::Access)
    );
    assert_eq!(house.here(unregister(Uid(uid), Uid(uid))).await, Ok(uid));
    assert_eq!(
        house.here(unregister(Uid(uid), Uid(uid))).await,
        Err(Refusal::Param)
    );
}

#[tokio::test]
async fn with_the_switch_the_originals_client_does_what_it_did() {
    let house = House::new().await;
    let uid = house.here(register(0, 0)).await.unwrap();
    assert_eq!(house.here(unregister(Uid(uid), Uid(uid))).await, Ok(uid));
    let admin = house.here(register(0, 0x7fff_ffff)).await.unwrap();
    assert_ne!(admin, uid, "ids are not used again");
    let channel = house.here(Command::Create { uid: Uid(admin) }).await;
    assert!(channel.is_ok(), "{channel:?}");
    // Not from elsewhere, whoever they say they are.
    let far = [192, 0, 2, 1];
    for uid in [0, admin] {
        let create = Command::Create { uid: Uid(uid) };
        assert_eq!(house.at(far, create).await, Err(Refusal::Access));
    }
    let guest = house.at(far, register(0, 0x7fff_ffff)).await.unwrap();
    let create = Command::Create { uid: Uid(guest) };
    assert_eq!(house.at(far, create).await, Err(Refusal::Access));
}

#[tokio::test]
async fn each_permission_opens_what_it_is_for_and_nobody_gives_what_they_have_not() {
    let house = House::new().await;
    let channel = house.channel().await;
    let guest = house.guest().await;
    let with = async |bits| Uid(house.here(register(0, bits)).await.unwrap());
    let tried = async |uid| {
        [
            house.here(register(uid, 0)).await.is_ok(),
            house
                .here(Command::Join {
                    uid: Uid(uid),
                    juid: guest,
                    channel,
                })
                .await
                .is_ok(),
            house.here(leave(Uid(uid), guest, channel)).await.is_ok(),
            house.here(Command::Create { uid: Uid(uid) }).await.is_ok(),
            house
                .here(Command::Delete {
                    uid: Uid(uid),
                    channel: house.channel().await,
                })
                .await
                .is_ok(),
            house
                .here(unregister(Uid(uid), house.guest().await))
                .await
                .is_ok(),
        ]
    };
    for (bits, opens) in [
        (0, [false; 6]),
        (1 << 1, [true, false, false, false, false, false]),
        (1 << 5 | 1 << 6, [false, true, true, false, false, false]),
        (1 << 3, [false, false, false, true, false, false]),
        (1 << 4, [false, false, false, false, true, false]),
        (1 << 2, [false, false, false, false, false, true]),
        (0x7fff_ffff, [true; 6]),
    ] {
        let uid = with(bits).await;
        assert_eq!(tried(uid.0).await, opens, "{bits:#b}");
    }
    let registrar = with(1 << 1).await;
    assert_eq!(
        house.here(register(registrar.0, 1 << 3)).await,
        Err(Refusal::Access)
    );
    assert!(house.here(register(registrar.0, 1 << 1)).await.is_ok());
}

#[tokio::test]
async fn a_uid_acts_from_the_address_that_it_came_from() {
    let house = House::new().await;
    let channel = house.channel().await;
    let [ada, eve] = [[192, 0, 2, 1], [192, 0, 2, 2]];
    let uid = Uid(house.at(ada, register(0, 0)).await.unwrap());
    assert!(house.at(ada, join(uid, channel)).await.is_ok());
    for command in [
        join(uid, channel),
        leave(uid, uid, channel),
        unregister(uid, uid),
    ] {
        assert_eq!(
            house.at(eve, command).await,
            Err(Refusal::Access),
            "{command:?}"
        );
    }
    // One that an administrator made belongs to the first who uses it.
    let made = Uid(house.here(register(0, 1 << 3)).await.unwrap());
    let admin = house.here(register(0, 0x7fff_ffff)).await.unwrap();
    let open = Uid(house.here(register(admin, 0)).await.unwrap());
    assert_eq!(
        house.at(eve, join(made, channel)).await,
        Err(Refusal::Access)
    );
    assert!(house.at(eve, join(open, channel)).await.is_ok());
    assert_eq!(
        house.at(ada, join(open, channel)).await,
        Err(Refusal::Access)
    );
}

#[tokio::test]
async fn what_does_not_exist_is_told_in_the_originals_numbers() {
    let house = House::new().await;
    let channel = house.channel().await;
    let (nobody, nowhere) = (Uid(99_999), ChannelId(99_999));
    let guest = house.guest().await;
    for (command, refusal) in [
        (join(guest, nowhere), Refusal::Serv),
        (leave(guest, guest, nowhere), Refusal::Serv),
        (join(nobody, channel), Refusal::Param),
        (leave(guest, guest, channel), Refusal::Param),
        (leave(nobody, nobody, channel), Refusal::Param),
        (leave(nobody, guest, channel), Refusal::Access),
        (
            Command::Join {
                uid: Uid(0),
                juid: nobody,
                channel,
            },
            Refusal::Param,
        ),
        (
            Command::Delete {
                uid: guest,
                channel: nowhere,
            },
            Refusal::Param,
        ),
        (
            Command::Delete {
                uid: guest,
                channel,
            },
            Refusal::Access,
        ),
        (Command::Create { uid: nobody }, Refusal::Access),
        (Command::GetPort { channel: nowhere }, Refusal::Param),
        (unregister(nobody, nobody), Refusal::Param),
        (unregister(Uid(0), nobody), Refusal::Param),
        (register(nobody.0, 0), Refusal::Access),
    ] {
        assert_eq!(house.here(command).await, Err(refusal), "{command:?}");
    }
}

#[tokio::test]
async fn who_is_gone_is_gone_everywhere() {
    let house = House::new().await;
    let [first, second] = [house.channel().await, house.channel().await];
    let ada = house.member(first).await;
    house.here(join(ada.uid, second)).await.unwrap();
    house.here(unregister(Uid(0), ada.uid)).await.unwrap();
    for channel in [first, second] {
        let view = house.voice.channel(&root(), channel).await.unwrap();
        assert_eq!(view.members, []);
    }
    assert_eq!(ada.word().await, (Operation::Leave, ada.uid));
}

#[tokio::test]
async fn guests_from_one_address_give_way_to_newer_ones_unless_they_are_seated() {
    let house = House::new().await;
    let channel = house.channel().await;
    let first = house.guest().await;
    house.here(join(first, channel)).await.unwrap();
    let second = house.guest().await;
    for _ in 0..300 {
        house.guest().await;
    }
    let guests = house.voice.stats(&root()).await.unwrap().guests;
    assert!(guests <= 257, "{guests}");
    assert_eq!(house.here(join(second, channel)).await, Err(Refusal::Param));
    assert!(house.here(join(first, channel)).await.is_ok());
    // Nor does a restart forget how many there are.
    let house = house.again().await;
    house.guest().await;
    assert_eq!(house.voice.stats(&root()).await.unwrap().guests, guests);
}

#[tokio::test]
async fn who_may_not_leaves_no_trace_in_the_record() {
    let house = House::with(Legacy::Off, pool(5)).await;
    let stranger = Uid(77);
    let guest = house.guest().await;
    for uid in [stranger, guest] {
        for command in [
            Command::Create { uid },
            Command::Delete {
                uid,
                channel: ChannelId(1),
            },
            leave(uid, Uid(5), ChannelId(1)),
            Command::Join {
                uid,
                juid: Uid(5),
                channel: ChannelId(1),
            },
            register(uid.0, 1),
            unregister(uid, Uid(5)),
        ] {
            assert!(house.here(command).await.is_err(), "{command:?}");
        }
    }
    assert_eq!(house.actions(), Vec::<String>::new());
}

#[tokio::test]
async fn power_stays_where_it_was_registered_and_outlives_guests_and_restarts() {
    let house = House::new().await;
    let admin = Uid(house.here(register(0, 0x7fff_ffff)).await.unwrap());
    let creator = Uid(house.here(register(admin.0, 1 << 3)).await.unwrap());
    let create = |uid| Command::Create { uid };
    for uid in [admin, creator] {
        let far = house.at([192, 0, 2, 1], create(uid)).await;
        assert_eq!(far, Err(Refusal::Access));
        assert!(house.here(create(uid)).await.is_ok());
    }
    let house = house.again().await;
    for _ in 0..260 {
        house.guest().await;
    }
    for uid in [admin, creator] {
        assert!(house.here(create(uid)).await.is_ok());
    }
}

#[tokio::test]
async fn a_full_channel_has_room_for_who_comes_from_elsewhere() {
    let house = House::new().await;
    let channel = house.channel().await;
    let honest = house.member(channel).await;
    let crowd = async |host: u8| {
        for _ in 0..256 {
            let from = [192, 0, 2, host];
            let uid = Uid(house.at(from, register(0, 0)).await.unwrap());
            house.at(from, join(uid, channel)).await.unwrap();
        }
    };
    tokio::join!(crowd(1), crowd(2));
    let seats = async || house.voice.channel(&root(), channel).await.unwrap().members;
    assert_eq!(seats().await.len(), 512);
    assert!(seats().await.iter().any(|member| member.uid == honest.uid));
    let from = [192, 0, 2, 3];
    let uid = Uid(house.at(from, register(0, 0)).await.unwrap());
    assert!(house.at(from, join(uid, channel)).await.is_ok());
    let seated: Vec<_> = seats().await.iter().map(|member| member.uid).collect();
    assert_eq!(seated.len(), 512);
    assert!(seated.contains(&uid) && seated.contains(&honest.uid));
}

#[tokio::test]
async fn whoever_joins_while_a_channel_is_made_has_a_seat_in_it() {
    let house = House::new().await;
    let guest = house.guest().await;
    for next in 1..=30 {
        let channel = ChannelId(next);
        let (made, joined) = tokio::join!(house.channel(), async {
            loop {
                match house.here(join(guest, channel)).await {
                    Err(Refusal::Serv) => tokio::task::yield_now().await,
                    joined => return joined,
                }
            }
        });
        assert_eq!((made, joined.is_ok()), (channel, true));
        let view = house.voice.channel(&root(), channel).await.unwrap();
        assert_eq!(view.members.len(), 1, "{channel:?}");
    }
}
