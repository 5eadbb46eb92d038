//! What rule files define for all rules: lists of values, and macros, which are conditions with names.

use std::collections::{BTreeMap, HashMap};

use crate::ast::Expr;
use crate::check::check;
use crate::compile::Node;
use crate::diagnostic::{Problem, Span};
use crate::fingerprint::{Builder, Identity};
use crate::graph::{Graph, order};
use crate::lists::Lists;
use crate::shared::Shared;

/// Comparisons that a condition may have, those of its macros included: macros made of macros grow fast.
pub(crate) const MAX_COMPARISONS: usize = 4096;

/// How deep the parts of a condition may lie in one another, those of its macros included: what bounds the stack.
pub(crate) const MAX_DEPTH: usize = 256;

/// Lists and macros, ready to be named.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub(crate) lists: Lists,
    pub(crate) shared: Shared,
    macros: BTreeMap<String, Macro>,
}

/// A condition with a name.
#[derive(Debug, Clone)]
pub(crate) struct Macro {
    /// The condition, printed.
    text: String,
    /// None where there is a mistake in it, which is told where it is defined.
    pub(crate) node: Option<Node>,
    /// How many comparisons it has.
    pub(crate) comparisons: usize,
    /// How deep its parts lie in one another.
    depth: usize,
    identity: Identity,
}

impl Macro {
    /// The condition, as it may be written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

impl Definitions {
    /// The macro of that name.
    pub(crate) fn get_macro(&self, name: &str) -> Option<&Macro> {
        self.macros.get(name)
    }

    /// The names of all macros.
    pub(crate) fn macro_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.macros.keys().map(String::as_str)
    }

    /// The names of lists and macros that are other than in `before`, or not in both.
    pub(crate) fn other_than(&self, before: &Definitions) -> Vec<String> {
        let text = |of: &Self, name: &str| of.macros.get(name).map(|found| found.text.clone());
        let names =
            |of: &'_ Self| of.lists.names().chain(of.macro_names()).map(str::to_owned).collect::<Vec<_>>();
        let mut other = names(self);
        other.extend(names(before));
        other.sort_unstable();
        other.dedup();
        other.retain(|name| {
            self.lists.own_members(name) != before.lists.own_members(name)
                || text(self, name) != text(before, name)
        });
        other
    }

    /// Makes macros ready, those first that others are made of. Calls `report` with the mistakes in one.
    pub(crate) fn define_macros(
        &mut self,
        macros: &BTreeMap<String, Expr>,
        mut report: impl FnMut(&str, Vec<Problem>),
    ) {
        let graph: Graph<'_> = macros.iter().map(|(name, expr)| (name.as_str(), named(expr))).collect();
        let order = order(&graph);
        let circles: HashMap<&str, &str> = order.circles.into_iter().collect();
        for name in order.sorted {
            let expr = &macros[name];
            let (node, problems) = match circles.get(name) {
                Some(to) => (None, vec![in_a_circle(name, to, expr)]),
                None => check(expr, self),
            };
            if !problems.is_empty() {
                report(name, problems);
            }
            // What is made of one with a mistake has that mistake, which is told no second time.
            let depth = if node.is_some() { self.depth(expr) } else { 0 };
            let identity = self.identity(expr);
            let comparisons = node.as_ref().map_or(0, Node::comparisons);
            let found = Macro { text: expr.to_string(), node, comparisons, depth, identity };
            self.macros.insert(name.to_owned(), found);
        }
    }

    /// What tells the condition from what it was before, by its own text and by what stands behind the names in it.
    pub(crate) fn identity(&self, expr: &Expr) -> Identity {
        let mut question = Builder::default().text(&expr.to_string());
        let mut whole = Builder::default();
        each(expr, &mut |part| match part {
            Expr::Macro(name) => {
                if let Some(found) = self.macros.get(&name.text) {
                    question = std::mem::take(&mut question).part(found.identity.question);
                    whole = std::mem::take(&mut whole).part(found.identity.whole);
                }
            }
            Expr::Test(test) => {
                for list in test.operand.literals().iter().filter(|one| self.lists.contains(&one.text)) {
                    let members = self.shared.fingerprint(&list.text, || self.lists.fingerprint(&list.text));
                    whole = std::mem::take(&mut whole).part(members);
                }
            }
            Expr::And(_) | Expr::Or(_) | Expr::Not(_) => {}
        });
        let question = question.done();
        Identity { question, whole: whole.part(question).done() }
    }

    /// How deep the parts of a condition lie in one another, those of its macros included.
    pub(crate) fn depth(&self, expr: &Expr) -> usize {
        1 + match expr {
            Expr::And(parts) | Expr::Or(parts) => {
                parts.iter().map(|part| self.depth(part)).max().unwrap_or(0)
            }
            Expr::Not(inner) => self.depth(inner),
            Expr::Macro(name) => self.macros.get(&name.text).map_or(0, |found| found.depth),
            Expr::Test(_) => 0,
        }
    }
}

fn in_a_circle(name: &str, to: &str, expr: &Expr) -> Problem {
    let mut span = Span::default();
    each_macro(expr, &mut |word| {
        if word.text == to {
            span = word.span;
        }
    });
    let message = if name == to {
        format!("the macro `{name}` is made of itself")
    } else {
        format!("the macro `{name}` is made of `{to}`, which is made of `{name}`")
    };
    Problem::error(span, message)
}

/// The macros that a condition names.
fn named(expr: &Expr) -> Vec<&str> {
    let mut names = Vec::new();
    each_macro(expr, &mut |word| names.push(word.text.as_str()));
    names
}

fn each_macro<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a crate::ast::Word)) {
    each(expr, &mut |part| {
        if let Expr::Macro(name) = part {
            visit(name);
        }
    });
}

/// Calls `visit` with the condition and each part of it, from left to right.
fn each<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| each(part, visit)),
        Expr::Not(inner) => each(inner, visit),
        Expr::Macro(_) | Expr::Test(_) => {}
    }
}
