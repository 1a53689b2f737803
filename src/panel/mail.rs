//! Letters that have not left; and what people ask for by letter: a new password, another address.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::{Method, StatusCode};

use super::{DONE, Outcome, State, api};
use crate::{
    accounts::{AccountId, AccountView, Secret, Verb},
    http::{
        caller::caller,
        problem::Code,
        routes::{Call, Route, bare, json},
    },
    mail::Queue,
};

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("mail"),
            "Letters that have not left; while no mail server is configured, administrators are told the links in them",
            queue,
        )
        .answers::<Queue>(StatusCode::OK)
        .faults(&[Forbidden]),
        Route::new(
            Method::POST,
            api!("mail"),
            "Writes a letter that shows whether mail leaves the box",
            test,
        )
        .takes::<Address>()
        .answers::<Written>(StatusCode::ACCEPTED)
        .faults(&[Forbidden, TooBusy]),
        Route::new(
            Method::DELETE,
            api!("mail/{id}"),
            "Takes a letter out for good",
            remove,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchLetter, Busy]),
        Route::new(
            Method::POST,
            api!("mail/{id}/retry"),
            "Tries a letter again at once",
            retry,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchLetter, Busy, LinkGone]),
        Route::new(
            Method::POST,
            api!("accounts/{id}/mail"),
            "Changes a mail address; it must be verified before the next login, and the old one is told",
            change,
        )
        .takes::<Address>()
        .answers::<AccountView>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchAccount, TooFast, TooBusy]),
        Route::new(
            Method::POST,
            api!("password/forgot"),
            "Mails a link for a new password to whoever has verified that address; the answer does not tell whether somebody has",
            forgot,
        )
        .open()
        .takes::<Address>()
        .bare(DONE),
        Route::new(
            Method::POST,
            api!("password/reset"),
            "Sets a new password by the mailed link's secret; ends all sessions",
            reset,
        )
        .open()
        .takes::<Reset>()
        .bare(DONE)
        .faults(&[LinkGone, BadPassword, LockedOut]),
        Route::new(
            Method::POST,
            api!("verification"),
            "Mails the link anew that verifies an address; the answer does not tell whether somebody has it",
            again,
        )
        .open()
        .takes::<Address>()
        .bare(DONE),
    ]
}

/// A mail address.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Address {
    mail: String,
}

/// A letter that was written.
#[derive(Serialize, ToSchema)]
struct Written {
    /// Its id.
    id: u64,
}

/// A new password, by a mailed link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reset {
    /// The link's `uid`.
    account: AccountId,
    /// The link's `token`.
    token: String,
    password: Secret,
}

async fn queue(doors: State, call: Call) -> Outcome {
    let by = doors.by_with(&call, Verb::BoxManage).await?;
    // A link is as good as its reader's password, which no scope gives.
    let links = by.scopes.is_none();
    let post = doors.post.clone();
    let queue = super::blocking(move || post.queue(links)).await;
    json(StatusCode::OK, &queue)
}

async fn test(doors: State, mut call: Call) -> Outcome {
    let by = doors.by_with(&call, Verb::BoxManage).await?;
    let wish: Address = call.json().await?;
    let written = doors.post.test(&doors.audit, &by.actor, &wish.mail).await;
    json(StatusCode::ACCEPTED, &Written { id: written? })
}

async fn remove(doors: State, call: Call) -> Outcome {
    let by = doors.by_with(&call, Verb::BoxManage).await?;
    let id = call.id("id")?;
    doors.post.remove(&doors.audit, &by.actor, id).await?;
    Ok(bare(DONE))
}

async fn retry(doors: State, call: Call) -> Outcome {
    let by = doors.by_with(&call, Verb::BoxManage).await?;
    let id = call.id("id")?;
    doors.post.retry(&doors.audit, &by.actor, id).await?;
    Ok(bare(DONE))
}

async fn change(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = AccountId(call.id("id")?);
    let wish: Address = call.json().await?;
    let account = doors.accounts.change_mail(&by, id, &wish.mail).await?;
    json(StatusCode::OK, &account)
}

async fn forgot(doors: State, mut call: Call) -> Outcome {
    let wish: Address = call.json().await?;
    let caller = caller(call.peer);
    doors.accounts.forgot_password(&caller, &wish.mail).await?;
    Ok(bare(DONE))
}

async fn again(doors: State, mut call: Call) -> Outcome {
    let wish: Address = call.json().await?;
    let caller = caller(call.peer);
    doors.accounts.verify_again(&caller, &wish.mail).await?;
    Ok(bare(DONE))
}

async fn reset(doors: State, mut call: Call) -> Outcome {
    let wish: Reset = call.json().await?;
    let caller = caller(call.peer);
    let set = doors
        .accounts
        .reset(&caller, wish.account, &wish.token, &wish.password);
    set.await?;
    Ok(bare(DONE))
}
