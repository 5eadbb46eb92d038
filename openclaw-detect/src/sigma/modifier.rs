//! What stands behind the field's name in a Sigma rule, after bars: `CommandLine|contains|all`.

use super::value::Encoding;
use crate::ast::Operator;
use crate::diagnostic::{Problem, Span};
use crate::suggest::did_you_mean;

/// The modifiers of one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Modifiers {
    pub(super) all: bool,
    pub(super) cased: bool,
    pub(super) exists: bool,
    pub(super) negated: bool,
    pub(super) cidr: bool,
    pub(super) expand: bool,
    pub(super) windash: bool,
    pub(super) any_before: bool,
    pub(super) any_after: bool,
    /// `lt`, `lte`, `gt` or `gte`.
    pub(super) compares: Option<Operator>,
    /// How the text is encoded before it is looked for.
    pub(super) encoding: Option<Encoding>,
    pub(super) base64: Option<Base64>,
    /// A regular expression, with its flags.
    pub(super) expression: Option<String>,
}

/// How Base64 is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base64 {
    /// Of the text alone.
    Whole,
    /// Of the text in the midst of others.
    AtAnyOffset,
}

/// The modifiers that are known.
const KNOWN: &[&str] = &[
    "all",
    "base64",
    "base64offset",
    "cased",
    "cidr",
    "contains",
    "endswith",
    "exists",
    "expand",
    "gt",
    "gte",
    "i",
    "lt",
    "lte",
    "m",
    "neq",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "wide",
    "windash",
];

impl Modifiers {
    /// Reads the modifiers of a field, as they are written between bars.
    ///
    /// # Errors
    /// One of them is not known, or does not go with another.
    pub(super) fn read<'a>(names: impl Iterator<Item = &'a str>, span: Span) -> Result<Modifiers, Problem> {
        let mut modifiers = Modifiers::default();
        let mut last = "";
        for name in names {
            modifiers.add(name, last, span)?;
            last = name;
        }
        modifiers.go_together(span)?;
        Ok(modifiers)
    }

    fn add(&mut self, name: &str, last: &str, span: Span) -> Result<(), Problem> {
        match name {
            "all" => self.all = true,
            "cased" => self.cased = true,
            "exists" => self.exists = true,
            "neq" => self.negated = true,
            "cidr" => self.cidr = true,
            "expand" => self.expand = true,
            "windash" => self.windash = true,
            "contains" => (self.any_before, self.any_after) = (true, true),
            "startswith" => self.any_after = true,
            "endswith" => self.any_before = true,
            "lt" => self.compares = Some(Operator::Less),
            "lte" => self.compares = Some(Operator::LessOrEqual),
            "gt" => self.compares = Some(Operator::Greater),
            "gte" => self.compares = Some(Operator::GreaterOrEqual),
            "utf16le" | "wide" => self.encoding = Some(Encoding::Utf16Le),
            "utf16be" => self.encoding = Some(Encoding::Utf16Be),
            "utf16" => self.encoding = Some(Encoding::Utf16),
            "base64" => self.base64 = Some(Base64::Whole),
            "base64offset" => self.base64 = Some(Base64::AtAnyOffset),
            "re" => self.expression = Some(String::new()),
            "i" | "m" | "s" if matches!(last, "re" | "i" | "m" | "s") => {
                self.expression.get_or_insert_default().push_str(name);
            }
            "i" | "m" | "s" => {
                return Err(Problem::error(span, format!("`{name}` is a flag of `re`, and follows it")));
            }
            "fieldref" => {
                return Err(Problem::error(
                    span,
                    "`fieldref` is not supported: two fields cannot be compared",
                ));
            }
            "minute" | "hour" | "day" | "week" | "month" | "year" => {
                let message =
                    format!("`{name}` is not supported: no field of this sensor's events is a date");
                return Err(Problem::error(span, message));
            }
            _ => {
                return Err(Problem::error(span, format!("there is no modifier `{name}`"))
                    .help(format!("the modifiers are {}", KNOWN.join(", ")))
                    .maybe_help(did_you_mean(name, KNOWN.iter().copied())));
            }
        }
        Ok(())
    }

    /// What is no pattern of a text has none of what makes one.
    fn go_together(&self, span: Span) -> Result<(), Problem> {
        let encodes = self.windash || self.base64.is_some() || self.encoding.is_some();
        // The members of a list may be parts, beginnings and ends.
        let of_text = encodes || (!self.expand && (self.any_before || self.any_after));
        let others = [
            ("re", self.expression.is_some()),
            ("cidr", self.cidr),
            ("exists", self.exists),
            ("expand", self.expand),
            ("a comparison of numbers", self.compares.is_some()),
        ];
        let mut named = others.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name);
        match (named.next(), named.next()) {
            (Some(first), Some(second)) => {
                Err(Problem::error(span, format!("`{first}` and `{second}` do not go together")))
            }
            (Some(first), None) if of_text => {
                Err(Problem::error(span, format!("`{first}` does not go with modifiers of texts"))
                    .help("leave out contains, startswith, endswith, windash, base64 and the like"))
            }
            _ if self.encoding.is_some() && self.base64.is_none() => {
                let message =
                    "texts in UTF-16 are found in Base64 alone: command lines and paths have no NUL in them";
                Err(Problem::error(span, message).help("write `|wide|base64offset|contains`"))
            }
            _ => Ok(()),
        }
    }
}

impl Modifiers {
    /// The first of the modifiers that are of texts alone.
    pub(super) fn of_text(&self) -> Option<&'static str> {
        let all = [
            ("contains", self.any_before && self.any_after),
            ("startswith", self.any_after),
            ("endswith", self.any_before),
            ("windash", self.windash),
            ("base64", self.base64.is_some()),
            ("re", self.expression.is_some()),
            ("cased", self.cased),
            ("expand", self.expand),
        ];
        all.into_iter().find(|(_, is_there)| *is_there).map(|(name, _)| name)
    }

    /// The first of the modifiers that are of numbers or addresses alone.
    pub(super) fn of_number(&self) -> Option<&'static str> {
        let all = [("cidr", self.cidr), ("gt, gte, lt or lte", self.compares.is_some())];
        all.into_iter().find(|(_, is_there)| *is_there).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Modifiers, Problem> {
        Modifiers::read(text.split('|').filter(|name| !name.is_empty()), Span::default())
    }

    #[test]
    fn modifiers_that_do_not_go_together_are_refused_and_so_are_those_that_nothing_can_be_made_of() {
        for (text, message) in [
            ("contians", "there is no modifier `contians`"),
            ("fieldref", "`fieldref` is not supported"),
            ("hour", "`hour` is not supported"),
            ("i", "`i` is a flag of `re`"),
            ("re|contains", "`re` does not go with modifiers of texts"),
            ("re|cidr", "`re` and `cidr` do not go together"),
            ("wide", "texts in UTF-16 are found in Base64 alone"),
            ("gt|exists", "`exists` and `a comparison of numbers` do not go together"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.message.starts_with(message), "{text}: {}", problem.message);
        }
        assert_eq!(read("contians").unwrap_err().help.unwrap(), "did you mean `contains`?");
    }

    #[test]
    fn every_modifier_that_is_named_works() {
        for name in KNOWN {
            let text = match *name {
                "i" | "m" | "s" => format!("re|{name}"),
                "wide" | "utf16" | "utf16le" | "utf16be" => format!("{name}|base64"),
                name => name.to_owned(),
            };
            assert_ne!(read(&text).unwrap(), Modifiers::default(), "{name}");
        }
    }
}
