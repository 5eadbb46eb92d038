//! Too many answers at once are more likely a bad rule than an attack: then somebody has to look.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use openclaw_detect::Timestamp;
use serde::{Deserialize, Serialize};

use super::Target;

/// How many answers are not too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BreakerLimits {
    /// The time within which they are counted.
    #[serde(serialize_with = "crate::config::duration_text")]
    pub within: Duration,
    /// Answers of one rule.
    pub actions: u32,
    /// Different targets of one rule.
    pub targets: u32,
    /// Answers of all rules.
    pub actions_in_all: u32,
    /// Different targets of all rules.
    pub targets_in_all: u32,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        BreakerLimits {
            within: Duration::from_secs(60),
            actions: 30,
            targets: 15,
            actions_in_all: 100,
            targets_in_all: 50,
        }
    }
}

/// What the breaker has cut off, until a person switches it on again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// The rule whose answers are not carried out any more; none where those of no rule are.
    pub rule: Option<String>,
    /// Since when.
    pub at: Timestamp,
    /// What was too much.
    pub reason: String,
}

impl Trip {
    /// The command that lets it answer again.
    pub fn rearm(&self) -> String {
        format!("openclaw response rearm {}", self.rule.as_deref().unwrap_or("--all"))
    }
}

/// Counts answers, and cuts off.
#[derive(Debug)]
pub(super) struct Breaker {
    limits: BreakerLimits,
    /// The answers of late, the oldest first. Bounded, since what is cut off is not counted any more.
    recent: VecDeque<Charge>,
    /// By rule; under no name what is cut off in all.
    tripped: BTreeMap<Option<String>, Trip>,
}

#[derive(Debug)]
struct Charge {
    at: Instant,
    rule: String,
    target: Target,
}

