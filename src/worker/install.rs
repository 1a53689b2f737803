//! Brings a game's files into a server's folder, once per version, and says on its console how that goes.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncReadExt, process::Command};
use tokio_util::sync::CancellationToken;

use super::{Order, WorkerError, archive, folder::Folder, journal::Journal};
use crate::hosting::definition::{Definition, Install};
use crate::hosting::template::{Escape, Slot, Template};
use crate::keeper;

/// Why `version` cannot be hosted on this box just now, and what to do.
pub(crate) fn missing(definition: &Definition, version: &str) -> Option<String> {
    match definition.install(version) {
        Install::Debian { packages, requires } => {
            let absent = requires.iter().find(|path| !Path::new(path).exists())?;
            Some(format!(
                "{absent} is not there; apt install {}",
                packages.join(" ")
            ))
        }
        Install::Dir { path, .. } | Install::Archive { path, .. } => {
            let path = at(path, version);
            (!path.exists()).then(|| format!("{} is not there", path.display()))
        }
        Install::Steamcmd { .. } => steamcmd()
            .is_none()
            .then(|| "steamcmd is not there; install it, or set STEAMCMD_EXECUTABLE".into()),
    }
}

/// What is to be installed into a server's own folder, in a word that changes when it must be done again.
pub(super) fn identity(order: &Order) -> Option<String> {
    let version = &order.server.version;
    match order.definition.install(version) {
        Install::Debian { .. } => None,
        install if install.is_shared() => None,
        Install::Dir { path, .. } => Some(format!("dir {}", at(path, version).display())),
        Install::Archive { path, .. } => Some(format!("archive {}", at(path, version).display())),
        Install::Steamcmd { app } => Some(format!("steamcmd {app} {version}")),
    }
}

/// Where the copy of a version is that all servers use, below `versions` when it is unpacked there.
pub(super) fn shared(order: &Order, versions: &Path) -> Option<PathBuf> {
    let version = &order.server.version;
    match order.definition.install(version) {
        Install::Dir { path, shared: true } => Some(at(path, version)),
        Install::Archive { path, shared: true } => {
            // Another archive is another folder: what runs from the old one keeps it.
            let from = at(path, version);
            let mark = crc32fast::hash(from.as_os_str().as_encoded_bytes());
            let folder = format!("{version}-{mark:08x}");
            Some(versions.join(&order.definition.name).join(folder))
        }
        _ => None,
    }
}

/// Unpacks a shared version, unless it is there. Whole or not at all; the caller sees to it that it is done once at a time.
pub(super) async fn share(
    order: &Order,
    versions: &Path,
    journal: &mut Journal,
    cancel: &CancellationToken,
) -> Result<(), WorkerError> {
    let version = &order.server.version;
    let (Install::Archive { path, .. }, Some(to)) =
        (order.definition.install(version), shared(order, versions))
    else {
        return Ok(());
    };
    if to.exists() {
        return Ok(());
    }
    let from = at(path, version);
    journal
        .say(&format!(
            "installing {version} for all servers, from {}",
            from.display()
        ))
        .await;
    let (source, cancel) = (from.clone(), cancel.clone());
    let done = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let mut fresh = to.clone().into_os_string();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        if fresh.exists() {
            super::remove::remove(&fresh)?;
        }
        let parent = to.parent().expect("it is below the folder of versions");
        super::make(parent, 0o755)?;
        let folder = Folder::open(&fresh, None)?;
        archive::unpack(&source, &folder, archive::MAX, &cancel)?;
        std::fs::set_permissions(&fresh, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        std::fs::rename(&fresh, &to)
    });
    done.await
        .expect("unpacking does not panic")
        .map_err(|source| WorkerError::Install { from, source })
}

fn at(path: &Template, version: &str) -> PathBuf {
    let fill = |slot: &Slot| match slot {
        Slot::Version => version.to_owned(),
        other => unreachable!("{other} was refused when the definition was read"),
    };
    path.fill(Escape::None, fill).into()
}

fn steamcmd() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("STEAMCMD_EXECUTABLE") {
        return Some(named.into()).filter(|path: &PathBuf| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain(["/usr/games".into()])
        .map(|folder| folder.join("steamcmd"))
        .find(|path| path.is_file())
}

/// What manman told steamcmd.
fn steam_arguments(files: &Path, app: u32) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = [
        "+@sSteamCmdForcePlatformType",
        "linux",
        "+force_install_dir",
    ]
    .map(Into::into)
    .into();
    arguments.push(files.into());
    let app = app.to_string();
    let rest = ["+login", "anonymous", "+app_update", &app, "+exit"];
    arguments.extend(rest.map(Into::into));
    arguments
}

fn steam_command(program: &Path, files: &Path, app: u32, mark: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(steam_arguments(files, app))
        .current_dir(files)
        .env_clear()
        .env("PATH", super::plan::PATH)
        .env("HOME", files)
        .env(keeper::MARK, mark);
    command
}

