//! The compiler of the kernel programs.
//!
//! `core` has to be built for the BPF target, so the compiler must come with its library's sources. Two ways
//! lead there, and the first that this machine can have is taken: a toolchain of rustup with the component
//! `rust-src`, or Debian's packages `rustc-web` and `rust-web-src`. Either works with the same linker, which
//! loads the LLVM library of whichever compiler is used.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{apt, distribution::Distribution, linker};
use crate::console::{self, Step};
use crate::{process, workspace};

/// The least compiler release: that of the workspace.
const LEAST: &str = env!("CARGO_PKG_RUST_VERSION");

/// Debian's compiler of the release that its browsers are built with, and its library's sources.
const DEBIAN_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Debian's clippy of the same release.
const DEBIAN_CLIPPY: &str = "rust-web-clippy";

/// Forces one of the two ways (`rustup` or `debian`): to try them both on one machine.
const FORCE: &str = "OPENCLAW_KERNEL_TOOLCHAIN";

/// What the kernel programs are built with.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// The compiler, by its own path rather than rustup's.
    pub(crate) rustc: PathBuf,
    /// The cargo that drives it.
    pub(crate) cargo: PathBuf,
    /// The folder in which the linker finds the compiler's LLVM.
    pub(crate) llvm_folder: PathBuf,
    /// The linker.
    pub(crate) linker: PathBuf,
    /// Whether the compiler refuses unstable options unless it is told to take them.
    pub(crate) needs_bootstrap: bool,
    /// Whether it came from Debian's packages.
    pub(crate) debian: bool,
}

impl Toolchain {
    /// Sees to it that the toolchain has a clippy.
    ///
    /// # Errors
    /// Where it has none and none can be installed.
    pub(crate) fn ensure_clippy(&self) -> Result<()> {
        if self.debian {
            apt::install(&[DEBIAN_CLIPPY])?;
        }
        let driver = self.rustc.with_file_name("clippy-driver");
        if !process::is_executable(&driver) {
            bail!("the kernel programs' toolchain has no {}: add its component `clippy`", driver.display());
        }
        Ok(())
    }
}

/// A compiler that was found on this machine.
#[derive(Debug, Clone)]
struct Candidate {
    /// What it is called when it is spoken of.
    name: String,
    /// Its folder: `bin/rustc`, `lib`, `lib/rustlib/src`.
    sysroot: PathBuf,
    /// rustup's name of it, where it is rustup's.
    rustup: Option<String>,
}

/// What `rustc -vV` says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Release {
    release: String,
    host: String,
    llvm: u32,
}

impl Release {
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        Some(Self {
            release: value("release:")?.to_owned(),
            host: value("host:")?.to_owned(),
            llvm: value("LLVM version:")?.split('.').next()?.parse().ok()?,
        })
    }

    fn is_stable(&self) -> bool {
        !self.release.contains('-')
    }

    fn is_at_least(&self, least: &str) -> bool {
        let parts = |text: &str| -> Vec<u32> {
            let number = text.split('-').next().unwrap_or_default();
            number.split('.').map_while(|part| part.parse().ok()).collect()
        };
        parts(&self.release) >= parts(least)
    }
}

/// Chooses the toolchain, brings what it lacks, and says which it is.
///
/// # Errors
/// Where neither way can be had: the error says what to type.
pub(crate) fn choose() -> Result<Toolchain> {
    let forced = std::env::var(FORCE).unwrap_or_default();
    let (try_rustup, try_debian) = match forced.as_str() {
        "" => (true, true),
        "rustup" => (true, false),
        "debian" => (false, true),
        other => bail!("{FORCE} is `{other}`: it may be `rustup` or `debian`"),
    };
    let mut refused = Vec::new();
    if try_rustup {
        let candidates = installed();
        let usable: Vec<_> = candidates
            .iter()
            .filter_map(|candidate| match usable(candidate) {
                Ok(release) => Some((candidate, release)),
                Err(reason) => {
                    refused.push(format!("{}: {reason}", candidate.name));
                    None
                }
            })
            .collect();
        // One that has everything comes before one that wants a download.
        if let Some((candidate, release)) = usable.iter().find(|(candidate, _)| has_sources(candidate)) {
            return assemble(candidate, release);
        }
        for (candidate, release) in &usable {
            match add_sources(candidate) {
                Ok(()) => return assemble(candidate, release),
                Err(error) => refused.push(format!("{}: {error:#}", candidate.name)),
            }
        }
    }
    if try_debian {
        match debian() {
            Ok((candidate, release)) => return assemble(&candidate, &release),
            Err(error) => refused.push(format!("Debian's packages: {error:#}")),
        }
    }
    bail!(
        "no compiler on this machine can build the kernel programs\n    {}\n  \
         Install a toolchain with its sources and try again:\n\n    \
         rustup toolchain install stable --component rust-src\n",
        refused.join("\n    ")
    );
}

