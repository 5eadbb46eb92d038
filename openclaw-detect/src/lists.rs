//! Named lists of values that several rules share.

use std::collections::HashMap;

/// The lists by name. A member that names a list stands for that list's members.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists(HashMap<String, Vec<String>>);

impl Lists {
    /// Defines a list; one of the same name is replaced.
    pub(crate) fn define(&mut self, name: String, members: Vec<String>) {
        self.0.insert(name, members);
    }

    /// Whether there is a list of that name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names of all lists.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many lists there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The members of a list and of the lists that it names. A list that leads back to itself adds nothing.
    pub(crate) fn members(&self, name: &str) -> Vec<&str> {
        let mut members = Vec::new();
        let mut seen = vec![name];
        let mut next = 0;
        while let Some(&list) = seen.get(next) {
            next += 1;
            for member in self.0.get(list).into_iter().flatten().map(String::as_str) {
                if !self.contains(member) {
                    members.push(member);
                } else if !seen.contains(&member) {
                    seen.push(member);
                }
            }
        }
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_may_name_each_other_without_end() {
        let mut lists = Lists::default();
        lists.define("a".into(), vec!["x".into(), "b".into()]);
        lists.define("b".into(), vec!["y".into(), "a".into(), "b".into()]);
        assert_eq!(lists.members("a"), ["x", "y"]);
        assert_eq!(lists.members("b"), ["y", "x"]);
        assert!(lists.members("c").is_empty());
    }
}
