//! Does what rules want, in the box's own name: each act is recorded before it is done, as people's acts are.

use tokio::sync::{mpsc, oneshot};

use super::HostingError;
use super::idle::Due;
use super::service::Command;
use crate::accounts::ServerId;
use crate::audit::{Actor, Audit, Door};

/// One thing that is due.
pub(super) struct Chore {
    pub(super) id: ServerId,
    pub(super) due: Due,
    /// Why, for the record.
    pub(super) because: String,
}

/// Until the service is gone. The commands are held weakly, since the service ends with its last handle.
pub(super) async fn run(
    mut chores: mpsc::Receiver<Chore>,
    commands: mpsc::WeakSender<Command>,
    audit: Audit,
) {
    let actor = Actor {
        account: None,
        name: "box".into(),
        from: None,
        door: Door::Box,
    };
    while let Some(Chore { id, due, because }) = chores.recv().await {
        let action = match due {
            Due::Stop => "server.stop",
            Due::Release => "server.unmount",
        };
        let work = async {
            let commands = commands.upgrade().ok_or(HostingError::Closed)?;
            let (reply, answer) = oneshot::channel();
            let asked = commands.send(Command::Rule(id, due, reply)).await;
            asked.map_err(|_| HostingError::Closed)?;
            drop(commands);
            answer.await.map_err(|_| HostingError::Closed)?
        };
        let detail = serde_json::json!({ "because": because });
        let subject = format!("server {}", id.0);
        match audit.run(&actor, action, subject, detail, work).await {
            Ok(_) => tracing::info!(server = id.0, because, action, "by rule"),
            Err(error) => {
                tracing::warn!(server = id.0, %error, action, "a rule cannot be followed; trying again later");
            }
        }
    }
}
