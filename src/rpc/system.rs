//! Introspection, as the usual clients ask for it: without proof, and in the two-array form as well.

use std::collections::BTreeSet;

use super::{
    Daemon, Desk,
    fault::{Code, Fault},
    method::Outcome,
    wire::Value,
};

/// Name, signature, help.
const OWN: [(&str, &[&str], &str); 3] = [
    (
        "system.listMethods",
        &["array"],
        "The names of all methods that can be called here. Needs no proof.",
    ),
    (
        "system.methodSignature",
        &["array", "string"],
        "What a method returns and takes, as a list of lists: the type of the result, then those of what stands in \
         the second array. Needs no proof.",
    ),
    (
        "system.methodHelp",
        &["string", "string"],
        "How to call a method, and what it does. Needs no proof.",
    ),
];

/// Whether a name is for this file to answer.
pub(super) fn is_system(name: &str) -> bool {
    OWN.iter().any(|(own, ..)| *own == name)
}

impl Desk {
    pub(super) fn introspect(
        &self,
        only: Option<Daemon>,
        name: &str,
        params: Vec<Value>,
    ) -> Outcome {
        let args = match <[Value; 2]>::try_from(params) {
            Ok([Value::Array(_), Value::Array(args)]) => args,
            Ok(params) => params.into(),
            Err(params) => params,
        };
        if name == OWN[0].0 {
            return match args.is_empty() {
                true => Ok(self.list(only)),
                false => Err(wrong("system.listMethods takes no arguments")),
            };
        }
        let Ok([Value::String(about)]) = <[Value; 1]>::try_from(args) else {
            return Err(wrong(&format!("{name} takes a method's name, a string")));
        };
        let signature = name == OWN[1].0;
        if let Some((_, types, help)) = OWN.iter().find(|(own, ..)| *own == about) {
            return Ok(match signature {
                true => vec![listed(types)].into(),
                false => (*help).into(),
            });
        }
        let method = self.find(only, &about)?;
        if !signature {
            return Ok(method.help().into());
        }
        let least = method.params.iter().take_while(|param| !param.optional);
        let signatures = (least.count()..=method.params.len()).map(|count| {
            let taken = method.params[..count].iter().map(|param| param.kind.name());
            let types: Vec<_> = [method.returns.name()].into_iter().chain(taken).collect();
            listed(&types)
        });
        Ok(signatures.collect::<Vec<_>>().into())
    }

    fn list(&self, only: Option<Daemon>) -> Value {
        let mut names: BTreeSet<String> = OWN.iter().map(|(name, ..)| (*name).into()).collect();
        let mine = |daemon| only.is_none_or(|only| only == daemon);
        for method in self.methods.iter().filter(|method| mine(method.daemon)) {
            for name in method.names() {
                names.insert(name.into());
                names.insert(format!("{}.{name}", method.daemon));
            }
        }
        names
            .into_iter()
            .map(Value::from)
            .collect::<Vec<_>>()
            .into()
    }
}

fn listed(types: &[&str]) -> Value {
    types
        .iter()
        .map(|name| Value::from(*name))
        .collect::<Vec<_>>()
        .into()
}

fn wrong(text: &str) -> Fault {
    Fault::new(Code::Internal, text)
}
