//! From a document to a method and back: names, the two arrays, who asks, arguments.

use std::str::FromStr as _;

use super::{
    Daemon, Desk, Rpc,
    fault::{Code, Fault},
    method::{Asked, Method, Outcome},
    system,
    wire::{self, Value},
};
use crate::accounts::{AccountsError, Caller, Principal, Secret};

/// What is decoded on a thread that serves others, in bytes; more is for a thread of its own.
const SMALL: usize = 64 << 10;
/// Bytes of a token, `lh_` and 256 bits.
const TOKEN: usize = 46;

impl Rpc {
    /// The answer to a document that came in on the path of one daemon, or of all.
    pub(super) async fn answer(
        &self,
        only: Option<Daemon>,
        caller: Caller,
        body: Vec<u8>,
    ) -> Vec<u8> {
        let response = match self.called(only, caller, body).await {
            Ok(value) => wire::Response::Value(value),
            Err(fault) => fault.response(),
        };
        response.encode().unwrap_or_else(|error| {
            let fault = Fault::new(Code::Marshal, format!("cannot marshal the result: {error}"));
            let encoded = fault.response().encode();
            encoded.expect("a number and a text can be written")
        })
    }

    async fn called(&self, only: Option<Daemon>, caller: Caller, body: Vec<u8>) -> Outcome {
        let wire::Call { method, params } = decoded(body).await?;
        let desk = &self.0;
        if system::is_system(&method) {
            return desk.introspect(only, &method, params);
        }
        let method = desk.find(only, &method)?;
        let (auth, given) = two_arrays(params)?;
        let by = desk.prove(&caller, auth).await?;
        let args = method.check(given)?;
        tracing::debug!(daemon = %method.daemon, method = method.name, by = by.actor.name, "called");
        let asked = Asked { by, caller, args };
        method.run(desk.services.clone(), asked).await
    }
}

impl Desk {
    /// The method of a name, plain or with its daemon's, on the path of one daemon or of all.
    pub(super) fn find(&self, only: Option<Daemon>, name: &str) -> Result<&Method, Fault> {
        let (said, plain) = match name.split_once('.') {
            Some((daemon, plain)) => (Daemon::from_str(daemon).ok(), plain),
            None => (None, name),
        };
        let plain = if said.is_some() { plain } else { name };
        let fits = |wanted: Option<Daemon>, method: &Method| {
            wanted.is_none_or(|daemon| daemon == method.daemon)
        };
        let mut methods = self.methods.iter();
        let found = methods.find(|method| {
            fits(said, method) && fits(only, method) && method.names().any(|name| name == plain)
        });
        found.ok_or_else(|| {
            let shown: String = name.escape_debug().take(64).collect();
            Fault::new(Code::Function, format!("function {shown} not found"))
        })
    }

    /// Who asks, as `[method, …]` proves. An unknown name takes as long as a wrong secret, and the throttle counts both.
    async fn prove(&self, caller: &Caller, auth: Vec<Value>) -> Result<Principal, Fault> {
        let mut auth = auth.into_iter();
        match auth.next() {
            Some(Value::String(method)) if method == "plain" => {}
            Some(Value::String(method)) => {
                let shown: String = method.escape_debug().take(40).collect();
                let text = format!("no method `{shown}`: there is plain");
                return Err(Fault::new(Code::AuthMethod, text));
            }
            _ => return Err(unproved("must begin with a method's name, like plain")),
        }
        let (name, secret) = match (auth.next(), auth.next(), auth.next()) {
            (Some(Value::String(name)), Some(Value::String(secret)), None) => (name, secret),
            _ => return Err(unproved("must be [\"plain\", name, secret], all strings")),
        };
        let shown = self.by_plain(caller, &name, secret).await;
        shown.inspect_err(|fault| {
            if matches!(fault.code, Code::Username | Code::Password) {
                self.services.metrics.login_failed();
            }
        })
    }

    async fn by_plain(
        &self,
        caller: &Caller,
        name: &str,
        secret: String,
    ) -> Result<Principal, Fault> {
        let accounts = &self.services.accounts;
        if secret.len() == TOKEN && secret.starts_with("lh_") {
            let shown = accounts.by_token(caller, &secret).await;
            let theirs = |by: &Principal| by.actor.name.eq_ignore_ascii_case(name);
            return match shown {
                Ok(by) if theirs(&by) => Ok(by),
                Ok(_) => Err(Fault::new(
                    Code::Password,
                    "this token is not that account's",
                )),
                Err(error) => Err(error.into()),
            };
        }
        let shown = accounts.by_secret(caller, name, &Secret::new(secret)).await;
        shown.map_err(|error| match error {
            AccountsError::WrongCredentials if accounts.id_of(name).is_none() => {
                Fault::new(Code::Username, "nobody here has that name")
            }
            AccountsError::WrongCredentials => Fault::new(
                Code::Password,
                "the secret is wrong, or the account may not come in",
            ),
            error => error.into(),
        })
    }
}

fn unproved(why: &str) -> Fault {
    Fault::new(Code::AuthFormat, format!("the first array {why}"))
}

/// MyOTTD's calling convention.
fn two_arrays(params: Vec<Value>) -> Result<(Vec<Value>, Vec<Value>), Fault> {
    let wrong = |what: &str| {
        let text =
            format!("{what}: a call has two arrays, [\"plain\", name, secret] and [arguments]");
        Err(Fault::new(Code::Format, text))
    };
    match <[Value; 2]>::try_from(params) {
        Ok([Value::Array(auth), Value::Array(_)]) if auth.is_empty() => {
            wrong("the first array is empty")
        }
        Ok([Value::Array(auth), Value::Array(args)]) => Ok((auth, args)),
        Ok([auth, args]) => wrong(&format!("these are {} and {}", auth.kind(), args.kind())),
        Err(params) => wrong(&format!("there are {} parameters", params.len())),
    }
}

async fn decoded(body: Vec<u8>) -> Result<wire::Call, Fault> {
    let large = body.len() > SMALL;
    let decode = move || wire::Call::decode(&body);
    let call = match large {
        false => decode(),
        true => {
            let decoded = tokio::task::spawn_blocking(decode).await;
            decoded.map_err(|_| Fault::new(Code::Closing, "the box is shutting down"))?
        }
    };
    call.map_err(|error| Fault::new(Code::Marshal, format!("cannot unmarshal the call: {error}")))
}
