//! Makes constants of the folder `rules/`: the rules that ship, and the recordings that their tests name.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let mut files = Vec::new();
    find(&folder, &mut files)?;
    files.sort();

    if !files.iter().any(|file| file.ends_with("rules/definitions.yml")) {
        return Err(io::Error::other("there is no rules/definitions.yml, which all other files stand on"));
    }
    let mut code = String::new();
    for (constant, extension) in [("RULES", "yml"), ("RECORDINGS", "jsonl")] {
        let files = files.iter().filter(|file| file.extension().is_some_and(|found| found == extension));
        let _ = write!(code, "static {constant}: &[(&str, &str)] = &[");
        for file in files {
            let name = Path::new("rules").join(file.strip_prefix(&folder).unwrap_or(file));
            let _ = write!(code, "({name:?}, include_str!({file:?})),");
        }
        code.push_str("];\n");
    }
    let output = env::var_os("OUT_DIR").map(PathBuf::from).ok_or(io::ErrorKind::NotFound)?;
    fs::write(output.join("shipped.rs"), code)
}

/// All files below a folder; the folders are watched, so that a new file is seen.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
