//! What channels cost that nobody uses: the daemon's memory, and the kernel's for their sockets.

use std::{collections::BTreeMap, fs, io};

use crate::{
    kv,
    parts::{Bench, limit},
    relay::Relay,
    table::{Row, median},
};

const CHANNELS: usize = 1_000;

/// A thousand channels that nobody uses.
pub(crate) fn rows(bench: &mut Bench) -> io::Result<Vec<Row>> {
    const MIB: f64 = 1024.0 * 1024.0;
    let (mut grown, mut restarted, mut kernel) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.few() {
        let mut relay = Relay::daemon(1, &bench.cores.relay)?;
        relay.again(1, &bench.cores.relay)?;
        let (alone, sockets) = (resident(relay.pid())?, sockets(relay.pid())?);
        for _ in 0..CHANNELS {
            kv::create(relay.address)?;
        }
        relay.must_live()?;
        grown.push((resident(relay.pid())? - alone) / MIB);
        let more = self::sockets(relay.pid())? - sockets;
        kernel.extend(kernel_bytes()?.map(|each| more * each / MIB));
        relay.again(1, &bench.cores.relay)?;
        restarted.push((resident(relay.pid())? - alone) / MIB);
    }
    let (grown, restarted, kernel) = (
        median(&mut grown),
        median(&mut restarted),
        median(&mut kernel),
    );
    let what = if kernel.is_nan() {
        "1,000 idle channels, resident (the kernel's part is root's to see)".into()
    } else {
        format!("1,000 idle channels: {grown:.1} MiB resident, {kernel:.1} MiB in the kernel")
    };
    Ok(vec![
        limit(
            &what,
            grown + if kernel.is_nan() { 0.0 } else { kernel },
            "MiB",
            20.0,
        ),
        limit(
            "1,000 idle channels after a restart, resident",
            restarted,
            "MiB",
            20.0,
        ),
    ])
}

fn resident(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.unwrap_or(f64::NAN) * 1024.0)
}

/// How many sockets a process has open.
fn sockets(pid: u32) -> io::Result<f64> {
    let mut count = 0.0;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One may be closed meanwhile.
        let target = entry.and_then(|entry| fs::read_link(entry.path()));
        if target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:")) {
            count += 1.0;
        }
    }
    Ok(count)
}

/// What the kernel keeps for a UDP socket that waits in an epoll: all that it allocates per socket, in bytes.
fn kernel_bytes() -> io::Result<Option<f64>> {
    let slabs = match fs::read_to_string("/proc/slabinfo") {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
        Err(error) => return Err(error),
    };
    let sizes: BTreeMap<_, f64> = slabs
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            Some((fields.next()?, fields.nth(2)?.parse().ok()?))
        })
        .collect();
    let parts = ["UDP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi"];
    Ok(parts.iter().map(|part| sizes.get(part).copied()).sum())
}
