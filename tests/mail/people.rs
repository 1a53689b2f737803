//! People and the links that they are mailed, at a real daemon's doors.

use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::common::{
    House, PATIENCE, disk,
    smtp::{Play, Reply, Sink, TAKE},
};

/// An answer as a browser sees it.
struct Page {
    status: u16,
    location: Option<String>,
    policy: String,
    text: String,
}

async fn browse(house: &House, method: &str, path: &str, body: &str) -> Page {
    let address = &house.endpoints["http.listen"];
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address)
        .header("origin", format!("http://{address}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a request");
    let work = async {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (mut sender, line) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("it speaks HTTP");
        tokio::spawn(line);
        let answer = sender.send_request(request).await.expect("an answer");
        let header = |name: &str| {
            let value = answer.headers().get(name)?;
            value.to_str().ok().map(String::from)
        };
        let (status, location) = (answer.status().as_u16(), header("location"));
        let policy = header("content-security-policy").unwrap_or_default();
        let body = answer
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        Page {
            status,
            location,
            policy,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    };
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}

/// The path of a link, without the box.
fn path(link: &str) -> &str {
    let (_, rest) = link.split_once("//").expect("a link");
    &rest[rest.find('/').expect("a path")..]
}

/// One call at MyOTTD's door, by the administrator: a number, a fault's code and text, or true.
async fn rpc(house: &House, method: &str, args: &[&str]) -> Result<String, (i64, String)> {
    let given: String = args
        .iter()
        .map(|arg| match arg.strip_prefix('#') {
            Some(number) => format!("<value><int>{number}</int></value>"),
            None => format!("<value>{}</value>", arg.replace('&', "&amp;")),
        })
        .collect();
    let call = format!(
        "<methodCall><methodName>{method}</methodName><params>\
         <param><value><array><data><value>plain</value><value>ada</value><value>correct horse</value></data></array></value></param>\
         <param><value><array><data>{given}</data></array></value></param></params></methodCall>"
    );
    let answer = browse(house, "POST", "/xmlrpc/mauthd", &call).await.text;
    let part = |start: &str, end: &str| {
        let rest = &answer[answer.find(start)? + start.len()..];
        Some(rest[..rest.find(end)?].to_owned())
    };
    if answer.contains("<fault>") {
        let code = part("<int>", "</int>").and_then(|code| code.parse().ok());
        return Err((code.unwrap_or(0), answer));
    }
    let value = part("<int>", "</int>").or_else(|| part("<boolean>", "</boolean>"));
    Ok(value.unwrap_or_else(|| panic!("{method}: {answer}")))
}

async fn mailing(sink: &Sink, more: &[&str]) -> House {
    let mut sets = vec![
        format!("mail.smtp={}", sink.address),
        "mail.from=Longhouse <box@example.org>".into(),
        "mail.tls=none".into(),
    ];
    sets.extend(more.iter().map(ToString::to_string));
    House::open_with(&sets).await
}

async fn login(house: &House, name: &str, password: &str) -> (u16, Value) {
    let wish = json!({"name": name, "password": password});
    house.call_as("", "POST", "/api/v1/login", Some(wish)).await
}

#[tokio::test]
async fn a_site_registers_somebody_who_verifies_by_the_mailed_link() {
    let mut sink = Sink::open().await;
    let house = mailing(&sink, &["http.redirects=friends.example"]).await;
    let hash = "5ebe2294ecd0e0f08eab7690d2a6ee69"; // the MD5 of `secret`
    let url = "https://friends.example/hi?u=%(uid)s&n=%(username)s";
    let args = ["bob", hash, "bob@example.org", url];
    let id = rpc(&house, "register_user", &args).await.expect("an id");
    let letter = sink.letter().await;
    assert!(letter.to.contains("<bob@example.org>"));
    let link = letter.link();
    assert!(link.starts_with(&format!(
        "http://{}/verify?uid={id}&token=",
        house.endpoints["http.listen"]
    )));

    let check = async |secret: &str| rpc(&house, "mauthd.check_login", &["bob", secret]).await;
    assert_eq!(check(hash).await.unwrap_err().0, 2011);
    assert_eq!(login(&house, "bob", "secret").await.0, 401);
    // A look at the head uses nothing up, nor does a guess.
    assert_eq!(browse(&house, "HEAD", path(&link), "").await.status, 200);
    let guess = format!("/verify?uid={id}&token=guess");
    let wrong = browse(&house, "GET", &guess, "").await;
    assert!(wrong.status == 410 && wrong.text.contains("2022 [auth.verify.token]"));
    let nobody = browse(&house, "GET", "/verify?uid=99&token=guess", "").await;
    assert!(nobody.status == 404 && nobody.text.contains("2021 [auth.verify.uid]"));
    let done = browse(&house, "GET", path(&link), "").await;
    assert_eq!(done.status, 303, "{}", done.text);
    let there = format!("https://friends.example/hi?u={id}&n=bob");
    assert_eq!(done.location.as_deref(), Some(there.as_str()));
    let again = browse(&house, "GET", path(&link), "").await;
    assert!(again.status == 410 && again.text.contains("verified already"));
    assert!(again.text.contains("2023 [auth.verify.alreadydone]"));

    assert_eq!(check(hash).await.expect("bob"), id);
    assert_eq!(check("secret").await.expect("bob"), id);
    assert_eq!(
        check("00000000000000000000000000000000")
            .await
            .unwrap_err()
            .0,
        2013
    );
    let nobody = rpc(&house, "check_login", &["nobody", hash])
        .await
        .unwrap_err();
    assert!(nobody.0 == 2012 && nobody.1.contains("(-1) [auth.check_login.bad_username]"));
    // The same password in clear at another door.
    assert_eq!(login(&house, "bob", "secret").await.0, 200);
    let token = link.rsplit_once("token=").expect("a token").1;
    assert!(!house.log().contains(token));
    let audit = house
        .ok("GET", "/api/v1/audit?count=10000", None)
        .await
        .to_string();
    assert!(audit.contains("account.enrol") && !audit.contains(token) && !audit.contains(hash));
}

#[tokio::test]
async fn what_cannot_be_registered_is_said_and_leaves_nothing() {
    let mut sink = Sink::open().await;
    let house = mailing(&sink, &[]).await;
    for (args, code, why) in [
        (
            ["ada", "battery staple", "x@example.org", ""],
            2032,
            "taken",
        ),
        (
            ["a_b", "battery staple", "x@example.org", ""],
            1102,
            "cannot be a name",
        ),
        (["bob", "short", "x@example.org", ""], 1102, "too short"),
        (
            ["bob", "battery staple", "nobody", ""],
            1102,
            "mail address",
        ),
        (["bob", "battery staple", "", ""], 1102, "mail address"),
        (
            [
                "bob",
                "battery staple",
                "x@example.org",
                "https://evil.example/",
            ],
            1102,
            "success_url",
        ),
        (
            [
                "bob",
                "battery staple",
                "x@example.org",
                "http://%(username)s/",
            ],
            1102,
            "success_url",
        ),
        (
            [
                "bob",
                "battery staple",
                "x@example.org",
                "javascript:alert(1)",
            ],
            1102,
            "success_url",
        ),
    ] {
        let refused = rpc(&house, "register_user", &args).await.unwrap_err();
        assert!(
            refused.0 == code && refused.1.contains(why),
            "{args:?}: {refused:?}"
        );
    }
    let people = house.ok("GET", "/api/v1/accounts", None).await;
    assert_eq!(people.as_array().map(Vec::len), Some(1));
    assert_eq!(sink.rest().len(), 0);
}

#[tokio::test]
async fn without_a_mail_server_administrators_are_shown_the_links() {
    let house = House::open().await;
    let args = ["bob", "battery staple bob", "bob@example.org", ""];
    rpc(&house, "register_user", &args).await.expect("an id");
    let queue = house.ok("GET", "/api/v1/mail", None).await;
    let letter = &queue["letters"][0];
    assert_eq!(letter["state"], "waiting-for-smtp", "{queue:#}");
    let link = letter["link"].as_str().expect("a link").to_owned();
    let (code, out, err) = house.verb(&["mail", "list"]);
    assert!(
        code == 0 && out.contains(&link) && err.contains("hint: set mail.smtp"),
        "{out}{err}"
    );
    // Neither who may not, nor a token that does a part of what an administrator does.
    let (_, host) = house.person("eve", "host").await;
    assert_eq!(
        house.call_as(&host, "GET", "/api/v1/mail", None).await.0,
        403
    );
    let wish = json!({"label": "x", "account": 1, "scopes": ["box.manage"]});
    let token = house.ok("POST", "/api/v1/tokens", Some(wish)).await;
    let secret = token["secret"].as_str().expect("a secret");
    let (_, narrow) = house.call_as(secret, "GET", "/api/v1/mail", None).await;
    assert_eq!(narrow["letters"][0]["link"], Value::Null, "{narrow:#}");

    let page = browse(&house, "GET", path(&link), "").await;
    assert!(
        page.status == 200 && page.text.contains("is verified"),
        "{}",
        page.text
    );
    assert!(page.policy.contains("default-src 'none'"));
    assert_eq!(login(&house, "bob", "battery staple bob").await.0, 200);
    let left = house.ok("GET", "/api/v1/mail", None).await;
    assert_eq!(left["letters"], json!([]));

    let (code, _, err) = house.verb(&["mail", "test", "ada@example.org"]);
    assert_eq!(code, 0, "{err}");
    let left = house.ok("GET", "/api/v1/mail", None).await;
    let id = left["letters"][0]["id"].to_string();
    assert_eq!(house.verb(&["mail", "retry", &id]).0, 0);
    assert_eq!(house.verb(&["mail", "drop", &id]).0, 0);
    assert_eq!(house.verb(&["mail", "drop", &id]).0, 1);
}

#[tokio::test]
async fn a_forgotten_password_is_set_on_a_page_without_scripts() {
    let mut sink = Sink::open().await;
    let house = mailing(&sink, &[]).await;
    let wish = json!({"name": "bob", "password": "battery staple", "mail": "bob@example.org"});
    house.ok("POST", "/api/v1/accounts", Some(wish)).await;
    let forgot = async |mail: &str| {
        let wish = json!({ "mail": mail });
        house
            .call_as("", "POST", "/api/v1/password/forgot", Some(wish))
            .await
            .0
    };
    assert_eq!(forgot("nobody@example.org").await, 204);
    assert_eq!(forgot("bob@example.org").await, 204);
    let link = sink.letter().await.link();
    let page = browse(&house, "GET", path(&link), "").await;
    assert!(
        page.status == 200 && page.text.contains("<form method=\"post\""),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<script") && page.policy.contains("form-action 'self'"));
    let (_, query) = link.split_once('?').expect("a query");
    let send = async |password: &str, again: &str| {
        let form = format!("{query}&password={password}&again={again}");
        browse(&house, "POST", "/reset", &form).await
    };
    assert_eq!(send("a+new+password", "another").await.status, 422);
    assert_eq!(send("short", "short").await.status, 422);
    assert_eq!(send("a+new+password", "a+new+password").await.status, 200);
    assert_eq!(send("a+new+password", "a+new+password").await.status, 410);
    assert_eq!(browse(&house, "GET", path(&link), "").await.status, 410);
    assert_eq!(login(&house, "bob", "a new password").await.0, 200);
    assert_eq!(login(&house, "bob", "battery staple").await.0, 401);
    // Another site's page cannot even try.
    let foreign = format!(
        "POST /reset HTTP/1.1\r\nhost: x\r\norigin: http://evil.example\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{query}",
        query.len()
    );
    assert_eq!(house.raw(foreign.as_bytes()).await.0, 403);
    // Too many wishes are heard without a word, and nothing is sent. A letter that still waits is taken back by the
    // next wish, so each is awaited.
    for _ in 0..2 {
        assert_eq!(forgot("bob@example.org").await, 204);
        sink.letter().await;
    }
    for _ in 0..7 {
        assert_eq!(forgot("bob@example.org").await, 204);
    }
    let wish = json!({"mail": "ada@example.org"});
    house.ok("POST", "/api/v1/mail", Some(wish)).await;
    assert!(sink.letter().await.to.contains("ada"));
    assert_eq!(forgot("a@b@c").await, 422);
    // The same by the API.
    let gone = json!({"account": 2, "token": "guess", "password": "a new password"});
    let (status, answer) = house
        .call_as("", "POST", "/api/v1/password/reset", Some(gone))
        .await;
    assert!(
        status == 410 && answer["code"] == "link-gone",
        "{status} {answer}"
    );
    for bad in [
        "/verify",
        "/verify?uid=x&token=y",
        "/reset?uid=1",
        "/verify?uid=1&token=%22%3E",
    ] {
        assert_eq!(browse(&house, "GET", bad, "").await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_new_address_is_verified_before_the_next_login_and_the_old_one_is_told() {
    let mut sink = Sink::open().await;
    let house = mailing(&sink, &[]).await;
    let wish = json!({"name": "bob", "password": "battery staple", "mail": "old@example.org"});
    let bob = house.ok("POST", "/api/v1/accounts", Some(wish)).await["id"].to_string();
    let session = login(&house, "bob", "battery staple").await.1;
    let token = session["token"].as_str().expect("a token");
    let changed = rpc(
        &house,
        "change_email",
        &[&format!("#{bob}"), "new@example.org"],
    )
    .await;
    assert_eq!(changed.expect("ok"), "1");
    let letters = [sink.letter().await, sink.letter().await];
    let to = |name: &str| letters.iter().find(|letter| letter.to.contains(name));
    let notice = to("old@example.org").expect("a notice");
    assert!(!notice.text.contains("token=") && notice.text.contains("another mail address"));
    let link = to("new@example.org").expect("a link").link();
    assert_eq!(login(&house, "bob", "battery staple").await.0, 401);
    assert_eq!(
        rpc(&house, "check_login", &["bob", "battery staple"])
            .await
            .unwrap_err()
            .0,
        2011
    );
    assert_eq!(house.call_as(token, "GET", "/api/v1/me", None).await.0, 200);
    // `user_id` is what older programs say.
    let link = path(&link).replace("uid=", "user_id=");
    assert_eq!(browse(&house, "GET", &link, "").await.status, 200);
    assert_eq!(login(&house, "bob", "battery staple").await.0, 200);
    assert_eq!(
        rpc(
            &house,
            "change_password",
            &[&format!("#{bob}"), "a new password"]
        )
        .await
        .expect("ok"),
        "1"
    );
    assert_eq!(house.call_as(token, "GET", "/api/v1/me", None).await.0, 401);
    assert_eq!(login(&house, "bob", "a new password").await.0, 200);
    for bad in ["#99", "#-1"] {
        assert_eq!(
            rpc(&house, "change_password", &[bad, "a new password"])
                .await
                .unwrap_err()
                .0,
            2031
        );
    }
    assert_eq!(
        rpc(&house, "forgot_password", &["new@example.org"])
            .await
            .expect("ok"),
        "1"
    );
    assert!(sink.letter().await.text.contains("/reset?uid="));
    assert_eq!(
        rpc(&house, "forgot_password", &["nobody@example.org"])
            .await
            .expect("ok"),
        "1"
    );
}

#[tokio::test]
async fn a_full_disk_leaves_neither_an_account_nor_half_a_letter() {
    if !nix::unistd::Uid::effective().is_root() {
        assert!(std::env::var_os("CI").is_none(), "this needs root");
        eprintln!("SKIPPED: a small disk needs root");
        return;
    }
    let mut house = House::unlocked(&[]);
    disk::small_disk(&house.state());
    house.settle().await;
    let filler = house.state().join("filler");
    disk::fill(&filler);
    let args = ["bob", "battery staple bob", "bob@example.org", ""];
    // A little room may be left to the store; then it is used up.
    let mut made = 0;
    let refused = loop {
        let name = format!("bob{made}");
        let args = [&name, args[1], args[2], args[3]];
        match rpc(&house, "register_user", &args).await {
            Ok(_) => made += 1,
            Err(refused) => break refused,
        }
        assert!(made < 50);
        disk::fill(&filler);
    };
    assert!([1106, 1103].contains(&refused.0), "{refused:?}");
    std::fs::remove_file(&filler).expect("room again");
    let people = house.ok("GET", "/api/v1/accounts", None).await;
    assert_eq!(people.as_array().map(Vec::len), Some(1 + made));
    let queue = house.ok("GET", "/api/v1/mail", None).await;
    assert_eq!(queue["letters"].as_array().map(Vec::len), Some(made));
}

#[tokio::test]
async fn a_server_that_refuses_is_told_to_administrators_and_texts_of_ones_own_are_checked() {
    let mut sink = Sink::open().await;
    sink.next(Play {
        rcpt: Reply::Say("550 nobody"),
        ..TAKE
    });
    let mut house = House::unlocked(&[
        format!("mail.smtp={}", sink.address),
        "mail.from=Longhouse <box@example.org>".into(),
        "mail.tls=none".into(),
        "http.url=https://box.example.org/games".into(),
    ]);
    house.stock(&[]);
    let texts = house.data().join("mail");
    std::fs::create_dir_all(&texts).expect("a folder");
    std::fs::write(
        texts.join("verify.txt"),
        "Subject: Hi {name}\n\nOpen {link} now.\n",
    )
    .expect("a file");
    std::fs::write(texts.join("reset.txt"), "Subject: Hi\n\nno link\n").expect("a file");
    house.settle().await;
    let check = house.ok("GET", "/api/v1/check", None).await;
    assert!(
        check["faults"][0]
            .as_str()
            .is_some_and(|fault| fault.contains("reset.txt: {link} is missing")),
        "{check}"
    );
    let args = ["bob", "battery staple bob", "bob@example.org", ""];
    rpc(&house, "register_user", &args).await.expect("an id");
    sink.hears("QUIT").await;
    let queue = house.ok("GET", "/api/v1/mail", None).await;
    let letter = &queue["letters"][0];
    assert_eq!(
        (&letter["state"], &letter["link"]),
        (&json!("given-up"), &Value::Null),
        "{queue:#}"
    );
    let retry = format!("/api/v1/mail/{}/retry", letter["id"]);
    assert_eq!(house.call("POST", &retry, None).await.0, 204);
    let letter = sink.letter().await;
    assert_eq!(letter.header("Subject"), "Hi bob");
    assert!(
        letter
            .text
            .contains("Open https://box.example.org/games/verify?uid="),
        "{}",
        letter.text
    );
}
