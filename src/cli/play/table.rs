//! At the table: what is typed goes to the game, what the game says is shown, and a broken connection is mended.

use std::{collections::VecDeque, time::Duration};

use serde_json::json;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    super::{attach::Typed, fault::Fault, text},
    PlayError,
    channel::Line,
    command::{Command, HELP},
    screen,
    session::{self, Plan, Sitting},
    sink::Sink,
};
use crate::{
    games::wire::{Draw, Say, State, Status, Told},
    lobby::wire::{
        push::Push,
        request::Request,
        terms::{Action, ChatKind, Code, LeaveReason, TableId},
    },
};

/// So long one tries to come back to a table.
const AWAY: Duration = Duration::from_secs(60);
/// The first pause before a new connection; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A box that has just been started takes up the matches that were going on within this.
const SETTLING: Duration = Duration::from_secs(10);
/// When one of game and lobby has hung up, the other has so long to say why.
const REASON: Duration = Duration::from_secs(2);

/// How a sitting ended.
enum Ended {
    /// As was wished.
    Left,
    /// As was wished, too; but they will be back.
    Away,
    /// Nothing more will be typed, and it is their turn.
    Unfinished,
    /// The connection broke.
    Lost(PlayError),
}

/// What a game answers with another state, if it does not complain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Another position.
    Move,
    /// The end of the match.
    End,
}

/// Somebody at a table.
pub(super) struct Seated {
    typed: mpsc::Receiver<Typed>,
    sink: Sink,
    /// A script's moves wait for their turn; a person's are refused before it.
    waits: bool,
    /// Nothing more will be typed.
    ended: bool,
    pending: VecDeque<Command>,
    state: Option<State>,
    /// What the game has not answered.
    asked: Option<Asked>,
}

impl Seated {
    pub(super) fn new(typed: mpsc::Receiver<Typed>, sink: Sink, waits: bool) -> Self {
        Self {
            typed,
            sink,
            waits,
            ended: false,
            pending: VecDeque::new(),
            state: None,
            asked: None,
        }
    }

    /// Until they leave, or cannot go on; and what is to be said after that.
    pub(super) async fn play(
        mut self,
        mut sitting: Sitting,
        mut plan: Plan,
    ) -> Result<Option<String>, Fault> {
        let name = text::plain(plan.login.name());
        let mut table = sitting.table.0;
        let hello = format!("you are {name}, at table {table}; /help says what can be typed");
        self.sink.notice(&hello).await?;
        if let Some(kept) = sitting.kept {
            let way = plan.way_to(kept);
            let line = format!("a seat is kept for you at table {}: {way}", kept.0);
            self.sink.notice(&line).await?;
        }
        loop {
            let lost = match self.sit(&mut sitting).await? {
                Ended::Left => {
                    sitting.lobby.leave().await;
                    return Ok(None);
                }
                Ended::Unfinished => {
                    let way = plan.way_to(sitting.table);
                    return Err(PlayError::Unfinished(way).into());
                }
                Ended::Away => return Ok(Some(self.farewell(&plan, sitting.table))),
                Ended::Lost(lost) => lost,
            };
            let last = sitting.table;
            drop(sitting);
            self.asked = None;
            let line = format!("{lost}; coming back to table {table} as {name}");
            self.sink.notice(&line).await?;
            (sitting, plan) = match self.come_back(&plan).await? {
                Some(back) => back,
                None => return Ok(self.is_playing().then(|| self.farewell(&plan, last))),
            };
            table = sitting.table.0;
            self.state = None; // so that all of it is shown
            self.sink.notice(&format!("back at table {table}")).await?;
        }
    }

    fn farewell(&self, plan: &Plan, table: TableId) -> String {
        format!("the match waits for you: {}", plan.way_to(table))
    }

    /// Whether a match waits for them when they go.
    fn is_playing(&self) -> bool {
        let state = self.state.as_ref();
        state.is_some_and(|state| state.you.is_some() && state.status == Status::Playing)
    }

