//! From a login to a seat: the game, its room, the channel, the table.

use super::{
    super::text,
    Against, PlayError,
    channel::Channel,
    door::Door,
    lobby::{Lobby, Login},
};
use crate::lobby::wire::{
    push::{Body, GameView, Push, RoomView, TableView},
    request::{ListOf, Request},
    terms::{Action, Code, RoomId, Seat, SeatKind, TableId},
};

/// What games that speak `docs/table-games.md` call their protocol.
const ENGINE: &str = "Longhouse ";
const VERSION: &str = "1";

/// How somebody comes to a table.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) door: Door,
    pub(super) login: Login,
    pub(super) game: String,
    pub(super) room: Option<RoomId>,
    pub(super) want: Want,
}

impl Plan {
    /// What has to be typed to come back to that table.
    pub(super) fn way_to(&self, TableId(table): TableId) -> String {
        let (game, name) = (text::plain(&self.game), text::plain(self.login.name()));
        let secret = match self.login.is_secret() {
            true => " --password-stdin",
            false => "",
        };
        let server = self.door.option();
        format!("`longhouse play {game}{server} --as {name}{secret} --table {table}`")
    }
}

/// Which table, and which part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// A new one.
    Launch(Against),
    /// This one, to play.
    Join(TableId),
    /// This one, to watch.
    Watch(TableId),
}

/// Somebody at a table.
pub(super) struct Sitting {
    pub(super) lobby: Lobby,
    pub(super) channel: Channel,
    pub(super) table: TableId,
    /// Where a seat was kept for them already, if they sat down at a new table all the same.
    pub(super) kept: Option<TableId>,
}

/// Sits down, once logged in; and how to come back to the same place.
pub(super) async fn sit(mut lobby: Lobby, plan: Plan) -> Result<(Sitting, Plan), PlayError> {
    let game = find(games(&mut lobby, false).await?, &plan.game)?;
    let room = rooms(&mut lobby)
        .await?
        .into_iter()
        .find(|room| room.game == Some(game.id) && plan.room.is_none_or(|id| room.id == id));
    let room = room.ok_or_else(|| PlayError::NoRoom {
        game: game.name.clone(),
        room: plan.room.map(|RoomId(room)| room),
    })?;
    lobby.ask(&Request::Enter { room: room.id }).await?;
    let kept = match plan.want {
        Want::Launch(_) => kept(&mut lobby, room.id, plan.login.name()).await?,
        Want::Join(_) | Want::Watch(_) => Vec::new(),
    };
    let channel = Channel::open(plan.door.address(), plan.login.name()).await?;
    let request = match plan.want {
        Want::Launch(against) => Request::Launch {
            game: game.id,
            description: String::new(),
            seats: seats(&game, against)?.into_iter().map(Some).collect(),
        },
        Want::Join(table) | Want::Watch(table) => Request::Join {
            table,
            spectator: matches!(plan.want, Want::Watch(_)),
            seat: None,
        },
    };
    lobby.say(&request).await?;
    let table = seated(&mut lobby, plan.want).await?;
    let sitting = Sitting {
        lobby,
        channel,
        table,
        kept: kept.first().copied(),
    };
    let want = match plan.want {
        Want::Watch(_) => Want::Watch(table),
        Want::Launch(_) | Want::Join(_) => Want::Join(table),
    };
    let back = Plan {
        game: short(&game),
        room: Some(room.id),
        want,
        ..plan
    };
    Ok((sitting, back))
}

/// The same from the beginning, for somebody whose connection broke. The box may have been restarted meanwhile, and the
/// match then goes on at another table.
pub(super) async fn come_back(plan: &Plan) -> Result<(Sitting, Plan), PlayError> {
    let mut plan = plan.clone();
    let mut lobby = plan.door.enter(plan.login.is_secret()).await?;
    lobby.login(&plan.login).await?;
    if let (Want::Join(table), Some(room)) = (plan.want, plan.room) {
        let kept = kept(&mut lobby, room, plan.login.name()).await?;
        if let Some(other) = kept.first().filter(|_| !kept.contains(&table)) {
            plan.want = Want::Join(*other);
        }
    }
    sit(lobby, plan).await
}

/// The tables of that room at which a seat waits for somebody.
async fn kept(lobby: &mut Lobby, room: RoomId, name: &str) -> Result<Vec<TableId>, PlayError> {
    let is_kept = |seat: &Seat| {
        let kind = matches!(seat.kind, SeatKind::Abandoned | SeatKind::Reserved);
        let own = |of: &String| of.eq_ignore_ascii_case(name);
        kind && seat.name.as_ref().is_some_and(own)
    };
    let mut tables = tables(lobby, room).await?;
    tables.retain(|table| table.seats.iter().any(is_kept));
    Ok(tables.into_iter().map(|table| table.id).collect())
}

/// Waits for JOIN, which follows on a launch or join that went well.
async fn seated(lobby: &mut Lobby, want: Want) -> Result<TableId, PlayError> {
    loop {
        match lobby.answer().await? {
            Push::Join { table, .. } => return Ok(table),
            Push::Result {
                action: action @ (Action::Launch | Action::Join),
                code,
                ..
            } if code != Code::Ok => {
                return Err(match (code, want) {
                    (Code::NoTable, Want::Join(table) | Want::Watch(table)) => {
                        PlayError::NoTable(table.0)
                    }
                    _ => PlayError::Refused { action, code },
                });
            }
            _ => {}
        }
    }
}

