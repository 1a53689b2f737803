//! Whole games of everything that ships, between two people, one of whom drops and comes back; and what they count.

use serde_json::{Value, json};

use crate::{
    OPEN,
    common::{
        House,
        ggz::{Channel, Client, account},
    },
    place,
};

/// A game that is over soon; without moves, whatever comes first is played.
pub(crate) struct Short {
    pub(crate) room: &'static str,
    moves: &'static [&'static str],
    reason: Option<&'static str>,
}

pub(crate) const GAMES: [Short; 5] = [
    Short {
        room: "Tic-Tac-Toe",
        moves: &["a1", "b1", "a2", "b2", "a3"],
        reason: None,
    },
    Short {
        room: "Connect Four",
        moves: &["1", "2", "1", "2", "1", "2", "1"],
        reason: None,
    },
    Short {
        room: "Reversi",
        moves: &[],
        reason: None,
    },
    Short {
        room: "Dots",
        moves: &[],
        reason: None,
    },
    Short {
        room: "Chess",
        moves: &["f2f3", "e7e5", "g2g4", "d8h4"],
        reason: Some("checkmate"),
    },
];

/// Two at a table: sessions and channels, by seat.
struct Pair {
    people: [Client; 2],
    channels: [Channel; 2],
    table: u32,
}

impl Pair {
    fn sit(house: &House, mut people: [Client; 2], game: u32) -> Self {
        let (one, table) = people[0].launch(house, game, &OPEN);
        let other = people[1].join(house, table);
        Self {
            people,
            channels: [one, other],
            table,
        }
    }

    /// What both see once `wanted` is so.
    fn see(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let [one, other] = &mut self.channels;
        let mine = one.until(&wanted);
        let theirs = other.until(&wanted);
        for field in [
            "position", "moves", "turn", "round", "status", "result", "seats",
        ] {
            assert_eq!(mine[field], theirs[field], "{field}");
        }
        assert_eq!((&mine["you"], &theirs["you"]), (&json!(0), &json!(1)));
        mine
    }

    fn is_begun(state: &Value) -> bool {
        state["status"] == "playing"
    }

    /// Plays one move from `state`; what follows.
    fn play(&mut self, state: &Value, a_move: &str) -> Value {
        let seat = state["turn"].as_u64().unwrap() as usize;
        self.channels[seat].play(a_move);
        let before = state["position"].clone();
        self.see(|state| state["position"] != before)
    }
}

fn play_whole(
    house: &House,
    Short {
        room,
        moves,
        reason,
    }: &Short,
) {
    let (number, game) = place(house, room, room);
    let people = ["bea", "carl"].map(|name| Client::guest_in(house, name, number));
    let mut pair = Pair::sit(house, people, game);
    let mut state = pair.see(Pair::is_begun);
    let mut played = 0;
    while state["status"] == "playing" {
        if played == 2 {
            state = come_back(house, &mut pair, number, &state);
        }
        let first = state["moves"][0].as_str().unwrap().to_owned();
        let next = moves.get(played).map_or(first, |next| (*next).into());
        state = pair.play(&state, &next);
        played += 1;
    }
    assert_eq!(state["status"], "over", "{room}");
    let result = state["result"].as_array().unwrap();
    assert_eq!(result.len(), 2, "{room}: {state}");
    assert!(moves.is_empty() || played == moves.len(), "{room}: {state}");
    if let Some(reason) = reason {
        assert_eq!(state["reason"], *reason);
        assert_eq!(result[1], json!({"seat": 1, "outcome": "win"}));
    }
    // And once more: the seat that was second begins.
    for channel in &mut pair.channels {
        channel.say("{\"again\":true}");
    }
    let again = pair.see(|state| state["round"] == 2);
    assert_eq!(again["turn"], 1, "{room}");
}

