//! What the sensor must watch for the rules: which kinds of event, and which reads of files.
//!
//! A sensor that leaves out what is not named here hides no match from any rule.

use crate::compile::{Matcher, Node};
use crate::text::TextMatcher;
use crate::{EventKind, Field, KindSet};

/// What can matter to a set of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interest {
    /// The kinds on which a rule runs; where a rule fires once for each process, forks and exits too, by which
    /// the engine knows what children take over and when a process is gone; and where a rule names the domain of
    /// a destination, DNS, which tells it.
    pub kinds: KindSet,
    /// The reads of files that a rule can be true of.
    pub reads: ReadInterest,
}

/// Which reads of files can matter, by their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadInterest {
    /// None.
    None,
    /// Those of paths that begin with one of these, which are in order and none begins with another.
    Prefixes(Vec<String>),
    /// All.
    All,
}

impl ReadInterest {
    /// The reads that are of interest to one of these.
    #[must_use]
    pub fn any(each: impl IntoIterator<Item = ReadInterest>) -> ReadInterest {
        let mut all = Vec::new();
        for reads in each {
            match reads {
                ReadInterest::None => {}
                ReadInterest::All => return ReadInterest::All,
                ReadInterest::Prefixes(prefixes) => all.extend(prefixes),
            }
        }
        ReadInterest::prefixes(all)
    }

    /// The reads that are of interest to both.
    fn intersection(self, other: ReadInterest) -> ReadInterest {
        match (self, other) {
            (ReadInterest::None, _) | (_, ReadInterest::None) => ReadInterest::None,
            (ReadInterest::All, reads) | (reads, ReadInterest::All) => reads,
            (ReadInterest::Prefixes(a), ReadInterest::Prefixes(b)) => {
                let within = |of: &[String], all: &[String]| {
                    of.iter().filter(|prefix| begins_with_one_of(prefix, all)).cloned().collect::<Vec<_>>()
                };
                let mut both = within(&a, &b);
                both.extend(within(&b, &a));
                ReadInterest::prefixes(both)
            }
        }
    }

    /// Paths that begin with one of `prefixes`; every path begins with the empty one.
    fn prefixes(mut prefixes: Vec<String>) -> ReadInterest {
        prefixes.sort_unstable();
        // In this order a prefix stands right before what begins with it.
        prefixes.dedup_by(|longer, shorter| longer.starts_with(shorter.as_str()));
        match prefixes.first() {
            None => ReadInterest::None,
            Some(first) if first.is_empty() => ReadInterest::All,
            Some(_) => ReadInterest::Prefixes(prefixes),
        }
    }

    /// Whether a read of this path can matter.
    pub fn contains(&self, path: &str) -> bool {
        match self {
            ReadInterest::None => false,
            ReadInterest::All => true,
            ReadInterest::Prefixes(prefixes) => begins_with_one_of(path, prefixes),
        }
    }
}

/// Whether the path begins with one of these, which are in order and none begins with another.
fn begins_with_one_of(path: &str, prefixes: &[String]) -> bool {
    let after = prefixes.partition_point(|prefix| prefix.as_str() <= path);
    after.checked_sub(1).is_some_and(|at| path.starts_with(prefixes[at].as_str()))
}

/// The reads of which the condition can be `wanted`: true, or false.
pub(crate) fn reads(node: &Node, wanted: bool) -> ReadInterest {
    match node {
        Node::Not(inner) => reads(inner, !wanted),
        Node::Unless(inner) => {
            if wanted {
                ReadInterest::All
            } else {
                reads(inner, true)
            }
        }
        // For an `AND` to be false, or an `OR` to be true, one part is enough.
        Node::And(parts) if wanted => all(parts, wanted),
        Node::Or(parts) if !wanted => all(parts, wanted),
        Node::And(parts) | Node::Or(parts) => ReadInterest::any(parts.iter().map(|part| reads(part, wanted))),
        Node::Exists(field) => some(!wanted || field.kinds().contains(EventKind::FileAccess)),
        Node::Test(field, _) if !field.kinds().contains(EventKind::FileAccess) => ReadInterest::None,
        Node::Test(Field::EventAction, Matcher::Text(text)) => some(text.matches("read") == wanted),
        Node::Test(Field::FilePath, Matcher::Text(text)) if wanted => path(text),
        Node::Test(Field::FileDirectory, Matcher::Text(text)) if wanted => directory(text),
        Node::Test(_, _) => ReadInterest::All,
    }
}

fn some(possible: bool) -> ReadInterest {
    if possible { ReadInterest::All } else { ReadInterest::None }
}

fn all(parts: &[Node], wanted: bool) -> ReadInterest {
    parts.iter().fold(ReadInterest::All, |common, part| common.intersection(reads(part, wanted)))
}

