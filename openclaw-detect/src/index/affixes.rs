//! Beginnings (or ends) of texts, found in a text in logarithmic time.

use super::Numbers;

/// Beginnings, each with the rules that wait for it. Ends are beginnings of what is written backwards.
#[derive(Debug, Default)]
pub(super) struct Affixes {
    /// In order, so that the beginnings of a text stand before it.
    entries: Box<[Entry]>,
}

#[derive(Debug)]
struct Entry {
    bytes: Box<[u8]>,
    rules: Numbers,
    /// The longest other entry that this one begins with.
    shorter: Option<u32>,
}

impl Affixes {
    /// The beginnings and who waits for them, each beginning once.
    pub(super) fn new(waiting: impl IntoIterator<Item = (Vec<u8>, Numbers)>) -> Self {
        let mut entries: Vec<Entry> = waiting
            .into_iter()
            .map(|(bytes, rules)| Entry { bytes: bytes.into(), rules, shorter: None })
            .collect();
        entries.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
        for at in 1..entries.len() {
            // What an entry begins with is the entry before it, or what that one begins with.
            let mut shorter = u32::try_from(at - 1).ok();
            while let Some(number) = shorter
                && !entries[at].bytes.starts_with(&entries[number as usize].bytes)
            {
                shorter = entries[number as usize].shorter;
            }
            entries[at].shorter = shorter;
        }
        Affixes { entries: entries.into() }
    }

    /// Calls `found` with the rules of each beginning that the text has.
    pub(super) fn find(&self, text: impl Iterator<Item = u8> + Clone, mut found: impl FnMut(&[u32])) {
        let after = self.entries.partition_point(|entry| entry.bytes.iter().copied().le(text.clone()));
        // All beginnings of the text stand at or before the last entry that is not behind it, and begin that one.
        let mut at = after.checked_sub(1);
        while let Some(number) = at {
            let entry = &self.entries[number];
            if entry.bytes.iter().copied().eq(text.clone().take(entry.bytes.len())) {
                found(&entry.rules);
            }
            at = entry.shorter.map(|number| number as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_beginnings_that_are_found_are_those_that_the_text_has(
            beginnings in prop::collection::btree_set("[ab]{0,4}", 0..12), text in "[ab]{0,6}"
        ) {
            let waiting = beginnings.iter().zip(0u32..).map(|(b, number)| (b.clone().into_bytes(), Numbers::from([number])));
            let affixes = Affixes::new(waiting);
            let mut found = BTreeSet::new();
            affixes.find(text.bytes(), |rules| found.extend(rules.iter().copied()));
            let expected: BTreeSet<u32> =
                beginnings.iter().zip(0u32..).filter(|(b, _)| text.starts_with(b.as_str())).map(|(_, number)| number).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
