//! mvsrvd: servers, from their creation to their destruction; and the two methods of mfiled that mark one for it.
//!
//! MyOTTD's create_server knew one game; here the key `rpc.game` says which one it makes, and the HTTP API makes all.
//! Its result stays the server's number, which old clients keep as one; who wants to see what was done says so.

use std::fs;

use super::{
    Daemon, Services,
    fault::Fault,
    method::{Asked, Method, Outcome, Type},
    wire::Value,
};
use crate::{
    accounts::AccountId,
    hosting::{Create, State, View},
};

pub(super) fn methods() -> Vec<Method> {
    const D: Daemon = Daemon::Mvsrvd;
    const FILES: Daemon = Daemon::Mfiled;
    let mut methods = powers();
    methods.extend([
        Method::new(
            D,
            "create_server",
            "Creates a stopped server of class 0 to 9 and returns its number. The owner is who asks; administrators \
             may name another account. With true as third argument it returns {server_id, log}, the log being what \
             was done, a string for each step. When a step fails, those before it are undone.",
            create_server,
        )
        .takes("owner_id", Type::Int)
        .takes("srv_class", Type::Int)
        .may_take("log", Type::Boolean)
        .returns(Type::Any)
        .changes(),
        Method::new(
            D,
            "server_status",
            "How a server is: {is_mounted, is_running, uptime_desc, load_avg_desc}. The load is that of the whole box.",
            server_status,
        )
        .takes("id", Type::Int)
        .returns(Type::Struct),
        Method::new(D, "server_state", "Whether a server's game runs.", server_state)
            .takes("id", Type::Int),
        Method::new(
            D,
            "update_server_version",
            "Mounts a server with the version of the game that it has, or with another one that is said here. What is \
             mounted with another is mounted anew: if it runs it is stopped for that, and started again.",
            update_server_version,
        )
        .takes("id", Type::Int)
        .may_take("version", Type::String)
        .changes(),
        Method::new(
            D,
            "destroy_server",
            "Moves a stopped server to the recycle bin, if mfiled.erase_server has marked it no longer than an hour \
             ago and the file ERASE-THIS-SERVER still lies among its own. Further arguments do not matter.",
            destroy_server,
        )
        .takes("id", Type::Int)
        .may_take("more", Type::Any)
        .changes(),
        Method::new(
            FILES,
            "erase_server",
            "Marks a server to be destroyed: in its record, and by the file ERASE-THIS-SERVER among its own. Who \
             deletes that file takes it back. Further arguments do not matter.",
            erase_server,
        )
        .takes("id", Type::Int)
        .may_take("more", Type::Any)
        .changes(),
        Method::new(
            FILES,
            "verify_destroy",
            "Whether a server is marked to be destroyed: no longer than an hour ago, and its file still says so.",
            verify_destroy,
        )
        .takes("id", Type::Int),
    ]);
    methods
}

fn powers() -> Vec<Method> {
    const D: Daemon = Daemon::Mvsrvd;
    vec![
        Method::new(
            D,
            "mount_server",
            "Prepares a server without starting it; of one that is prepared it does nothing. initialize_server is \
             the same.",
            mount_server,
        )
        .aliases(&["initialize_server"])
        .takes("id", Type::Int)
        .changes(),
        Method::new(
            D,
            "start_server",
            "Starts a server, and prepares it first where that is needed.",
            start_server,
        )
        .takes("id", Type::Int)
        .changes(),
        Method::new(
            D,
            "stop_server",
            "Stops a server in its game's own way, then by force.",
            stop_server,
        )
        .takes("id", Type::Int)
        .changes(),
    ]
}

async fn create_server(services: Services, mut asked: Asked) -> Outcome {
    let owner = asked.args.int()?;
    let owner = u64::try_from(owner).map_err(|_| Fault::argument("owner_id", "is less than 0"))?;
    let class = asked.args.int()?;
    let class =
        u8::try_from(class).map_err(|_| Fault::argument("srv_class", "must be from 0 to 9"))?;
    let told = matches!(asked.args.any(), Some(Value::Boolean(true)));
    let wish = Create {
        game: services.game.to_string(),
        title: None,
        version: None,
        settings: Default::default(),
        limits: None,
        restart: None,
        class: Some(class),
        idle: None,
    };
    let made = services
        .hosting
        .create_told(&asked.by, AccountId(owner), wish)
        .await?;
    let id = number(made.server.id.0);
    if !told {
        return Ok(id);
    }
    let log: Vec<Value> = made.steps.into_iter().map(Value::from).collect();
    Ok(Value::record([("server_id", id), ("log", log.into())]))
}

fn number(id: u64) -> Value {
    i64::try_from(id).unwrap_or(i64::MAX).into()
}

async fn server_status(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let view = services.hosting.get(&asked.by, id).await?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split(' ').take(3).collect();
    Ok(Value::record([
        ("is_mounted", view.mounted.into()),
        ("is_running", runs(&view).into()),
        ("uptime_desc", uptime(view.uptime_s).into()),
        ("load_avg_desc", load.join(" ").into()),
    ]))
}

/// As people say it; empty while nothing runs.
fn uptime(seconds: Option<u64>) -> String {
    let Some(seconds) = seconds else {
        return String::new();
    };
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

fn runs(view: &View) -> bool {
    !matches!(view.state, State::Stopped | State::Failed)
}

async fn server_state(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let view = services.hosting.get(&asked.by, id).await?;
    Ok(runs(&view).into())
}

async fn mount_server(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    services.hosting.mount(&asked.by, id).await?;
    Ok(true.into())
}

async fn update_server_version(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    let version = match asked.args.any() {
        Some(Value::String(version)) => Some(version),
        _ => None,
    };
    services.hosting.remount(&asked.by, id, version).await?;
    Ok(true.into())
}

async fn start_server(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    services.hosting.start(&asked.by, id).await?;
    Ok(true.into())
}

async fn stop_server(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    services.hosting.stop(&asked.by, id).await?;
    Ok(true.into())
}

async fn destroy_server(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    services.hosting.destroy(&asked.by, id).await?;
    Ok(true.into())
}

async fn erase_server(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    services.hosting.mark(&asked.by, id).await?;
    Ok(true.into())
}

async fn verify_destroy(services: Services, mut asked: Asked) -> Outcome {
    let id = asked.args.server()?;
    Ok(services.hosting.is_marked(&asked.by, id).await?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_is_said_as_people_say_it() {
        for (seconds, said) in [
            (None, ""),
            (Some(0), "0 s"),
            (Some(59), "59 s"),
            (Some(61), "1 min"),
            (Some(3660), "1 h 1 min"),
            (Some(90_000), "1 d 1 h"),
        ] {
            assert_eq!(uptime(seconds), said);
        }
    }
}
