//! Voice through the real daemon: clients that know only the KV protocol, a kill in mid-talk.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use common::{
    House, code,
    kv::{
        ACCESS, ADMIN, CREATE, Client, DELETE, GET_CHANNELS, GET_PORT, LEAVE, Member, PACKET,
        REGISTER, UNREGISTER, legacy, system,
    },
};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

#[tokio::test]
async fn the_originals_client_works_with_the_legacy_switch_and_is_refused_without() {
    let house = legacy().await;
    let client = Client::of(&house);
    let uid = client.get(REGISTER, &[0, 0]).unwrap();
    assert_eq!(client.get(UNREGISTER, &[uid, uid]), Ok(uid));
    let admin = client.get(REGISTER, &[0, ADMIN]).unwrap();
    let channel = client.get(CREATE, &[admin]).unwrap();
    let [count, id, end] = [1u64, channel, 0].map(u64::to_be_bytes);
    assert_eq!(client.ask(GET_CHANNELS, &[]), [count, id, end].concat());
    assert!(client.get(GET_PORT, &[channel]).unwrap() >= 1024);
    assert_eq!(client.get(DELETE, &[admin, channel]), Ok(channel));
    assert_eq!(client.ask(GET_CHANNELS, &[]), [0; 16]);
    assert!(
        house.log().contains("voice.legacy_admin"),
        "{}",
        house.log()
    );

    let house = House::open().await;
    let client = Client::of(&house);
    let guest = client.get(REGISTER, &[0, ADMIN]).unwrap();
    assert_eq!(client.get(CREATE, &[guest]), Err(ACCESS));
    assert_eq!(client.get(CREATE, &[0]), Err(ACCESS));
    assert!(!house.log().contains("voice.legacy_admin"));
}

#[tokio::test]
async fn a_talk_goes_on_after_a_kill_and_nobody_has_to_join_again() {
    let mut house = legacy().await;
    let client = Client::of(&house);
    let channel = client.get(CREATE, &[0]).unwrap();
    let port = client.get(GET_PORT, &[channel]).unwrap();
    let (talker, listener) = (client.member(channel), client.member(channel));
    let (speaker, over) = (talker.uid, Arc::new(AtomicBool::new(false)));
    let until = over.clone();
    let talk = thread::spawn(move || {
        for word in 1.. {
            talker.say(word);
            thread::sleep(Duration::from_millis(20)); // the pace of speech
            if until.load(Relaxed) {
                return;
            }
        }
    });
    let heard = |times| {
        for _ in 0..times {
            assert_eq!(listener.hear().unwrap().0, speaker);
        }
    };
    heard(20);
    // The addresses are on the disk a moment after they were learned; a commit that begins now comes after.
    let path = format!("/api/v1/voice/channels/{channel}");
    house
        .ok("POST", "/api/v1/voice/channels", Some(json!({})))
        .await;
    let last = Instant::now();
    house.kill();
    house.start();
    // The listener says nothing at all meanwhile. What was on its way before the kill is not what we wait for.
    while listener.hear().unwrap().0 != speaker
        || house.ok("GET", &path, None).await["traffic"]["packets"] == 0
    {}
    println!("silence of at most {:?}", last.elapsed());
    heard(20);
    over.store(true, Relaxed);
    talk.join().unwrap();
    assert_eq!(Client::of(&house).get(GET_PORT, &[channel]), Ok(port));
}

#[tokio::test]
async fn a_channel_can_be_deleted_at_full_load() {
    let house = legacy().await;
    let client = Client::of(&house);
    let over = Arc::new(AtomicBool::new(false));
    let mut talks = Vec::new();
    for _ in 0..5 {
        let channel = client.get(CREATE, &[0]).unwrap();
        let members: Vec<_> = (0..8).map(|_| client.member(channel)).collect();
        let until = over.clone();
        talks.push(thread::spawn(move || {
            for word in 0.. {
                members.iter().for_each(|member| member.say(word));
                if until.load(Relaxed) {
                    return;
                }
            }
        }));
        assert_eq!(client.get(DELETE, &[0, channel]), Ok(channel));
        assert_eq!(client.ask(GET_CHANNELS, &[]), [0; 16]);
    }
    over.store(true, Relaxed);
    talks.into_iter().for_each(|talk| talk.join().unwrap());
    let stats = house.ok("GET", "/api/v1/voice/stats", None).await;
    assert_eq!(
        (&stats["channels"], &stats["members"]),
        (&json!(0), &json!(0))
    );
}

#[tokio::test]
async fn an_account_proves_itself_with_its_ticket() {
    let house = House::open().await;
    let (_, token) = house.person("pia", "player").await;
    let made = house
        .ok(
            "POST",
            "/api/v1/voice/channels",
            Some(json!({"title": "Raid"})),
        )
        .await;
    let path = format!("/api/v1/voice/channels/{}", made["id"]);
    let refused = house
        .call_as(&token, "POST", "/api/v1/voice/channels", Some(json!({})))
        .await;
    assert_eq!(code(&refused), (403, "forbidden"));
    let wish = json!({"channel": made["id"]});
    let (status, ticket) = house
        .call_as(&token, "POST", "/api/v1/voice/tickets", Some(wish))
        .await;
    assert_eq!(status, 201, "{ticket}");
    let uid = ticket["uid"].as_u64().unwrap();
    let port = ticket["port"].as_u64().unwrap() as u16;
    let member = Member::new(uid, ([127, 0, 0, 1], port).into());
    let mut join = system(1, uid, 9);
    join[24..32].copy_from_slice(b"LH-TAG1\0");
    join[32..40].copy_from_slice(&1u64.to_le_bytes());
    let key = data_encoding::HEXLOWER
        .decode(ticket["key"].as_str().unwrap().as_bytes())
        .unwrap();
    let mut tag = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    tag.update(&made["id"].as_u64().unwrap().to_le_bytes());
    tag.update(&join[..40]);
    join[40..72].copy_from_slice(&tag.finalize().into_bytes());
    member.socket.send(&join).unwrap();
    let mut ack = [0; PACKET];
    member.socket.recv(&mut ack).unwrap();
    assert_eq!(ack[..20], system(3, uid, 9)[..20]);

    // A guest hears them, who is seen to talk, by name; and is removed.
    let client = Client::of(&house);
    let guest = client.member(made["id"].as_u64().unwrap());
    member.say(5);
    assert_eq!(guest.hear().unwrap(), (uid, 5));
    let view = house.ok("GET", &path, None).await;
    let members = view["members"].as_array().unwrap();
    let [pia, other] = &members[..] else {
        panic!("{view}")
    };
    assert_eq!(
        (&pia["name"], &other["name"]),
        (&json!("pia"), &Value::Null)
    );
    let kick = format!("{path}/members/{}", guest.uid);
    let refused = house.call_as(&token, "DELETE", &kick, None).await;
    assert_eq!(code(&refused), (403, "forbidden"));
    house.ok("DELETE", &kick, None).await;
    assert_eq!(
        client.get(LEAVE, &[guest.uid, guest.uid, made["id"].as_u64().unwrap()]),
        Err(2)
    );
    let gone = house.call("DELETE", &kick, None).await;
    assert_eq!(code(&gone).0, 404);
}
