//! What the conditions of a set of rules share: a comparison with a list is made ready once, and all of them together
//! are bounded, so that no file takes more memory or time than its size lets one expect.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::ast::Operator;
use crate::compile::Matcher;
use crate::field::Type;
use crate::fingerprint::Fingerprint;
use crate::suggest;

/// Comparisons in all conditions of a set of rules, those of their macros included.
const MAX_COMPARISONS: usize = 1_000_000;

/// Members of lists in all comparisons that differ.
const MAX_MEMBERS: usize = 1_000_000;

/// Bytes of those.
const MAX_MEMBER_BYTES: usize = 64 << 20;

/// Regular expressions and patterns in all conditions: those that take more than most count as several.
const MAX_PATTERNS: usize = 16_384;

/// Steps that are taken to find what was most likely meant, and what cannot be true: they only make messages better.
const MAX_EFFORT: usize = 5_000_000;

/// What is shared.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Comparisons with lists.
    matchers: HashMap<Comparison, Matcher>,
    /// Those of lists, by name.
    fingerprints: HashMap<String, Fingerprint>,
    used: Used,
}

/// How much was taken of each bound.
#[derive(Debug, Default)]
struct Used {
    comparisons: usize,
    members: usize,
    member_bytes: usize,
    patterns: usize,
    effort: usize,
}

/// What makes two comparisons with lists the same: how, with what type of field, and with what as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Comparison {
    pub(crate) operator: Operator,
    pub(crate) value_type: Type,
    pub(crate) operand: String,
}

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the comparison was made into before.
    pub(crate) fn matcher(&self, comparison: &Comparison) -> Option<Matcher> {
        self.with(|state| state.matchers.get(comparison).cloned())
    }

    /// Keeps what a comparison was made into.
    pub(crate) fn keep(&self, comparison: Comparison, matcher: Matcher) {
        self.with(|state| state.matchers.insert(comparison, matcher));
    }

    /// The fingerprint of the list of that name, which `make` makes where nobody asked for it before.
    pub(crate) fn fingerprint(&self, list: &str, make: impl FnOnce() -> Fingerprint) -> Fingerprint {
        self.with(|state| *state.fingerprints.entry(list.to_owned()).or_insert_with(make))
    }

    /// Takes comparisons.
    ///
    /// # Errors
    /// There are too many, as the message says.
    pub(crate) fn take_comparisons(&self, count: usize) -> Result<(), String> {
        self.with(|state| take(&mut state.used.comparisons, count, MAX_COMPARISONS, "comparisons"))
    }

    /// Takes members of lists.
    ///
    /// # Errors
    /// There are too many, as the message says.
    pub(crate) fn take_members(&self, count: usize, bytes: usize) -> Result<(), String> {
        self.with(|state| {
            take(&mut state.used.members, count, MAX_MEMBERS, "members of lists")?;
            take(&mut state.used.member_bytes, bytes, MAX_MEMBER_BYTES, "bytes in the members of lists")
        })
    }

    /// Takes regular expressions and patterns.
    ///
    /// # Errors
    /// There are too many, as the message says.
    pub(crate) fn take_patterns(&self, count: usize) -> Result<(), String> {
        self.with(|state| take(&mut state.used.patterns, count, MAX_PATTERNS, "patterns"))
    }

    /// Whether so many steps may be taken for a better message.
    pub(crate) fn take_effort(&self, steps: usize) -> bool {
        self.with(|state| {
            let taken = take(&mut state.used.effort, steps, MAX_EFFORT, "").is_ok();
            if !taken {
                // To find out what something would cost is work too: none is done any more.
                state.used.effort = MAX_EFFORT;
            }
            taken
        })
    }

    /// Gives back all that was taken: the rules are loaded, and what is asked about them is for people.
    pub(crate) fn give_back(&self) {
        self.with(|state| state.used = Used::default());
    }

    /// "did you mean `NAME`?", where there is a near one; not after many mistakes, since that takes long.
    pub(crate) fn did_you_mean<'a>(
        &self,
        word: &str,
        mut candidates: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<String> {
        let all = candidates.clone();
        let cost = |candidate: &str| word.len().clamp(1, 128) * candidate.len().max(1);
        let budget = self.with(|state| MAX_EFFORT - state.used.effort);
        // It ends with the first that is too dear.
        let left = candidates.try_fold(budget, |left, candidate| left.checked_sub(cost(candidate)));
        let left = left.filter(|left| *left > 0);
        self.with(|state| state.used.effort = MAX_EFFORT - left.unwrap_or(0));
        left.and_then(|_| suggest::did_you_mean(word, all))
    }
}

/// Takes from a bound, if that much is left of it.
fn take(used: &mut usize, count: usize, at_most: usize, what: &str) -> Result<(), String> {
    let sum = used.saturating_add(count);
    if sum > at_most {
        return Err(format!("all rules together have more than {at_most} {what}"));
    }
    *used = sum;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_bounded_in_all() {
        let shared = Shared::default();
        assert_eq!(shared.take_members(MAX_MEMBERS - 1, 5), Ok(()));
        assert!(shared.take_members(2, 5).unwrap_err().contains("more than 1000000 members of lists"));
        assert_eq!(shared.take_members(1, 5), Ok(()), "what was refused is not taken");
        assert!(shared.take_members(0, MAX_MEMBER_BYTES).unwrap_err().contains("bytes"));
        assert_eq!(shared.did_you_mean("nmae", ["name"].into_iter()).unwrap(), "did you mean `name`?");
        assert!(shared.take_effort(MAX_EFFORT / 2) && !shared.take_effort(MAX_EFFORT));
        assert_eq!(shared.did_you_mean("nmae", ["name"].into_iter()), None, "it was used up");
        shared.give_back();
        assert!(shared.did_you_mean("nmae", ["name"].into_iter()).is_some());
    }
}
