//! The verbs around snapshots.

use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    Session,
    args::{Kept, Snapshot},
    control::Answer,
    fault::Fault,
    print::{Cell, Colour, Table, note},
    server::find,
    text,
};
use crate::snapshots::{Check, Folder, Kind, Overview, RestoredView, Rules, View};

pub(crate) async fn run(session: &Session, verb: Snapshot) -> Result<(), Fault> {
    match verb {
        Snapshot::Take {
            named,
            label,
            pin,
            strict,
        } => {
            let wish = json!({ "label": label, "pinned": pin, "strict": strict });
            let path = home(session, &named.server).await?;
            let answer = send(session, Method::POST, &path, Some(wish)).await?;
            taken(session, &answer)
        }
        Snapshot::List(named) => list(session, &named.server).await,
        Snapshot::Files { kept, path } => files(session, &kept, &path).await,
        Snapshot::Cat { kept, path } => cat(session, &kept, &path).await,
        Snapshot::Restore {
            kept,
            path,
            to,
            stop,
        } => {
            let wish = json!({ "path": path, "to": to, "stop": stop });
            let place = format!("{}/restore", one(session, &kept).await?);
            let answer = send(session, Method::POST, &place, Some(wish)).await?;
            restored(session, &answer)
        }
        Snapshot::Undo { named, stop } => {
            let place = format!("{}/undo", home(session, &named.server).await?);
            let wish = json!({ "stop": stop });
            let answer = send(session, Method::POST, &place, Some(wish)).await?;
            restored(session, &answer)
        }
        Snapshot::Delete(kept) => {
            let place = one(session, &kept).await?;
            send(session, Method::DELETE, &place, None).await.map(drop)
        }
        Snapshot::Verify(named) => {
            let place = format!("{}/verify", home(session, &named.server).await?);
            let answer = send(session, Method::POST, &place, None).await?;
            verified(session, &answer)
        }
        Snapshot::Keep {
            named,
            last,
            hourly,
            daily,
            weekly,
        } => {
            let place = home(session, &named.server).await?;
            let now = session.control.get(&place).await?.read::<Overview>()?.rules;
            let rules = Rules {
                last: last.unwrap_or(now.last),
                hourly: hourly.unwrap_or(now.hourly),
                daily: daily.unwrap_or(now.daily),
                weekly: weekly.unwrap_or(now.weekly),
            };
            if rules != now {
                let place = format!("{place}/rules");
                send(session, Method::PUT, &place, Some(json!(rules))).await?;
            }
            let answer = Answer::from(json!(rules).to_string());
            session.out.answer(&answer, || {
                let mut table = Table::fields();
                table.field("last", rules.last);
                table.field("hourly", rules.hourly);
                table.field("daily", rules.daily);
                table.field("weekly", rules.weekly);
                Ok(table.render(session.out.colour))
            })
        }
    }
}

/// Where a server's snapshots are.
async fn home(session: &Session, named: &str) -> Result<String, Fault> {
    let id = find(session, named).await?.id.0;
    Ok(format!("/servers/{id}/snapshots"))
}

async fn one(session: &Session, kept: &Kept) -> Result<String, Fault> {
    let home = home(session, &kept.named.server).await?;
    Ok(format!("{home}/{}", kept.id))
}

