//! The verbs around people: accounts, tokens, grants, and the record of what they did.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Session,
    args::{Audit, Grant, Token, User},
    fault::Fault,
    permissions,
    print::{Cell, Colour, Table, note},
    prompt,
    server::find,
};
use crate::accounts::{AccountPatch, AccountView, Grant as Granted, MailState, TokenView, Verb};
use crate::audit::{Line, Verdict};
use crate::hosting::View;

async fn everybody(session: &Session) -> Result<Vec<AccountView>, Fault> {
    session.control.get("/accounts").await?.read()
}

async fn account(session: &Session, name: &str) -> Result<AccountView, Fault> {
    let mut all = everybody(session).await?.into_iter();
    all.find(|account| account.name == name)
        .ok_or_else(|| Fault::NoAccount(name.into()))
}

pub(crate) async fn user(session: &Session, verb: User) -> Result<(), Fault> {
    match verb {
        User::Add {
            name,
            role,
            mail,
            password_stdin,
            no_password,
        } => {
            let mut wish = json!({ "name": name, "role": role });
            if let Some(mail) = mail {
                wish["mail"] = mail.into();
            }
            if !no_password {
                wish["password"] = prompt::new_password(password_stdin).await?.into();
            }
            change(session, Method::POST, "/accounts", &wish, "added").await
        }
        User::List => {
            let answer = session.control.get("/accounts").await?;
            session.out.answer(&answer, || {
                let mut table =
                    Table::new(&["ID", "NAME", "ROLE", "ENABLED", "LAST LOGIN", "MAIL"]);
                for account in answer.read::<Vec<AccountView>>()? {
                    table.row([
                        Cell::new(account.id.0),
                        Cell::new(&account.name),
                        Cell::new(word(&account.role)),
                        enabled(&account),
                        Cell::maybe(account.last_login),
                        Cell::maybe(account.mail),
                    ]);
                }
                Ok(table.render(session.out.colour))
            })
        }
        User::Show { name } => show(session, &name).await,
        User::Edit {
            name,
            mail,
            role,
            disabled,
            confirmed,
        } => {
            let wish = AccountPatch {
                role,
                disabled,
                mail,
                confirmed,
            };
            let mut wish = json!(wish);
            if let Some(fields) = wish.as_object_mut() {
                fields.retain(|_, value| !value.is_null()); // what was not named stays
            }
            patch(session, &name, &wish).await
        }
        User::Confirm { name } => patch(session, &name, &json!({ "confirmed": true })).await,
        User::Permissions { name, permissions } => {
            let id = account(session, &name).await?.id.0;
            permissions::run(session, id, permissions).await
        }
        User::Role { name, role } => patch(session, &name, &json!({ "role": role })).await,
        User::Disable { name } => patch(session, &name, &json!({ "disabled": true })).await,
        User::Enable { name } => patch(session, &name, &json!({ "disabled": false })).await,
        User::Passwd {
            name,
            password_stdin,
        } => {
            let id = account(session, &name).await?.id.0;
            let new = prompt::new_password(password_stdin).await?;
            let path = format!("/accounts/{id}/password");
            change(session, Method::POST, &path, &json!({ "new": new }), "set").await
        }
    }
}

async fn show(session: &Session, name: &str) -> Result<(), Fault> {
    let path = format!("/accounts/{}", account(session, name).await?.id.0);
    let answer = session.control.get(&path).await?;
    session.out.answer(&answer, || {
        let account: AccountView = answer.read()?;
        let mut table = Table::fields();
        table.field("id", account.id.0);
        table.field("name", &account.name);
        table.field("role", word(&account.role));
        table.row([Cell::coloured("enabled", Colour::Quiet), enabled(&account)]);
        let mail = match (&account.mail, account.mail_state) {
            (None, _) => "-".into(),
            (Some(mail), MailState::Verified) => mail.clone(),
            (Some(mail), _) => format!("{mail} (not verified)"),
        };
        table.field("mail", mail);
        table.field("created", account.created);
        let last = account.last_login.map_or("-".into(), |at| at.to_string());
        table.field("last login", last);
        Ok(table.render(session.out.colour))
    })
}

/// Whether they may come in, and if not, why.
fn enabled(account: &AccountView) -> Cell {
    let verified = !matches!(account.mail_state, MailState::New | MailState::Changed);
    match (account.disabled, account.confirmed, verified) {
        (true, _, _) => Cell::coloured("no", Colour::Bad),
        (false, false, _) => Cell::coloured("unconfirmed", Colour::Bad),
        (false, true, false) => Cell::coloured("unverified", Colour::Bad),
        (false, true, true) => Cell::new("yes"),
    }
}

async fn patch(session: &Session, name: &str, patch: &Value) -> Result<(), Fault> {
    let path = format!("/accounts/{}", account(session, name).await?.id.0);
    change(session, Method::PATCH, &path, patch, "changed").await
}

async fn change(
    session: &Session,
    method: Method,
    path: &str,
    body: &Value,
    done: &str,
) -> Result<(), Fault> {
    let answer = session.control.send(method, path, Some(body)).await?;
    session.out.answer(&answer, || {
        note(done);
        Ok(String::new())
    })
}