/// The games that can be played here.
pub(super) async fn games(lobby: &mut Lobby, full: bool) -> Result<Vec<GameView>, PlayError> {
    let (what, room) = (ListOf::Game, None);
    match lobby.ask(&Request::List { what, full, room }).await? {
        Body::Games(games) => Ok(games.into_iter().filter(is_ours).collect()),
        _ => Ok(Vec::new()),
    }
}

/// All rooms.
pub(super) async fn rooms(lobby: &mut Lobby) -> Result<Vec<RoomView>, PlayError> {
    let (what, full, room) = (ListOf::Room, false, None);
    match lobby.ask(&Request::List { what, full, room }).await? {
        Body::Rooms(rooms) => Ok(rooms),
        _ => Ok(Vec::new()),
    }
}

/// The tables of a room.
pub(super) async fn tables(lobby: &mut Lobby, room: RoomId) -> Result<Vec<TableView>, PlayError> {
    let (what, full, room) = (ListOf::Table, false, Some(room));
    match lobby.ask(&Request::List { what, full, room }).await? {
        Body::Tables(_, tables) => Ok(tables),
        _ => Ok(Vec::new()),
    }
}

fn is_ours(game: &GameView) -> bool {
    game.engine.starts_with(ENGINE) && game.engine_version == VERSION
}

/// What one types to play it: `connectfour` for Connect Four.
pub(super) fn short(game: &GameView) -> String {
    letters(game.engine.strip_prefix(ENGINE).unwrap_or(&game.engine))
}

fn letters(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    letters.collect::<String>().to_ascii_lowercase()
}

fn find(games: Vec<GameView>, name: &str) -> Result<GameView, PlayError> {
    let wanted = letters(name);
    let mut games = games.into_iter();
    let found = games.find(|game| short(game) == wanted || letters(&game.name) == wanted);
    found.ok_or_else(|| PlayError::NoGame(name.into()))
}

/// The seats of a new table: as few as the game takes, the first of them one's own.
fn seats(game: &GameView, against: Against) -> Result<Vec<Seat>, PlayError> {
    let count = (2..=32)
        .find(|count| game.players.has(*count))
        .or(game.players.most());
    let open = Seat {
        kind: SeatKind::Open,
        name: None,
    };
    let mut seats = vec![open; count.unwrap_or(2) as usize];
    let strength = match against {
        Against::Person => return Ok(seats),
        Against::Easy => "easy",
        Against::Medium => "medium",
        Against::Hard => "hard",
    };
    let plays_so = |(_, class): &&(String, String)| class.eq_ignore_ascii_case(strength);
    let bot = game.named_bots.iter().find(plays_so);
    let no_bot = || PlayError::NoBot {
        game: game.name.clone(),
        strength: strength.into(),
    };
    let (name, _) = bot.ok_or_else(no_bot)?;
    if let Some(seat) = seats.get_mut(1) {
        *seat = Seat {
            kind: SeatKind::Bot,
            name: Some(name.clone()),
        };
    }
    Ok(seats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lobby::wire::terms::{GameId, Numbers};

    fn game(name: &str, engine: &str) -> GameView {
        GameView {
            id: GameId(0),
            name: name.into(),
            version: "1".into(),
            engine: engine.into(),
            engine_version: "1".into(),
            players: Numbers {
                singles: 0,
                range: Some((2, 4)),
            },
            bots: Numbers::default(),
            spectators: true,
            peers: false,
            named_bots: vec![
                ("dots-easy".into(), "easy".into()),
                ("dots-hard".into(), "hard".into()),
            ],
            about: None,
        }
    }

    #[test]
    fn a_game_is_found_by_its_title_however_it_is_typed() {
        let games = || {
            vec![
                game("Käsekästchen", "Longhouse Dots"),
                game("Connect Four", "Longhouse Connect Four"),
            ]
        };
        for name in ["connectfour", "Connect Four", "connect-four"] {
            assert_eq!(find(games(), name).unwrap().name, "Connect Four");
        }
        assert_eq!(find(games(), "dots").unwrap().name, "Käsekästchen");
        assert!(matches!(find(games(), "go"), Err(PlayError::NoGame(_))));
        assert!(!is_ours(&game("Chess", "Chess")));
    }

    #[test]
    fn a_table_has_as_few_seats_as_the_game_takes_and_the_bot_that_was_asked_for() {
        let dots = game("Dots", "Longhouse Dots");
        let hard = seats(&dots, Against::Hard).unwrap();
        assert_eq!(hard.len(), 2);
        assert_eq!(hard[0].kind, SeatKind::Open);
        assert_eq!(hard[1].name.as_deref(), Some("dots-hard"));
        let open = seats(&dots, Against::Person).unwrap();
        assert!(open.iter().all(|seat| seat.kind == SeatKind::Open));
        let none = seats(&dots, Against::Medium);
        assert!(matches!(none, Err(PlayError::NoBot { .. })));
    }
}
