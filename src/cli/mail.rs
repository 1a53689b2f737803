//! The verbs around letters that have not left.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Session,
    args::Mail,
    fault::Fault,
    print::{Cell, Table, note},
    text,
};
use crate::mail::{LetterState, Queue};

pub(crate) async fn run(session: &Session, verb: Mail) -> Result<(), Fault> {
    match verb {
        Mail::List => list(session).await,
        Mail::Retry { id } => {
            let path = format!("/mail/{id}/retry");
            done(session, Method::POST, &path, None, "it is tried again now").await
        }
        Mail::Drop { id } => {
            let path = format!("/mail/{id}");
            done(session, Method::DELETE, &path, None, "dropped").await
        }
        Mail::Test { to } => {
            let said = "written; `longhouse mail list` shows it until it has left";
            let wish = json!({ "mail": to });
            done(session, Method::POST, "/mail", Some(&wish), said).await
        }
    }
}

async fn list(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/mail").await?;
    session.out.answer(&answer, || {
        let queue: Queue = answer.read()?;
        match (&queue.server, &queue.trouble) {
            (None, _) => {
                note("no mail server is configured: pass the links on; hint: set mail.smtp")
            }
            (Some(server), Some(trouble)) => {
                note(&format!(
                    "{}: {}",
                    text::plain(server),
                    text::plain(trouble)
                ));
            }
            (Some(_), None) => {}
        }
        let mut table = Table::new(&[
            "ID",
            "KIND",
            "TO",
            "STATE",
            "TRIED",
            "NEXT",
            "UNTIL",
            "LINK OR ERROR",
        ]);
        for letter in queue.letters {
            let waits = letter.state == LetterState::Waiting && letter.attempts > 0;
            table.row([
                Cell::new(letter.id),
                Cell::new(word(&letter.kind)),
                Cell::new(&letter.to),
                Cell::new(word(&letter.state)),
                Cell::new(letter.attempts),
                Cell::maybe(waits.then_some(letter.next)),
                Cell::new(letter.until),
                Cell::maybe(letter.link.or(letter.error)),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

async fn done(
    session: &Session,
    method: Method,
    path: &str,
    body: Option<&Value>,
    said: &str,
) -> Result<(), Fault> {
    let answer = session.control.send(method, path, body).await?;
    session.out.answer(&answer, || {
        note(said);
        Ok(String::new())
    })
}

/// What the API calls it.
fn word(thing: &impl serde::Serialize) -> String {
    match json!(thing) {
        Value::String(word) => word,
        other => other.to_string(),
    }
}
