//! The kernel programs: built for the BPF target by the toolchain that set-up chose.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, Section, SectionFlags, elf,
};

use crate::console::Step;
use crate::setup::toolchain::Toolchain;
use crate::{process, workspace};

/// The target of the kernel programs.
const TARGET: &str = "bpfel-unknown-none";

/// The objects that the agent carries.
const OBJECTS: [&str; 2] = ["sensor", "verdict"];

/// Builds the objects. What did not change is not built again and its file is left alone.
///
/// # Errors
/// Where the build fails, or leaves out an object.
pub(crate) fn build(toolchain: &Toolchain) -> Result<()> {
    let step = Step::begin("building the kernel programs");
    process::run(cargo(toolchain).args(["build", "--release", "--locked"]).args(target_arguments()))?;
    for object in OBJECTS {
        let path = object_path(object);
        let content =
            std::fs::read(&path).with_context(|| format!("the build left no {}", path.display()))?;
        if !content.starts_with(b"\x7fELF") {
            bail!("{} is no ELF object: delete target/bpf and build again", path.display());
        }
    }
    step.done("");
    Ok(())
}

/// A checksum of what the kernel is given of the objects that are built: instructions, constants, maps, and what refers to
/// which of them. It is the same in whatever folder they were built, as names and types are not, among which are the sizes of
/// maps that are defined by them.
///
/// # Errors
/// Where they are not built.
pub(crate) fn code() -> Result<String> {
    let mut checksum = crc32fast::Hasher::new();
    for object in OBJECTS {
        let path = object_path(object);
        let content = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let object =
            object::File::parse(&*content).with_context(|| format!("{} is no ELF object", path.display()))?;
        for section in object.sections().filter(is_loaded) {
            checksum.update(section.name_bytes()?);
            checksum.update(section.data().with_context(|| format!("{} is cut", path.display()))?);
            for (at, relocation) in section.relocations() {
                let RelocationTarget::Symbol(symbol) = relocation.target() else { continue };
                let symbol = object.symbol_by_index(symbol)?;
                let of = symbol.section_index().map(|index| object.section_by_index(index)).transpose()?;
                checksum.update(of.as_ref().map_or(Ok(&b""[..]), |of| of.name_bytes())?);
                checksum.update(&at.to_le_bytes());
                checksum.update(&symbol.address().to_le_bytes());
                checksum.update(&relocation.addend().to_le_bytes());
            }
        }
    }
    Ok(format!("{:08x}", checksum.finalize()))
}

/// Whether the section is part of the program, and not information about it.
fn is_loaded(section: &Section<'_, '_>) -> bool {
    let SectionFlags::Elf { sh_flags } = section.flags() else { return false };
    sh_flags & u64::from(elf::SHF_ALLOC) != 0
}

fn object_path(object: &str) -> PathBuf {
    workspace::kernel_target().join(TARGET).join("release").join(object)
}

/// Checks the kernel programs with clippy, warnings being errors.
///
/// # Errors
/// Where clippy finds something, or the toolchain has no clippy.
pub(crate) fn clippy(toolchain: &Toolchain, arguments: &[&str]) -> Result<()> {
    process::run(
        cargo(toolchain)
            .args(["clippy", "--release", "--locked"])
            .args(arguments)
            .args(target_arguments())
            .args(["--", "--deny", "warnings"]),
    )
}

fn target_arguments() -> [&'static str; 4] {
    ["-Z", "build-std=core", "--target", TARGET]
}

/// Cargo in the kernel programs' folder, with the toolchain's compiler, linker and LLVM.
fn cargo(toolchain: &Toolchain) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    process::forget_outer_cargo(&mut command);
    // Full type information, and the BTF that the kernel reads, made of it by the linker. The linker is
    // named among the flags so that another linker means another build.
    let flags = [
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        format!("-Clinker={}", toolchain.linker.display()),
    ];
    let mut path = vec![toolchain.rustc.parent().unwrap_or(&toolchain.rustc).to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    if let Ok(path) = std::env::join_paths(path) {
        // The linker asks the `rustc` that it finds on the path about the target.
        command.env("PATH", path);
    }
    command
        .current_dir(workspace::kernel_programs())
        .env("CARGO_TARGET_DIR", workspace::kernel_target())
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("RUSTC", &toolchain.rustc)
        .env("LD_LIBRARY_PATH", &toolchain.llvm_folder)
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    if toolchain.needs_bootstrap {
        // What lets a stable compiler build `core` for a target that has none.
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    command
}
