//! Takes typed values out of the tree, and collects every mistake with its place instead of stopping at the first.

use std::fmt;
use std::time::Duration;

use super::node::{Key, Node, Place, Tree};
use super::units;

/// Something in a configuration file that is wrong or worth a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it is written.
    pub at: Place,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.line == 0 {
            return f.write_str(&self.message);
        }
        write!(f, "{}:{}: {}", self.at.line, self.at.column, self.message)
    }
}

/// Where variables come from: the process's environment, or a test's own.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is wrong so far, and the means to read further.
pub(crate) struct Reader<'a> {
    environment: Environment<'a>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// A mapping whose keys are taken one by one; what is left over at the end is unknown.
pub(crate) struct Section<'n> {
    path: String,
    entries: Vec<(&'n Key, &'n Node, bool)>,
    known: Vec<&'static str>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(environment: Environment<'a>) -> Reader<'a> {
        Reader { environment, problems: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn problem(&mut self, at: Place, message: impl Into<String>) {
        self.problems.push(Problem { at, message: message.into() });
    }

    /// The mapping at `node`; one without keys where there is nothing, or something else (a problem).
    pub(crate) fn section<'n>(&mut self, path: &str, node: Option<&'n Node>) -> Section<'n> {
        let mut section = Section { path: path.to_owned(), entries: Vec::new(), known: Vec::new() };
        match node.map(|node| (node.at, &node.value)) {
            None | Some((_, Tree::Null)) => {}
            Some((_, Tree::Map(map))) => {
                section.entries = map.iter().map(|(key, value)| (key, value, false)).collect();
            }
            Some((at, other)) => {
                let place = if path.is_empty() { "the file".to_owned() } else { format!("`{path}`") };
                self.problem(
                    at,
                    format!("{place} must be a mapping of keys to values, not {}", other.what()),
                );
            }
        }
        section
    }

    /// A text, with `${VAR}` and `${VAR:-default}` replaced.
    pub(crate) fn text(&mut self, path: &str, node: &Node) -> Option<String> {
        let raw = match &node.value {
            Tree::Str(text) => text.clone(),
            Tree::Int(number) => number.to_string(),
            Tree::Float(number) => number.to_string(),
            Tree::Bool(value) => value.to_string(),
            other => {
                self.problem(node.at, format!("`{path}` must be a text, not {}", other.what()));
                return None;
            }
        };
        match expand(&raw, self.environment) {
            Ok(text) => Some(text),
            Err(reason) => {
                self.problem(node.at, format!("`{path}`: {reason}"));
                None
            }
        }
    }

    /// A text that `parse` turns into a value; its error is a clause that says what would be right.
    pub(crate) fn parsed<T>(
        &mut self,
        path: &str,
        node: &Node,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(path, node)?;
        parse(&text).map_err(|reason| self.problem(node.at, format!("`{path}`: {reason}"))).ok()
    }

    pub(crate) fn flag(&mut self, path: &str, node: &Node) -> Option<bool> {
        self.parsed(path, node, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(format!("`{text}` is neither `true` nor `false`")),
        })
    }

    pub(crate) fn duration(&mut self, path: &str, node: &Node) -> Option<Duration> {
        self.parsed(path, node, units::parse_duration)
    }

    /// A list of parsed texts; one text alone is a list of one.
    pub(crate) fn list<T>(
        &mut self,
        path: &str,
        node: &Node,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Vec<T> {
        match &node.value {
            Tree::List(items) => {
                items.iter().filter_map(|item| self.parsed(path, item, &mut parse)).collect()
            }
            Tree::Map(_) => {
                self.problem(node.at, format!("`{path}` must be a list, not a mapping"));
                Vec::new()
            }
            _ => self.parsed(path, node, parse).into_iter().collect(),
        }
    }
}

impl<'n> Section<'n> {
    /// The full name of a key in this section.
    pub(crate) fn name(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key (in either spelling), where there is one. A key without a value counts as absent.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        let entry = self.entries.iter_mut().find(|(found, ..)| snake_case(&found.name) == key)?;
        entry.2 = true;
        (entry.1.value != Tree::Null).then_some(entry.1)
    }

