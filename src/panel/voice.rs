//! Voice channels, who is in them, and the right to a seat.

use serde::Deserialize;
use utoipa::ToSchema;
use warp::http::{Method, StatusCode};

use super::{DONE, Outcome, State, api, servers::made};
use crate::{
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, bare, json},
    },
    voice::{ChannelId, ChannelView, NewChannel, StatsView, TicketView, Uid},
};

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("voice/channels"),
            "The voice channels, and who is in them",
            list,
        )
        .lists::<ChannelView>()
        .faults(&[Forbidden]),
        Route::new(
            Method::POST,
            api!("voice/channels"),
            "Creates a voice channel on a UDP port of its own",
            create,
        )
        .takes::<NewChannel>()
        .answers::<ChannelView>(StatusCode::CREATED)
        .faults(&[Forbidden, BadField, NoFreePort]),
        Route::new(
            Method::GET,
            api!("voice/channels/{id}"),
            "One voice channel",
            get,
        )
        .answers::<ChannelView>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchChannel]),
        Route::new(
            Method::DELETE,
            api!("voice/channels/{id}"),
            "Ends a voice channel at once",
            delete,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchChannel]),
        Route::new(
            Method::DELETE,
            api!("voice/channels/{id}/members/{uid}"),
            "Removes somebody from a voice channel; they may come back",
            kick,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchChannel, NoSuchMember]),
        Route::new(
            Method::POST,
            api!("voice/tickets"),
            "The right of one's account to a seat; its key is told this once",
            ticket,
        )
        .takes::<Wanted>()
        .answers::<TicketView>(StatusCode::CREATED)
        .faults(&[Forbidden, AccountNeeded, NoSuchChannel]),
        Route::new(
            Method::GET,
            api!("voice/stats"),
            "All of voice in figures",
            stats,
        )
        .answers::<StatsView>(StatusCode::OK)
        .faults(&[Forbidden]),
    ]
}

/// Where a seat is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    channel: ChannelId,
}

async fn list(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.voice.channels(&by).await?)
}

async fn create(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wish = call.json_if_any::<NewChannel>().await?.unwrap_or_default();
    let channel = doors.voice.create(&by, wish).await?;
    made(
        &channel,
        &format!("/api/v1/voice/channels/{}", channel.id.0),
    )
}

async fn get(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = channel(&call)?;
    json(StatusCode::OK, &doors.voice.channel(&by, id).await?)
}

async fn delete(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    doors.voice.delete(&by, channel(&call)?).await?;
    Ok(bare(DONE))
}

async fn kick(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let uid = Uid(call.id("uid")?);
    doors.voice.kick(&by, channel(&call)?, uid).await?;
    Ok(bare(DONE))
}

async fn ticket(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wanted: Wanted = call.json().await?;
    let ticket = doors.voice.ticket(&by, wanted.channel).await?;
    json(StatusCode::CREATED, &ticket)
}

async fn stats(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.voice.stats(&by).await?)
}

fn channel(call: &Call) -> Result<ChannelId, Fault> {
    call.id("id").map(ChannelId)
}