/// With what the paths that pass the test begin.
fn path(text: &TextMatcher) -> ReadInterest {
    match text {
        TextMatcher::Equals(path) => ReadInterest::prefixes(vec![path.to_string()]),
        TextMatcher::OneOf(prefixes) | TextMatcher::StartsWith(prefixes) => {
            ReadInterest::prefixes(prefixes.iter().map(|prefix| prefix.to_string()).collect())
        }
        TextMatcher::Fits(patterns) => {
            ReadInterest::prefixes(patterns.iter().map(|pattern| pattern.begins().to_owned()).collect())
        }
        // Paths in other letters are other paths.
        TextMatcher::Contains(_)
        | TextMatcher::EndsWith(_)
        | TextMatcher::Matches(_)
        | TextMatcher::IgnoringCase(_) => ReadInterest::All,
    }
}

/// With what the paths begin whose folder passes the test. A folder's own text is enough: what is in it
/// begins with it.
fn directory(text: &TextMatcher) -> ReadInterest {
    let within = |folder: &str| if folder.ends_with('/') { folder.to_owned() } else { format!("{folder}/") };
    match text {
        TextMatcher::Equals(folder) => ReadInterest::prefixes(vec![within(folder)]),
        TextMatcher::OneOf(folders) => ReadInterest::prefixes(folders.iter().map(|f| within(f)).collect()),
        other => path(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eval::{Truth, evaluate};
    use crate::{Timestamp, check::check, definitions::Definitions, parser::parse, recorded::RecordedEvent};

    fn node(text: &str) -> Node {
        check(&parse(text).unwrap(), &Definitions::default()).0.unwrap()
    }

    #[test]
    fn the_paths_of_a_rule_say_which_reads_matter() {
        let prefixes =
            |paths: &[&str]| ReadInterest::Prefixes(paths.iter().map(|p| (*p).to_owned()).collect());
        for (text, expected) in [
            ("file.path == '/etc/shadow'", prefixes(&["/etc/shadow"])),
            ("file.path in ['/b', '/a', '/a/x']", prefixes(&["/a", "/b"])),
            ("file.path glob '/root/*.key' and event.action == 'read'", prefixes(&["/root/"])),
            ("file.path startswith ['/etc/', '/root/']", prefixes(&["/etc/", "/root/"])),
            ("file.directory == '/etc'", prefixes(&["/etc/"])),
            ("file.directory == '/'", prefixes(&["/"])),
            ("file.directory startswith '/etc'", prefixes(&["/etc"])),
            ("file.path startswith '/etc/' and file.path == '/etc/passwd'", prefixes(&["/etc/passwd"])),
            ("file.path startswith '/etc/' and file.path == '/root'", ReadInterest::None),
            ("file.path == '/a' or file.path == '/b'", prefixes(&["/a", "/b"])),
            ("file.path == '/a' or file.name == 'x'", ReadInterest::All),
            ("file.path == '/a' and file.name == 'x'", prefixes(&["/a"])),
            ("file.path == '/a' and event.action in ['write', 'create']", ReadInterest::None),
            ("file.path == '/a' and event.action != 'read'", ReadInterest::None),
            ("file.path == '/a' and not event.action == 'write'", prefixes(&["/a"])),
            ("not (event.action == 'read' or file.path == '/a')", ReadInterest::None),
            ("not (event.action == 'write' or file.path != '/a')", prefixes(&["/a"])),
            ("file.path != '/a'", ReadInterest::All),
            ("file.path contains 'x'", ReadInterest::All),
            ("file.path glob '*x'", ReadInterest::All),
            ("file.path exists", ReadInterest::All),
            ("process.name == 'x'", ReadInterest::All),
            ("destination.port == 1 and file.path == '/a'", ReadInterest::None),
            ("destination.port not exists and file.path == '/a'", prefixes(&["/a"])),
        ] {
            assert_eq!(reads(&node(text), true), expected, "{text}");
        }
    }

    fn condition() -> impl Strategy<Value = String> {
        let test = prop::sample::select(vec![
            "file.path == '/a/b'",
            "file.path != '/a/b'",
            "file.path in ['/a', '/b/c']",
            "file.path not in ['/a', '/b/c']",
            "file.path startswith '/a'",
            "file.path glob '/b/*'",
            "file.path glob '/{a,b}/c'",
            "file.path endswith 'c'",
            "file.directory == '/a'",
            "file.directory in ['/', '/b']",
            "file.directory startswith '/b'",
            "file.name == 'c'",
            "event.action == 'read'",
            "event.action != 'read'",
            "event.action in ['write', 'read']",
            "destination.port == 1",
            "file.original.path exists",
            "destination.port exists",
        ])
        .prop_map(str::to_owned);
        test.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|a| format!("not ({a})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("({a} or {b})")),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_read_that_a_rule_is_true_of_is_left_out(text in condition()) {
            let node = node(&text);
            let interest = reads(&node, true);
            for path in ["/a", "/a/b", "/a/c", "/b/c", "/b/d", "/c", "/ab/c"] {
                let (directory, name) = path.rsplit_once('/').unwrap();
                let event = RecordedEvent::new(EventKind::FileAccess, Timestamp(0))
                    .with(Field::EventAction, "read")
                    .with(Field::FilePath, path)
                    .with(Field::FileDirectory, if directory.is_empty() { "/" } else { directory })
                    .with(Field::FileName, name);
                if evaluate(&node, &event) == Truth::True {
                    prop_assert!(interest.contains(path), "{text} {path} {interest:?}");
                }
            }
        }
    }
}
