//! Completions and the manual, from the same definitions that read the arguments.

use std::{io, path::Path};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{args::Arguments, fault::Fault, print::Out};

pub(crate) fn completions(out: Out, shell: Shell) -> Result<(), Fault> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "longhouse", &mut script);
    out.bytes(&script)
}

/// One page with all verbs after another, or one file per verb in `folder`.
pub(crate) fn manual(out: Out, folder: Option<&Path>) -> Result<(), Fault> {
    if let Some(folder) = folder {
        let write = std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder));
        return write.map_err(|source| Fault::File {
            path: folder.into(),
            source,
        });
    }
    let mut command = Arguments::command();
    command.build();
    let mut page = Vec::new();
    render(command, &mut page).expect("a Vec takes everything");
    out.bytes(&page)
}

fn render(command: Command, page: &mut Vec<u8>) -> io::Result<()> {
    let verbs: Vec<_> = command.get_subcommands().cloned().collect();
    Man::new(command).render(page)?;
    verbs.into_iter().try_for_each(|verb| render(verb, page))
}