/// The compilers that are here: rustup's, nightlies first since they need no persuasion, then the one on the
/// search path.
fn installed() -> Vec<Candidate> {
    let mut found = Vec::new();
    if process::find("rustup").is_some()
        && let Ok(list) = process::capture(rustup().args(["toolchain", "list", "--verbose"]))
    {
        found = rustup_toolchains(&list);
    }
    if let Ok(sysroot) = process::capture(Command::new("rustc").args(["--print", "sysroot"])) {
        let sysroot = PathBuf::from(sysroot.trim());
        if !found.iter().any(|candidate| candidate.sysroot == sysroot) {
            found.push(Candidate {
                name: format!("the compiler in {}", sysroot.display()),
                sysroot,
                rustup: None,
            });
        }
    }
    found
}

/// Reads `rustup toolchain list --verbose`: `NAME [(REMARKS)] PATH` in each line.
fn rustup_toolchains(list: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = list
        .lines()
        .filter_map(|line| {
            let name = line.split_whitespace().next()?;
            let path = &line[line.find(" /")? + 1..];
            Some(Candidate {
                name: format!("rustup's {name}"),
                sysroot: PathBuf::from(path.trim()),
                rustup: Some(name.to_owned()),
            })
        })
        .collect();
    found.sort_by_key(|candidate| {
        let name = candidate.rustup.as_deref().unwrap_or_default();
        if name.starts_with("nightly") {
            0
        } else if name.starts_with("stable") {
            1
        } else {
            2
        }
    });
    found
}

fn rustup() -> Command {
    let mut command = Command::new("rustup");
    // A refused download is refused at once, not five times over.
    command.env("RUSTUP_MAX_RETRIES", "1");
    command
}

/// Whether a compiler would do if it had its sources, and its release.
fn usable(candidate: &Candidate) -> Result<Release> {
    let rustc = candidate.sysroot.join("bin/rustc");
    let text = process::capture(Command::new(&rustc).arg("-vV").env_remove("LD_LIBRARY_PATH"))?;
    let release =
        Release::parse(&text).with_context(|| format!("{} -vV is not understood", rustc.display()))?;
    if !release.is_at_least(LEAST) {
        bail!("it is {}, and {LEAST} is the least", release.release);
    }
    if !linker::LLVM.contains(&release.llvm) {
        bail!(
            "it uses LLVM {}, and the linker knows {} to {}",
            release.llvm,
            linker::LLVM.start(),
            linker::LLVM.end()
        );
    }
    llvm_library(&candidate.sysroot, &release)?;
    Ok(release)
}

fn has_sources(candidate: &Candidate) -> bool {
    candidate.sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
}

fn add_sources(candidate: &Candidate) -> Result<()> {
    let Some(name) = &candidate.rustup else {
        bail!("it has no library sources, and it is not rustup's");
    };
    let step = Step::begin_silent(&format!("adding rust-src to {}", candidate.name));
    let result = process::capture(rustup().args(["component", "add", "rust-src", "--toolchain", name]));
    step.done(if result.is_ok() { "" } else { "refused" });
    result?;
    if !has_sources(candidate) {
        bail!("rustup added rust-src, but its files are not in {}", candidate.sysroot.display());
    }
    Ok(())
}

/// Debian's compiler, installed where it is not.
fn debian() -> Result<(Candidate, Release)> {
    let candidate = Candidate {
        name: format!("Debian's {}", DEBIAN_PACKAGES.join(" and ")),
        sysroot: PathBuf::from("/usr"),
        rustup: None,
    };
    if Distribution::of_this_machine() != Distribution::Debian {
        bail!("this is not Debian");
    }
    // Asked only where they are not there: apt's index may be empty on a machine that has them.
    if !has_sources(&candidate) && !apt::is_available(DEBIAN_PACKAGES[0]) {
        apt::update_index()?;
        if !apt::is_available(DEBIAN_PACKAGES[0]) {
            bail!("apt knows no {}", DEBIAN_PACKAGES[0]);
        }
    }
    apt::install(&DEBIAN_PACKAGES)?;
    let release = usable(&candidate)?;
    Ok((candidate, release))
}

/// The LLVM library that a compiler uses, which its sysroot holds or the system beside it.
fn llvm_library(sysroot: &Path, release: &Release) -> Result<PathBuf> {
    // Debian's triple has no vendor: x86_64-linux-gnu.
    let multiarch = release.host.replace("-unknown-", "-");
    let folders = [sysroot.join("lib"), sysroot.join("lib").join(multiarch), sysroot.join("lib64")];
    folders
        .iter()
        .filter_map(|folder| folder.read_dir().ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| is_llvm_library(path, release.llvm))
        .with_context(|| format!("no LLVM {} library was found in {}", release.llvm, sysroot.display()))
}

