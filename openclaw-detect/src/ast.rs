//! A condition as it is written, each part with its place.

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
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    Contains = "contains",
    IContains = "icontains",
    StartsWith = "startswith",
    EndsWith = "endswith",
    Matches = "matches",
    Glob = "glob",
    Exists = "exists",
}
