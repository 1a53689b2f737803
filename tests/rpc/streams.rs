//! Consoles streamed elsewhere: to whom, and to whom not.

use longhouse::{
    console::stream::{CLIENT, Frame, Framer, SERVER, Source},
    rpc::wire::Value,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    House, PATIENCE, by_ada,
    common::{PLAIN, game},
    post, said,
};

const ECHO: &str = "
import sys
print('ready')
for line in sys.stdin: print('heard ' + line.strip())
";

async fn house(targets: &str) -> (House, u64) {
    let targets = format!("rpc.stream_targets={targets}");
    let house = House::with_games(&[("echo", &game(ECHO, PLAIN))], &[&targets]).await;
    let id = house.launch("echo").await;
    house.until_state(id, "running").await;
    (house, id)
}

async fn ask(house: &House, id: u64, host: &str, port: u16) -> Result<Value, (i32, String)> {
    let id = Value::Int(id.try_into().expect("a small number"));
    let call = by_ada(
        "server_console_stream",
        vec![id, host.into(), Value::Int(port.into())],
    );
    said(&post(house, "/xmlrpc", &call).await)
}

struct Peer {
    socket: TcpStream,
    framer: Framer,
}

impl Peer {
    async fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.framer.next().expect("frames") {
                return Some(frame);
            }
            let mut piece = [0; 512];
            let read = timeout(PATIENCE, self.socket.read(&mut piece)).await;
            match read.expect("in time").expect("it is there") {
                0 => return None,
                length => self.framer.push(&piece[..length]),
            }
        }
    }
}

/// A stream to a port of ours, past the greetings.
async fn streamed(house: &House, id: u64) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (answer, socket) = tokio::join!(ask(house, id, "127.0.0.1", port), async {
        let (mut socket, _) = listener.accept().await.expect("the box comes");
        socket.write_all(CLIENT).await.expect("it hears");
        let mut greeting = [0; 31];
        socket.read_exact(&mut greeting).await.expect("it answers");
        assert_eq!(&greeting, SERVER);
        socket
    });
    assert_eq!(answer, Ok(Value::Boolean(true)));
    let framer = Framer::default();
    Peer { socket, framer }
}

#[tokio::test]
async fn a_console_is_streamed_and_typed_into() {
    let (mut house, id) = house("127.0.0.0/8").await;
    let mut peer = streamed(&house, id).await;
    peer.socket
        .write_all(b"\x02\x03hel\x02\x03lo\n")
        .await
        .expect("it hears");
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.push(peer.hear().await.expect("it goes on"));
    }
    let frame = |source, data: &str| Frame {
        source,
        data: data.into(),
    };
    // Echo and answer come in the order in which the console has them.
    assert_eq!(
        heard,
        [
            frame(Source::Stdin, "hello\n"),
            frame(Source::Stdout, "heard hello\n")
        ]
    );
    house.power(id, "stop").await;
    house.until_state(id, "stopped").await;
    peer.socket
        .write_all(b"\x02\x02x\n")
        .await
        .expect("it hears");
    let refused = peer.hear().await.expect("it goes on");
    assert_eq!(refused.source, Source::Stderr);
    assert!(
        String::from_utf8_lossy(&refused.data).contains("not running"),
        "{refused:?}"
    );
    // It ends with the daemon.
    assert!(house.stop());
    assert_eq!(peer.hear().await, None);
}

#[tokio::test]
async fn the_boxes_own_doors_are_no_targets_whatever_is_configured() {
    let (house, id) = house("127.0.0.0/8, ::1").await;
    let port = |key: &str| -> u16 {
        let (_, port) = house.endpoints[key].rsplit_once(':').expect("an address");
        port.parse().expect("a port")
    };
    for key in [
        "admin.listen",
        "http.listen",
        "voice.listen",
        "lobby.listen",
    ] {
        for host in [
            "127.0.0.1",
            "127.1.1.1",
            "::ffff:127.0.0.1",
            "localhost",
            "127.1",
            "0x7f000001",
        ] {
            let (code, text) = ask(&house, id, host, port(key)).await.unwrap_err();
            assert_eq!(code, 5001, "{host} {key}: {text}");
            assert!(text.starts_with("(-1) [console.stream.target] "), "{text}");
        }
    }
    for host in [
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "",
        "no such name",
        "8.8.8.8",
    ] {
        let (code, _) = ask(&house, id, host, port("admin.listen"))
            .await
            .unwrap_err();
        assert_eq!(code, 5001, "{host}");
    }
    let log = house.ok("GET", "/api/v1/audit", None).await;
    assert!(
        !log.to_string().contains("console.stream"),
        "nothing was tried"
    );
}

#[tokio::test]
async fn this_box_itself_is_no_target_unless_it_is_named() {
    let (house, id) = house("").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    assert_eq!(
        ask(&house, id, "127.0.0.1", port).await.unwrap_err().0,
        5001
    );
    assert_eq!(
        ask(&house, id, "localhost", port).await.unwrap_err().0,
        5001
    );
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_is_hung_up_on_at_once() {
    let (house, id) = house("127.0.0.1").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("its address").port();
    for said in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"MYOTTD_CONSOLE_STREAM_SERVER_01",
        b"",
    ] {
        let (answer, heard) = tokio::join!(ask(&house, id, "127.0.0.1", port), async {
            let (mut socket, _) = listener.accept().await.expect("the box comes");
            socket.write_all(said).await.expect("it hears");
            if said.is_empty() {
                socket.shutdown().await.expect("it hears");
            }
            let mut heard = Vec::new();
            timeout(PATIENCE, socket.read_to_end(&mut heard))
                .await
                .expect("in time")
                .ok();
            heard
        });
        assert_eq!(answer.unwrap_err().0, 5003);
        assert_eq!(heard, b"", "nothing was told");
    }
    drop(listener);
    assert_eq!(
        ask(&house, id, "127.0.0.1", port).await.unwrap_err().0,
        5002
    );
    // Each that was tried is in the log, with where it went.
    let log = house.ok("GET", "/api/v1/audit", None).await;
    let tries = log.as_array().expect("records").iter();
    let tries: Vec<_> = tries
        .filter(|line| line["action"] == "console.stream" && line["of"].is_null())
        .map(|line| line["detail"]["to"].clone())
        .collect();
    assert_eq!(tries, vec![json!(format!("127.0.0.1:{port}")); 4]);
}

#[tokio::test]
async fn a_server_has_four_streams_and_places_are_given_back() {
    let (house, id) = house("127.0.0.1").await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(streamed(&house, id).await);
    }
    assert_eq!(ask(&house, id, "127.0.0.1", 1).await.unwrap_err().0, 5004);
    peers.pop();
    let begin = std::time::Instant::now();
    loop {
        match ask(&house, id, "127.0.0.1", 1).await.unwrap_err().0 {
            5002 => break,
            code => assert_eq!(code, 5004),
        }
        assert!(begin.elapsed() < PATIENCE);
    }
}
