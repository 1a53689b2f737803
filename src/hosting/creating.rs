//! The last steps of a creation: the record is durable, the folder is there or all of it is undone.

use super::lifecycle::Life;
use super::records::Server;
use super::scribe::{Change, Reply, Then};
use super::service::Service;
use super::state::Entry;
use super::{Event, HostingError, View};
use crate::worker::WorkerError;

impl Service {
    /// The folder of a server that was just created is there, or the creation is undone.
    pub(super) fn laid_out(
        &mut self,
        number: u64,
        server: Server,
        done: Result<(), WorkerError>,
        reply: Reply,
    ) {
        if let Err(error) = done {
            tracing::error!(server = server.id.0, %error, "its folder cannot be made; it is not created");
            let error = HostingError::NotCreated {
                step: "folder",
                why: error.to_string(),
            };
            let change = Change::Forget(server.id);
            return self.write(change, Then::Undone(number, Box::new(server), reply, error));
        }
        self.drafts.remove(&number);
        let view = self.admit(server);
        reply.send(Ok(view)).ok();
    }

    /// One of ours from now on.
    pub(super) fn admit(&mut self, server: Server) -> View {
        let id = server.id;
        self.owners.insert(id, server.owner);
        tracing::info!(
            server = id.0,
            name = server.name,
            game = server.game,
            "created"
        );
        let entry = Entry::new(server, Life::Down);
        let view = self.view(&entry);
        self.servers.insert(
            id,
            Entry {
                told: Some(view.clone()),
                ..entry
            },
        );
        self.publish(Event::Created {
            server: Box::new(view.clone()),
        });
        view
    }
}
