//! What rule files define for all rules: lists of values, and macros, which are conditions with names.

use std::collections::BTreeMap;

use crate::ast::Expr;
use crate::check::check;
use crate::compile::Node;
use crate::diagnostic::{Problem, Span};
use crate::graph::{Graph, order};
use crate::lists::Lists;

/// Comparisons that a condition may have, those of its macros included: macros made of macros grow fast.
pub(crate) const MAX_COMPARISONS: usize = 4096;

/// How deep macros may be made of macros.
const MAX_DEPTH: usize = 32;

/// Lists and macros, ready to be named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Definitions {
    pub(crate) lists: Lists,
    macros: BTreeMap<String, Macro>,
}

/// A condition with a name.
#[derive(Debug, Clone)]
pub(crate) struct Macro {
    /// The condition, printed.
    text: String,
    /// None where there is a mistake in it, which is told where it is defined.
    pub(crate) node: Option<Node>,
    /// How deep it is made of others.
    depth: usize,
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
    pub(crate) fn macro_names(&self) -> impl Iterator<Item = &str> {
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

    /// Makes macros ready, those first that others are made of. Calls `report` with each mistake in one.
    pub(crate) fn define_macros(
        &mut self,
        macros: &BTreeMap<String, Expr>,
        mut report: impl FnMut(&str, Problem),
    ) {
        let graph: Graph<'_> = macros.iter().map(|(name, expr)| (name.as_str(), named(expr))).collect();
        let order = order(&graph);
        for name in order.sorted {
            let expr = &macros[name];
            let circle = order.circles.iter().find(|(from, _)| *from == name);
            let (node, problems) = match circle {
                Some((_, to)) => (None, vec![in_a_circle(name, to, expr)]),
                None => check(expr, self),
            };
            let below = named(expr).into_iter().filter_map(|name| self.macros.get(name));
            let depth = 1 + below.map(|below| below.depth).max().unwrap_or(0);
            problems.into_iter().for_each(|problem| report(name, problem));
            let too_deep = node.is_some() && depth > MAX_DEPTH;
            if too_deep {
                let message = format!("the macro `{name}` is made of macros more than {MAX_DEPTH} deep");
                report(name, Problem::error(Span::default(), message));
            }
            // What is made of one with a mistake has that mistake, which is told no second time.
            let node = node.filter(|_| !too_deep);
            let depth = if node.is_some() { depth } else { 0 };
            self.macros.insert(name.to_owned(), Macro { text: expr.to_string(), node, depth });
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
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| each_macro(part, visit)),
        Expr::Not(inner) => each_macro(inner, visit),
        Expr::Macro(name) => visit(name),
        Expr::Test(_) => {}
    }
}
