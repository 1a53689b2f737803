//! The verbs around servers, except their consoles.

use std::{collections::BTreeMap, io::IsTerminal as _};

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Session,
    args::{Change, Named, Powered, Server, Waiting},
    attach, class,
    control::query,
    fault::Fault,
    power::{Power, power},
    print::{Cell, Colour, Table, note},
    prompt, screen,
    sheet::{colour, ports, sheet, time, word},
    text,
};
use crate::hosting::{Game, Idle, Limits, View};

pub(crate) async fn run(session: &Session, verb: Server) -> Result<(), Fault> {
    match verb {
        Server::List => list(session).await,
        Server::Show(named) => show(session, &named.server).await,
        Server::Create {
            game,
            change,
            class,
            start,
            waiting,
        } => create(session, &game, &change, class, start.then_some(waiting)).await,
        Server::Start(who) => power(session, who, Power::Start).await,
        Server::Stop(who) => power(session, who, Power::Stop).await,
        Server::Restart(who) => power(session, who, Power::Restart).await,
        Server::Kill(who) => power(session, who, Power::Kill).await,
        Server::Mount(named) => class::mounting(session, &named.server, "mount").await,
        Server::Unmount(named) => class::mounting(session, &named.server, "unmount").await,
        Server::Switch { named, version } => class::switch(session, &named.server, &version).await,
        Server::Delete { named, confirm } => delete(session, &named.server, confirm).await,
        Server::Set {
            named,
            change,
            unset,
            public,
            no_public,
        } => {
            let public = (no_public || !public.is_empty()).then_some(public);
            set(session, &named.server, &change, &unset, public).await
        }
        Server::Console {
            named,
            since,
            follow,
        } => attach::console(session, &find(session, &named.server).await?, since, follow).await,
        Server::Log {
            named,
            count,
            follow,
            time,
        } => {
            let server = find(session, &named.server).await?;
            screen::log(session, &server, count, follow, time).await
        }
    }
}

/// The server with that id, else with that name, else the only one with that title, in capitals or not.
pub(crate) async fn find(session: &Session, named: &str) -> Result<View, Fault> {
    if let Ok(id) = named.parse::<u64>() {
        return session.control.get(&format!("/servers/{id}")).await?.read();
    }
    let servers: Vec<View> = session.control.get("/servers").await?.read()?;
    pick(servers, named)
}

fn pick(servers: Vec<View>, named: &str) -> Result<View, Fault> {
    let (mut by_name, others): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|server| server.name == named);
    if let Some(server) = by_name.pop() {
        return Ok(server);
    }
    let mut titled: Vec<_> = others
        .into_iter()
        .filter(|server| server.title.to_lowercase() == named.to_lowercase())
        .collect();
    match (titled.pop(), titled.is_empty()) {
        (None, _) => Err(Fault::NoServer(named.into())),
        (Some(server), true) => Ok(server),
        (Some(last), false) => Err(Fault::Ambiguous {
            kind: "servers",
            title: named.into(),
            names: titled
                .into_iter()
                .chain([last])
                .map(|server| server.name)
                .collect(),
        }),
    }
}

