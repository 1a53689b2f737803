//! Keeping order in the lobby: who is sent away, what is defined, and who may what.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::{Method, StatusCode};

use super::{DONE, Outcome, State, api};
use crate::{
    accounts::AccountId,
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, bare, json},
    },
    lobby::{
        BanView, Defined, DefinitionsView, Term,
        wire::{request::AdminAction, terms::Permissions},
    },
};

/// What any wish about a player may meet.
const PLAYER: &[Code] = &[Code::Forbidden, Code::NoSuchPlayer, Code::BadField];

/// A route that does something to a player.
macro_rules! order {
    ($path:literal, $about:literal, $action:ident) => {
        Route::new(Method::POST, api!($path), $about, |doors, call| {
            order(doors, call, AdminAction::$action)
        })
        .takes::<Why>()
        .bare(DONE)
        .faults(PLAYER)
    };
}

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    let mut routes = vec![
        order!(
            "lobby/players/{name}/kick",
            "Ends somebody's connection; they may come back",
            Kick
        ),
        order!(
            "lobby/players/{name}/gag",
            "Lets nobody in rooms hear somebody any more",
            Gag
        ),
        order!(
            "lobby/players/{name}/ungag",
            "Lets somebody be heard again",
            Ungag
        ),
        order!(
            "lobby/players/{name}/ban",
            "Sends somebody away for good; a guest and their network for a day",
            Ban
        ),
        Route::new(Method::GET, api!("lobby/bans"), "Who may not come in", bans)
            .lists::<BanView>()
            .faults(&[Forbidden]),
        Route::new(
            Method::DELETE,
            api!("lobby/bans/{name}"),
            "Lets somebody come in again",
            unban,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchBan]),
    ];
    routes.extend(definitions_and_permissions());
    routes
}

fn definitions_and_permissions() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("lobby/definitions"),
            "Rooms and table games that are in effect, what the API said of them, and what is wrong",
            definitions,
        )
        .answers::<DefinitionsView>(StatusCode::OK)
        .faults(&[Forbidden]),
        Route::new(
            Method::PUT,
            api!("lobby/definitions/{kind}/{name}"),
            "Adds or changes one of the `rooms` or `tables`; stands before a file of that name",
            define,
        )
        .takes::<Definition>()
        .bare(DONE)
        .faults(&[Forbidden, NotFound, BadField]),
        Route::new(
            Method::DELETE,
            api!("lobby/definitions/{kind}/{name}"),
            "Removes one of the `rooms` or `tables`, wherever it comes from",
            undefine,
        )
        .bare(DONE)
        .faults(&[Forbidden, NotFound, NoSuchDefinition]),
        Route::new(
            Method::DELETE,
            api!("lobby/definitions/{kind}/{name}/override"),
            "Forgets what the API said of it: files and what ships count again",
            forget,
        )
        .bare(DONE)
        .faults(&[Forbidden, NotFound, NoSuchDefinition]),
        Route::new(
            Method::GET,
            api!("lobby/permissions/{id}"),
            "What somebody set for an account's permissions in the lobby",
            mask,
        )
        .answers::<Mask>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchPlayer]),
        Route::new(
            Method::PUT,
            api!("lobby/permissions/{id}"),
            "Sets what an account may in the lobby; `null`: what its role says",
            put_mask,
        )
        .takes::<Mask>()
        .answers::<Mask>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchPlayer, BadField]),
    ]
}

/// Why somebody is sent away.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Why {
    /// In words; those who are sent away are told.
    #[serde(default)]
    reason: Option<String>,
    /// For a ban: for so many seconds; 0: for good. Else a guest and their network for a day, an account for good.
    #[serde(default)]
    for_s: Option<u64>,
}

/// A room or table game.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Definition {
    /// What would be in its file.
    toml: String,
}

/// An account's permissions in the lobby.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LobbyMask)]
struct Mask {
    /// The bits of the protocol; `null`: nobody has set any, and its role decides.
    #[schema(value_type = Option<u32>)]
    mask: Option<Permissions>,
}

async fn order(doors: State, mut call: Call, action: AdminAction) -> Outcome {
    let by = doors.by(&call).await?;
    let Why { reason, for_s } = call.json_if_any().await?.unwrap_or_default();
    let term = match for_s {
        None => Term::Usual,
        Some(0) => Term::Always,
        Some(seconds) => Term::For(Duration::from_secs(seconds)),
    };
    let reason = reason.filter(|reason| !reason.is_empty());
    let player = call.word("name")?;
    let lobby = &doors.lobby;
    lobby.keep_order(&by, action, &player, reason, term).await?;
    Ok(bare(DONE))
}

async fn bans(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let bans = doors.lobby.bans(&by)?.into_iter();
    json(StatusCode::OK, &bans.map(BanView::from).collect::<Vec<_>>())
}

async fn unban(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    doors.lobby.unban(&by, &call.word("name")?).await?;
    Ok(bare(DONE))
}

async fn definitions(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.lobby.defined(&by)?)
}

async fn define(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (kind, name) = definition(&call)?;
    let Definition { toml } = call.json().await?;
    doors.lobby.define(&by, kind.into(), &name, toml).await?;
    Ok(bare(DONE))
}

async fn undefine(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (kind, name) = definition(&call)?;
    doors.lobby.undefine(&by, kind.into(), &name).await?;
    Ok(bare(DONE))
}

async fn forget(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (kind, name) = definition(&call)?;
    doors.lobby.forget(&by, kind.into(), &name).await?;
    Ok(bare(DONE))
}

/// What the path names.
fn definition(call: &Call) -> Result<(Defined, String), Fault> {
    let kind = match call.word("kind")?.as_str() {
        "rooms" => Defined::Rooms,
        "tables" => Defined::Tables,
        _ => {
            let detail = "only `rooms` and `tables` are defined here";
            return Err(Fault::new(Code::NotFound, detail));
        }
    };
    Ok((kind, call.word("name")?))
}

async fn mask(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = AccountId(call.id("id")?);
    let (permissions, set) = doors.lobby.mask(&by, id)?;
    let mask = set.then_some(permissions);
    json(StatusCode::OK, &Mask { mask })
}

async fn put_mask(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = AccountId(call.id("id")?);
    let Mask { mask } = call.json().await?;
    if let Some(mask) = mask
        && Permissions::from_bits(mask.bits()) != mask
    {
        let detail = "mask: it has bits that mean nothing";
        return Err(Fault::new(Code::BadField, detail).member("field", "mask"));
    }
    doors.lobby.put_mask(&by, id, mask).await?;
    json(StatusCode::OK, &Mask { mask })
}
