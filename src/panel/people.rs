//! People: set-up, login, accounts, tokens, grants.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::{
    http::{HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use super::{DONE, Outcome, State, api};
use crate::{
    accounts::{
        AccountId, AccountPatch, AccountView, Grant, Login, NewAccount, NewToken, Role, Secret,
        TokenView, Verb, Via,
    },
    clock::UnixMillis,
    http::{
        caller::{Proof, caller, forget, keep},
        problem::{Code, Fault},
        routes::{Call, Route, bare, json},
    },
};

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::POST,
            api!("setup"),
            "Makes the first administrator, with the token that the box printed",
            setup,
        )
        .open()
        .takes::<Setup>()
        .answers::<Session>(StatusCode::OK)
        .faults(&[SetupRefused, BadName, BadPassword]),
        Route::new(
            Method::POST,
            api!("login"),
            "Opens a session: its secret is in the answer and in the cookie",
            login,
        )
        .open()
        .takes::<Credentials>()
        .answers::<Session>(StatusCode::OK)
        .faults(&[WrongCredentials, TooBusy]),
        Route::new(
            Method::POST,
            api!("logout"),
            "Ends the session that asks",
            logout,
        )
        .bare(DONE),
        Route::new(
            Method::GET,
            api!("me"),
            "Who asks, and what they may do",
            me,
        )
        .answers::<Me>(StatusCode::OK),
        Route::new(Method::GET, api!("accounts"), "All accounts", list)
            .lists::<AccountView>()
            .faults(&[Forbidden]),
        Route::new(Method::POST, api!("accounts"), "Creates an account", create)
            .takes::<NewAccount>()
            .answers::<AccountView>(StatusCode::CREATED)
            .faults(&[Forbidden, NameTaken, BadName, BadPassword]),
        Route::new(Method::GET, api!("accounts/{id}"), "One account", get)
            .answers::<AccountView>(StatusCode::OK)
            .faults(&[Forbidden, NoSuchAccount]),
        Route::new(
            Method::PATCH,
            api!("accounts/{id}"),
            "Changes an account",
            update,
        )
        .takes::<AccountPatch>()
        .answers::<AccountView>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchAccount, LastAdmin]),
        Route::new(
            Method::POST,
            api!("accounts/{id}/password"),
            "Sets a password; one's own needs the current one",
            password,
        )
        .takes::<NewPassword>()
        .bare(DONE)
        .faults(&[Forbidden, NoSuchAccount, WrongCredentials, BadPassword]),
        Route::new(
            Method::GET,
            api!("tokens"),
            "Bearer tokens: one's own, or everybody's for administrators",
            tokens,
        )
        .lists::<TokenView>(),
        Route::new(
            Method::POST,
            api!("tokens"),
            "Makes a bearer token; its secret is told this once",
            create_token,
        )
        .takes::<NewToken>()
        .answers::<MadeToken>(StatusCode::CREATED)
        .faults(&[Forbidden, NoSuchAccount]),
        Route::new(
            Method::DELETE,
            api!("tokens/{id}"),
            "Revokes a token",
            revoke_token,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchToken]),
        Route::new(
            Method::GET,
            api!("grants"),
            "What accounts may do with servers that are not theirs",
            grants,
        )
        .lists::<Grant>(),
        Route::new(
            Method::PUT,
            api!("grants"),
            "Sets what an account may do with a server; no verbs take all back",
            grant,
        )
        .takes::<Grant>()
        .answers::<Grant>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchAccount, NoSuchServer]),
    ]
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Setup {
    /// As printed at the start of the box.
    token: String,
    name: String,
    password: Secret,
}

/// A name and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: Secret,
}

/// A fresh session.
#[derive(Serialize, ToSchema)]
struct Session {
    /// For `Authorization: Bearer`.
    token: String,
    account: AccountView,
    /// When it ends, RFC 3339.
    #[schema(value_type = String)]
    expires: UnixMillis,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
struct Me {
    /// As the audit log knows them.
    name: String,
    role: Role,
    /// Absent: everything that the role and the grants give.
    scopes: Option<Vec<Verb>>,
    /// Absent on the control socket.
    account: Option<AccountView>,
}

/// A change of password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    current: Option<Secret>,
    new: Secret,
}

