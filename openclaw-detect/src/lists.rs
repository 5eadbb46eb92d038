//! Named lists of values that several rules share.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use crate::fingerprint::Fingerprint;
use crate::graph::{Graph, order};

/// Members that a list may have, with those of the lists that it names.
pub(crate) const MAX_MEMBERS: usize = 100_000;

/// Bytes that a member may have: no path is longer.
pub(crate) const MAX_MEMBER: usize = 4096;

/// The lists by name. A member that names a list stands for that list's members.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists(BTreeMap<String, Vec<String>>);

impl Lists {
    /// Defines a list; one of the same name is replaced.
    pub(crate) fn define(&mut self, name: String, members: Vec<String>) {
        self.0.insert(name, members);
    }

    /// Adds to a list. Whether there is one.
    pub(crate) fn append(&mut self, name: &str, members: Vec<String>) -> bool {
        self.0.get_mut(name).map(|list| list.extend(members)).is_some()
    }

    /// Whether there is a list of that name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What was written as the members of a list.
    pub(crate) fn own_members(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The names of all lists.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    /// What tells a list from one with other members, whatever their order.
    pub(crate) fn fingerprint(&self, name: &str) -> Fingerprint {
        let members: BTreeSet<&str> = self.members(name).into_iter().collect();
        Fingerprint::of(members)
    }

    /// How many lists there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where lists go in circles: a list, and which of its members leads back to it.
    pub(crate) fn circles(&self) -> Vec<(&str, &str)> {
        let graph: Graph<'_> = self
            .0
            .iter()
            .map(|(name, members)| (name.as_str(), members.iter().map(String::as_str).collect()))
            .collect();
        order(&graph).circles
    }

    /// The members of a list and of the lists that it names, each list once.
    pub(crate) fn members(&self, name: &str) -> Vec<&str> {
        self.members_and_lists(name).0
    }

    /// The members of a list and of the lists that it names, each list once; and how many lists those are.
    pub(crate) fn members_and_lists(&self, name: &str) -> (Vec<&str>, usize) {
        let mut members = Vec::new();
        let mut seen = HashSet::from([name]);
        let mut next = VecDeque::from([name]);
        while let Some(list) = next.pop_front() {
            for member in self.0.get(list).into_iter().flatten().map(String::as_str) {
                if !self.contains(member) {
                    members.push(member);
                } else if seen.insert(member) {
                    next.push_back(member);
                }
            }
        }
        (members, seen.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_the_members_of_those_that_it_names() {
        let mut lists = Lists::default();
        lists.define("a".into(), vec!["x".into(), "b".into()]);
        lists.define("b".into(), vec!["y".into()]);
        assert!(lists.append("b", vec!["z".into()]) && !lists.append("c", vec![]));
        assert_eq!(lists.members("a"), ["x", "y", "z"]);
        assert!(lists.circles().is_empty() && lists.members("c").is_empty());
    }

    #[test]
    fn lists_that_name_each_other_are_a_circle() {
        let mut lists = Lists::default();
        lists.define("a".into(), vec!["x".into(), "b".into()]);
        lists.define("b".into(), vec!["y".into(), "a".into()]);
        assert_eq!(lists.circles(), [("b", "a")]);
        assert_eq!(lists.members("a"), ["x", "y"]);
    }
}
