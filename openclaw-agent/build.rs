//! Finds the kernel programs that the agent carries inside.
//!
//! They are built for another target with another toolchain, so by `cargo xtask build` and not from here.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The folder of the objects, where it is not the workspace's own.
const FOLDER: &str = "OPENCLAW_BPF_DIR";

/// The environment variables for `include_bytes!`, and the objects that they name.
const OBJECTS: [(&str, &str); 2] = [("OPENCLAW_BPF_SENSOR", "sensor"), ("OPENCLAW_BPF_VERDICT", "verdict")];

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed={FOLDER}");
    let folder = match std::env::var_os(FOLDER) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/bpfel-unknown-none/release"),
    };
    for (variable, name) in OBJECTS {
        let object = folder.join(name);
        println!("cargo::rerun-if-changed={}", object.display());
        match object.canonicalize() {
            Ok(path) => println!("cargo::rustc-env={variable}={}", path.display()),
            Err(error) => {
                println!(
                    "cargo::error=the kernel program {} is not there ({error}): run `cargo xtask build`, \
                     which builds it and the agent",
                    object.display()
                );
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
