//! A configuration file as a tree in which every key and value knows its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Line and column in a file, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Line, from 1; 0 where it is not known.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// A value and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Tree,
}

/// A key and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) at: Place,
    pub(crate) name: String,
}

/// What YAML and JSON can say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Tree {
    /// What it is, with its article, for errors.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Tree::Null => "nothing",
            Tree::Bool(_) => "a yes-or-no value",
            Tree::Int(_) | Tree::Float(_) => "a number",
            Tree::Str(_) => "a text",
            Tree::List(_) => "a list",
            Tree::Map(_) => "a mapping",
        }
    }
}

/// How deep lists and mappings may lie in one another: reading each level takes much of the stack, and no key of the
/// configuration lies so deep.
const MAX_DEPTH: usize = 24;

impl Node {
    /// Reads YAML or JSON (which is YAML too) into a tree. An empty text is an empty mapping.
    ///
    /// # Errors
    /// The first thing that is no YAML, and where.
    pub(crate) fn parse(text: &str) -> Result<Node, (Place, String)> {
        let budget = serde_saphyr::budget! { max_depth: MAX_DEPTH };
        let options = serde_saphyr::options! { budget: budget };
        serde_saphyr::from_str_with_options::<Spanned<Tree>>(text, options).map(Node::from).map_err(|error| {
            let at = error.location().map(place).unwrap_or_default();
            let message = error.without_snippet().to_string();
            (at, message.lines().next().unwrap_or_default().to_owned())
        })
    }
}

fn place(location: serde_saphyr::Location) -> Place {
    Place { line: location.line(), column: location.column() }
}

impl From<Spanned<Tree>> for Node {
    fn from(spanned: Spanned<Tree>) -> Node {
        Node { at: place(spanned.referenced), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or(Tree::Str(value.to_string()), Tree::Int))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Str(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
        Ok(Tree::Str(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Str(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Str(value))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Tree>>()? {
            list.push(item.into());
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let key = Key { at: place(key.referenced), name: key.value };
            map.push((key, entries.next_value::<Spanned<Tree>>()?.into()));
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(node: &'a Node, name: &str) -> &'a (Key, Node) {
        let Tree::Map(map) = &node.value else { panic!("{node:?}") };
        map.iter().find(|(key, _)| key.name == name).unwrap()
    }

    #[test]
    fn keys_and_values_know_line_and_column() {
        let tree = Node::parse("a:\n  b: 5\n  c: [x, \"1h\", 0.8, true, ~]\n").unwrap();
        let (key, a) = entry(&tree, "a");
        assert_eq!(key.at, Place { line: 1, column: 1 });
        let (key, b) = entry(a, "b");
        assert_eq!((key.at, b.at), (Place { line: 2, column: 3 }, Place { line: 2, column: 6 }));
        assert_eq!(b.value, Tree::Int(5));
        let Tree::List(list) = &entry(a, "c").1.value else { panic!() };
        let values: Vec<_> = list.iter().map(|node| node.value.clone()).collect();
        let text = |t: &str| Tree::Str(t.to_owned());
        assert_eq!(values, [text("x"), text("1h"), Tree::Float(0.8), Tree::Bool(true), Tree::Null]);
        assert_eq!(list[1].at, Place { line: 3, column: 10 });
    }

    #[test]
    fn json_with_tabs_is_read_as_well() {
        let tree = Node::parse("{\n\t\"security\": {\n\t\t\"a\": 1\n\t}\n}\n").unwrap();
        assert_eq!(entry(&entry(&tree, "security").1, "a").1.value, Tree::Int(1));
    }

    #[test]
    fn what_is_no_yaml_is_an_error_with_its_place() {
        let (at, message) = Node::parse("a:\n  - [1,\nb: }").unwrap_err();
        assert!(at.line >= 2, "{at:?} {message}");
        let (at, message) = Node::parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(at.line, 3, "{message}");
    }
}
