//! mlogd: the audit log, for programs that act on something of their own.

use serde_json::{Map, Value as Json, json};

use super::{
    Daemon, Services,
    fault::{Code, Fault},
    method::{Asked, Method, Outcome, Type},
    wire::Value,
};
use crate::{
    accounts::{Subject, Verb},
    audit::AuditError,
};

/// Characters of a method's name.
const NAME: usize = 64;
/// Bytes of its arguments, as JSON.
const ARGS: usize = 2 << 10;

pub(super) fn methods() -> Vec<Method> {
    vec![
        Method::new(
            Daemon::Mlogd,
            "audit_event",
            "Writes a record of what the caller is about to do: a method's name and its arguments, without secrets. \
             Texts are kept up to 512 characters. It is durable when this returns; what it is about must not be done \
             when this fails. Needs the role host.",
            audit_event,
        )
        .takes("method", Type::String)
        .takes("args", Type::Any)
        .changes(),
    ]
}

async fn audit_event(services: Services, mut asked: Asked) -> Outcome {
    let verb = Verb::ServerCreate;
    if !services.accounts.allows(&asked.by, verb, Subject::Box) {
        let text = "you may not write records: it needs the role host";
        return Err(Fault::new(Code::Forbidden, text));
    }
    let method = asked.args.text()?;
    let good = !method.is_empty() && method.chars().count() <= NAME;
    if !good || method.contains(char::is_control) {
        let why = format!("must be 1 to {NAME} characters on one line");
        return Err(Fault::argument("method", why));
    }
    let args = asked.args.any().map_or(Json::Null, json);
    let size = args.to_string().len();
    if size > ARGS {
        let why = format!("has {size} bytes as JSON; a record has room for {ARGS}");
        return Err(Fault::argument("args", why));
    }
    let nothing = async { Ok::<_, AuditError>(()) };
    let detail = json!({ "args": args });
    let audit = &services.audit;
    audit
        .run(&asked.by.actor, "rpc.event", method, detail, nothing)
        .await?;
    Ok(true.into())
}

fn json(value: Value) -> Json {
    match value {
        Value::Int(number) => number.into(),
        Value::Boolean(yes) => yes.into(),
        Value::String(text) => text.into(),
        Value::Double(number) => number.into(),
        Value::DateTime(moment) => moment.to_string().into(),
        Value::Base64(bytes) => data_encoding::BASE64.encode(&bytes).into(),
        Value::Array(items) => items.into_iter().map(json).collect(),
        Value::Struct(members) => {
            let members = members.into_iter().map(|(name, value)| (name, json(value)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}
