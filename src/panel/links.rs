//! What a mailed link opens: an address is verified, a forgotten password is set anew. Pages without scripts.
//!
//! The link's secret is the proof: no cookie counts, and so no other site can make a browser do anything here that it
//! could not do itself. The pages load nothing but our style, and send no address (with the secret in it) elsewhere.

use warp::{
    http::{HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use super::{Outcome, State};
use crate::{
    accounts::{AccountId, AccountsError, Secret},
    http::{
        caller::caller,
        problem::{Code, Fault},
        routes::{Call, Route, bare},
    },
    rpc,
};

const FRAME: &str = include_str!("../../data/web/link.html");
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What is in a secret of ours, and how much of it: nothing else goes into a page.
const SECRET: usize = 64;

pub(super) fn routes() -> Vec<Route<State>> {
    vec![
        Route::new(
            Method::GET,
            "/verify",
            "The mailed link: verifies an address, and goes on to where its reader wanted to go",
            verify,
        )
        .open()
        .query("uid", "the account's id")
        .query("user_id", "the same, as older programs say it")
        .query("token", "the link's secret")
        .faults(&[Code::LinkGone, Code::NoSuchAccount, Code::LockedOut]),
        Route::new(
            Method::GET,
            "/reset",
            "The mailed link: a form for a new password",
            ask,
        )
        .open()
        .query("uid", "the account's id")
        .query("token", "the link's secret")
        .faults(&[Code::LinkGone, Code::LockedOut]),
        Route::new(
            Method::POST,
            "/reset",
            "What that form sends: sets the password",
            reset,
        )
        .open()
        .faults(&[Code::LinkGone, Code::LockedOut, Code::BadPassword]),
    ]
}

async fn verify(doors: State, call: Call) -> Outcome {
    let uid = call.text("uid").or(call.text("user_id"));
    let Some((id, token)) = link(uid, call.text("token")) else {
        return Ok(broken());
    };
    // Who only looks whether there is something must not use the link up.
    if call.is_head() {
        return Ok(bare(StatusCode::OK));
    }
    match doors.accounts.verify(&caller(call.peer), id, token).await {
        Ok(done) => {
            let target = done
                .success
                .as_deref()
                .map(|url| doors.redirects.check(url));
            match target {
                Some(Ok(url)) => Ok(see(url.as_str())),
                None | Some(Err(_)) => {
                    let name = escaped(&done.account.name);
                    let text =
                        format!("<p>The mail address of <strong>{name}</strong> is verified.</p>");
                    Ok(page(StatusCode::OK, "Thank you", &text))
                }
            }
        }
        Err(error) => Ok(unverified(error)),
    }
}

async fn ask(doors: State, call: Call) -> Outcome {
    let Some((id, token)) = link(call.text("uid"), call.text("token")) else {
        return Ok(broken());
    };
    Ok(
        match doors.accounts.may_reset(&caller(call.peer), id, token) {
            Ok(()) => form(StatusCode::OK, id, token, ""),
            Err(error) => failed(error),
        },
    )
}

async fn reset(doors: State, mut call: Call) -> Outcome {
    let fields = call.form().await?;
    let field = |name| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    };
    let Some((id, token)) = link(field("uid"), field("token")) else {
        return Ok(broken());
    };
    let new = field("password").unwrap_or_default();
    if field("again") != Some(new) {
        let why = "The two passwords are not the same.";
        return Ok(form(StatusCode::UNPROCESSABLE_ENTITY, id, token, why));
    }
    let caller = caller(call.peer);
    let new = Secret::new(new);
    Ok(match doors.accounts.reset(&caller, id, token, &new).await {
        Ok(()) => {
            let text =
                "<p>The new password is set. Everything that was logged in is logged out.</p>";
            page(StatusCode::OK, "Done", text)
        }
        Err(error @ AccountsError::BadPassword(_)) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            form(status, id, token, &error.to_string())
        }
        Err(error) => failed(error),
    })
}

/// The account and the secret, if they look like ones of ours.
fn link<'a>(uid: Option<&str>, token: Option<&'a str>) -> Option<(AccountId, &'a str)> {
    let id = uid?.parse().ok().map(AccountId)?;
    let ours = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let token = token?;
    let good = (1..=SECRET).contains(&token.len()) && token.bytes().all(ours);
    good.then_some((id, token))
}