/// Seat 1 loses the line; nobody takes the seat; then they are back, and have all of it.
fn come_back(house: &House, pair: &mut Pair, room: u32, before: &Value) -> Value {
    let [ada, carl] = &mut pair.people;
    carl.drop_line();
    ada.until("<UPDATE TYPE='player' ACTION='delete'");
    let mut thief = Client::guest_in(house, "thief", room);
    let tables = thief.result("<LIST TYPE='table'/>");
    let kept = "<SEAT NUM='1' TYPE='abandoned'>carl</SEAT>";
    assert!(tables.contains(kept), "{tables}");
    let spare = thief.channel(house);
    let join = format!("<JOIN TABLE='{}' SPECTATOR='false'/>", pair.table);
    assert_eq!(thief.ask(&join), "table full");
    drop(spare);
    pair.channels[1].ends();
    let away = pair.channels[0].until(|state| state["seats"][1]["present"] == false);
    assert_eq!(away["position"], before["position"]);
    *carl = Client::guest_in(house, "carl", room);
    pair.channels[1] = carl.join(house, pair.table);
    ada.until("<SEAT NUM='1' TYPE='player'>carl</SEAT>");
    let back = pair.see(|state| state["seats"][1]["present"] == true && Pair::is_begun(state));
    for field in ["position", "turn", "moves", "round"] {
        assert_eq!(back[field], before[field], "{field}");
    }
    back
}

#[tokio::test]
async fn two_people_play_every_game_and_one_of_them_drops_and_comes_back() {
    let house = House::open().await;
    for game in &GAMES {
        play_whole(&house, game);
    }
}

#[tokio::test]
async fn statistics_are_right_are_shown_and_outlive_a_restart() {
    let mut house = House::open().await;
    for name in ["bea", "carl"] {
        account(&house, name, "player");
    }
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let people = ["bea", "carl"].map(|name| Client::member_in(&house, name, room));
    let mut watcher = Client::guest_in(&house, "eve", room);
    let mut pair = Pair::sit(&house, people, game);
    let mut state = pair.see(Pair::is_begun);
    for next in GAMES[0].moves {
        state = pair.play(&state, next);
    }
    assert_eq!(state["result"][0], json!({"seat": 0, "outcome": "win"}));
    const WINNER: &str = "WINS='1' LOSSES='0' TIES='0' FORFEITS='0' RATING='1515'/>";
    const LOSER: &str = "WINS='0' LOSSES='1' TIES='0' FORFEITS='0' RATING='1485'/>";
    let told = |name, stats| {
        format!(
            "<UPDATE TYPE='player' ACTION='stats' ROOM='{room}'><PLAYER ID='{name}' {stats}</UPDATE>"
        )
    };
    let mut news = [(); 2].map(|()| watcher.until("ACTION='stats'"));
    news.sort();
    assert_eq!(news, [told("bea", WINNER), told("carl", LOSER)]);
    let [bea, _] = &mut pair.people;
    bea.until("ACTION='stats'");
    bea.all();
    bea.send("<RANKINGS/>\n");
    bea.hears(&[
        "<RANKINGS><RANKING POSITION='1' PLAYER='bea' SCORE='1515'/>\
        <RANKING POSITION='2' PLAYER='carl' SCORE='1485'/></RANKINGS>",
    ]);
    // Guests show nothing.
    assert!(watcher.player("eve").ends_with("LAG='1'/>"));

    assert!(house.stop());
    house.start();
    let mut bea = Client::member_in(&house, "bea", room);
    let mut carl = Client::member_in(&house, "carl", room);
    for (name, stats) in [("bea", WINNER), ("carl", LOSER)] {
        assert!(bea.player(name).ends_with(stats), "{}", bea.player(name));
    }
    // Per game: none of it in another room.
    let (other, _) = place(&house, "Chess", "Chess");
    carl.enter(other);
    assert!(
        carl.player("carl")
            .contains("WINS='0' LOSSES='0' TIES='0' FORFEITS='0' RATING='1500'")
    );
}

#[tokio::test]
async fn a_seat_is_kept_while_there_is_somebody_who_may_sit_down_again() {
    let house = House::open().await;
    let (room, game) = place(&house, "Chess", "Chess");
    let people = ["bea", "carl"].map(|name| Client::guest_in(&house, name, room));
    let mut pair = Pair::sit(&house, people, game);
    let state = pair.see(Pair::is_begun);
    let state = pair.play(&state, "e2e4");
    let mut watcher = Client::guest_in(&house, "eve", room);
    // Both lines break: the table stays, and the game with it.
    for (name, person) in ["bea", "carl"].into_iter().zip(&mut pair.people) {
        person.drop_line();
        watcher.until(&format!("<PLAYER ID='{name}'/>"));
    }
    let mut bea = Client::guest_in(&house, "bea", room);
    let back = bea.join(&house, pair.table).until(Pair::is_begun);
    assert_eq!(
        (&back["you"], &back["position"]),
        (&json!(0), &state["position"])
    );
}
