//! A condition as it is written, each part with its place.

use std::fmt;

use crate::diagnostic::Span;

/// A condition or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expr {
    /// All are true.
    And(Vec<Expr>),
    /// At least one is true.
    Or(Vec<Expr>),
    /// It is false.
    Not(Box<Expr>),
    /// A field is compared.
    Test(Test),
    /// What the macro of this name stands for.
    Macro(Word),
}

/// The condition as it may be written: read again, it is the same.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Expr], word: &str| {
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Expr::And(_) | Expr::Or(_) => write!(f, "({part})")?,
                    _ => part.fmt(f)?,
                }
            }
            Ok(())
        };
        match self {
            Expr::And(parts) => joined(f, parts, "AND"),
            Expr::Or(parts) => joined(f, parts, "OR"),
            Expr::Not(inner) if matches!(**inner, Expr::And(_) | Expr::Or(_)) => write!(f, "NOT ({inner})"),
            Expr::Not(inner) => write!(f, "NOT {inner}"),
            Expr::Test(test) => test.fmt(f),
            Expr::Macro(name) => f.write_str(&name.text),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "not " } else { "" };
        write!(f, "{} {not}{}", self.field.text, self.operator.name())?;
        match &self.operand {
            Operand::None => Ok(()),
            operand => write!(f, " {operand}"),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::None => Ok(()),
            Operand::One(one) => one.fmt(f),
            Operand::Many(many, _) => {
                f.write_str("[")?;
                for (i, one) in many.iter().enumerate() {
                    write!(f, "{}{one}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.quoted {
            return f.write_str(&self.text);
        }
        f.write_str("\"")?;
        for c in self.text.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) field: Word,
    pub(crate) operator: Operator,
    pub(crate) operator_span: Span,
    /// Whether `not` stands before the operator.
    pub(crate) negated: bool,
    pub(crate) operand: Operand,
}

impl Test {
    /// The name of the field that is compared and, where it is one item of a list, which: `process.args[1]`.
    pub(crate) fn subject(&self) -> (&str, Option<&str>) {
        match self.field.text.split_once('[') {
            Some((name, number)) => (name, Some(number.trim_end_matches(']'))),
            None => (&self.field.text, None),
        }
    }
}

/// A word without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// What stands on the right side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    /// Nothing: `exists` takes none.
    None,
    /// A value.
    One(Literal),
    /// A list in brackets, with the place of the whole.
    Many(Vec<Literal>, Span),
}

impl Operand {
    /// The values.
    pub(crate) fn literals(&self) -> &[Literal] {
        match self {
            Operand::None => &[],
            Operand::One(one) => std::slice::from_ref(one),
            Operand::Many(many, _) => many,
        }
    }
}

/// A value as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) text: String,
    /// Whether it stands in quotes.
    pub(crate) quoted: bool,
    pub(crate) span: Span,
}

macro_rules! operators {
    ($($variant:ident = $name:literal,)*) => {
        /// How a field is compared.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Operator { $($variant,)* }

        impl Operator {
            /// Every operator, as rules write it.
            pub(crate) const NAMES: &'static [&'static str] = &[$($name,)*];

            pub(crate) const fn name(self) -> &'static str {
                match self { $(Operator::$variant => $name,)* }
            }

            /// The operator that is written so, letters in either case.
            pub(crate) fn from_name(name: &str) -> Option<Operator> {
                $(if name.eq_ignore_ascii_case($name) { return Some(Operator::$variant); })*
                None
            }
        }
    };
}

operators! {
    Equal = "==",
    NotEqual = "!=",
    Less = "<",
    LessOrEqual = "<=",
    Greater = ">",
    GreaterOrEqual = ">=",
    In = "in",
    IEquals = "iequals",
    Contains = "contains",
    IContains = "icontains",
    StartsWith = "startswith",
    IStartsWith = "istartswith",
    EndsWith = "endswith",
    IEndsWith = "iendswith",
    Glob = "glob",
    Like = "like",
    ILike = "ilike",
    Matches = "matches",
    Exists = "exists",
}

impl Operator {
    /// Of one that ignores the case of letters, the same that does not.
    pub(crate) const fn with_case(self) -> Option<Operator> {
        match self {
            Operator::IEquals => Some(Operator::Equal),
            Operator::IContains => Some(Operator::Contains),
            Operator::IStartsWith => Some(Operator::StartsWith),
            Operator::IEndsWith => Some(Operator::EndsWith),
            Operator::ILike => Some(Operator::Like),
            _ => None,
        }
    }
}
