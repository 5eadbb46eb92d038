//! `openclaw doctor`

use anyhow::Result;

use super::context::Context;
use crate::output::Format;

/// Say what this machine allows: for each capability the hook that serves it, how well, why, and what would mend it
///
/// Works with and without a running agent.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How it is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Do what the sensor should see: the doctor runs itself with this
    #[arg(long, hide = true)]
    trigger: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<()> {
    if args.trigger {
        return crate::agent::trigger();
    }
    context.load()?;
    crate::agent::doctor(args.output)
}
