//! Packs: folders of rules with a name and a version, and what they need.

use crate::diagnostic::{Problem, Span};
use crate::reader::Reader;
use crate::version::{Required, Version};
use crate::yaml::{Key, Node, Tree};

/// The keys of a pack.
pub(crate) const KEYS: &[&str] = &["name", "version", "requires"];

/// What the rule engine is called among what a pack requires.
const ENGINE: &str = "openclaw";

/// A pack, as the file says that has `pack:`.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) version: Version,
    /// What it needs, by name, with its place.
    requires: Vec<(String, Required, Span)>,
}

impl Pack {
    /// `NAME VERSION`
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// What is missing among these packs and in this version of the engine.
    pub(crate) fn missing<'a>(&self, packs: impl Iterator<Item = &'a Pack> + Clone) -> Vec<Problem> {
        let engine = env!("CARGO_PKG_VERSION").parse().ok().map(|version| (ENGINE, version));
        let there = packs.map(|pack| (pack.name.as_str(), pack.version)).chain(engine);
        let missing = |(name, required, span): &(String, Required, Span)| match there
            .clone()
            .find(|(other, _)| other == name)
        {
            Some((_, version)) if required.allows(version) => None,
            Some((_, version)) => {
                Some(Problem::error(*span, format!("{name} {version} is there, which does not do")))
            }
            None => Some(Problem::error(*span, format!("the pack `{name}` is not there"))),
        };
        self.requires.iter().filter_map(missing).collect()
    }
}

/// Reads what is under `pack:`.
pub(crate) fn read(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<Pack> {
    let entries = reader.mapping(key, value, "write pack: {name: NAME, version: 1.0.0}")?;
    let (mut name, mut version, mut requires) = (None, None, Vec::new());
    for (key, value) in entries {
        match key.name.as_str() {
            "name" => name = reader.name(key, value, "a pack"),
            "version" => version = self::version(reader, key, value),
            "requires" => requires = self::requires(reader, key, value),
            _ => reader.unknown_key(key, "`pack`", KEYS),
        }
    }
    for needed in ["name", "version"] {
        if !entries.iter().any(|(key, _)| key.name == needed) {
            reader.error(key.span, format!("`pack` has no `{needed}`"));
        }
    }
    let (name, name_span) = name?;
    Some(Pack { name, name_span, version: version?, requires })
}

fn version(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Option<Version> {
    let text = reader.scalar(key, value)?;
    let version = text.parse().ok();
    if version.is_none() {
        reader.error_with_help(
            value.span,
            format!("`{text}` is no version"),
            "write three numbers, such as 1.0.0",
        );
    }
    version
}

fn requires(reader: &mut Reader<'_>, key: &Key, value: &Node) -> Vec<(String, Required, Span)> {
    let help = "write requires: {openclaw: \">=0.1\", PACK: \">=1.2, <2\"}";
    let mut all = Vec::new();
    if let Tree::Mapping(entries) = &value.value {
        for (key, value) in entries {
            let Some(text) = reader.scalar(key, value) else { continue };
            match text.parse() {
                Ok(required) => all.push((key.name.clone(), required, value.span)),
                Err(()) => {
                    reader.error_with_help(value.span, format!("`{text}` says nothing of a version"), help)
                }
            }
        }
    } else {
        let message =
            format!("expected names with versions under `{}`, found {}", key.name, value.describe());
        reader.error_with_help(key.span, message, help);
    }
    all
}
