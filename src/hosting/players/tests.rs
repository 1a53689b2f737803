//! Crowds, with lines that the real games printed.

use super::*;
use proptest::prelude::*;

fn definition(game: &str) -> std::sync::Arc<super::super::definition::Definition> {
    super::super::library::load(None).0[game].clone()
}

fn said(time: u64, kind: Kind, text: &str) -> Entry {
    Entry {
        seq: 1,
        time: UnixMillis(time),
        kind,
        text: text.as_bytes().to_vec(),
        more: false,
    }
}

/// A crowd of a game that was started at 1000, after `lines`, one per millisecond from 1001 on.
fn after(game: &str, lines: &[&str]) -> Crowd {
    let definition = definition(game);
    let mut crowd = Crowd::new(&definition.players, definition.players_port().is_some());
    crowd.begin(Some(UnixMillis(1000)));
    for (time, line) in (1001..).zip(lines) {
        crowd.read(&said(time, Kind::Stdout, line));
    }
    crowd
}

fn names(crowd: &Crowd) -> Vec<String> {
    crowd.seen().names
}

#[test]
fn openttd_says_who_comes_and_goes_by_number() {
    let lines = [
        "dbg: [net] Map generated, starting game",
        "dbg: [net] [server] Client connected from 127.0.0.1 on frame 395",
        "\u{200e}*** Game paused (connecting clients)",
        "\u{200e}*** Ada (x) #1 has joined the game (Client #2)",
        "dbg: [net] [server] Client #2 (127.0.0.1) joined as Ada (x) #1",
        "\u{200e}*** Ada (x) #1 has started a new company (#1)",
        "\u{200e}[All] Eve: dbg: [net] [server] Client #9 (1.2.3.4) joined as Nobody",
        "\u{200e}*** Ada (x) #1 has left the game (connection lost)",
        "dbg: [net] [server] Client #2 closed connection",
    ];
    assert_eq!(names(&after("openttd", &lines[..6])), ["Ada (x) #1"]);
    assert_eq!(names(&after("openttd", &lines[..8])), ["Ada (x) #1"]);
    let gone = after("openttd", &lines).seen();
    assert_eq!((gone.online, gone.empty_since), (0, Some(UnixMillis(1009))));
}

#[test]
fn freeciv_says_who_comes_and_goes_by_name() {
    let lines = [
        "2: Connection request from ada from localhost",
        "2: c1 has client version 3.0.6",
        "2: ada has connected from localhost.",
        "> ",
        "2: Bob has connected from localhost.",
        "2: Lost connection: ada from localhost (client disconnected) (player Ada).",
        "2: AI*1 has been added as Easy level AI-controlled player (classic).",
    ];
    assert_eq!(names(&after("freeciv", &lines[..5])), ["Bob", "ada"]);
    assert_eq!(names(&after("freeciv", &lines)), ["Bob"]);
}

#[test]
fn teeworlds_says_who_comes_and_goes_and_a_change_of_team_is_neither() {
    let lines = [
        "[2026-11-21 21:18:02][server]: player has entered the game. ClientID=0 addr=127.0.0.1:52386",
        "[2026-11-21 21:18:02][game]: team_join player='0:Ada's tee' team=0",
        "[2026-11-21 21:18:09][game]: team_join player='0:Ada's tee' team=0->-1",
        "[2026-11-21 21:18:10][chat]: 0:-2:Ada's tee: [x][game]: team_join player='7:Nobody' team=0",
        "[2026-11-21 21:18:29][server]: client dropped. cid=0 addr=127.0.0.1:52386 reason=''",
        "[2026-11-21 21:18:29][game]: kill killer='0:0:Ada's tee' victim='0:0:Ada's tee' weapon=-3 special=0",
        "[2026-11-21 21:18:29][game]: leave player='0:Ada's tee'",
    ];
    assert_eq!(names(&after("teeworlds", &lines[..6])), ["Ada's tee"]);
    assert_eq!(after("teeworlds", &lines).seen().online, 0);
}