async fn send(
    session: &Session,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Answer, Fault> {
    session
        .control
        .send_slowly(method, path, body.as_ref())
        .await
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn taken(session: &Session, answer: &Answer) -> Result<(), Fault> {
    let view: View = answer.read()?;
    if let Some(why) = &view.why {
        note(&format!("warning: not consistent: {}", text::plain(why)));
    }
    for left_out in &view.notes {
        note(&format!("left out: {}", text::plain(left_out)));
    }
    session.out.answer(answer, || Ok(format!("{}\n", view.id)))
}

async fn list(session: &Session, named: &str) -> Result<(), Fault> {
    let answer = session.control.get(&home(session, named).await?).await?;
    session.out.answer(&answer, || {
        let all: Overview = answer.read()?;
        let heads = [
            "ID", "TAKEN", "SIZE", "ADDED", "FILES", "STATE", "BY", "LABEL",
        ];
        let mut table = Table::new(&heads);
        for view in &all.snapshots {
            let state = match (view.damaged.is_empty(), view.consistent, view.pinned) {
                (false, ..) => Cell::coloured("damaged", Colour::Bad),
                (_, false, _) => Cell::coloured("not consistent", Colour::Busy),
                (.., true) => Cell::coloured("pinned", Colour::Good),
                _ => Cell::new("kept"),
            };
            table.row([
                Cell::new(view.id),
                Cell::new(view.created),
                Cell::new(size(view.bytes)),
                Cell::new(size(view.added)),
                Cell::new(view.files),
                state,
                Cell::new(&view.by),
                Cell::new(&view.label),
            ]);
        }
        let mut shown = table.render(session.out.colour);
        if let Some(job) = &all.running {
            let so_far = size(job.bytes);
            let of = job.of.map(|of| format!(" of about {}", size(of)));
            shown += &format!(
                "{} since {}: {so_far}{}\n",
                job.what,
                job.since,
                of.unwrap_or_default()
            );
        }
        if let Some(undo) = &all.undo {
            let what = undo.path.as_deref().unwrap_or("all");
            shown += &format!(
                "restored {} from {} at {}: `undo` takes it back\n",
                text::plain(what),
                undo.snapshot,
                undo.at
            );
        }
        Ok(shown)
    })
}

async fn files(session: &Session, kept: &Kept, path: &str) -> Result<(), Fault> {
    let place = format!("{}/files?path={}", one(session, kept).await?, encoded(path));
    let mut all: Vec<_> = Vec::new();
    let mut after = String::new();
    loop {
        let page: Folder = session
            .control
            .get_slowly(&format!("{place}{after}"))
            .await?
            .read()?;
        let (more, last) = (page.more, page.entries.last().cloned());
        all.extend(page.entries);
        match last.filter(|_| more) {
            None => break,
            Some(last) => {
                let exact = last
                    .name_base64
                    .unwrap_or_else(|| data_encoding::BASE64.encode(last.name.as_bytes()));
                after = format!("&after_base64={}", encoded(&exact));
            }
        }
    }
    let answer = Answer::from(json!(all).to_string());
    session.out.answer(&answer, || {
        let mut table = Table::new(&["MODE", "SIZE", "WRITTEN", "NAME"]);
        for entry in &all {
            let name = match (&entry.kind, &entry.target) {
                (Kind::Dir, _) => format!("{}/", entry.name),
                (Kind::Link, Some(target)) => format!("{} -> {target}", entry.name),
                _ => entry.name.clone(),
            };
            table.row([
                Cell::new(format!("{:03o}", entry.mode)),
                Cell::new(size(entry.size)),
                Cell::new(entry.modified),
                Cell::new(name),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

async fn cat(session: &Session, kept: &Kept, path: &str) -> Result<(), Fault> {
    let place = format!("{}/file?path={}", one(session, kept).await?, encoded(path));
    let mut pieces = session.control.stream(&place).await?;
    while let Some(piece) = pieces.next().await? {
        session.out.bytes(&piece)?;
    }
    Ok(())
}

fn restored(session: &Session, answer: &Answer) -> Result<(), Fault> {
    let view: RestoredView = answer.read()?;
    if view.started {
        note("the server is started again");
    }
    match session.out.json {
        true => session.out.line(answer.text().trim_end()),
        false => Ok(()),
    }
}

fn verified(session: &Session, answer: &Answer) -> Result<(), Fault> {
    let check: Check = answer.read()?;
    session.out.answer(answer, || {
        let mut shown = String::new();
        for fault in &check.faults {
            shown += &format!("{}\n", text::plain(fault));
        }
        for id in &check.damaged {
            shown += &format!("snapshot {id} is damaged\n");
        }
        if shown.is_empty() {
            shown += "all of it is whole\n";
        }
        Ok(shown)
    })?;
    match check.faults.is_empty() && check.damaged.is_empty() {
        true => Ok(()),
        false => Err(Fault::Damaged),
    }
}

/// `17`, `3.4M`: for people.
fn size(bytes: u64) -> String {
    let (unit, mark) = match bytes {
        0..1024 => return bytes.to_string(),
        1024..0x10_0000 => (1 << 10, 'K'),
        0x10_0000..0x4000_0000 => (1 << 20, 'M'),
        _ => (1 << 30, 'G'),
    };
    format!("{:.1}{mark}", bytes as f64 / f64::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, shown) in [
            (0, "0"),
            (1023, "1023"),
            (1536, "1.5K"),
            (3 << 20, "3.0M"),
            (1 << 40, "1024.0G"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
