//! Tests that cannot run on this machine say so, since the harness knows only passed and failed.

use std::io::Write;
use std::path::PathBuf;

/// Leaves the test, and notes why.
macro_rules! skip {
    ($($reason:tt)*) => {{
        fn here() {}
        $crate::support::skip::note(std::any::type_name_of_val(&here), &format!($($reason)*));
        return;
    }};
}
pub(crate) use skip;

/// Leaves the test where a program is not installed; else its path.
macro_rules! needs {
    ($program:literal) => {
        match $crate::support::skip::program($program) {
            Some(path) => path,
            None => $crate::support::skip::skip!("{} is not installed", $program),
        }
    };
}
pub(crate) use needs;

/// Writes a test's name and reason where the harness looks for them.
pub(crate) fn note(here: &str, reason: &str) {
    let name = here.strip_suffix("::here").unwrap_or(here);
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    eprintln!("skipped: {name}: {reason}");
    if let Some(log) = std::env::var_os("OPENCLAW_SKIPS") {
        let mut log = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        writeln!(log, "{name}: {reason}").unwrap();
    }
}

/// Where a program is.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let tools = std::env::var("OPENCLAW_TOOLS").unwrap_or_default();
    path.split(':')
        .chain([tools.as_str()])
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/run/guest"])
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.is_file())
}
