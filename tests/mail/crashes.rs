//! A daemon that is killed while a letter is under way.

use serde_json::json;

use crate::common::{
    House,
    smtp::{Play, Reply, Sink, TAKE},
};

async fn house(sink: &Sink) -> House {
    let sets = [
        format!("mail.smtp={}", sink.address),
        "mail.from=Longhouse <box@example.org>".into(),
        "mail.tls=none".into(),
    ];
    House::open_with(&sets).await
}

async fn write(house: &House) {
    let wish = json!({"mail": "ada@example.org"});
    house.ok("POST", "/api/v1/mail", Some(wish)).await;
}

/// Only a letter that was never offered is due at once after a restart; others are asked for.
async fn tried_again(house: &House) {
    let queue = house.ok("GET", "/api/v1/mail", None).await;
    if let Some(id) = queue["letters"][0]["id"].as_u64() {
        let path = format!("/api/v1/mail/{id}/retry");
        let (status, answer) = house.call("POST", &path, None).await;
        assert!([204, 404, 409].contains(&status), "{status} {answer}");
    }
}

#[tokio::test]
async fn who_is_killed_before_the_text_sends_it_once() {
    for play in [
        Play {
            greeting: Reply::Nothing,
            ..TAKE
        },
        Play {
            mail: Reply::Nothing,
            ..TAKE
        },
        Play {
            rcpt: Reply::Nothing,
            ..TAKE
        },
        Play {
            data: Reply::Nothing,
            ..TAKE
        },
    ] {
        let mut sink = Sink::open().await;
        let mut house = house(&sink).await;
        sink.next(play);
        write(&house).await;
        match play {
            Play {
                mail: Reply::Nothing,
                ..
            } => drop(sink.hears("MAIL").await),
            Play {
                rcpt: Reply::Nothing,
                ..
            } => drop(sink.hears("RCPT").await),
            Play {
                data: Reply::Nothing,
                ..
            } => drop(sink.hears("DATA").await),
            // It says nothing before it is greeted.
            _ => drop(sink.hears("(came)").await),
        }
        house.kill();
        house.start();
        tried_again(&house).await;
        sink.letter().await;
        assert!(house.stop());
        assert_eq!(sink.rest().len(), 0, "{play:?}");
    }
}

#[tokio::test]
async fn who_is_killed_before_the_answer_to_the_text_sends_the_same_letter_again() {
    let mut sink = Sink::open().await;
    let mut house = house(&sink).await;
    sink.next(Play {
        text: Reply::Nothing,
        ..TAKE
    });
    write(&house).await;
    let first = sink.letter().await;
    house.kill();
    house.start();
    let queue = house.ok("GET", "/api/v1/mail", None).await;
    let letter = &queue["letters"][0];
    assert_eq!(letter["state"], "waiting", "{queue:#}");
    assert!(
        letter["error"]
            .as_str()
            .is_some_and(|why| why.contains("may have arrived"))
    );
    tried_again(&house).await;
    let second = sink.letter().await;
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert!(house.stop());
    assert_eq!(sink.rest().len(), 0);
}

#[tokio::test]
async fn what_was_answered_and_settled_is_not_sent_again_by_who_is_killed_then() {
    let mut sink = Sink::open().await;
    let mut house = house(&sink).await;
    write(&house).await;
    sink.letter().await;
    // It says goodbye once it has settled.
    sink.hears("QUIT").await;
    house.kill();
    house.start();
    let queue = house.ok("GET", "/api/v1/mail", None).await;
    assert_eq!(queue["letters"], json!([]));
    assert!(house.stop());
    assert_eq!(sink.rest().len(), 0);
}
