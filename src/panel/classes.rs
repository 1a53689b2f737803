//! Resource classes, and what servers are asked less often: mounting, another version, being destroyed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::{Method, StatusCode};

use super::{DONE, Outcome, State, api, servers::server};
use crate::{
    hosting::{Class, ClassWish, Switch, View},
    http::{
        problem::Code,
        routes::{Call, Route, bare, json},
    },
};

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("classes"),
            "The ten resource classes",
            list,
        )
        .lists::<Class>(),
        Route::new(
            Method::PUT,
            api!("classes/{n}"),
            "Makes a resource class another one",
            set,
        )
        .takes::<ClassWish>()
        .answers::<Class>(StatusCode::OK)
        .faults(&[Forbidden, BadField]),
        Route::new(
            Method::POST,
            api!("servers/{id}/mount"),
            "Prepares a server without starting it; answers when that is done",
            mount,
        )
        .answers::<View>(StatusCode::OK)
        .faults(&[
            Forbidden,
            NoSuchServer,
            Busy,
            GameUnavailable,
            OverBudget,
            MountFailed,
        ]),
        Route::new(
            Method::POST,
            api!("servers/{id}/unmount"),
            "Gives back what is reserved for a stopped server",
            unmount,
        )
        .answers::<View>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchServer, Busy, NotStopped, MountFailed]),
        Route::new(
            Method::POST,
            api!("servers/{id}/version"),
            "Gives a server another version of its game; stops it first when it runs",
            switch,
        )
        .takes::<OtherVersion>()
        .answers::<Switch>(StatusCode::OK)
        .faults(&[
            Forbidden,
            NoSuchServer,
            NoSuchVersion,
            GameUnavailable,
            Busy,
            KeeperFailed,
        ]),
        Route::new(
            Method::POST,
            api!("servers/{id}/mark"),
            "Marks a server to be destroyed, by a file among its own that anybody may delete again",
            mark,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchServer, Busy]),
        Route::new(
            Method::GET,
            api!("servers/{id}/mark"),
            "Whether a server is marked to be destroyed",
            marked,
        )
        .answers::<Marked>(StatusCode::OK)
        .faults(&[NoSuchServer, Busy]),
        Route::new(
            Method::POST,
            api!("servers/{id}/destroy"),
            "Moves a stopped and marked server to the recycle bin",
            destroy,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchServer, NotStopped, NotMarked, Busy]),
    ]
}

/// Another version of the game.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OtherVersion {
    version: String,
}

/// Whether a mark is there, fresh, and confirmed by its file.
#[derive(Serialize, ToSchema)]
struct Marked {
    marked: bool,
}

async fn list(doors: State, call: Call) -> Outcome {
    doors.by(&call).await?;
    json(StatusCode::OK, &doors.hosting.classes().await?)
}

async fn set(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    // Larger ones are no class either.
    let number = u8::try_from(call.id("n")?).unwrap_or(u8::MAX);
    let wish: ClassWish = call.json().await?;
    let class = doors.hosting.set_class(&by, number, wish).await?;
    json(StatusCode::OK, &class)
}

async fn mount(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    json(StatusCode::OK, &doors.hosting.mount(&by, id).await?)
}

async fn unmount(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    json(StatusCode::OK, &doors.hosting.unmount(&by, id).await?)
}

async fn switch(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let wanted: OtherVersion = call.json().await?;
    let hosting = &doors.hosting;
    let switched = hosting.switch_version(&by, id, wanted.version).await?;
    json(StatusCode::OK, &switched)
}

async fn mark(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    doors.hosting.mark(&by, server(&call)?).await?;
    Ok(bare(DONE))
}

async fn marked(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let marked = doors.hosting.is_marked(&by, server(&call)?).await?;
    json(StatusCode::OK, &Marked { marked })
}

async fn destroy(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    doors.hosting.destroy(&by, server(&call)?).await?;
    Ok(bare(DONE))
}
