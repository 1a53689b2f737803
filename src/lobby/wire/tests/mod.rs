//! The protocol of GGZ clients: golden texts, chunks, and anything that can be said.

mod framing;
mod pushes;
mod requests;
mod strategies;

use super::{
    element::Element,
    fuzzing,
    push::Push,
    request::{Refusal, Request},
    xml::{Framer, Item, Limits, XmlError},
};

/// All items of a document, and how it ended.
fn items(limits: Limits, chunks: &[&[u8]]) -> (Vec<Item>, Result<(), XmlError>) {
    let mut framer = Framer::new(limits);
    let mut items = Vec::new();
    for chunk in chunks {
        framer.push(chunk);
        loop {
            match framer.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Err(error)),
            }
        }
    }
    (items, Ok(()))
}

/// The one element that the bytes are.
fn element(text: &str) -> Element {
    match items(Limits::PUSHES, &[text.as_bytes()]) {
        (mut items, Ok(())) if items.len() == 1 => match items.remove(0) {
            Item::Element(element) => element,
            other => panic!("{other:?} from {text:?}"),
        },
        other => panic!("{other:?} from {text:?}"),
    }
}

fn request(text: &str) -> Result<Request, Refusal> {
    Request::decode(&element(text))
}

fn request_bytes(request: &Request) -> String {
    let mut out = Vec::new();
    request.encode(&mut out);
    String::from_utf8(out).unwrap()
}

fn push_bytes(push: &Push) -> String {
    let mut out = Vec::new();
    push.encode(&mut out);
    String::from_utf8(out).unwrap()
}