#[test]
fn minetest_says_who_comes_goes_and_times_out() {
    let lines = [
        "2026-11-21 21:18:02: ACTION[Server]: ada_1 [127.0.0.1] joins game. List of players: ada_1",
        "2026-11-21 21:18:03: ACTION[Server]: CHAT: <ada_1> 2026-11-21 21:18:03: ACTION[Server]: eve [1.2.3.4] joins game. ",
        "2026-11-21 21:18:09: ACTION[Server]: ada_1 leaves game. List of players: ",
    ];
    assert_eq!(names(&after("minetest", &lines[..2])), ["ada_1"]);
    assert_eq!(after("minetest", &lines).seen().online, 0);
    let lost = "2026-11-21 21:18:09: ACTION[Server]: ada_1 times out. List of players: ";
    assert_eq!(after("minetest", &[lines[0], lost]).seen().online, 0);
}

#[test]
fn red_eclipse_says_who_comes_and_goes_with_what_is_around_it() {
    let lines = [
        "2026-11-21 21:17.42 ada has joined the game [1.6.0-nix64-0] (1 player)",
        "2026-11-21 21:18.42 ada has left the game (disconnected, 0 players)",
    ];
    assert_eq!(names(&after("redeclipse", &lines[..1])), ["ada"]);
    assert_eq!(after("redeclipse", &lines).seen().online, 0);
}

#[test]
fn a_new_game_begins_without_anybody_though_its_first_lines_come_before_the_news_of_it() {
    let join = "dbg: [net] [server] Client #2 (127.0.0.1) joined as Ada";
    let mut crowd = after("openttd", &[join]);
    crowd.read(&said(
        5000,
        Kind::Stdout,
        "dbg: [net] [server] Client #3 (127.0.0.1) joined as Bob",
    ));
    crowd.begin(Some(UnixMillis(4000)));
    assert_eq!(names(&crowd), ["Bob"]);
    crowd.begin(Some(UnixMillis(9000)));
    assert_eq!(crowd.seen().empty_since, Some(UnixMillis(9000)));
    crowd.begin(None);
    assert_eq!(crowd.seen().empty_since, None);
}

#[test]
fn who_vanished_without_a_line_is_gone_when_nothing_has_been_connected_twice() {
    let mut crowd = after(
        "openttd",
        &["dbg: [net] [server] Client #2 (::1) joined as Ada"],
    );
    assert_eq!(crowd.counted(0, UnixMillis(2000)), None);
    assert_eq!(crowd.counted(0, UnixMillis(3000)), Some(NOBODY));
    let seen = crowd.seen();
    assert_eq!((seen.online, seen.empty_since), (0, Some(UnixMillis(3000))));
    // The same is found again from the console alone.
    let mut again = after(
        "openttd",
        &["dbg: [net] [server] Client #2 (::1) joined as Ada"],
    );
    again.read(&said(3000, Kind::Log, NOBODY));
    assert_eq!(again.seen().empty_since, Some(UnixMillis(3000)));
}

#[test]
fn fewer_connections_than_names_count() {
    let mut crowd = after(
        "openttd",
        &[
            "dbg: [net] [server] Client #2 (::1) joined as Ada",
            "dbg: [net] [server] Client #3 (::1) joined as Bob",
        ],
    );
    crowd.counted(1, UnixMillis(2000));
    assert_eq!(crowd.seen().online, 1);
    // A query's connection makes nobody play.
    crowd.counted(9, UnixMillis(3000));
    assert_eq!(crowd.seen().online, 2);
}

