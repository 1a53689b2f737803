//! The OpenAPI 3.1 document of a table of routes. Schemas come from the types themselves.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use super::{
    caller::COOKIE,
    problem::{Code, Problem},
    routes::{Route, Table},
};

/// A type's schema, by reference to the document's components.
#[derive(Clone)]
pub(super) struct Shape {
    schema: Value,
    components: Vec<(String, RefOr<Schema>)>,
}

impl Shape {
    pub(super) fn one<T: ToSchema>() -> Self {
        let name = T::name().into_owned();
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        let mut components = vec![(name, <T as PartialSchema>::schema())];
        T::schemas(&mut components);
        Self { schema, components }
    }

    pub(super) fn list<T: ToSchema>() -> Self {
        let Self { schema, components } = Self::one::<T>();
        let schema = json!({ "type": "array", "items": schema });
        Self { schema, components }
    }
}

/// What any operation may answer beside its own.
const ALWAYS: [Code; 4] = [
    Code::BadQuery,
    Code::LockedOut,
    Code::Internal,
    Code::Closing,
];

impl<S: Clone + Send + Sync + 'static> Table<S> {
    /// The document.
    pub fn document(&self) -> Value {
        let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        let mut components = Map::new();
        let problem = Shape::one::<Problem>();
        for shape in self
            .routes()
            .iter()
            .flat_map(|route| [&route.takes, &route.answer.1])
            .flatten()
            .chain([&problem])
        {
            for (name, schema) in &shape.components {
                let schema = json!(schema);
                let other = components.insert(name.clone(), schema.clone());
                let same = other.is_none_or(|other| other == schema);
                debug_assert!(same, "two types are called {name}");
            }
        }
        for route in self.routes() {
            let method = route.method.as_str().to_lowercase();
            let operations = paths.entry(route.path).or_default();
            operations.insert(method, operation(route));
        }
        json!({
            "openapi": "3.1.0",
            "info": { "title": "Longhouse", "version": env!("CARGO_PKG_VERSION") },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "token": { "type": "http", "scheme": "bearer" },
                    "password": { "type": "http", "scheme": "basic" },
                    "session": { "type": "apiKey", "in": "cookie", "name": COOKIE },
                },
            },
            "security": [{ "token": [] }, { "password": [] }, { "session": [] }],
        })
    }
}

fn operation<S: 'static>(route: &Route<S>) -> Value {
    let names = route.path.split('/').filter_map(|segment| {
        let name = segment.strip_prefix('{')?;
        name.strip_suffix('}')
    });
    let inside = names.map(|name| {
        let schema = match name {
            "name" | "kind" => json!({ "type": "string" }),
            _ => json!({ "type": "integer", "minimum": 0 }),
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let asked = route.query.iter().map(|query| {
        json!({ "name": query.name, "in": "query", "description": query.about, "schema": { "type": "string" } })
    });
    let mut operation = json!({
        "summary": route.about,
        "operationId": name(route),
        "parameters": inside.chain(asked).collect::<Vec<_>>(),
        "responses": responses(route),
    });
    if let Some(takes) = &route.takes {
        operation["requestBody"] =
            json!({ "content": { "application/json": { "schema": takes.schema } } });
    }
    if route.streams {
        operation["requestBody"] = json!({ "content": { "application/octet-stream": {} } });
    }
    if route.open {
        operation["security"] = json!([]);
    }
    operation
}

/// `get_servers_id_console`: unique, since the path and the method are.
fn name<S: 'static>(route: &Route<S>) -> String {
    let path = route.path.strip_prefix("/api/v1").unwrap_or(route.path);
    let words = path
        .split(['/', '{', '}', '.'])
        .filter(|word| !word.is_empty());
    let prefix = if path == route.path { "seed_" } else { "" };
    let words: Vec<_> = words.collect();
    format!(
        "{prefix}{}_{}",
        route.method.as_str().to_lowercase(),
        words.join("_")
    )
}

fn responses<S: 'static>(route: &Route<S>) -> Value {
    let (status, shape) = &route.answer;
    let mut good = json!({ "description": status.canonical_reason().unwrap_or_default() });
    if let Some(shape) = shape {
        good["content"] = json!({ "application/json": { "schema": shape.schema } });
    }
    let mut responses = Map::from_iter([(status.as_u16().to_string(), good)]);
    let mut bad: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    let proof: &[Code] = if route.open {
        &[]
    } else {
        &[Code::Unauthenticated, Code::WrongToken]
    };
    let body: &[Code] = match route.takes {
        Some(_) => &[
            Code::BadJson,
            Code::BodyTooLarge,
            Code::BodyTooSlow,
            Code::NotJson,
        ],
        None => &[],
    };
    let changes: &[Code] = match route.method.is_safe() {
        true => &[],
        false => &[Code::CrossSite, Code::DiskFull],
    };
    for code in [route.faults, proof, body, changes, &ALWAYS].concat() {
        let name = json!(code);
        let name = format!("`{}`", name.as_str().unwrap_or_default());
        bad.entry(code.status().as_u16()).or_default().push(name);
    }
    for (status, codes) in bad {
        let answer = json!({
            "description": codes.join(", "),
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        responses.insert(status.to_string(), answer);
    }
    responses.into()
}
