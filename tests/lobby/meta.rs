//! Being found: a box that answers as a meta server, and another that publishes itself there.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use crate::common::{
    House, PATIENCE,
    ggz::{account, password},
};

/// What a meta server answers to one request, as the original's programs ask: a line, then a zero byte.
fn ask(house: &House, request: &str) -> String {
    let address = &house.endpoints["lobby.meta_listen"];
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(b"\n\0").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn query(house: &House, class: &str, kind: &str) -> String {
    let request = format!(
        "<?xml version=\"1.0\"?><query class=\"{class}\" type=\"{kind}\">\
         <option name=\"protocol\">10</option></query>"
    );
    ask(house, &request)
}

#[tokio::test]
async fn a_box_is_found_by_its_meta_server_and_by_the_one_where_it_publishes_itself() {
    let meta = House::open_with(&["lobby.meta_listen=127.0.0.1:0".into()]).await;
    let of = |house: &House| format!("ggz://{}/", house.endpoints["lobby.listen"]);
    let own = of(&meta);
    let answer = query(&meta, "ggz", "connection");
    assert!(
        answer.contains(&format!("<result uri=\"{own}\"><option name=\"version\">")),
        "{answer}"
    );
    assert_eq!(answer.matches("<result ").count(), 1, "{answer}");
    let answer = query(&meta, "Chess", "gameroom");
    assert!(answer.contains(&format!("uri=\"{own}#Chess\"")), "{answer}");
    assert_eq!(
        query(&meta, "Go", "gameroom").matches("<result ").count(),
        0
    );
    assert_eq!(ask(&meta, "query://ggz/connection/10").trim(), own);

    account(&meta, "neighbour", "host");
    let place = &meta.endpoints["lobby.meta_listen"];
    let publishing = |password: &str| {
        [
            format!("lobby.publish={place}"),
            "lobby.publish_name=neighbour".into(),
            format!("lobby.publish_password={password}"),
        ]
    };
    // Somebody who does not know the password is not listed, and says so in the log.
    let stranger = House::open_with(&publishing("guess")).await;
    let neighbour = House::open_with(&publishing(&password("neighbour"))).await;
    let begin = Instant::now();
    let answer = loop {
        let answer = query(&meta, "Chess", "gameroom");
        if answer.matches("<result ").count() == 2 || begin.elapsed() > PATIENCE {
            break answer;
        }
    };
    let theirs = of(&neighbour);
    assert!(
        answer.contains(&format!("uri=\"{theirs}#Chess\"")),
        "{answer}\n{}",
        neighbour.log()
    );
    let answer = query(&meta, "ggz", "connection");
    assert!(
        answer.contains(&own) && answer.contains(&theirs) && !answer.contains(&of(&stranger)),
        "{answer}"
    );
}
