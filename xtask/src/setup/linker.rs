//! The linker of the kernel programs, built once into `target/tools`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::console::Step;
use crate::{process, workspace};

/// The last release that takes LLVM from the library that the compiler itself uses. Later ones want LLVM's
/// development packages.
const VERSION: &str = "0.10.1";

/// The releases of LLVM that this version can be built for.
pub(crate) const LLVM: std::ops::RangeInclusive<u32> = 20..=22;

/// The linker for bitcode of this LLVM release, built where it is not there yet.
///
/// # Errors
/// Where it cannot be built.
pub(crate) fn ensure(llvm: u32) -> Result<PathBuf> {
    let folder = workspace::tools().join(format!("bpf-linker-{VERSION}-llvm-{llvm}"));
    let program = folder.join("bin/bpf-linker");
    if process::is_executable(&program) {
        return Ok(program);
    }
    let step = Step::begin("building bpf-linker, once (1 to 2 minutes)");
    process::run(
        process::cargo()
            .args(["install", "--quiet", "--locked", "bpf-linker", "--version", VERSION])
            .args(["--no-default-features", "--features", &format!("rust-llvm-{llvm}")])
            .arg("--root")
            .arg(&folder),
    )
    .context("cannot build bpf-linker, without which there are no kernel programs")?;
    if !process::is_executable(&program) {
        bail!("cargo install left no {}", program.display());
    }
    step.done("");
    Ok(program)
}
