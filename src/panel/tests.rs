//! The document against the routes, both ways.

use std::collections::BTreeSet;

use serde_json::Value;
use warp::http::Method;

use super::*;

fn document() -> Value {
    table().document()
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("$ref", Value::String(target)) => drop(found.insert(target)),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn each_documented_operation_routes_and_each_route_is_documented() {
    let (table, document) = (table(), document());
    let paths = document["paths"].as_object().unwrap();
    let mut documented = 0;
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let concrete = path.replace("{id}", "7");
            assert!(table.routes_to(&concrete, &method), "{method} {path}");
            documented += 1;
        }
        assert!(
            !table.routes_to(&path.replace("{id}", "7"), &Method::TRACE),
            "{path}"
        );
    }
    assert_eq!(documented, table.routes().len());
}

#[test]
fn every_reference_resolves_and_every_component_is_wanted() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut wanted = BTreeSet::new();
    references(&document, &mut wanted);
    for target in &wanted {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{target} does not resolve"
        );
    }
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        let reference = format!("#/components/schemas/{name}");
        assert!(
            wanted.contains(reference.as_str()),
            "nothing mentions {name}"
        );
    }
}

#[test]
fn operation_ids_are_unique() {
    let document = document();
    let operations = document["paths"].as_object().unwrap().values();
    let ids: Vec<_> = operations
        .flat_map(|operations| operations.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    let unique: BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
}
