//! Prometheus' checker of metrics, taken out of Debian's package into `target/tools`: the package itself would begin a
//! server.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt;
use super::distribution::Distribution;
use crate::console::Step;
use crate::{process, workspace};

/// Where the program is, or will be.
pub(crate) fn folder() -> PathBuf {
    workspace::tools().join("promtool")
}

/// Sees to it that `promtool` is there, on Debian. Elsewhere the test that wants it is skipped where it is not.
///
/// # Errors
/// Where the package cannot be had.
pub(crate) fn ensure() -> Result<()> {
    let (folder, program) = (folder(), folder().join("promtool"));
    if Distribution::of_this_machine() != Distribution::Debian
        || process::find("promtool").is_some()
        || process::is_executable(&program)
    {
        return Ok(());
    }
    let step = Step::begin_silent("fetching promtool");
    if !apt::is_available("prometheus") {
        apt::update_index()?;
    }
    let work = folder.join("package");
    std::fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    process::capture(Command::new("apt-get").args(["--quiet", "download", "prometheus"]).current_dir(&work))?;
    for entry in work.read_dir().with_context(|| format!("cannot read {}", work.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "deb") {
            process::capture(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&work))?;
        }
    }
    let unpacked = work.join("usr/bin/promtool");
    std::fs::rename(&unpacked, &program).with_context(|| format!("there is no {}", unpacked.display()))?;
    std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    step.done("");
    Ok(())
}
