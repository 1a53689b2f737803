//! What can be typed about servers' files.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueHint};

/// A server, and something in its folder.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// The server's id, its name like ada_3, or its title when no other server has it.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The path, from the server's folder.
    #[arg(value_name = "PATH")]
    pub(crate) path: OsString,
}

/// A server, and two paths in its folder.
#[derive(Debug, Args)]
pub(crate) struct FromTo {
    /// The server's id, its name like ada_3, or its title when no other server has it.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The path that is there, from the server's folder.
    #[arg(value_name = "FROM")]
    pub(crate) from: OsString,
    /// The path that is to be.
    #[arg(value_name = "TO")]
    pub(crate) to: OsString,
    /// Replace a file that is there.
    #[arg(long)]
    pub(crate) replace: bool,
}

/// What is to be packed.
#[derive(Debug, Args)]
pub(crate) struct Packing {
    /// The server's id, its name like ada_3, or its title when no other server has it.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The archive that is to be, from the server's folder; its ending says of which kind: .zip, .tar, .tar.gz, .tar.zst.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: String,
    /// Files and folders, from the server's folder.
    #[arg(value_name = "PATH", required = true)]
    pub(crate) paths: Vec<String>,
    /// A folder in which all of these lie, and at which names in the archive begin; the server's own when absent.
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) base: String,
    /// Replace an archive that is there.
    #[arg(long)]
    pub(crate) replace: bool,
}

/// What is to be unpacked.
#[derive(Debug, Args)]
pub(crate) struct Unpacking {
    /// The server's id, its name like ada_3, or its title when no other server has it.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
    /// The archive, from the server's folder: zip, tar, tar.gz, tar.zst or tar.bz2, whatever its name.
    #[arg(value_name = "ARCHIVE")]
    pub(crate) archive: OsString,
    /// The folder, made when it is not there; the server's own when absent.
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) to: OsString,
    /// Replace files that are there.
    #[arg(long)]
    pub(crate) replace: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Files {
    /// List a folder.
    Ls {
        /// The server's id, its name like ada_3, or its title when no other server has it.
        #[arg(value_name = "SERVER")]
        server: String,
        /// The folder; the server's own when absent.
        #[arg(value_name = "PATH", default_value = "")]
        path: OsString,
    },
    /// Fetch a file, or with -r a folder.
    Get {
        #[command(flatten)]
        at: At,
        /// Where to; `-` is standard output. When absent, a file of the same name here. An older file is replaced only by a whole new one.
        #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
        file: Option<PathBuf>,
        /// Fetch a folder with all in it.
        ///
        /// FILE becomes an archive when it ends in .zip, .tar, .tar.gz or .tar.zst; else a new folder, without the links that are in it. On standard output it is tar.
        #[arg(short, long)]
        recursive: bool,
    },
    /// Send a file, or a folder with all in it.
    ///
    /// It goes in pieces: when the line breaks, it goes on where it was. A file appears when it is whole, and replaces what was there.
    Put {
        /// The server's id, its name like ada_3, or its title when no other server has it.
        #[arg(value_name = "SERVER")]
        server: String,
        /// What to send.
        #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
        file: PathBuf,
        /// What it is to be there; when absent, the same name in the server's folder.
        #[arg(value_name = "PATH")]
        path: Option<OsString>,
    },
    /// Pack files and folders into an archive beside them.
    Pack(Packing),
    /// Unpack an archive beside it: all of it, or nothing.
    Unpack(Unpacking),
    /// Move a file or a folder to the server's bin.
    Rm(At),
    /// Give a file or a folder another name.
    Mv(FromTo),
    /// Copy a file, or a folder with all in it.
    Cp(FromTo),
    /// Make a folder, and those above it.
    Mkdir(At),
    /// Say who may do what with a file or a folder.
    Chmod {
        #[command(flatten)]
        at: At,
        /// Nine bits in octal, like 640.
        #[arg(value_name = "MODE")]
        mode: String,
    },
    /// Say what is in the bin.
    Bin {
        /// The server's id, its name like ada_3, or its title when no other server has it.
        #[arg(value_name = "SERVER")]
        server: String,
    },
    /// Have back what was deleted.
    Undo {
        /// The server's id, its name like ada_3, or its title when no other server has it.
        #[arg(value_name = "SERVER")]
        server: String,
        /// Its number, as `longhouse files bin` shows it; the newest when absent.
        #[arg(value_name = "NUMBER")]
        number: Option<u64>,
        /// Where to, when something else is there by now.
        #[arg(long, value_name = "PATH")]
        to: Option<OsString>,
    },
    /// Look for files by name and content.
    Find {
        /// The server's id, its name like ada_3, or its title when no other server has it.
        #[arg(value_name = "SERVER")]
        server: String,
        /// The folder to look in; the server's own when absent.
        #[arg(value_name = "PATH", default_value = "")]
        path: OsString,
        /// A pattern like `*.cfg`, or `maps/**/*.map` for whole paths.
        #[arg(long, required_unless_present = "text")]
        name: Option<String>,
        /// What the content must have.
        #[arg(long)]
        text: Option<String>,
    },
    /// Say how much room a server takes on the disk.
    Usage {
        /// The server's id, its name like ada_3, or its title when no other server has it.
        #[arg(value_name = "SERVER")]
        server: String,
    },
}
