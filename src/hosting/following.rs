//! Passes on what a keeper says to the owning task.

use tokio::sync::{mpsc, watch};

use super::service::Input;
use crate::accounts::ServerId;
use crate::keeper::Client;
use crate::worker::Worker;

/// Passes on what one keeper says until it is lost.
pub(super) async fn follow(
    id: ServerId,
    epoch: u64,
    client: Client,
    head: watch::Sender<u64>,
    worker: Worker,
    inputs: mpsc::Sender<Input>,
) {
    let (mut status, mut heads) = (client.status(), client.head());
    drop(client); // the connection ends when the keeper does
    status.mark_changed();
    heads.mark_changed();
    let grow =
        |to: u64| head.send_if_modified(|known| std::mem::replace(known, to.max(*known)) < to);
    loop {
        tokio::select! {
            changed = status.changed() => {
                if changed.is_err() {
                    break;
                }
                let now = status.borrow_and_update().clone();
                if inputs.send(Input::Status(id, epoch, now)).await.is_err() {
                    return;
                }
            }
            changed = heads.changed() => {
                if changed.is_err() {
                    break;
                }
                let now = *heads.borrow_and_update();
                grow(now);
            }
        }
    }
    grow(worker.head(id).await);
    // A full disk keeps what an earlier keeper wrote there.
    let told = status.borrow().clone();
    let written = worker.last_status(id).await;
    let last =
        written.filter(|written| written.keeper == told.keeper && written.revision > told.revision);
    let last = Some(last.unwrap_or(told));
    inputs.send(Input::Lost(id, epoch, last)).await.ok();
}