pub(crate) async fn token(session: &Session, verb: Token) -> Result<(), Fault> {
    match verb {
        Token::Create {
            user,
            label,
            scopes,
            expires,
        } => {
            let owner = account(session, &user).await?.id;
            let mut wish = json!({ "label": label, "account": owner });
            if !scopes.is_empty() {
                wish["scopes"] = json!(scopes);
            }
            if let Some(expires) = expires {
                wish["expires_in_s"] = expires.as_secs().into();
            }
            let answer = session
                .control
                .send(Method::POST, "/tokens", Some(&wish))
                .await?;
            session.out.answer(&answer, || {
                let made: Value = answer.read()?;
                let secret = made["secret"].as_str();
                let secret = secret.ok_or_else(|| Fault::Garbage("no secret in it".into()))?;
                note("this secret is shown this once; send it as `Authorization: Bearer SECRET`");
                Ok(format!("{}\n", super::text::plain(secret)))
            })
        }
        Token::List => {
            let answer = session.control.get("/tokens").await?;
            if session.out.json {
                return session.out.answer(&answer, || Ok(String::new()));
            }
            let everybody = everybody(session).await?;
            let mut table = Table::new(&["ID", "USER", "LABEL", "SCOPES", "EXPIRES", "CREATED"]);
            for token in answer.read::<Vec<TokenView>>()? {
                let owner = everybody.iter().find(|account| account.id == token.account);
                table.row([
                    Cell::new(token.id),
                    Cell::maybe(owner.map(|owner| &owner.name)),
                    Cell::new(&token.label),
                    Cell::new(token.scopes.map_or("all".into(), |scopes| words(&scopes))),
                    Cell::new(token.expires.map_or("never".into(), |at| at.to_string())),
                    Cell::new(token.created),
                ]);
            }
            session
                .out
                .bytes(table.render(session.out.colour).as_bytes())
        }
        Token::Revoke { id } => {
            let path = format!("/tokens/{id}");
            let answer = session.control.send(Method::DELETE, &path, None).await?;
            session.out.answer(&answer, || {
                note("revoked");
                Ok(String::new())
            })
        }
    }
}

pub(crate) async fn grant(session: &Session, verb: Grant) -> Result<(), Fault> {
    match verb {
        Grant::List => {
            let answer = session.control.get("/grants").await?;
            if session.out.json {
                return session.out.answer(&answer, || Ok(String::new()));
            }
            let everybody = everybody(session).await?;
            let servers: Vec<View> = session.control.get("/servers").await?.read()?;
            let mut table = Table::new(&["USER", "SERVER", "VERBS"]);
            for grant in answer.read::<Vec<Granted>>()? {
                let account = everybody.iter().find(|account| account.id == grant.account);
                let server = servers.iter().find(|server| server.id == grant.server);
                table.row([
                    Cell::new(account.map_or(grant.account.0.to_string(), |one| one.name.clone())),
                    Cell::new(server.map_or(grant.server.0.to_string(), |one| one.name.clone())),
                    Cell::new(words(&grant.verbs)),
                ]);
            }
            session
                .out
                .bytes(table.render(session.out.colour).as_bytes())
        }
        Grant::Set { user, named, verbs } => {
            let grant = Granted {
                account: account(session, &user).await?.id,
                server: find(session, &named.server).await?.id,
                verbs,
            };
            let done = if grant.verbs.is_empty() {
                "removed"
            } else {
                "granted"
            };
            change(session, Method::PUT, "/grants", &json!(grant), done).await
        }
    }
}

pub(crate) async fn audit(session: &Session, verb: Audit) -> Result<(), Fault> {
    match verb {
        Audit::List { since, count } => {
            let since = since.map_or(String::new(), |since| format!("since={since}&"));
            let answer = session
                .control
                .get_slowly(&format!("/audit?{since}count={count}"))
                .await?;
            session.out.answer(&answer, || {
                let mut table =
                    Table::new(&["SEQ", "AT", "WHO", "FROM", "ACTION", "SUBJECT", "OUTCOME"]);
                for line in answer.read::<Vec<Line>>()? {
                    let from = line.actor.from.map(|from| from.to_string());
                    let outcome = match (&line.outcome, line.of) {
                        (Some(outcome), Some(of)) => format!("{outcome} (of {of})"),
                        (Some(outcome), None) => outcome.clone(),
                        (None, _) => String::new(),
                    };
                    table.row([
                        Cell::new(line.seq),
                        Cell::new(line.at),
                        Cell::new(&line.actor.name),
                        Cell::new(from.unwrap_or_else(|| word(&line.actor.door))),
                        Cell::new(&line.action),
                        Cell::new(&line.subject),
                        match line.outcome.as_deref() {
                            Some("ok") | None => Cell::new(outcome),
                            Some(_) => Cell::coloured(outcome, Colour::Bad),
                        },
                    ]);
                }
                Ok(table.render(session.out.colour))
            })
        }
        Audit::Verify => {
            let answer = session.control.get_slowly("/audit/verify").await?;
            let verdict: Verdict = answer.read()?;
            session.out.answer(&answer, || {
                let mut table = Table::fields();
                table.field("records", verdict.records);
                table.field("whole", if verdict.fault.is_none() { "yes" } else { "no" });
                let interrupted: Vec<_> = verdict.interrupted.iter().map(u64::to_string).collect();
                if !interrupted.is_empty() {
                    table.field("interrupted", interrupted.join(", "));
                }
                Ok(table.render(session.out.colour))
            })?;
            verdict
                .fault
                .map_or(Ok(()), |fault| Err(Fault::Tampered(fault)))
        }
    }
}

/// What the API calls it.
fn word(thing: &impl serde::Serialize) -> String {
    match json!(thing) {
        Value::String(word) => word,
        other => other.to_string(),
    }
}

fn words(verbs: &[Verb]) -> String {
    verbs.iter().map(word).collect::<Vec<_>>().join(" ")
}
