//! Which file is the configuration, and what it says.

use std::path::{Path, PathBuf};
use std::{env, fmt};

use super::reader::Problem;
use super::trust::{self, TrustError};
use super::{Config, settings};

/// A configuration and where it came from.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// The file; none where there is none and everything is default.
    pub path: Option<PathBuf>,
    /// What has no effect, with its place.
    pub warnings: Vec<Problem>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or is not to be believed.
    #[error(transparent)]
    Refused(#[from] TrustError),
    /// The file has mistakes.
    #[error("{}", Listed(path, problems))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// Each mistake, in the order of the file.
        problems: Vec<Problem>,
    },
}

struct Listed<'a>(&'a Path, &'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.1.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{problem}", self.0.display())?;
        }
        Ok(())
    }
}

/// Where a configuration file is looked for when none is named, in this order.
pub fn candidates() -> Vec<PathBuf> {
    let mut candidates =
        vec![PathBuf::from("openclaw-config.yml"), PathBuf::from("/etc/openclaw/openclaw.yml")];
    if let Some(home) = env::var_os("HOME").filter(|home| !home.is_empty()) {
        let folder = PathBuf::from(home).join(".openclaw");
        candidates.extend([folder.join("config.yml"), folder.join("config.json")]);
    }
    candidates
}

/// The configuration file: `named`, or the first of the usual places that exists.
pub fn find(named: Option<&Path>) -> Option<PathBuf> {
    named
        .map(Path::to_owned)
        .or_else(|| candidates().into_iter().find(|path| path.symlink_metadata().is_ok()))
}

/// Finds and reads the configuration; the defaults where there is no file.
///
/// # Errors
/// The file was named and is not there, is not to be believed, or has mistakes.
pub fn load(named: Option<&Path>) -> Result<Loaded, ConfigError> {
    let Some(path) = find(named) else { return Ok(Loaded::default()) };
    let text = trust::read_trusted(&path)?;
    match parse(&text, path.parent().unwrap_or(Path::new("."))) {
        Ok((config, warnings)) => Ok(Loaded { config, path: Some(path), warnings }),
        Err(problems) => Err(ConfigError::Mistakes { path, problems }),
    }
}

/// The control socket that a configuration names, which may have mistakes elsewhere: the agent goes on with the one before
/// then. None where it names none.
///
/// # Errors
/// The file is not to be believed.
pub fn socket(path: &Path) -> Result<Option<PathBuf>, ConfigError> {
    let text = trust::read_trusted(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    Ok(settings::socket(&text, folder, &|name| env::var(name).ok()))
}

/// What the text of a configuration file says, with what has no effect. Relative paths in it start at `folder`.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn parse(text: &str, folder: &Path) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    settings::read(text, folder, &|name| env::var(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_by_file_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yml");
        std::fs::write(&path, "store:\n  pth: x\napi: 5\n").unwrap();
        let error = load(Some(&path)).unwrap_err().to_string();
        let expected = format!(
            "{0}:2:3: unknown key `store.pth`: did you mean `path`?\n{0}:3:6: `api` must be a mapping of keys to values, not a number",
            path.display()
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn the_socket_is_known_though_there_are_mistakes_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yml");
        std::fs::write(&path, "store: {pth: x}\napi: {socket: s, metrics: 5}\n").unwrap();
        assert!(load(Some(&path)).is_err());
        assert_eq!(socket(&path).unwrap(), Some(folder.path().join("s")));
        std::fs::write(&path, "store: [").unwrap();
        assert_eq!(socket(&path).unwrap(), None);
    }

    #[test]
    fn a_named_file_that_is_not_there_is_an_error() {
        assert!(load(Some(Path::new("/nonexistent/c.yml"))).is_err());
    }
}
