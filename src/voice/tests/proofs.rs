//! Tickets, the box's own key, and accounts.

use super::*;

#[tokio::test]
async fn a_ticket_seats_whoever_proves_it_once_for_each_sequence() {
    let house = House::new().await;
    let channel = house.channel().await;
    let listener = house.member(channel).await;
    let ada = house.person("ada", Role::Player).await;
    let ticket = house.voice.ticket(&ada, channel).await.unwrap();
    let key: seal::Key = readable(house.store.scan(records::TICKETS, b""))
        .next()
        .unwrap()
        .1
        .key;
    assert_eq!(ticket.key, key.hex());
    let join = |sequence| seal::join(&key, channel, ticket.uid, 5, sequence);
    let [first, second] = [
        Member::new(ticket.uid, ticket.port.into()).await,
        Member::new(ticket.uid, ticket.port.into()).await,
    ];
    first.say(1).await;
    house
        .until(channel, |view| view.traffic.drops.strangers == 1)
        .await;
    first.send(&join(10)).await;
    assert_eq!(first.word().await, (Operation::Ack, ticket.uid));
    first.say(2).await;
    listener.hears(ticket.uid, 2).await;
    // A copy of it is worth nothing elsewhere, nor is one with another key; a newer one is.
    second.send(&join(10)).await;
    let wrong = seal::join(&seal::Key::fresh(), channel, ticket.uid, 5, 11);
    second.send(&wrong).await;
    second.say(3).await;
    house
        .until(channel, |view| view.traffic.drops.misplaced == 1)
        .await;
    second.send(&join(12)).await;
    assert_eq!(second.word().await, (Operation::Ack, ticket.uid));
    second.say(4).await;
    listener.hears(ticket.uid, 4).await;
    let view = house.voice.channel(&root(), channel).await.unwrap();
    let member = view
        .members
        .iter()
        .find(|member| member.uid == ticket.uid)
        .unwrap();
    assert_eq!(member.name.as_deref(), Some("ada"));
}

#[tokio::test]
async fn an_accounts_uid_joins_from_where_it_asked_and_has_no_power_of_its_role() {
    let house = House::new().await;
    let channel = house.channel().await;
    let listener = house.member(channel).await;
    let boss = house.person("boss", Role::Admin).await;
    let uid = house.voice.ticket(&boss, channel).await.unwrap().uid;
    assert_eq!(house.voice.ticket(&boss, channel).await.unwrap().uid, uid);
    assert_eq!(
        house.at([192, 0, 2, 1], join(uid, channel)).await,
        Err(Refusal::Access)
    );
    assert!(house.here(join(uid, channel)).await.is_ok());
    for command in [
        Command::Create { uid },
        Command::Delete { uid, channel },
        leave(uid, listener.uid, channel),
        register(uid.0, 0x7fff_ffff),
        unregister(uid, listener.uid),
    ] {
        assert_eq!(
            house.here(command).await,
            Err(Refusal::Access),
            "{command:?}"
        );
    }
    let mine = house
        .voice
        .create(&boss, NewChannel::default())
        .await
        .unwrap();
    assert_eq!(mine.owner, Some(uid));
    let delete = Command::Delete {
        uid,
        channel: mine.id,
    };
    assert_eq!(house.here(delete).await, Err(Refusal::Access));
    assert_eq!(house.here(leave(uid, uid, channel)).await, Ok(1));
    // Below a player there is no voice.
    set(&house, &boss, Role::Guest).await;
    assert_eq!(house.here(join(uid, channel)).await, Err(Refusal::Access));
}

async fn set(house: &House, who: &Principal, role: Role) {
    // Somebody has to be left.
    house.person("root", Role::Admin).await;
    let patch = AccountPatch {
        role: Some(role),
        ..AccountPatch::default()
    };
    let id = crate::accounts::AccountId(who.actor.account.unwrap());
    house.accounts.update(&root(), id, patch).await.unwrap();
}

#[tokio::test]
async fn a_ticket_used_elsewhere_has_to_show_that_packets_reach_there() {
    let house = House::new().await;
    let channel = house.channel().await;
    let listener = house.member(channel).await;
    let ada = house.person("ada", Role::Player).await;
    let elsewhere = Principal {
        actor: Actor {
            from: Some([192, 0, 2, 7].into()),
            ..ada.actor.clone()
        },
        ..ada
    };
    let ticket = house.voice.ticket(&elsewhere, channel).await.unwrap();
    let mut tickets = readable(house.store.scan(records::TICKETS, b""));
    let key: seal::Key = tickets.next().unwrap().1.key;
    let join = |sequence| seal::join(&key, channel, ticket.uid, 5, sequence);
    let [first, second] = [
        Member::new(ticket.uid, ticket.port.into()).await,
        Member::new(ticket.uid, ticket.port.into()).await,
    ];
    first.send(&join(10)).await;
    let asked = seal::asked(&first.packet().await).expect("a sequence");
    assert!(asked > 10);
    let view = house.voice.channel(&root(), channel).await.unwrap();
    assert_eq!(view.members.len(), 1, "no seat yet");
    // Only there it was read.
    second.send(&join(asked)).await;
    assert_ne!(seal::asked(&second.packet().await), Some(asked));
    first.send(&join(asked + 1)).await;
    let asked = seal::asked(&first.packet().await).expect("a sequence");
    first.send(&join(asked)).await;
    let ack = first.packet().await;
    assert_eq!(seal::asked(&ack), None);
    first.say(1).await;
    listener.hears(ticket.uid, 1).await;
}

