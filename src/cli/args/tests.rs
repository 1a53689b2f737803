//! The command line, read as people type it.

use clap::CommandFactory as _;

use super::{values::VERBS, *};
use crate::accounts::Verb;

fn parse(line: &str) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(line.split_whitespace())
}

#[test]
fn clap_finds_no_fault_in_the_verbs() {
    Arguments::command().debug_assert();
}

#[test]
fn every_verb_is_read() {
    for line in [
        "serve --set http.listen=127.0.0.1:0 --state /tmp/x --config y",
        "status --json",
        "server list",
        "server show 3",
        "server create openttd --title Trains --set map_size=8 --memory 512M --cpu 150 --pids 64 --restart on-failure --class 0 --game-version 13.0 --start",
        "server start ada_3 --no-wait",
        "server stop 3 --wait",
        "server restart 3",
        "server kill 3",
        "server delete 3 --confirm ada_3",
        "server set 3 --set a=b --unset c --memory none",
        "server set 3 --public scenarios --public notes.txt",
        "server set 3 --no-public",
        "files get ada_3 save/friday.sav",
        "files get -r ada_3 save friday.tar.zst",
        "files get ada_3 save --recursive",
        "files put ada_3 maps content/maps",
        "files pack ada_3 friday.zip save openttd.cfg --replace",
        "files pack 3 all.tar maps/a maps/b --base maps",
        "files unpack ada_3 friday.zip --to again --replace",
        "server console 3 --since 12",
        "server log 3 -n 5 --follow --time",
        "schedule list 3",
        "schedule add ada_3 @daily restart",
        "schedule add 3 @hourly stop start --name x --zone Europe/Berlin --disabled --json",
        "schedule set 3 4 --cron @weekly --name y --zone UTC --enable",
        "schedule set 3 4 stop start --disable",
        "schedule delete 3 4",
        "schedule run 3 4 --no-wait",
        "game list",
        "play",
        "play chess --as eve --against hard",
        "play dots --against person --room 3 --server box.example.org",
        "play chess --as ada --password-stdin --table 3",
        "play chess --watch 3 --json",
        "voice list",
        "voice create",
        "voice create --title Lobby --json",
        "voice delete 3",
        "voice kick Lobby 7",
        "voice kick 3 ada",
        "voice stats",
        "voice stats Lobby",
        "voice watch",
        "voice watch 3 --json",
        "lobby rooms",
        "lobby players --json",
        "lobby tables --room chess",
        "lobby tables",
        "lobby games",
        "lobby chat --room 1 -n 5",
        "lobby say --room Entry hello",
        "lobby say hello",
        "lobby kick eve --reason rude",
        "lobby gag eve",
        "lobby ungag eve",
        "lobby ban eve",
        "lobby ban eve --for 2h",
        "lobby ban eve --always --reason why",
        "lobby bans",
        "lobby unban eve",
        "lobby rankings chess -n 3",
        "lobby matches --game chess --account ada",
        "lobby saved",
        "lobby resume chess 3",
        "lobby resume chess 3 --file match-1",
        "lobby launch chess --bots 1 --open 1 --description fun",
        "lobby end chess 3",
        "lobby definitions",
        "lobby define room den den.toml",
        "lobby define game chess -",
        "lobby remove room den",
        "lobby forget game chess",
        "lobby watch --room chess",
        "mail list",
        "mail retry 3",
        "mail drop 3",
        "mail test ada@example.org",
        "token create ada bot --scope voice.join",
        "user add ada --role admin --password-stdin",
        "user list",
        "user role ada host",
        "user passwd ada",
        "user disable ada",
        "user enable ada",
        "user show ada",
        "user edit ada --mail ada@example.org --role host",
        "user edit ada --disabled false --confirmed true",
        "user confirm ada",
        "user permissions ada",
        "user permissions ada 0x1f",
        "user permissions ada host,chat_bot",
        "user permissions ada default",
        "token create ada bot --scope console.read --scope server.view --expires 30d",
        "token list",
        "token revoke 4",
        "grant list",
        "grant set ada 3 console.read server.power",
        "grant set ada 3",
        "audit list --since 4 -n 9",
        "audit verify",
        "backup -",
        "restore x",
        "check",
        "doctor",
        "completions bash",
        "man",
        "man /tmp/x",
        "--state /tmp/x --json server list",
    ] {
        if let Err(error) = parse(&format!("longhouse {line}")) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for line in [
        "",
        "serve extra",
        "server create openttd --restart sometimes",
        "server create openttd --class 10",
        "server create openttd --set =b",
        "server create openttd --memory 5X",
        "server create openttd --memory M",
        "server create openttd --memory 99999999999G",
        "user add ada --password secret",
        "user add ada --role king",
        "user edit ada",
        "user edit ada --role king",
        "user confirm",
        "user permissions ada king",
        "user permissions ada 512",
        "user add ada --password-stdin --no-password",
        "token create ada bot --scope everything",
        "token create ada bot --expires soon",
        "grant set ada",
        "audit list -n many",
        "server log 3 -n 0",
        "play chess --against god",
        "play chess --table 3 --watch 3",
        "play chess --table 3 --against hard",
        "play chess --password-stdin",
        "voice",
        "voice delete",
        "voice kick 3",
        "voice create Lobby",
        "voice stats 3 4",
        "lobby",
        "lobby say",
        "lobby kick",
        "lobby define table x y",
        "lobby launch",
        "lobby end chess",
        "lobby launch chess --bots many",
    ] {
        assert!(parse(&format!("longhouse {line}")).is_err(), "{line}");
    }
}

#[test]
fn every_verb_of_the_api_can_be_named() {
    for word in VERBS {
        let verb: Verb = serde_json::from_value(word.into()).unwrap();
        assert_eq!(serde_json::to_value(verb).unwrap(), word);
    }
}

#[test]
fn every_command_in_the_documentation_can_be_typed() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
    let mut read = 0;
    for page in std::fs::read_dir(docs).unwrap() {
        let text = std::fs::read_to_string(page.unwrap().path()).unwrap();
        for line in text.lines() {
            let line = line.strip_prefix("sudo ").unwrap_or(line);
            let line = line.split(" #").next().unwrap_or(line);
            let line = line.split(['|', '<', '>', '&', ';']).next().unwrap_or(line);
            if line.starts_with("longhouse ") {
                let quoted = line.split('"').enumerate();
                let words = quoted.flat_map(|(n, part)| match n % 2 {
                    0 => part.split_whitespace().map(str::to_owned).collect(),
                    _ => vec![part.to_owned()],
                });
                if let Err(error) = Arguments::try_parse_from(words) {
                    assert!(!error.use_stderr(), "{line}: {error}");
                }
                read += 1;
            }
        }
    }
    assert!(read > 30, "only {read} commands were found");
}

#[test]
fn every_configuration_key_is_documented() {
    let page = include_str!("../../../docs/configuration.md");
    let shipped = crate::config::commented_default();
    let keys = shipped
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "));
    let keys: Vec<_> = keys.filter(|(key, _)| !key.contains(' ')).collect();
    assert!(keys.len() >= 8, "{keys:?}");
    for (key, _) in keys {
        assert!(page.contains(&format!("| `{key}` |")), "{key}");
    }
}

#[test]
fn limits_that_were_not_named_stay() {
    let before = Limits {
        memory: Some(1),
        cpu_percent: Some(2),
        pids: None,
        disk: Some(3),
        players: None,
    };
    let mut change = Change::default();
    assert_eq!(change.limits(before), None);
    change.memory = Some(memory("1G").unwrap());
    change.cpu = Some(number("none").unwrap());
    assert_eq!(
        change.limits(before),
        Some(Limits {
            memory: Some(1 << 30),
            cpu_percent: None,
            pids: None,
            disk: Some(3),
            players: None,
        })
    );
}
