//! A method: what it is called, takes and returns, for the callers to read and the desk to check, and what does it.

use std::{pin::Pin, sync::Arc, vec};

use super::{
    Daemon, Services,
    fault::{Code, Fault},
    wire::Value,
};
use crate::{
    accounts::{Caller, Principal, ServerId},
    audit,
};

/// What an argument or a result is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// 0 or 1.
    Boolean,
    /// A whole number.
    Int,
    /// Text.
    String,
    /// Bytes: base64, or a string that is UTF-8.
    Data,
    /// Named members.
    Struct,
    /// A list.
    Array,
    /// Anything.
    Any,
}

impl Type {
    /// Its name in signatures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::String => "string",
            Self::Data => "base64",
            Self::Struct => "struct",
            Self::Array => "array",
            Self::Any => "any",
        }
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Boolean => matches!(value, Value::Boolean(_)),
            Self::Int => matches!(value, Value::Int(_)),
            Self::String => matches!(value, Value::String(_)),
            Self::Data => matches!(value, Value::String(_) | Value::Base64(_)),
            Self::Struct => matches!(value, Value::Struct(_)),
            Self::Array => matches!(value, Value::Array(_)),
            Self::Any => true,
        }
    }
}

/// A parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    /// May be left out, with all after it.
    pub(super) optional: bool,
}

/// A call that has come through: who asks, from where, and what for.
pub(crate) struct Asked {
    /// Who asks, with what they may do.
    pub(crate) by: Principal,
    /// From where.
    pub(crate) caller: Caller,
    /// What for.
    pub(crate) args: Args,
}

/// What a method makes of a call.
pub(crate) type Outcome = Result<Value, Fault>;
type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A method of one daemon.
#[derive(Clone)]
pub(crate) struct Method {
    pub(super) daemon: Daemon,
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) params: Vec<Param>,
    pub(super) returns: Type,
    help: &'static str,
    changes: bool,
    work: Arc<dyn Fn(Services, Asked) -> Work + Send + Sync>,
}

impl Method {
    /// A method that takes nothing, returns true (which is MyOTTD's `ok`) and changes nothing, until told otherwise.
    /// `help` is sentences.
    pub(crate) fn new<F, A>(daemon: Daemon, name: &'static str, help: &'static str, work: F) -> Self
    where
        F: Fn(Services, Asked) -> A + Send + Sync + 'static,
        A: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            daemon,
            name,
            aliases: &[],
            params: Vec::new(),
            returns: Type::Boolean,
            help,
            changes: false,
            work: Arc::new(move |services, asked| Box::pin(work(services, asked))),
        }
    }

    /// Its next parameter.
    pub(crate) fn takes(mut self, name: &'static str, kind: Type) -> Self {
        let optional = false;
        self.params.push(Param {
            name,
            kind,
            optional,
        });
        self
    }

    /// Its next parameter, which may be left out with all after it.
    pub(crate) fn may_take(mut self, name: &'static str, kind: Type) -> Self {
        let optional = true;
        self.params.push(Param {
            name,
            kind,
            optional,
        });
        self
    }

    /// What it returns.
    pub(crate) fn returns(mut self, kind: Type) -> Self {
        self.returns = kind;
        self
    }

    /// Other names for it.
    pub(crate) fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    /// That it changes something, which the audit log tells.
    pub(crate) fn changes(mut self) -> Self {
        self.changes = true;
        self
    }

    /// What it is called, in plain.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        [self.name].into_iter().chain(self.aliases.iter().copied())
    }

    /// `server_stop([auth], [id]) -> boolean`, and sentences.
    pub(super) fn help(&self) -> String {
        let names: Vec<_> = self
            .params
            .iter()
            .map(|param| match param.optional {
                true => format!("[{}]", param.name),
                false => param.name.into(),
            })
            .collect();
        let changes = match self.changes {
            true => "Changes something, and is recorded in the audit log.",
            false => "Changes nothing.",
        };
        format!(
            "{}.{}([\"plain\", name, secret], [{}]) -> {}\n\n{} {changes}",
            self.daemon,
            self.name,
            names.join(", "),
            self.returns.name(),
            self.help,
        )
    }

    /// The arguments, if they are what it takes.
    pub(super) fn check(&self, given: Vec<Value>) -> Result<Args, Fault> {
        let most = self.params.len();
        let least = self
            .params
            .iter()
            .take_while(|param| !param.optional)
            .count();
        if !(least..=most).contains(&given.len()) {
            let names: Vec<_> = self.params.iter().map(|param| param.name).collect();
            let wanted = match (least, most) {
                (0, 0) => "none".into(),
                (least, most) if least == most => format!("{most} ({})", names.join(", ")),
                (least, most) => format!("{least} to {most} ({})", names.join(", ")),
            };
            let text = format!(
                "{} takes {wanted} arguments, not {}",
                self.name,
                given.len()
            );
            return Err(Fault::new(Code::Internal, text));
        }
        for (n, (param, value)) in self.params.iter().zip(&given).enumerate() {
            if !param.kind.takes(value) {
                let (name, want, got) = (param.name, param.kind.name(), value.kind());
                let text = format!(
                    "argument {} of {}, {name}, is {got}, and must be {want}",
                    n + 1,
                    self.name,
                );
                return Err(Fault::new(Code::Internal, text));
            }
        }
        Ok(Args(given.into_iter()))
    }

    pub(super) async fn run(&self, services: Services, asked: Asked) -> Outcome {
        let (done, record) = audit::noting((self.work)(services, asked)).await;
        done.map_err(|fault| fault.raised(record))
    }
}