fn broken() -> Response {
    let text = "<p>A part of this link is missing. Open it as it is in the letter, all of it.</p>";
    page(StatusCode::BAD_REQUEST, "This link is not whole", text)
}

/// Why an address was not verified: for a person, and with MyOTTD's number and name for a program.
fn unverified(error: AccountsError) -> Response {
    let (code, title, text) = match &error {
        AccountsError::AlreadyVerified(_) => (
            rpc::Code::VerifyDone,
            "Verified already",
            "This mail address has been verified already: there is nothing left to do.",
        ),
        AccountsError::NoSuchAccount(_) => (
            rpc::Code::VerifyUid,
            "This link is of no account",
            "Nobody here has this link's number. An account that is not verified in time is removed: register anew.",
        ),
        AccountsError::LinkGone => (
            rpc::Code::VerifyToken,
            "This link is no longer good",
            "It has been used, has expired, or gave way to a newer one. Ask for another.",
        ),
        _ => return failed(error),
    };
    let (number, name) = (code.number(), code.name());
    let text = format!("<p>{text}</p>\n<p><code>{number} [{name}]</code></p>");
    page(Fault::from(error).code.status(), title, &text)
}

/// What went wrong, for a person.
fn failed(error: AccountsError) -> Response {
    let (title, text) = match &error {
        // Whether there is such an account is not a stranger's to know.
        AccountsError::LinkGone | AccountsError::NoSuchAccount(_) => (
            "This link is no longer good",
            "<p>It has been used, has expired, or gave way to a newer one. Ask for another.</p>"
                .into(),
        ),
        error => (
            "That did not work",
            format!("<p>{}.</p>", escaped(&error.to_string())),
        ),
    };
    let fault = match error {
        AccountsError::NoSuchAccount(_) => Fault::from(AccountsError::LinkGone),
        error => Fault::from(error),
    };
    page(fault.code.status(), title, &text)
}

fn form(status: StatusCode, id: AccountId, token: &str, error: &str) -> Response {
    let error = match error {
        "" => String::new(),
        error => format!("<p class=\"error\" role=\"alert\">{}</p>", escaped(error)),
    };
    let (id, token) = (id.0, escaped(token));
    let text = format!(
        "<form method=\"post\" action=\"reset\">\n\
         <input type=\"hidden\" name=\"uid\" value=\"{id}\">\n\
         <input type=\"hidden\" name=\"token\" value=\"{token}\">\n\
         <label>New password <input name=\"password\" type=\"password\" autocomplete=\"new-password\" required minlength=\"8\"></label>\n\
         <label>Once more <input name=\"again\" type=\"password\" autocomplete=\"new-password\" required minlength=\"8\"></label>\n\
         <button>Set it</button>\n{error}</form>"
    );
    page(status, "A new password", &text)
}

fn page(status: StatusCode, title: &str, text: &str) -> Response {
    let html = FRAME.replace("@TITLE@", title).replace("@BODY@", text);
    let mut response = Response::new(html.into());
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Forms say where they come from, which is checked; nobody else is told.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

fn see(place: &str) -> Response {
    let mut response = bare(StatusCode::SEE_OTHER);
    let place = HeaderValue::try_from(place).expect("a URL is printable ASCII");
    response.headers_mut().insert(header::LOCATION, place);
    response
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            '\'' => html += "&#39;",
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_link_of_ours_gets_into_a_page() {
        assert!(link(Some("7"), Some("aB-_9")).is_some());
        let long = "x".repeat(SECRET + 1);
        for (uid, token) in [
            (None, Some("a")),
            (Some("7"), None),
            (Some("7"), Some("")),
            (Some("-7"), Some("a")),
            (Some("7"), Some("a\"><script>")),
            (Some("7"), Some(&*long)),
        ] {
            assert!(link(uid, token).is_none(), "{uid:?} {token:?}");
        }
        assert_eq!(escaped("<a b='&\">"), "&lt;a b=&#39;&amp;&quot;&gt;");
    }
}
