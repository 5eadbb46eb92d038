//! A rule with its conditions made ready to be asked.

use crate::compile::Node;
use crate::diagnostic::{Problem, Span};
use crate::fingerprint::Identity;
use crate::rule::When;
use crate::{EventKind, Field, KindSet, Rule, RuleTest};

/// A rule with its conditions made ready.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) rule: Rule,
    /// Its conditions, in the order in which an event is to be taken: the one that ends a sequence first, then the
    /// last step of it.
    pub(crate) clauses: Vec<Clause>,
    /// What tells all its conditions from what they were before.
    pub(crate) identity: Identity,
    pub(crate) tests: Vec<RuleTest>,
    /// Whether it is true of a process and a remote address, or of a process alone.
    pub(crate) by_remote: bool,
    /// Whether what it asks can differ among connections of one process to one address.
    pub(crate) by_connection: bool,
}

/// What a rule asks, and when it fires: rules with the same question fire on the same events.
pub(crate) type Question = (Identity, String);

/// A condition of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Clause {
    pub(crate) part: Part,
    pub(crate) condition: Node,
    pub(crate) kinds: KindSet,
    identity: Identity,
}

impl Clause {
    pub(crate) fn new(part: Part, condition: Node, kinds: KindSet, identity: Identity) -> Self {
        let part_and_kinds = match part {
            Part::Condition => format!("condition on {kinds}"),
            Part::Step(number) => format!("step {number} on {kinds}"),
            Part::Until => format!("until on {kinds}"),
        };
        Clause { part, condition, kinds, identity: identity.with(&part_and_kinds) }
    }
}

/// Which condition of a rule it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The only one.
    Condition,
    /// The step of that number.
    Step(u16),
    /// The one that ends a sequence.
    Until,
}

impl Compiled {
    /// Puts a rule and its conditions together.
    pub(crate) fn new(mut rule: Rule, clauses: Vec<Clause>, tests: Vec<RuleTest>) -> Compiled {
        rule.kinds = clauses.iter().fold(KindSet::NONE, |kinds, clause| kinds.union(clause.kinds));
        let (mut by_remote, mut by_connection) = (false, false);
        for clause in &clauses {
            clause.condition.fields(&mut |field: Field| {
                by_remote |= is_of_connection(field);
                by_connection |= is_of_connection(field) && !is_of_remote(field);
            });
        }
        let identity = Identity::join(clauses.iter().map(|clause| clause.identity));
        Compiled { rule, clauses, identity, tests, by_remote, by_connection }
    }

    pub(crate) fn question(&self) -> Question {
        let When::Sequence(sequence) = &self.rule.when else {
            return (self.identity, format!("{:?}", self.rule.when));
        };
        // Its steps are told by the identity.
        let by: Vec<_> = sequence.steps.iter().map(|step| &step.by).collect();
        (self.identity, format!("{:?} {:?} {by:?}", sequence.ordered, sequence.within))
    }

    /// Whether it fires when its condition turns true, so that who the processes are must be known.
    pub(crate) fn turns(&self) -> bool {
        self.rule.when == When::Turns
    }
}

/// The kinds on which a condition is asked: `event` are those that are named, with their place.
pub(crate) fn kinds(
    condition: &Node,
    event: Option<(KindSet, Span)>,
    condition_span: Span,
    problems: &mut Vec<Problem>,
) -> KindSet {
    let possible = crate::kinds::can_be_true(condition);
    if possible.is_empty() {
        let message = "this condition can never be true: no kind of event has its fields and actions";
        problems.push(Problem::error(condition_span, message));
        return possible;
    }
    let Some((named, span)) = event else {
        let kinds = crate::kinds::without_event(condition);
        if kinds.is_empty() {
            let message = "none of the condition's fields changes at an event of which it can be true";
            let help = format!("say when to ask: `event:` with one or more of {possible}");
            problems.push(Problem::error(condition_span, message).help(help));
        }
        return kinds;
    };
    let kinds = named.intersection(possible);
    for kind in named.iter().filter(|kind| !possible.contains(*kind)) {
        let message = format!("the condition can never be true of {kind}");
        let problem =
            if kinds.is_empty() { Problem::error(span, message) } else { Problem::warning(span, message) };
        problems.push(problem.help(format!("it can be of {possible}")));
    }
    kinds
}

/// Whether the field is the same for all connections of a process to one address.
const fn is_of_remote(field: Field) -> bool {
    matches!(field, Field::DestinationIp | Field::NetworkOutboundBytes)
}

/// Whether the field is about a connection or its address, and not about the process alone.
fn is_of_connection(field: Field) -> bool {
    field.kinds() == KindSet::of(&[EventKind::NetworkConnection])
}
