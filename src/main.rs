//! Arguments to exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    longhouse::cli::main(std::env::args_os())
}
