//! 500 tables of tic-tac-toe between bots, launched in one go, beside bare spawns of the same games.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use crate::{
    bare,
    chat::complain,
    crowd::{Crowd, Ticket},
    figures::{beside, none, told},
    house::{House, PASSWORD},
    table::Row,
};

const TABLES: usize = 500;
/// Who launches waits for the game; hence one table each, and ten in a room, so that few hear of each.
const ROOMS: usize = 50;
const GAME: &str = "tictactoe";
/// More than they take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often figures are looked at.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn rows() -> io::Result<Vec<Row>> {
    let house = House::open(ROOMS, Some(GAME))?;
    let rooms = house.rooms(ROOMS)?;
    house.accounts(TABLES, "admin")?;
    let mut crowd = Crowd::new(house.lobby)?;
    crowd.fill((0..TABLES).map(|n| Ticket {
        name: format!("p{n}"),
        password: Some(PASSWORD),
        room: Some(rooms[n % ROOMS]),
        bare: false,
    }))?;
    let game = number_of_game(&mut crowd)?;
    let begun = house.peak()?;
    let seats = "<SEAT NUM='0' TYPE='bot'/><SEAT NUM='1' TYPE='bot'/>";
    let table = format!("<TABLE GAME='{game}' SEATS='2'><DESC>load</DESC>{seats}</TABLE>");
    let started = Instant::now();
    let mut looked = started;
    for who in 0..TABLES {
        crowd.say(who, &format!("<LAUNCH>{table}</LAUNCH>\n"))?;
    }
    let (mut standing, mut games, mut written) = (0.0_f64, 0.0_f64, None);
    while written.is_none() && started.elapsed() < PATIENCE {
        crowd.run(Duration::from_millis(10))?;
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            standing = standing.max(house.metric("longhouse_lobby_tables")?);
            games = games.max(children(house.pid())?);
            let matches = house.metric("longhouse_lobby_matches_total")?;
            written = (matches >= TABLES as f64).then(|| started.elapsed());
        }
    }
    let last = crowd.launched.iter().max();
    let announced = last.map_or(f64::NAN, |last| (*last - started).as_secs_f64());
    let failed = house.metric("longhouse_lobby_failed_total")? as usize;
    let missing = TABLES - crowd.launched.len();
    let peak = house.peak()?;
    complain(&crowd, &house.warnings());
    drop(crowd);
    drop(house);

    let bare = bare::run(TABLES)?;
    let written = written.map_or(f64::NAN, |time| time.as_secs_f64());
    let peer = "bare spawns";
    let (spoken, reported) = (bare.spoken.as_secs_f64(), bare.reported.as_secs_f64());
    Ok(vec![
        none(
            "500 tables between bots: failed, or never announced",
            failed + missing,
        ),
        beside(
            "until all were announced",
            announced,
            "s",
            peer,
            spoken,
            None,
        ),
        beside(
            "until all matches were written down",
            written,
            "s",
            peer,
            reported,
            None,
        ),
        beside(
            "tables at once, most seen",
            standing,
            "",
            peer,
            bare.most as f64,
            None,
        ),
        told("the daemon's memory, at most", peak / 1024.0, "MiB"),
        told("the same, before them", begun / 1024.0, "MiB"),
        told(
            "private memory of all games, most seen",
            games / 1024.0,
            "MiB",
        ),
    ])
}

fn number_of_game(crowd: &mut Crowd) -> io::Result<String> {
    crowd.games.clear();
    crowd.say(0, "<LIST TYPE='game' FULL='false'/>\n")?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(10) {
        crowd.run(Duration::from_millis(10))?;
        if let Some((id, _)) = crowd.games.iter().find(|(_, title)| title == "Tic-Tac-Toe") {
            return Ok(id.clone());
        }
    }
    Err(io::Error::other("tic-tac-toe is not played here"))
}

/// Private memory of a process's children together, in KiB.
fn children(pid: u32) -> io::Result<f64> {
    let mut sum = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            // They come and go meanwhile.
            let pages = fs::read_to_string(format!("/proc/{child}/statm")).unwrap_or_default();
            let mut words = pages
                .split(' ')
                .map(|word| word.parse::<f64>().unwrap_or(0.0));
            let (resident, shared) = (words.nth(1).unwrap_or(0.0), words.next().unwrap_or(0.0));
            sum += (resident - shared) * 4.0;
        }
    }
    Ok(sum)
}
