//! Programs of Prometheus's, taken out of Debian's packages into `target/tools`: the packages themselves would begin
//! servers.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::apt;
use super::distribution::Distribution;
use crate::console::Step;
use crate::{process, workspace};

/// The programs, each with its package: what checks metrics, and what takes alerts.
const PROGRAMS: [(&str, &str); 2] =
    [("promtool", "prometheus"), ("prometheus-alertmanager", "prometheus-alertmanager")];

/// Where the programs are, or will be.
pub(crate) fn folder() -> PathBuf {
    workspace::tools().join("prometheus")
}

/// Sees to it that the programs are there, on Debian. Elsewhere a test that wants one is skipped where it is not.
///
/// # Errors
/// Where a package cannot be had.
pub(crate) fn ensure() -> Result<()> {
    if Distribution::of_this_machine() == Distribution::Debian {
        for (program, package) in PROGRAMS {
            fetch(program, package)?;
        }
    }
    Ok(())
}

fn fetch(name: &str, package: &str) -> Result<()> {
    let (folder, program) = (folder(), folder().join(name));
    if process::find(name).is_some() || process::is_executable(&program) {
        return Ok(());
    }
    let step = Step::begin_silent(&format!("fetching {name}"));
    if !apt::is_available(package) {
        apt::update_index()?;
    }
    let work = folder.join("package");
    std::fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
    process::capture(Command::new("apt-get").args(["--quiet", "download", package]).current_dir(&work))?;
    for entry in work.read_dir().with_context(|| format!("cannot read {}", work.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|end| end == "deb") {
            process::capture(Command::new("dpkg-deb").arg("--extract").arg(&file).arg(&work))?;
        }
    }
    let unpacked = work.join("usr/bin").join(name);
    std::fs::rename(&unpacked, &program).with_context(|| format!("there is no {}", unpacked.display()))?;
    std::fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    step.done("");
    Ok(())
}
