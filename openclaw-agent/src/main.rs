//! The `openclaw` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    openclaw_agent::cli::main()
}
