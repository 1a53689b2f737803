//! What the fuzz targets feed to this room.

use super::{
    push::Push,
    request::Request,
    xml::{Framer, Item, Limits},
};

/// What a client sends: what is understood is understood again when it is written.
pub(crate) fn client(bytes: &[u8]) {
    elements(bytes, Limits::REQUESTS, |element| {
        if let Ok(request) = Request::decode(&element) {
            let mut again = Vec::new();
            request.encode(&mut again);
            elements(&again, Limits::PUSHES, |element| {
                assert_eq!(Request::decode(&element).as_ref(), Ok(&request));
            });
        }
    });
}

/// What a server sends.
pub(crate) fn server(bytes: &[u8]) {
    elements(bytes, Limits::PUSHES, |element| {
        if let Ok(Some(push)) = Push::decode(&element) {
            push.encode(&mut Vec::new());
        }
    });
}

fn elements(bytes: &[u8], limits: Limits, mut each: impl FnMut(super::element::Element)) {
    let mut framer = Framer::new(limits);
    framer.push(bytes);
    while let Ok(Some(item)) = framer.next() {
        if let Item::Element(element) = item {
            each(element);
        }
    }
}