/// Does it. `files` is the server's folder, `user` who owns what comes; by `mark` what an installer leaves is found.
pub(super) async fn install(
    order: &Order,
    files: &Path,
    user: Option<u32>,
    mark: &str,
    journal: &mut Journal,
    cancel: &CancellationToken,
) -> Result<(), WorkerError> {
    let install = order.definition.install(&order.server.version);
    match install {
        Install::Debian { .. } => Ok(()),
        Install::Dir { path, .. } | Install::Archive { path, .. } => {
            let from = at(path, &order.server.version);
            journal
                .say(&format!("installing from {}", from.display()))
                .await;
            let packed = matches!(install, Install::Archive { .. });
            let (source, to, cancel) = (from.clone(), files.to_owned(), cancel.clone());
            let done = tokio::task::spawn_blocking(move || -> io::Result<()> {
                let folder = Folder::open(&to, user)?;
                match packed {
                    true => archive::unpack(&source, &folder, archive::MAX, &cancel),
                    false => archive::copy(&source, &folder, archive::MAX, &cancel),
                }
            });
            done.await
                .expect("unpacking does not panic")
                .map_err(|source| WorkerError::Install { from, source })
        }
        Install::Steamcmd { app } => {
            let program = steamcmd().ok_or_else(|| WorkerError::Missing("steamcmd".into()))?;
            journal
                .say(&format!("installing Steam application {app}"))
                .await;
            let mut command = steam_command(&program, files, *app, mark);
            if let Some(id) = user {
                command.uid(id).gid(id);
            }
            run(command, program, journal, cancel).await
        }
    }
}

/// Runs an installer, its output on the console, until it ends or `cancel` ends it.
async fn run(
    mut command: Command,
    program: PathBuf,
    journal: &mut Journal,
    cancel: &CancellationToken,
) -> Result<(), WorkerError> {
    let failed = |source| WorkerError::Install {
        from: program.clone(),
        source,
    };
    let (writer, mut output) = tokio::net::unix::pipe::pipe().map_err(failed)?;
    let both = writer.into_blocking_fd().map_err(failed)?;
    command
        .stdin(Stdio::null())
        .stderr(both.try_clone().map_err(failed)?)
        .stdout(both)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    drop(command); // and with it our ends of the pipe
    let mut buffer = vec![0; 16 << 10];
    let status = loop {
        tokio::select! {
            () = cancel.cancelled() => {
                child.kill().await.map_err(failed)?;
                return Err(WorkerError::Canceled);
            }
            status = child.wait() => break status.map_err(failed)?,
            read = output.read(&mut buffer) => match read.map_err(failed)? {
                0 => break child.wait().await.map_err(failed)?,
                n => journal.output(&buffer[..n]).await,
            },
        }
    };
    // What it had printed when it ended; something that it left behind may hold the pipe open still.
    while let Ok(n @ 1..) = output.try_read(&mut buffer) {
        journal.output(&buffer[..n]).await;
    }
    match status.success() {
        true => Ok(()),
        false => Err(failed(io::Error::other(format!("it ended with {status}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Kind, Reader};
    use tokio::sync::watch;

    /// Runs `script` as an installer; what came of it, and what the console shows.
    async fn installed(
        script: &str,
        cancel: &CancellationToken,
    ) -> (Result<(), WorkerError>, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let console = home.path().join("console");
        let mut journal = Journal::open(console.clone(), 1 << 20, watch::Sender::new(0)).await;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let done = run(command, "/bin/sh".into(), &mut journal, cancel).await;
        journal.close().await;
        let entries = Reader::new(console).last(100).unwrap().entries;
        assert!(entries.iter().all(|entry| entry.kind == Kind::Log));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            done,
            entries.iter().map(|entry| text(&entry.text)).collect(),
        )
    }

    #[tokio::test]
    async fn what_an_installer_prints_is_on_the_console_and_its_failure_is_ours() {
        let cancel = CancellationToken::new();
        let (done, lines) = installed("echo one; echo two >&2; printf three", &cancel).await;
        done.unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
        let (done, _) = installed("exit 8", &cancel).await;
        assert!(done.unwrap_err().to_string().contains("exit status: 8"));
    }

    #[tokio::test]
    async fn an_installer_is_ended_when_it_is_told_to_stop() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let (done, _) = installed("sleep 1000", &cancel).await;
        assert!(matches!(done, Err(WorkerError::Canceled)));
    }

    #[test]
    fn steamcmd_is_told_what_manman_told_it() {
        assert_eq!(
            steam_arguments(Path::new("/srv/7"), 1_536_610).join(" ".as_ref()),
            "+@sSteamCmdForcePlatformType linux +force_install_dir /srv/7 +login anonymous +app_update 1536610 +exit"
        );
    }

    #[test]
    fn what_steamcmd_leaves_behind_bears_the_mark_that_a_sweep_looks_for() {
        let mark = keeper::mark(Path::new("/srv/servers/7/run"), 7);
        let command = steam_command(Path::new("steamcmd"), Path::new("/srv/7"), 1, &mark);
        let mut set = command.as_std().get_envs();
        let marked = set.find(|(name, _)| *name == keeper::MARK).unwrap().1;
        assert_eq!(marked.unwrap(), "7@/srv/servers/7/run");
    }
}
