//! Resource classes, and what is asked of servers by one word: mounting and switching.

use hyper::Method;
use serde_json::json;

use super::{
    Session,
    args::{Change, Class as Verb},
    fault::Fault,
    print::{Cell, Table, note},
    server::find,
    sheet,
};
use crate::hosting::{Class, Idle, Switch, View, Wait};

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<(), Fault> {
    match verb {
        Verb::List => list(session).await,
        Verb::Set {
            number,
            name,
            hosts,
            ceiling,
        } => set(session, number, name, hosts, &ceiling.into()).await,
    }
}

/// `24h, then 1h`.
pub(crate) fn rest(idle: Idle) -> String {
    let said = |wait: Option<Wait>| wait.map_or("usual".into(), |wait| wait.to_string());
    format!("stop {}, release {}", said(idle.stop), said(idle.release))
}

async fn list(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/classes").await?;
    session.out.answer(&answer, || {
        let classes: Vec<Class> = answer.read()?;
        let mut table = Table::new(&["CLASS", "NAME", "LIMITS", "IDLE", "HOSTS"]);
        for class in &classes {
            table.row([
                Cell::new(class.number),
                Cell::new(&class.name),
                Cell::new(sheet::limits(&class.limits)),
                Cell::new(rest(class.idle)),
                Cell::new(if class.hosts { "yes" } else { "no" }),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

async fn set(
    session: &Session,
    number: u8,
    name: Option<String>,
    hosts: Option<bool>,
    change: &Change,
) -> Result<(), Fault> {
    let classes: Vec<Class> = session.control.get("/classes").await?.read()?;
    let before = classes.into_iter().find(|class| class.number == number);
    let before = before.ok_or_else(|| Fault::NoServer(format!("class {number}")))?;
    let wish = json!({
        "name": name.unwrap_or(before.name),
        "limits": change.limits(before.limits).unwrap_or(before.limits),
        "idle": change.idle(before.idle).unwrap_or(before.idle),
        "hosts": hosts.unwrap_or(before.hosts),
    });
    let path = format!("/classes/{number}");
    let answer = session
        .control
        .send(Method::PUT, &path, Some(&wish))
        .await?;
    session.out.answer(&answer, || {
        note("changed; its servers follow at their next start");
        Ok(String::new())
    })
}

/// `mount` or `unmount`.
pub(crate) async fn mounting(session: &Session, named: &str, verb: &str) -> Result<(), Fault> {
    let id = find(session, named).await?.id.0;
    let path = format!("/servers/{id}/{verb}");
    let answer = session.control.send(Method::POST, &path, None).await?;
    session.out.answer(&answer, || {
        let server: View = answer.read()?;
        let word = if server.mounted {
            "mounted"
        } else {
            "not mounted"
        };
        note(&format!("{}: {word}", server.name));
        Ok(String::new())
    })
}

/// Another version.
pub(crate) async fn switch(session: &Session, named: &str, version: &str) -> Result<(), Fault> {
    let id = find(session, named).await?.id.0;
    let path = format!("/servers/{id}/version");
    let wish = json!({ "version": version });
    let answer = session
        .control
        .send(Method::POST, &path, Some(&wish))
        .await?;
    session.out.answer(&answer, || {
        let switched: Switch = answer.read()?;
        let stopped = if switched.stopped {
            ", stopped for it"
        } else {
            ""
        };
        note(&format!(
            "{}: {} instead of {}{stopped}",
            switched.server.name, switched.server.version, switched.from
        ));
        Ok(String::new())
    })
}
