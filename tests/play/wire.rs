//! What is between two machines.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::common::House;

/// A line between two machines that can be cut and tapped.
pub(crate) struct Wire {
    pub(crate) address: String,
    lobby: Arc<Mutex<String>>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    pub(crate) fn to(house: &House) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            address: door.local_addr().unwrap().to_string(),
            lobby: Arc::default(),
            ends: Arc::default(),
            heard: Arc::default(),
        };
        wire.leads_to(house);
        let (lobby, ends) = (wire.lobby.clone(), wire.ends.clone());
        let heard = wire.heard.clone();
        thread::spawn(move || {
            for near in door.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&*lobby.lock().unwrap()) else {
                    continue; // nobody answers there
                };
                let copies = [near.try_clone().unwrap(), far.try_clone().unwrap()];
                for (from, to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, near),
                ] {
                    let heard = heard.clone();
                    thread::spawn(move || carry(from, to, &heard));
                }
                ends.lock().unwrap().extend(copies);
            }
        });
        wire
    }

    pub(crate) fn leads_to(&self, house: &House) {
        let lobby = house.endpoints["lobby.listen"].clone();
        *self.lobby.lock().unwrap() = lobby;
    }

    pub(crate) fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            end.shutdown(Shutdown::Both).ok();
        }
    }

    /// Whether this went over the wire.
    pub(crate) fn heard(&self, words: &str) -> bool {
        let heard = self.heard.lock().unwrap();
        heard
            .windows(words.len())
            .any(|part| part == words.as_bytes())
    }
}

/// Carries bytes one way, and keeps them.
fn carry(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        heard.lock().unwrap().extend(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}
