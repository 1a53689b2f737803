//! Connections to our games' TCP ports, counted from the kernel's tables for all servers at once.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc, time::Duration};

use tokio::sync::watch;

/// How often they are counted, while anybody wants to know.
const PACE: Duration = Duration::from_secs(2);

/// Established connections by local port. None: not counted yet, or the kernel does not say.
pub(super) type Counts = Option<Arc<BTreeMap<u16, u32>>>;

/// Adds the established connections of one table, `/proc/net/tcp` or `/proc/net/tcp6`, to `counts`.
fn count(table: &str, ports: &RangeInclusive<u16>, counts: &mut BTreeMap<u16, u32>) {
    const ESTABLISHED: &str = "01";
    for line in table.lines().skip(1) {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (Some(local), Some(state)) = (words.next(), words.nth(1)) else {
            continue;
        };
        let port = local.rsplit_once(':');
        let port = port.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        if let Some(port) = port
            && state == ESTABLISHED
            && ports.contains(&port)
        {
            *counts.entry(port).or_default() += 1;
        }
    }
}

/// Counts now. Blocking.
fn counted(ports: &RangeInclusive<u16>) -> Counts {
    let mut counts = BTreeMap::new();
    let mut said = false;
    // A box without IPv6 has no table for it.
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        if let Ok(text) = std::fs::read_to_string(table) {
            count(&text, ports, &mut counts);
            said = true;
        }
    }
    said.then(|| Arc::new(counts))
}

/// Counts for ever, as long as somebody listens; ends when nobody can any more.
pub(super) async fn run(ports: RangeInclusive<u16>, counts: watch::Sender<Counts>) {
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        if counts.receiver_count() == 0 {
            continue;
        }
        let ports = ports.clone();
        match tokio::task::spawn_blocking(move || counted(&ports)).await {
            Ok(now) => drop(counts.send_replace(now)),
            Err(_) => return, // the runtime is shutting down
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C3A0 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 20 4 30 10 -1
   2: 0100007F:C3A0 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1
   3: 0100007F:1F91 0100007F:C3A1 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
   4: odd
   5: x:zzzz y 01
";

    #[test]
    fn only_established_connections_to_ports_of_the_pool_count() {
        let mut counts = BTreeMap::new();
        count(TABLE, &(8000..=8100), &mut counts);
        assert_eq!(counts, BTreeMap::from([(8080, 1)]));
        let six = "h\n 0: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:C3A0 01 rest\n";
        count(six, &(8000..=8100), &mut counts);
        assert_eq!(counts[&8080], 2);
        count("", &(0..=1), &mut counts);
    }

    #[test]
    fn a_real_connection_is_counted_until_it_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pool = port..=port;
        let here = || counted(&pool).unwrap().get(&port).copied().unwrap_or(0);
        assert_eq!(here(), 0);
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(here(), 1);
        drop(client);
        drop(server);
        assert_eq!(here(), 0);
    }
}
