//! What a machine needs before anything can be built or tested, and how it gets there.
//!
//! On Debian and Ubuntu missing packages are installed; elsewhere the exact commands are printed. What the
//! distributions do not carry (the linker of the kernel programs) is built into `target/tools`.

pub(crate) mod apt;
pub(crate) mod distribution;
pub(crate) mod linker;
pub(crate) mod packages;
pub(crate) mod promtool;
pub(crate) mod toolchain;

use anyhow::Result;

use crate::console;
use packages::Purpose;
use toolchain::Toolchain;

/// The `setup` task.
///
/// # Errors
/// Where something is missing that cannot be installed here.
pub(crate) fn command(tests: bool) -> Result<()> {
    if tests {
        for_tests()?;
    } else {
        for_build()?;
    }
    console::note("everything is there");
    Ok(())
}

/// What a build needs.
///
/// # Errors
/// Where something is missing that cannot be installed here.
pub(crate) fn for_build() -> Result<Toolchain> {
    packages::ensure(&[Purpose::Build])?;
    toolchain::choose()
}

/// What the tests need as well.
///
/// # Errors
/// Where something is missing that cannot be installed here.
pub(crate) fn for_tests() -> Result<Toolchain> {
    packages::ensure(&[Purpose::Build, Purpose::LiveTest, Purpose::VirtualMachine])?;
    promtool::ensure()?;
    toolchain::choose()
}