#[tokio::test]
async fn what_the_box_signed_counts_once_and_what_others_sign_never() {
    let house = House::new().await;
    let channel = house.channel().await;
    let ada = house.member(channel).await;
    let key = house.store.get(KEYS, BOX).unwrap().unwrap().0;
    let signer = Signer::new(&key);
    let word = |signer: &Signer, operation, uid, at| {
        signer.sign(operation, uid, 3, UnixMillis(at), channel)
    };
    let now = UnixMillis::now().0;
    let stranger = Member::new(
        ada.uid,
        house.here(Command::GetPort { channel }).await.unwrap(),
    )
    .await;
    let forger = Signer::new(&seal::Key::fresh());
    for operation in [Operation::Join, Operation::Leave, Operation::Stop] {
        stranger
            .send(&word(&forger, operation, ada.uid, now + 1))
            .await;
    }
    // By the box, but long ago.
    stranger
        .send(&word(&signer, Operation::Stop, ada.uid, now - 60_000))
        .await;
    let guest = house.guest().await;
    let bob = Member::new(
        guest,
        house.here(Command::GetPort { channel }).await.unwrap(),
    )
    .await;
    let admission = word(&signer, Operation::Join, guest, now + 10);
    bob.send(&admission).await;
    assert_eq!(bob.word().await, (Operation::Ack, guest));
    bob.say(9).await;
    ada.hears(guest, 9).await;
    let expulsion = word(&signer, Operation::Leave, guest, now + 20);
    stranger.send(&expulsion).await;
    assert_eq!(bob.word().await, (Operation::Leave, guest));
    // Neither counts again.
    house.here(join(guest, channel)).await.unwrap();
    stranger.send(&admission).await;
    stranger.send(&expulsion).await;
    bob.appear().await;
    stranger
        .send(&word(&signer, Operation::Stop, Uid(0), now + 30))
        .await;
    assert_eq!(ada.word().await.0, Operation::Stop);
    assert_eq!(house.here(Command::GetChannels).await, Ok(0));
    assert!(house.actions().contains(&"voice.delete by box".into()));
}

#[tokio::test]
async fn a_disabled_account_loses_its_seat_and_may_not_come_back() {
    let house = House::new().await;
    let channel = house.channel().await;
    let ada = house.person("ada", Role::Player).await;
    let ticket = house.voice.ticket(&ada, channel).await.unwrap();
    assert!(house.here(join(ticket.uid, channel)).await.is_ok());
    let patch = AccountPatch {
        disabled: Some(true),
        ..AccountPatch::default()
    };
    let id = crate::accounts::AccountId(ada.actor.account.unwrap());
    house.accounts.update(&root(), id, patch).await.unwrap();
    house.until(channel, |view| view.members.is_empty()).await;
    assert_eq!(
        house.here(join(ticket.uid, channel)).await,
        Err(Refusal::Access)
    );
    assert!(matches!(
        house.voice.ticket(&ada, channel).await,
        Err(VoiceError::Forbidden(_))
    ));
}

#[tokio::test]
async fn owners_and_administrators_manage_and_others_see_no_addresses() {
    let house = House::new().await;
    let [host, player] = [
        house.person("hugo", Role::Host).await,
        house.person("pia", Role::Player).await,
    ];
    let title = |text: &str| NewChannel {
        title: Some(text.into()),
    };
    let denied = house.voice.create(&player, title("mine")).await;
    assert!(matches!(denied, Err(VoiceError::Forbidden("voice.create"))));
    for bad in ["", "  ", "a\nb", &"x".repeat(65)] {
        assert!(matches!(
            house.voice.create(&host, title(bad)).await,
            Err(VoiceError::BadTitle)
        ));
    }
    let view = house.voice.create(&host, title("Raid")).await.unwrap();
    assert_eq!(
        (view.title.as_str(), view.owner_name.as_deref()),
        ("Raid", Some("hugo"))
    );
    let ada = house.member(view.id).await;
    let boss = root();
    let address = async |by| house.voice.channel(by, view.id).await.unwrap().members[0].address;
    assert!(address(&host).await.is_some() && address(&boss).await.is_some());
    assert_eq!(address(&player).await, None);
    assert!(matches!(
        house.voice.kick(&player, view.id, ada.uid).await,
        Err(VoiceError::Forbidden(_))
    ));
    house.voice.kick(&host, view.id, ada.uid).await.unwrap();
    assert!(matches!(
        house.voice.kick(&host, view.id, ada.uid).await,
        Err(VoiceError::NoSuchMember { .. })
    ));
    assert!(matches!(
        house.voice.delete(&player, view.id).await,
        Err(VoiceError::Forbidden(_))
    ));
    let foreign = house.channel().await;
    assert!(matches!(
        house.voice.delete(&host, foreign).await,
        Err(VoiceError::Forbidden(_))
    ));
    house.voice.delete(&host, view.id).await.unwrap();
    assert!(matches!(
        house.voice.channel(&host, view.id).await,
        Err(VoiceError::NoSuchChannel(_))
    ));
    assert!(matches!(
        house.voice.ticket(&root(), foreign).await,
        Err(VoiceError::NoAccount)
    ));
}