/// The arguments, checked against the declaration; taken in its order.
pub(crate) struct Args(vec::IntoIter<Value>);

impl Args {
    /// A server's id.
    pub(crate) fn server(&mut self) -> Result<ServerId, Fault> {
        let id = self.int()?;
        let known = u64::try_from(id).map(ServerId);
        known.map_err(|_| Fault::new(Code::NoSuchServer, format!("no server {id}")))
    }

    /// An [`Int`](Type::Int).
    pub(crate) fn int(&mut self) -> Result<i64, Fault> {
        match self.0.next() {
            Some(Value::Int(number)) => Ok(number),
            _ => Err(undeclared()),
        }
    }

    /// A [`String`](Type::String).
    pub(crate) fn text(&mut self) -> Result<String, Fault> {
        match self.0.next() {
            Some(Value::String(text)) => Ok(text),
            _ => Err(undeclared()),
        }
    }

    /// A [`Data`](Type::Data).
    pub(crate) fn data(&mut self) -> Result<Vec<u8>, Fault> {
        match self.0.next() {
            Some(Value::String(text)) => Ok(text.into_bytes()),
            Some(Value::Base64(bytes)) => Ok(bytes),
            _ => Err(undeclared()),
        }
    }

    /// Whatever comes next, if there is more.
    pub(crate) fn any(&mut self) -> Option<Value> {
        self.0.next()
    }
}

/// A method asks for what it did not declare.
fn undeclared() -> Fault {
    tracing::error!("bug: a method asks for an argument that it does not declare");
    Fault::new(Code::Internal, "an internal fault; the box's log says more")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method() -> Method {
        Method::new(Daemon::Mottdd, "paint", "Paints a server.", |_, _| async {
            Ok(true.into())
        })
        .takes("id", Type::Int)
        .takes("colour", Type::String)
        .may_take("picture", Type::Data)
        .changes()
    }

    fn refused(given: Vec<Value>) -> String {
        let fault = method().check(given).err().unwrap();
        assert_eq!(fault.code, Code::Internal);
        fault.text
    }

    #[test]
    fn a_wrong_argument_is_named_with_what_it_is_and_what_it_must_be() {
        assert_eq!(
            refused(vec![7.into()]),
            "paint takes 2 to 3 (id, colour, picture) arguments, not 1"
        );
        assert_eq!(
            refused(vec![7.into(), 8.into()]),
            "argument 2 of paint, colour, is int, and must be string"
        );
        assert!(refused(vec![Value::Boolean(true); 4]).ends_with("not 4"));
    }

    #[test]
    fn what_was_declared_comes_in_its_order() {
        let given = vec![7.into(), "red".into(), Value::Base64(vec![0])];
        let mut args = method().check(given).unwrap();
        assert_eq!(args.server().unwrap(), ServerId(7));
        assert_eq!(args.text().unwrap(), "red");
        assert_eq!(args.data().unwrap(), [0]);
        assert_eq!(args.any(), None);
        let mut args = method().check(vec![(-1).into(), "red".into()]).unwrap();
        assert_eq!(args.server().unwrap_err().code, Code::NoSuchServer);
    }

    #[test]
    fn help_says_how_to_call_it() {
        let help = method().help();
        assert!(
            help.starts_with(
                "mottdd.paint([\"plain\", name, secret], [id, colour, [picture]]) -> boolean\n"
            ),
            "{help}"
        );
        assert!(help.contains("Paints a server. Changes something"));
    }
}