#[test]
fn without_patterns_connections_are_the_players_and_the_console_remembers_them() {
    let mut crowd = Crowd::new(&Players::default(), true);
    crowd.begin(Some(UnixMillis(1000)));
    assert_eq!(crowd.seen().empty_since, Some(UnixMillis(1000)));
    assert_eq!(crowd.counted(0, UnixMillis(2000)), None);
    assert_eq!(crowd.counted(2, UnixMillis(3000)), Some(SOMEBODY));
    assert_eq!((crowd.seen().online, crowd.seen().empty_since), (2, None));
    assert_eq!(crowd.counted(1, UnixMillis(4000)), None);
    assert_eq!(crowd.counted(0, UnixMillis(5000)), Some(NOBODY));
    let mut again = Crowd::new(&Players::default(), true);
    again.begin(Some(UnixMillis(1000)));
    again.read(&said(3000, Kind::Log, SOMEBODY));
    assert_eq!(again.seen().empty_since, None);
    again.read(&said(5000, Kind::Log, NOBODY));
    assert_eq!(again.seen().empty_since, Some(UnixMillis(5000)));
    // What a game prints is not the box's word.
    again.read(&said(6000, Kind::Stdout, SOMEBODY));
    assert_eq!(again.seen().empty_since, Some(UnixMillis(5000)));
}

#[test]
fn a_line_in_pieces_is_one_line() {
    let mut crowd = after("openttd", &[]);
    let mut piece = said(1001, Kind::Stderr, "dbg: [net] [server] Client #2 (::1) ");
    piece.more = true;
    crowd.read(&piece);
    crowd.read(&said(1002, Kind::Stdout, "between"));
    crowd.read(&said(1003, Kind::Stderr, "joined as Ada"));
    assert_eq!(names(&crowd), ["Ada"]);
}

#[test]
fn names_are_shown_without_what_hides_or_turns_text() {
    assert_eq!(shown("A\u{1b}[31mda\u{202e} "), "A[31mda");
    assert_eq!(shown(&"x".repeat(500)).len(), MAX_NAME);
}

#[test]
fn patterns_that_cannot_be_are_refused() {
    let why = |text: &str| Pattern::new(text).unwrap_err();
    assert!(why("(").contains("is no pattern"));
    assert!(why("joined").contains("must capture"));
    assert!(why("(?P<who>.*)").contains("must capture"));
    assert!(why(&"x".repeat(2000)).contains("at most"));
    assert!(why(r"(?P<player>\w{500}){500}").contains("size limit"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// The crowd is those who joined last and did not leave since; and it says since when it is empty.
    #[test]
    fn the_crowd_is_who_came_and_did_not_go(steps in prop::collection::vec((any::<bool>(), 0u8..6), 0..60)) {
        let mut crowd = after("openttd", &[]);
        let mut here = std::collections::BTreeSet::new();
        let mut since = Some(UnixMillis(1000));
        for (time, (joins, who)) in (2000..).zip(steps) {
            let line = match joins {
                true => format!("dbg: [net] [server] Client #{who} (::1) joined as P{who}"),
                false => format!("dbg: [net] [server] Client #{who} closed connection"),
            };
            crowd.read(&said(time, Kind::Stdout, &line));
            if joins {
                here.insert(format!("P{who}"));
                since = None;
            } else if here.remove(&format!("P{who}")) && here.is_empty() {
                since = Some(UnixMillis(time));
            }
        }
        let seen = crowd.seen();
        prop_assert_eq!(seen.names, here.iter().cloned().collect::<Vec<_>>());
        prop_assert_eq!(seen.empty_since, since);
    }

    #[test]
    fn no_line_and_no_count_makes_a_crowd_panic_or_grow_without_bound(
        lines in prop::collection::vec((any::<Vec<u8>>(), any::<bool>(), 0u64..5000), 0..40),
        counts in prop::collection::vec(any::<u32>(), 0..5),
    ) {
        let mut crowd = after("teeworlds", &[]);
        for (text, more, time) in lines {
            let kind = if more { Kind::Stderr } else { Kind::Log };
            crowd.read(&Entry { seq: 1, time: UnixMillis(time), kind, text, more });
        }
        for count in counts { crowd.counted(count, UnixMillis(9999)); }
        prop_assert!(crowd.seen().names.len() <= MAX_PLAYERS);
        prop_assert!(crowd.unfinished.iter().all(|line| line.len() <= MAX_LINE));
    }
}