/// Whether a file is the shared library of this LLVM release: `libLLVM.so.22.1`,
/// `libLLVM.so.22.1-rust-1.95.0-stable`, `libLLVM-22.so`. rustup also ships linker scripts of such names.
fn is_llvm_library(path: &Path, llvm: u32) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let version = name.strip_prefix("libLLVM.so.").or_else(|| name.strip_prefix("libLLVM-"));
    let major = version.map(|text| text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    if major != Some(llvm.to_string().as_str()) {
        return false;
    }
    let mut magic = [0; 4];
    std::fs::File::open(path)
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic))
        .is_ok_and(|()| &magic == b"\x7fELF")
}

/// Puts a chosen compiler together with the linker and the LLVM library of its own.
fn assemble(candidate: &Candidate, release: &Release) -> Result<Toolchain> {
    console::note(&format!(
        "kernel programs: {} ({}, LLVM {})",
        candidate.name, release.release, release.llvm
    ));
    let linker = linker::ensure(release.llvm)?;
    let library = llvm_library(&candidate.sysroot, release)?;
    let cargo = candidate.sysroot.join("bin/cargo");
    let debian = candidate.rustup.is_none() && candidate.sysroot == Path::new("/usr");
    Ok(Toolchain {
        rustc: candidate.sysroot.join("bin/rustc"),
        // Debian's cargo is a package of its own, and older than its compiler.
        cargo: if candidate.rustup.is_some() && cargo.is_file() {
            cargo
        } else {
            std::env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
        },
        llvm_folder: llvm_folder(&library)?,
        linker,
        needs_bootstrap: release.is_stable(),
        debian,
    })
}

/// A folder with nothing in it but a link to this library: the linker takes the first LLVM that it sees.
fn llvm_folder(library: &Path) -> Result<PathBuf> {
    let name = library.to_string_lossy().trim_start_matches('/').replace('/', "-");
    let folder = workspace::tools().join("llvm").join(name);
    let link = folder.join(library.file_name().unwrap_or_default());
    if std::fs::read_link(&link).is_ok_and(|target| target == library) {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // A link of a run that was broken off may be there.
    let _ = std::fs::remove_file(&link);
    std::os::unix::fs::symlink(library, &link)
        .with_context(|| format!("cannot create the link {}", link.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIGHTLY: &str = "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)\nbinary: rustc\n\
                           host: x86_64-unknown-linux-gnu\nrelease: 1.97.0-nightly\nLLVM version: 22.1.4\n";

    #[test]
    fn the_release_is_read_from_what_the_compiler_says() {
        let release = Release::parse(NIGHTLY).expect("all of it is there");
        assert_eq!(
            (release.release.as_str(), release.host.as_str(), release.llvm),
            ("1.97.0-nightly", "x86_64-unknown-linux-gnu", 22)
        );
        assert!(!release.is_stable());
        assert_eq!(Release::parse("rustc 1.97.0\n"), None);
    }

    #[test]
    fn releases_compare_by_number_not_by_letter() {
        let release = Release::parse(NIGHTLY).expect("all of it is there");
        assert!(release.is_at_least("1.95"));
        assert!(release.is_at_least("1.97"));
        assert!(!release.is_at_least("1.100"));
    }

    #[test]
    fn nightlies_come_before_stable_and_paths_keep_their_spaces() {
        let list = "stable-x86_64-unknown-linux-gnu (active, default) /home/a b/toolchains/stable\n\
                    1.95.0-x86_64-unknown-linux-gnu /home/a b/toolchains/1.95.0\n\
                    nightly-x86_64-unknown-linux-gnu /home/a b/toolchains/nightly\n";
        let found = rustup_toolchains(list);
        let paths: Vec<_> = found.iter().map(|candidate| candidate.sysroot.to_string_lossy()).collect();
        assert_eq!(
            paths,
            ["/home/a b/toolchains/nightly", "/home/a b/toolchains/stable", "/home/a b/toolchains/1.95.0"]
        );
    }

    #[test]
    fn a_linker_script_is_not_taken_for_the_library() {
        let folder = std::env::temp_dir().join(format!("xtask-llvm-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let script = folder.join("libLLVM-22-rust-1.95.0-stable.so");
        let library = folder.join("libLLVM.so.22.1-rust-1.95.0-stable");
        std::fs::write(&script, "INPUT(libLLVM.so.22.1-rust-1.95.0-stable)").expect("written");
        std::fs::write(&library, b"\x7fELF...").expect("written");
        assert!(!is_llvm_library(&script, 22));
        assert!(is_llvm_library(&library, 22));
        assert!(!is_llvm_library(&library, 2));
        assert!(!is_llvm_library(&library, 21));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
