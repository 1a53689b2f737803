//! Being found in the local network: services that the box announces by multicast DNS (RFC 6762, 6763).
//!
//! Owns the announcement, as long as it is held. Network cards that come and go, and names that somebody else already
//! has, are the library's. Refuses to fail the box: without a network nobody is told, and that is only a warning.

use std::{fmt, time::Duration};

use mdns_sd::{DaemonStatus, Receiver, ServiceDaemon, ServiceInfo};

/// What GGZ's programs look for.
pub const GGZ: &str = "_ggz._tcp.local.";

/// A DNS label has no more bytes.
const MAX_LABEL: usize = 63;
/// Until the farewell has been sent.
const FAREWELL: Duration = Duration::from_secs(2);

/// A service that is announced until this is withdrawn or dropped.
pub struct Announcement {
    daemon: Option<ServiceDaemon>,
}

/// The name under which GGZ's programs show a server.
pub fn ggz_instance(server: &str) -> String {
    format!("GGZ Gaming Zone: {server}")
}

/// Announces `instance` of `service` (such as [`GGZ`]) on `port`, with what is to be known of it as TXT records. What
/// does not work is logged.
pub fn announce(service: &str, instance: &str, port: u16, known: &[(&str, &str)]) -> Announcement {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host_label(&host.to_string_lossy());
    let announced = begin(service, label(instance), &host, port, known);
    match &announced {
        Ok(_) => tracing::info!(service, instance, port, "announced in the local network"),
        Err(error) => {
            tracing::warn!(service, instance, %error, "cannot be announced in the local network");
        }
    }
    Announcement {
        daemon: announced.ok(),
    }
}

fn begin(
    service: &str,
    instance: &str,
    host: &str,
    port: u16,
    known: &[(&str, &str)],
) -> mdns_sd::Result<ServiceDaemon> {
    let service = ServiceInfo::new(service, instance, host, "", port, known)?;
    let daemon = ServiceDaemon::new()?;
    if let Err(error) = daemon.register(service.enable_addr_auto()) {
        daemon.shutdown().ok(); // it has nothing to say
        return Err(error);
    }
    Ok(daemon)
}

impl Announcement {
    /// Tells everybody that the service is no more, and waits until that is said.
    pub async fn withdraw(mut self) {
        let Some(farewell) = self.end() else {
            return;
        };
        let said = tokio::task::spawn_blocking(move || farewell.recv_timeout(FAREWELL).is_ok());
        if !said.await.unwrap_or(false) {
            tracing::debug!("the local network may not know yet that the service is gone");
        }
    }

    fn end(&mut self) -> Option<Receiver<DaemonStatus>> {
        self.daemon.take()?.shutdown().ok()
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Announcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_announced = self.daemon.is_some();
        f.debug_tuple("Announcement").field(&is_announced).finish()
    }
}

/// As much of a name as DNS takes.
fn label(name: &str) -> &str {
    let end = (0..=name.len().min(MAX_LABEL)).rfind(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}

/// A host name of our own beside the machine's, whose own responder may announce that one.
fn host_label(host: &str) -> String {
    let first = host.split('.').next().unwrap_or_default();
    let fine = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let host: String = first.chars().filter(fine).take(40).collect();
    match host.trim_matches('-') {
        "" => "longhouse.local.".into(),
        host => format!("{}-longhouse.local.", host.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_dns() {
        assert_eq!(label("short"), "short");
        let long = ggz_instance(&"ä".repeat(60));
        assert!(label(&long).len() <= MAX_LABEL && long.starts_with(label(&long)));
        assert_eq!(host_label("Box.example.org"), "box-longhouse.local.");
        assert_eq!(host_label("-ä-"), "longhouse.local.");
        assert_eq!(host_label(""), "longhouse.local.");
    }

    #[tokio::test]
    async fn what_cannot_be_announced_is_no_failure() {
        let nothing = announce("no service", "x", 1, &[]);
        assert_eq!(format!("{nothing:?}"), "Announcement(false)");
        nothing.withdraw().await;
    }
}