/// What becomes of an answer that is to be counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    /// It is not too much.
    Closed,
    /// It is cut off, since before.
    Open(&'a Trip),
    /// It is the one that was too much.
    Tripped(&'a Trip),
}

impl Breaker {
    /// A breaker that has cut off what an earlier one had.
    pub(super) fn new(limits: BreakerLimits, tripped: Vec<Trip>) -> Self {
        let tripped = tripped.into_iter().map(|trip| (trip.rule.clone(), trip)).collect();
        Breaker { limits, recent: VecDeque::new(), tripped }
    }

    /// Whether the answers of a rule are cut off.
    pub(super) fn is_open(&self, rule: &str) -> bool {
        self.tripped.contains_key(&None) || self.tripped.contains_key(&Some(rule.to_owned()))
    }

    /// What is cut off, that of all rules first.
    pub(super) fn tripped(&self) -> impl Iterator<Item = &Trip> {
        self.tripped.values()
    }

    /// Counts an answer, unless it is cut off.
    pub(super) fn charge(&mut self, rule: &str, target: &Target, now: Instant, at: Timestamp) -> Verdict<'_> {
        let open = [None, Some(rule.to_owned())].into_iter().find(|key| self.tripped.contains_key(key));
        if let Some(key) = open {
            return Verdict::Open(&self.tripped[&key]);
        }
        while self.recent.front().is_some_and(|charge| now - charge.at >= self.limits.within) {
            self.recent.pop_front();
        }
        let charge = Charge { at: now, rule: rule.to_owned(), target: target.clone() };
        self.recent.push_back(charge);
        let of_rule = self.too_much(Some(rule), self.limits.actions, self.limits.targets);
        let too_much = of_rule.map(|reason| (Some(rule.to_owned()), reason)).or_else(|| {
            let reason = self.too_much(None, self.limits.actions_in_all, self.limits.targets_in_all)?;
            Some((None, reason))
        });
        let Some((rule, reason)) = too_much else { return Verdict::Closed };
        let trip = Trip { rule: rule.clone(), at, reason };
        Verdict::Tripped(self.tripped.entry(rule).or_insert(trip))
    }

    fn too_much(&self, rule: Option<&str>, actions: u32, targets: u32) -> Option<String> {
        let counted = || self.recent.iter().filter(|charge| rule.is_none_or(|rule| charge.rule == rule));
        let answers = counted().count();
        let (most, what) = if answers > actions as usize {
            (actions, "answers")
        } else if answers <= targets as usize {
            return None; // There are no more targets than answers.
        } else if counted().map(|charge| &charge.target).collect::<HashSet<_>>().len() > targets as usize {
            (targets, "different targets")
        } else {
            return None;
        };
        let whose = rule.map_or("all rules together".to_owned(), |rule| format!("the rule {rule}"));
        let within = crate::config::units::format_duration(self.limits.within);
        Some(format!("{whose} had more than {most} {what} within {within}"))
    }

    /// Switches a rule on again, or what is cut off in all. Whether it was cut off.
    pub(super) fn rearm(&mut self, rule: Option<&str>) -> bool {
        // It begins anew.
        self.recent.retain(|charge| rule.is_some_and(|rule| charge.rule != rule));
        self.tripped.remove(&rule.map(str::to_owned)).is_some()
    }

    /// Switches everything on again. How much was cut off.
    pub(super) fn rearm_all(&mut self) -> usize {
        self.recent.clear();
        std::mem::take(&mut self.tripped).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BreakerLimits = BreakerLimits {
        within: Duration::from_secs(60),
        actions: 3,
        targets: 2,
        actions_in_all: 5,
        targets_in_all: 4,
    };

    fn network(last: u8) -> Target {
        Target::Network(format!("192.0.2.{last}"))
    }

    fn charge(breaker: &mut Breaker, rule: &str, target: u8, now: Instant) -> &'static str {
        match breaker.charge(rule, &network(target), now, Timestamp(7)) {
            Verdict::Closed => "closed",
            Verdict::Open(_) => "open",
            Verdict::Tripped(_) => "tripped",
        }
    }

    #[test]
    fn one_rule_with_too_many_answers_is_cut_off_alone_until_it_is_rearmed() {
        let mut breaker = Breaker::new(LIMITS, Vec::new());
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(charge(&mut breaker, "a", 1, now), "closed");
        }
        assert_eq!(charge(&mut breaker, "a", 1, now), "tripped");
        assert_eq!(charge(&mut breaker, "a", 1, now), "open");
        assert_eq!(charge(&mut breaker, "b", 1, now), "closed");
        let trip = breaker.tripped().next().unwrap();
        assert_eq!(trip.reason, "the rule a had more than 3 answers within 1m");
        assert!(!breaker.rearm(Some("b")) && !breaker.rearm(None) && breaker.rearm(Some("a")));
        assert_eq!(charge(&mut breaker, "a", 1, now), "closed");
    }

    #[test]
    fn many_different_targets_are_too_much_before_many_answers_are() {
        let mut breaker = Breaker::new(LIMITS, Vec::new());
        let now = Instant::now();
        assert_eq!(charge(&mut breaker, "a", 1, now), "closed");
        assert_eq!(charge(&mut breaker, "a", 2, now), "closed");
        assert_eq!(charge(&mut breaker, "a", 3, now), "tripped");
        assert!(breaker.tripped().next().unwrap().reason.contains("more than 2 different targets"));
    }

    #[test]
    fn what_one_rule_did_before_it_was_cut_off_counts_for_all() {
        let mut breaker = Breaker::new(LIMITS, Vec::new());
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(charge(&mut breaker, "a", 1, now), "closed");
        }
        assert_eq!(charge(&mut breaker, "a", 1, now), "tripped");
        assert_eq!(charge(&mut breaker, "b", 1, now), "closed");
        assert_eq!(charge(&mut breaker, "c", 1, now), "tripped");
        assert_eq!(breaker.tripped().next().unwrap().rule, None);
    }

    #[test]
    fn what_many_rules_do_together_is_cut_off_for_all() {
        let mut breaker = Breaker::new(LIMITS, Vec::new());
        let now = Instant::now();
        for rule in ["a", "b", "c", "d", "e"] {
            assert_eq!(charge(&mut breaker, rule, 1, now), "closed");
        }
        assert_eq!(charge(&mut breaker, "f", 1, now), "tripped");
        assert_eq!(charge(&mut breaker, "g", 1, now), "open");
        assert_eq!(breaker.tripped().next().unwrap().rule, None);
        assert_eq!(breaker.rearm_all(), 1);
        assert_eq!(charge(&mut breaker, "g", 1, now), "closed");
    }

    #[test]
    fn answers_of_long_ago_do_not_count_and_what_was_cut_off_stays_so() {
        let mut breaker = Breaker::new(LIMITS, Vec::new());
        let now = Instant::now();
        for n in 0..10 {
            assert_eq!(charge(&mut breaker, "a", 1, now + n * LIMITS.within / 3), "closed");
        }
        let trip = Trip { rule: Some("b".to_owned()), at: Timestamp(1), reason: "earlier".to_owned() };
        let mut breaker = Breaker::new(LIMITS, vec![trip]);
        assert_eq!(charge(&mut breaker, "b", 1, now), "open");
        assert_eq!(charge(&mut breaker, "a", 1, now), "closed");
    }
}