/// A bearer token and, this once, its secret.
#[derive(Serialize, ToSchema)]
struct MadeToken {
    #[serde(flatten)]
    token: TokenView,
    /// For `Authorization: Bearer`.
    secret: String,
}

async fn setup(doors: State, mut call: Call) -> Outcome {
    let wish: Setup = call.json().await?;
    let caller = caller(call.peer);
    let asked = doors
        .accounts
        .setup(&caller, &wish.token, &wish.name, &wish.password);
    opened(&call, asked.await?)
}

async fn login(doors: State, mut call: Call) -> Outcome {
    let wish: Credentials = call.json().await?;
    let caller = caller(call.peer);
    let asked = doors
        .accounts
        .login(&caller, &wish.name, &wish.password)
        .await;
    let login = asked
        .map_err(Fault::from)
        .inspect_err(|fault| doors.count(fault))?;
    // A browser has one session: the one it showed ends, whoever planted it there.
    if let Proof::Cookie(old) = &call.proof
        && let Ok(by) = doors.accounts.by_token(&caller, old).await
    {
        doors.accounts.logout(&by, old).await?;
    }
    opened(&call, login)
}

fn opened(call: &Call, login: Login) -> Outcome {
    let life = login.expires.since(UnixMillis::now());
    let cookie = keep(&login.token, life, &call.headers);
    let session = Session {
        token: login.token,
        account: login.account,
        expires: login.expires,
    };
    let answer = json(StatusCode::OK, &session)?;
    Ok(with_cookie(answer, cookie))
}

fn with_cookie(mut answer: Response, cookie: HeaderValue) -> Response {
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
    answer
}

async fn logout(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    if let (Via::Session(_), Some(token)) = (by.via, call.proof.session()) {
        doors.accounts.logout(&by, token).await?;
    }
    Ok(with_cookie(bare(DONE), forget()))
}

async fn me(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let account = doors.accounts.me(&by)?;
    let me = Me {
        name: by.actor.name,
        role: by.role,
        scopes: by.scopes,
        account,
    };
    json(StatusCode::OK, &me)
}

async fn list(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.accounts.list(&by).await?)
}

async fn create(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wish: NewAccount = call.json().await?;
    let account = doors.accounts.create(&by, wish).await?;
    let place = format!("/api/v1/accounts/{}", account.id.0);
    super::servers::made(&account, &place)
}

async fn get(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = AccountId(call.id("id")?);
    json(StatusCode::OK, &doors.accounts.get(&by, id).await?)
}

async fn update(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = AccountId(call.id("id")?);
    let patch: AccountPatch = call.json().await?;
    json(
        StatusCode::OK,
        &doors.accounts.update(&by, id, patch).await?,
    )
}

async fn password(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = AccountId(call.id("id")?);
    let wish: NewPassword = call.json().await?;
    let asked = doors
        .accounts
        .set_password(&by, id, wish.current.as_ref(), &wish.new);
    asked.await?;
    Ok(bare(DONE))
}

async fn tokens(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.accounts.tokens(&by).await?)
}

async fn create_token(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wish: NewToken = call.json().await?;
    let (token, secret) = doors.accounts.create_token(&by, wish).await?;
    json(StatusCode::CREATED, &MadeToken { token, secret })
}

async fn revoke_token(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    doors.accounts.revoke_token(&by, call.id("id")?).await?;
    Ok(bare(DONE))
}

async fn grants(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.accounts.grants(&by).await?)
}

async fn grant(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wish: Grant = call.json().await?;
    let server = doors.hosting.get(&by, wish.server).await?;
    doors
        .accounts
        .grant(&by, server.owner_id, wish.clone())
        .await?;
    json(StatusCode::OK, &wish)
}