    /// The value of a key without which its section, at `at`, is of no use; `help` says what to give. One that is missing
    /// is a problem.
    pub(crate) fn need(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        at: Place,
        help: &str,
    ) -> Option<&'n Node> {
        let node = self.take(key);
        if node.is_none() {
            reader.problem(at, format!("`{}` is missing: give {help}", self.name(key)));
        }
        node
    }

    /// Takes the keys that were asked of another section, whatever their values: this one is not read.
    pub(crate) fn take_as(&mut self, other: &Section<'_>) {
        for key in &other.known {
            self.take(key);
        }
    }

    /// The keys that were not taken, with their values: for mappings whose keys are names of the user's.
    pub(crate) fn take_rest(&mut self) -> Vec<(&'n Key, &'n Node)> {
        self.entries
            .iter_mut()
            .filter_map(|(key, node, taken)| (!std::mem::replace(taken, true)).then_some((*key, *node)))
            .collect()
    }

    /// Takes keys that belong to parts which this version does not have, and warns of each.
    pub(crate) fn not_built(&mut self, reader: &mut Reader<'_>, keys: &[&'static str]) {
        for key in keys {
            if self.take(key).is_some() {
                let at =
                    self.entries.iter().find(|(found, ..)| snake_case(&found.name) == *key).map(|e| e.0.at);
                let message = format!(
                    "`{}` has no effect: this version of OpenClaw does not have that part",
                    self.name(key)
                );
                reader.warnings.push(Problem { at: at.unwrap_or_default(), message });
            }
        }
    }

    /// Reports every key that was not taken.
    pub(crate) fn finish(self, reader: &mut Reader<'_>) {
        for (key, _, taken) in &self.entries {
            if *taken {
                continue;
            }
            let name = self.name(&key.name);
            let message = if self.known.contains(&snake_case(&key.name).as_str()) {
                format!("`{name}` is given twice, in two spellings: keep one")
            } else if let Some(right) = nearest(&key.name, self.known.iter().copied()) {
                format!("unknown key `{name}`: did you mean `{right}`?")
            } else {
                format!("unknown key `{name}`: known here are {}", self.known.join(", "))
            };
            reader.problem(key.at, message);
        }
    }
}

/// `minConfidence` as `min_confidence`; what is in snake case stays.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            if !snake.is_empty() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
        } else {
            snake.push(c);
        }
    }
    snake
}

/// The known name that is nearest to a mistyped one, if any is near.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = snake_case(name);
    known
        .into_iter()
        .map(|candidate| (edit_distance(&name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, by characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Replaces `${VAR}` and `${VAR:-default}`; `$${` stands for `${` itself. The error never holds a value.
fn expand(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if let Some(before) = rest[..start].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = inside
            .find('}')
            .ok_or("`${` without its `}`: write ${NAME}, or $${ for the characters themselves")?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !well_formed {
            return Err(format!("`{name}` is no name of an environment variable"));
        }
        match (environment(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => {
                return Err(format!(
                    "the environment variable {name} is not set: set it, or give a default as in ${{{name}:-value}}"
                ));
            }
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(name: &str) -> Option<String> {
        match name {
            "TOKEN" => Some("secret".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn variables_and_defaults_are_replaced() {
        let expand = |text| expand(text, &environment);
        assert_eq!(expand("Bearer ${TOKEN}!").unwrap(), "Bearer secret!");
        assert_eq!(expand("${NONE:-a:-b}${EMPTY:-c}").unwrap(), "a:-bc");
        assert_eq!(expand("$5 $${TOKEN} }").unwrap(), "$5 ${TOKEN} }");
        assert!(expand("${NONE}").unwrap_err().contains("NONE is not set"));
        assert!(expand("${TOKEN").is_err());
        assert!(expand("${a-b}").is_err());
    }

    #[test]
    fn the_nearest_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(nearest("minConfidance", ["mode", "min_confidence"]), Some("min_confidence"));
        assert_eq!(nearest("ulr", ["url", "headers"]), Some("url"));
        assert_eq!(nearest("colour", ["mode", "min_confidence"]), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_expansion_panic(text in "[${}:a-z-]*") {
            let _ = expand(&text, &environment);
        }
    }
}