    /// Tries for a while; none when they do not want to any more.
    async fn come_back(&mut self, plan: &Plan) -> Result<Option<(Sitting, Plan)>, Fault> {
        let give_up = Instant::now() + AWAY;
        let mut settled = None;
        let mut pause = PAUSE;
        loop {
            let last = match session::come_back(plan).await {
                Ok(back) => return Ok(Some(back)),
                Err(error) if error.passes() => error,
                Err(error) if error.settles() => {
                    let now = Instant::now();
                    if now >= *settled.get_or_insert(now + SETTLING) {
                        return Err(error.into());
                    }
                    error
                }
                Err(error) => return Err(error.into()),
            };
            let next = Instant::now() + pause;
            if next > give_up {
                let (after, last) = (AWAY, Box::new(last));
                return Err(PlayError::Away { after, last }.into());
            }
            pause = LONGEST_PAUSE.min(pause * 2);
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    typed = self.typed.recv(), if !self.ended => self.hear(typed),
                }
                let leaves = |one: &Command| matches!(one, Command::Quit | Command::Away);
                if self.pending.iter().any(leaves) {
                    return Ok(None);
                }
            }
        }
    }

    /// One connection, until it ends.
    async fn sit(&mut self, sitting: &mut Sitting) -> Result<Ended, Fault> {
        // When one of the two has hung up: until when the other may say why.
        let mut hung: Option<Instant> = None;
        let mut left: Option<PlayError> = None;
        let mut game_hung = false;
        // Who is sent away is told why by somebody; a box that stops tells nobody anything.
        let mut sent_away = false;
        loop {
            if hung.is_none() {
                match self.act(sitting).await {
                    Ok(Some(ended)) => return Ok(ended),
                    Ok(None) => {}
                    // Whoever has hung up is about to be heard, too, with a reason perhaps.
                    Err(Fault::Play(PlayError::Broke(_))) => hung = Some(Instant::now() + REASON),
                    Err(fault) => return Err(fault),
                }
            }
            let reason = hung.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                line = sitting.channel.next(), if !game_hung => match line? {
                    Some(line) => self.told(line, sitting.table).await?,
                    None => {
                        game_hung = true;
                        hung.get_or_insert(Instant::now() + REASON);
                    }
                },
                push = sitting.lobby.next(), if left.is_none() => match push {
                    Ok(Push::Ping) => { sitting.lobby.say(&Request::Pong).await.ok(); } // then it is lost, and will be seen
                    Ok(Push::Leave { reason, player }) => {
                        left = Some(match reason {
                            LeaveReason::Boot => PlayError::Booted { by: player },
                            reason => PlayError::TableEnded(reason),
                        });
                        hung.get_or_insert(Instant::now() + REASON);
                    }
                    Ok(push) => {
                        let kind = Some(ChatKind::Private);
                        sent_away = matches!(&push, Push::Chat { kind: said, .. } if *said == kind);
                        self.heard(push).await?;
                    }
                    Err(error @ PlayError::Broke(_)) => return Ok(Ended::Lost(error)),
                    Err(error @ PlayError::Dismissed) if !sent_away => return Ok(Ended::Lost(error)),
                    Err(error) => return Err(error.into()),
                },
                typed = self.typed.recv(), if !self.ended => self.hear(typed),
                () = sleep_until(reason), if hung.is_some() => game_hung = true,
            }
            match (game_hung, hung, left.take()) {
                // What the game said last has been shown.
                (true, _, Some(PlayError::TableEnded(LeaveReason::GameOver))) => {
                    self.sink.notice("the table has ended").await?;
                    return Ok(Ended::Left);
                }
                (true, _, Some(error)) => return Err(error.into()),
                (true, Some(reason), None) if Instant::now() >= reason => {
                    let end = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    return Ok(Ended::Lost(end.into()));
                }
                (_, _, still) => left = still,
            }
        }
    }

    fn hear(&mut self, typed: Option<Typed>) {
        match typed {
            Some(Typed::Line(line)) => self.pending.push_back(Command::read(&line)),
            // Ctrl-D or Ctrl-C at a prompt; the end of a script's input.
            Some(Typed::End) | None => {
                self.ended = true;
                if !self.waits {
                    self.pending.push_back(Command::Away);
                }
            }
        }
    }

    /// Does what was typed, as far as it can be done now. Some: it is time to leave.
    async fn act(&mut self, sitting: &mut Sitting) -> Result<Option<Ended>, Fault> {
        while let Some(command) = self.pending.front() {
            if !self.is_due(command) {
                break;
            }
            let command = self.pending.pop_front().expect("it was just looked at");
            match command {
                Command::Away if self.is_playing() => return Ok(Some(Ended::Away)),
                Command::Quit | Command::Away => return Ok(Some(Ended::Left)),
                command => self.carry_out(command, sitting).await?,
            }
        }
        let Some(state) = self
            .state
            .as_ref()
            .filter(|_| self.ended && self.asked.is_none())
        else {
            return Ok(None);
        };
        let own = state.you.and_then(|you| state.seats.get(you));
        let goes_on = own.is_some_and(|own| own.again) && !self.pending.is_empty();
        if state.status == Status::Over && !goes_on {
            return Ok(Some(Ended::Left));
        }
        let stuck = state.status == Status::Playing && state.turn.is_some();
        if stuck && state.turn == state.you && self.pending.is_empty() {
            return Ok(Some(Ended::Unfinished));
        }
        Ok(None)
    }

    fn is_due(&self, command: &Command) -> bool {
        let Some(state) = &self.state else {
            return matches!(command, Command::Quit | Command::Away | Command::Help);
        };
        match command {
            _ if self.asked.is_some() => false,
            _ if !self.waits => true,
            Command::Game(Say::Move(_)) => {
                state.you.is_none() || state.status == Status::Playing && state.turn == state.you
            }
            Command::Game(Say::Again(_)) => state.status == Status::Over,
            _ => true,
        }
    }

    async fn carry_out(&mut self, command: Command, sitting: &mut Sitting) -> Result<(), Fault> {
        let state = self.state.as_ref();
        let show = match command {
            Command::Game(say) => {
                self.asked = match say {
                    Say::Move(_) => Some(Asked::Move),
                    Say::Resign(_) | Say::Claim(_) => Some(Asked::End),
                    _ => self.asked,
                };
                sitting.channel.say(&say).await?;
                return Ok(());
            }
            Command::Draw => {
                let offered = state.is_some_and(|state| {
                    state.draw.is_some() && state.you.is_some() && state.draw != state.you
                });
                let draw = if offered { Draw::Accept } else { Draw::Offer };
                sitting.channel.say(&Say::Draw(draw)).await?;
                return Ok(());
            }
            Command::Say(text) => {
                let (kind, to) = (Some(ChatKind::Table), None);
                let chat = Request::Chat { kind, to, text };
                sitting.lobby.say(&chat).await?;
                return Ok(());
            }
            Command::Who => state.map(screen::people).unwrap_or_default(),
            Command::Moves => state.map(screen::moves).unwrap_or_default(),
            Command::Board => state.map(screen::board).unwrap_or_default(),
            Command::Help => HELP.into(),
            Command::Unknown(line) => {
                format!(
                    "`{}` means nothing; /help says what can be typed\n",
                    text::plain(&line)
                )
            }
            Command::Nothing | Command::Quit | Command::Away => String::new(),
        };
        self.sink.show(show).await
    }

    /// A line from the game.
    async fn told(&mut self, line: Line, table: TableId) -> Result<(), Fault> {
        self.sink.json(&line.raw)?;
        match line.told {
            Told::State(state) => {
                let before = self.state.as_ref();
                // Somebody may sit down or ask for a draw before the game has read the move, and the computer may
                // move before it has read that one resigns.
                let answers = |asked: &Asked| match (asked, before) {
                    (_, None) => true,
                    (Asked::Move, Some(before)) => {
                        (&before.position, before.turn, before.status, before.round)
                            != (&state.position, state.turn, state.status, state.round)
                    }
                    (Asked::End, Some(_)) => state.status != Status::Playing,
                };
                self.asked = self.asked.filter(|asked| !answers(asked));
                let news = screen::news(before, &state, table);
                self.state = Some(*state);
                self.sink.show(news).await
            }
            Told::Complaint(complaint) => {
                self.asked = None;
                let mut lines = format!("no: {}\n", text::plain(&complaint.error));
                if let Some(hint) = &complaint.hint {
                    lines += &format!("hint: {}\n", text::plain(hint));
                }
                self.sink.show(lines).await
            }
        }
    }

    /// What the lobby says that concerns somebody at a table.
    async fn heard(&mut self, push: Push) -> Result<(), Fault> {
        match push {
            Push::Chat { kind, from, text } => {
                let to = match kind {
                    Some(ChatKind::Table) => "",
                    Some(ChatKind::Private | ChatKind::Beep) => " (to you)",
                    Some(ChatKind::Announce) => " (to all)",
                    _ => return Ok(()), // the room's talk is not the table's
                };
                let said = text.unwrap_or_else(|| "beep".into());
                let raw = json!({"chat": kind, "from": from, "text": said});
                self.sink.json(&raw.to_string())?;
                let (from, said) = (text::plain(&from), text::plain(&said));
                self.sink.show(format!("<{from}>{to} {said}\n")).await
            }
            Push::Result { action, code, .. } if action == Action::Chat && code != Code::Ok => {
                let refused = PlayError::Refused { action, code };
                self.sink.show(format!("no: {refused}\n")).await
            }
            _ => Ok(()),
        }
    }
}