async fn list(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/servers").await?;
    session.out.answer(&answer, || {
        let servers: Vec<View> = answer.read()?;
        let mut table = Table::new(&["ID", "NAME", "TITLE", "GAME", "STATE", "PORTS", "UP"]);
        for server in &servers {
            table.row([
                Cell::new(server.id.0),
                Cell::new(&server.name),
                Cell::new(&server.title),
                Cell::new(&server.game),
                Cell::coloured(word(server.state), colour(server.state)),
                Cell::new(ports(&server.ports)),
                Cell::maybe(server.uptime_s.map(time)),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

async fn show(session: &Session, named: &str) -> Result<(), Fault> {
    let id = find(session, named).await?.id.0;
    let answer = session.control.get(&format!("/servers/{id}")).await?;
    session.out.answer(&answer, || {
        Ok(sheet(&answer.read()?).render(session.out.colour))
    })
}

async fn create(
    session: &Session,
    game: &str,
    change: &Change,
    class: Option<u8>,
    start: Option<Waiting>,
) -> Result<(), Fault> {
    let mut wish = json!({ "game": game });
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            wish[key] = value;
        }
    };
    say("title", change.title.clone().map(Value::from));
    say("version", change.version.clone().map(Value::from));
    say("class", class.map(Value::from));
    say("restart", change.restart.map(|restart| json!(restart)));
    say(
        "limits",
        change.limits(Limits::default()).map(|limits| json!(limits)),
    );
    say("idle", change.idle(Idle::default()).map(|idle| json!(idle)));
    if !change.sets.is_empty() {
        say(
            "settings",
            Some(json!(settings(session, game, change).await?)),
        );
    }
    let answer = session
        .control
        .send(Method::POST, "/servers", Some(&wish))
        .await?;
    let server: View = answer.read()?;
    if let Some(waiting) = start {
        for notice in &server.notices {
            note(&format!("notice: {}", text::plain(notice)));
        }
        note(&format!("created {}", server.name));
        let named = Named {
            server: server.id.0.to_string(),
        };
        return power(session, Powered { named, waiting }, Power::Start).await;
    }
    session.out.answer(&answer, || {
        for notice in &server.notices {
            note(&format!("notice: {}", text::plain(notice)));
        }
        note(&format!(
            "created, stopped; ports {}; start it with `longhouse server start {}`",
            ports(&server.ports),
            server.name
        ));
        Ok(format!("{}\n", server.name))
    })
}

async fn set(
    session: &Session,
    named: &str,
    change: &Change,
    unset: &[String],
    public: Option<Vec<String>>,
) -> Result<(), Fault> {
    let server = find(session, named).await?;
    let mut settings = if change.sets.is_empty() {
        BTreeMap::new()
    } else {
        settings(session, &server.game, change).await?
    };
    settings.extend(unset.iter().map(|key| (key.clone(), Value::Null)));
    let mut patch = json!({});
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            patch[key] = value;
        }
    };
    say("title", change.title.clone().map(Value::from));
    say("version", change.version.clone().map(Value::from));
    say("restart", change.restart.map(|restart| json!(restart)));
    say(
        "limits",
        change.limits(server.limits).map(|limits| json!(limits)),
    );
    say("idle", change.idle(server.idle).map(|idle| json!(idle)));
    say("public", public.map(|public| json!(public)));
    say("settings", (!settings.is_empty()).then(|| json!(settings)));
    let answer = session
        .control
        .send(
            Method::PATCH,
            &format!("/servers/{}", server.id.0),
            Some(&patch),
        )
        .await?;
    session.out.answer(&answer, || {
        let keys = patch.as_object().into_iter().flatten();
        let waits = keys.filter(|(key, _)| *key != "public").count() > 0;
        if server.pid.is_some() && waits {
            note("changed; it takes effect at the next start");
        }
        Ok(String::new())
    })
}

/// The settings that were named, each as the game's definition wants it; hosting judges the rest.
async fn settings(
    session: &Session,
    game: &str,
    change: &Change,
) -> Result<BTreeMap<String, Value>, Fault> {
    let games: Vec<Game> = session.control.get("/games").await?.read()?;
    let known = games.into_iter().find(|known| known.name == game);
    let known = known.map(|game| game.settings).unwrap_or_default();
    let read = |(key, text): &(String, String)| (key.clone(), setting(&known[key], text));
    Ok(change.sets.iter().map(read).collect())
}

/// What was typed, as the kind of setting that the definition declares: `1234` may be a password.
fn setting(declared: &Value, text: &str) -> Value {
    match declared["type"].as_str() {
        Some("integer") => text
            .parse::<i64>()
            .map_or_else(|_| text.into(), Value::from),
        Some("boolean") => text
            .parse::<bool>()
            .map_or_else(|_| text.into(), Value::from),
        _ => text.into(),
    }
}

async fn delete(session: &Session, named: &str, confirm: Option<String>) -> Result<(), Fault> {
    let server = find(session, named).await?;
    let confirm = match confirm {
        Some(confirm) => confirm,
        None if std::io::stdin().is_terminal() => {
            note(&format!(
                "this stops {} (`{}`) and moves {} to the recycle bin",
                server.name,
                text::plain(&server.title),
                server.folder.display()
            ));
            prompt::line("type its name to confirm: ").await?
        }
        None => return Err(Fault::NoTerminal("the server's name")),
    };
    if confirm != server.name {
        return Err(Fault::Unconfirmed);
    }
    let path = format!("/servers/{}?confirm={}", server.id.0, query(&confirm));
    let answer = session.control.send(Method::DELETE, &path, None).await?;
    session.out.answer(&answer, || {
        note(&format!("deleted {}", server.name));
        Ok(String::new())
    })
}

pub(crate) async fn games(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/games").await?;
    session.out.answer(&answer, || {
        let games: Vec<Game> = answer.read()?;
        let mut table = Table::new(&["NAME", "TITLE", "VERSIONS", "INSTALL", "HERE"]);
        for game in &games {
            let here = match &game.unavailable {
                None if game.missing.is_empty() => Cell::coloured("yes", Colour::Good),
                None => {
                    let missing: Vec<_> = game
                        .missing
                        .iter()
                        .map(|(v, why)| format!("{v}: {why}"))
                        .collect();
                    Cell::coloured(format!("yes, but {}", missing.join("; ")), Colour::Busy)
                }
                Some(why) => Cell::coloured(format!("no: {why}"), Colour::Bad),
            };
            table.row([
                Cell::new(&game.name),
                Cell::new(&game.title),
                Cell::new(game.versions.join(", ")),
                Cell::new(&game.install),
                here,
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sheet::sample;

    #[test]
    fn a_name_wins_over_a_title_and_a_shared_title_is_refused() {
        let servers = || {
            vec![
                sample(1, "Trains", "running"),
                sample(2, "ada_1", "running"),
                sample(3, "Trains", "running"),
            ]
        };
        assert_eq!(pick(servers(), "ada_1").unwrap().id.0, 1);
        assert!(matches!(pick(servers(), "nobody"), Err(Fault::NoServer(_))));
        assert_eq!(pick(servers(), "ADA_1").unwrap().id.0, 2);
        let fault = pick(servers(), "trains").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "several servers are called `trains`: ada_1, ada_3"
        );
    }

    #[test]
    fn settings_are_what_the_definition_wants() {
        let typed = |kind: &str, text| setting(&json!({ "type": kind }), text);
        assert_eq!(typed("text", "1234"), json!("1234"));
        assert_eq!(typed("integer", "8"), json!(8));
        assert_eq!(typed("integer", "many"), json!("many"));
        assert_eq!(typed("boolean", "true"), json!(true));
        assert_eq!(setting(&Value::Null, "8"), json!("8"));
    }
}
