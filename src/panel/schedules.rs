//! What servers do by the clock.

use warp::http::{Method, StatusCode};

use super::{
    DONE, Outcome, State, api,
    servers::{made, server},
};
use crate::{
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, bare, json},
    },
    schedules::{MOMENTS, Moments, NewSchedule, SchedulePatch, ScheduleView},
};

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("servers/{id}/schedules"),
            "The schedules of a server",
            list,
        )
        .lists::<ScheduleView>()
        .faults(&[NoSuchServer]),
        Route::new(
            Method::POST,
            api!("servers/{id}/schedules"),
            "Writes a schedule; it acts as whoever wrote it, with the rights that they have when it runs",
            create,
        )
        .takes::<NewSchedule>()
        .answers::<ScheduleView>(StatusCode::CREATED)
        .faults(&[Forbidden, NoSuchServer, BadField, TooManySchedules]),
        Route::new(
            Method::GET,
            api!("servers/{id}/schedules/moments"),
            "When a cron text comes due, before it is written",
            moments,
        )
        .query("cron", "the cron text")
        .query("zone", "the time zone; the box's when absent")
        .query("count", "how many moments: 1 to 100, else 5")
        .answers::<Moments>(StatusCode::OK)
        .faults(&[NoSuchServer, BadField]),
        Route::new(
            Method::GET,
            api!("servers/{id}/schedules/{schedule}"),
            "One schedule",
            get,
        )
        .answers::<ScheduleView>(StatusCode::OK)
        .faults(&[NoSuchServer, NoSuchSchedule]),
        Route::new(
            Method::PATCH,
            api!("servers/{id}/schedules/{schedule}"),
            "Changes a schedule; from then on it acts as whoever changed it",
            update,
        )
        .takes::<SchedulePatch>()
        .answers::<ScheduleView>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchServer, NoSuchSchedule, BadField]),
        Route::new(
            Method::DELETE,
            api!("servers/{id}/schedules/{schedule}"),
            "Deletes a schedule; a run of it ends with the step that it is at",
            delete,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchServer, NoSuchSchedule]),
        Route::new(
            Method::POST,
            api!("servers/{id}/schedules/{schedule}/run"),
            "Runs a schedule now",
            run,
        )
        .answers::<ScheduleView>(StatusCode::ACCEPTED)
        .faults(&[Forbidden, NoSuchServer, NoSuchSchedule, Busy]),
    ]
}

async fn list(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let schedules = doors.schedules.list(&by, server(&call)?).await?;
    json(StatusCode::OK, &schedules)
}

async fn create(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let wish: NewSchedule = call.json().await?;
    let schedule = doors.schedules.create(&by, id, wish).await?;
    let place = format!("/api/v1/servers/{}/schedules/{}", id.0, schedule.id);
    made(&schedule, &place)
}

async fn moments(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let count = call.number("count", 1..=MOMENTS)?.unwrap_or(5);
    let cron = call.text("cron").ok_or_else(|| {
        let detail = "`cron` is missing: the text whose moments are wanted";
        Fault::new(Code::BadQuery, detail)
    })?;
    let zone = call.text("zone");
    let schedules = &doors.schedules;
    let moments = schedules.moments(&by, id, cron, zone, count as usize);
    json(StatusCode::OK, &moments.await?)
}

async fn get(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, schedule) = (server(&call)?, call.id("schedule")?);
    json(
        StatusCode::OK,
        &doors.schedules.get(&by, id, schedule).await?,
    )
}

async fn update(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, schedule) = (server(&call)?, call.id("schedule")?);
    let patch: SchedulePatch = call.json().await?;
    let schedule = doors.schedules.update(&by, id, schedule, patch).await?;
    json(StatusCode::OK, &schedule)
}

async fn delete(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, schedule) = (server(&call)?, call.id("schedule")?);
    doors.schedules.delete(&by, id, schedule).await?;
    Ok(bare(DONE))
}

async fn run(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, schedule) = (server(&call)?, call.id("schedule")?);
    let schedule = doors.schedules.run(&by, id, schedule).await?;
    json(StatusCode::ACCEPTED, &schedule)
}
