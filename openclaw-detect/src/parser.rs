//! From tokens to a tree: `NOT` binds tighter than `AND`, and `AND` than `OR`.

use crate::ast::{Expr, Literal, Operand, Operator, Test, Word};
use crate::diagnostic::{Problem, Span};
use crate::lexer::{Token, tokens};

/// How deep parentheses and `NOT` may be nested: what bounds the stack.
const MAX_DEPTH: usize = 64;

/// How long a condition may be, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// The tree of a condition.
pub(crate) fn parse(text: &str) -> Result<Expr, Problem> {
    if text.len() > MAX_LENGTH {
        let message = format!("this condition has {} bytes, more than {MAX_LENGTH}", text.len());
        return Err(Problem::error(Span::new(0, 0), message).help("put long lists under `lists:`"));
    }
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    if *parser.peek() == Token::End {
        return Err(Problem::error(parser.span(), "the condition is empty")
            .help("write a comparison, such as process.name == \"nc\""));
    }
    let expr = parser.or()?;
    match parser.peek() {
        Token::End => Ok(expr),
        Token::CloseParenthesis => Err(Problem::error(parser.span(), "this `)` closes nothing")),
        _ => Err(parser.unexpected("`AND`, `OR` or the end of the condition")),
    }
}

struct Parser {
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1
    }

    fn next(&mut self) -> (Token, Span) {
        let token = self.tokens[self.at].clone();
        // The last token is the end, and stays.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Whether the next token is this keyword, in either case; if so it is taken.
    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(word) if word.eq_ignore_ascii_case(keyword));
        if found {
            self.next();
        }
        found
    }

    fn unexpected(&self, expected: &str) -> Problem {
        let found = match self.peek() {
            Token::Word(word) => format!("`{word}`"),
            Token::Text(text) => format!("the text {text:?}"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::OpenParenthesis => "`(`".to_owned(),
            Token::CloseParenthesis => "`)`".to_owned(),
            Token::OpenBracket => "`[`".to_owned(),
            Token::CloseBracket => "`]`".to_owned(),
            Token::Comma => "`,`".to_owned(),
            Token::End => "the end of the condition".to_owned(),
        };
        Problem::error(self.span(), format!("expected {expected}, found {found}"))
    }

    fn or(&mut self) -> Result<Expr, Problem> {
        let mut parts = vec![self.and()?];
        while self.keyword("or") {
            parts.push(self.and()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) })
    }

    fn and(&mut self) -> Result<Expr, Problem> {
        let mut parts = vec![self.unary()?];
        while self.keyword("and") {
            parts.push(self.unary()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::And(parts) })
    }

    fn unary(&mut self) -> Result<Expr, Problem> {
        let start = self.span();
        let not = self.keyword("not");
        if !not && *self.peek() != Token::OpenParenthesis {
            return self.test_or_macro();
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Problem::error(start, format!("nested more than {MAX_DEPTH} deep")));
        }
        let expr = if not {
            Expr::Not(Box::new(self.unary()?))
        } else {
            let (_, open) = self.next();
            let inner = self.or()?;
            match self.peek() {
                Token::CloseParenthesis => self.next(),
                Token::End => return Err(Problem::error(open, "this `(` is never closed")),
                _ => return Err(self.unexpected("`AND`, `OR` or `)`")),
            };
            inner
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn test_or_macro(&mut self) -> Result<Expr, Problem> {
        let span = self.span();
        let field = match self.peek() {
            Token::Word(word) if word.eq_ignore_ascii_case("exists") => {
                return Err(Problem::error(span, "`exists` follows its field")
                    .help("write, for example, `process.tty exists`"));
            }
            Token::Word(text) => Word { text: text.clone(), span },
            _ => return Err(self.unexpected("a field")),
        };
        self.next();
        if self.ends_a_part() {
            return Ok(Expr::Macro(field));
        }
        let start = self.span();
        let negated = self.keyword("not");
        let operator = self.operator(negated, &field)?;
        let operator_span = start.to(self.tokens[self.at.saturating_sub(1)].1);
        let operand = match operator {
            Operator::Exists => Operand::None,
            _ => self.operand(operator)?,
        };
        Ok(Expr::Test(Test { field, operator, operator_span, negated, operand }))
    }

    /// Whether a part of the condition ends before the next token.
    fn ends_a_part(&self) -> bool {
        match self.peek() {
            Token::End | Token::CloseParenthesis => true,
            Token::Word(word) => ["and", "or"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)),
            _ => false,
        }
    }

    fn operator(&mut self, negated: bool, field: &Word) -> Result<Operator, Problem> {
        let found = match self.peek() {
            Token::Sign(sign) => Operator::from_name(sign).filter(|_| !negated),
            Token::Word(word) => Operator::from_name(word),
            _ => None,
        };
        if let Some(operator) = found {
            self.next();
            return Ok(operator);
        }
        let help = match self.peek() {
            Token::Word(word) => crate::suggest::did_you_mean(word, Operator::NAMES.iter().copied()),
            _ => None,
        };
        Err(self
            .unexpected(&format!("an operator after `{}`", field.text))
            .help(format!("the operators are {}", Operator::NAMES.join(" ")))
            .maybe_help(help))
    }

    fn operand(&mut self, operator: Operator) -> Result<Operand, Problem> {
        if *self.peek() != Token::OpenBracket {
            return self.literal(operator).map(Operand::One);
        }
        let (_, open) = self.next();
        let mut items = Vec::new();
        loop {
            match self.peek() {
                Token::CloseBracket => {
                    let (_, close) = self.next();
                    return Ok(Operand::Many(items, open.to(close)));
                }
                Token::End => return Err(Problem::error(open, "this `[` is never closed")),
                _ => items.push(self.literal(operator)?),
            }
            match self.peek() {
                Token::Comma => {
                    self.next();
                }
                Token::CloseBracket | Token::End => {}
                _ => return Err(self.unexpected("`,` or `]`")),
            }
        }
    }

    fn literal(&mut self, operator: Operator) -> Result<Literal, Problem> {
        let span = self.span();
        let (text, quoted) = match self.peek() {
            Token::Word(word) => (word.clone(), false),
            Token::Text(text) => (text.clone(), true),
            _ => return Err(self.unexpected(&format!("a value after `{}`", operator.name()))),
        };
        self.next();
        Ok(Literal { text, quoted, span })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree in prefix form.
    fn shape(expr: &Expr) -> String {
        let all = |parts: &[Expr]| parts.iter().map(shape).collect::<Vec<_>>().join(" ");
        match expr {
            Expr::And(parts) => format!("(and {})", all(parts)),
            Expr::Or(parts) => format!("(or {})", all(parts)),
            Expr::Not(inner) => format!("(not {})", shape(inner)),
            Expr::Test(test) => {
                let not = if test.negated { "not-" } else { "" };
                let operand = match &test.operand {
                    Operand::None => String::new(),
                    Operand::One(one) => format!(" {}", one.text),
                    Operand::Many(many, _) => format!(" {}", many.len()),
                };
                format!("{}[{not}{}{operand}]", test.field.text, test.operator.name())
            }
            Expr::Macro(name) => name.text.clone(),
        }
    }

    #[test]
    fn not_binds_tighter_than_and_and_and_tighter_than_or() {
        for (text, expected) in [
            ("a == 1", "a[== 1]"),
            ("a == 1 or b == 2 AND not c exists", "(or a[== 1] (and b[== 2] (not c[exists])))"),
            ("(a == 1 Or b == 2) and c in [x, \"y\",]", "(and (or a[== 1] b[== 2]) c[in 2])"),
            ("a not in names", "a[not-in names]"),
            ("a NOT STARTSWITH 'x' AND b == 1 AND d < 2", "(and a[not-startswith x] b[== 1] d[< 2])"),
            ("not not a exists", "(not (not a[exists]))"),
            ("a in []", "a[in 0]"),
            ("shell and not (a == 1 or b)", "(and shell (not (or a[== 1] b)))"),
        ] {
            assert_eq!(shape(&parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_found_where_it_stands() {
        for (text, at, message) in [
            ("", 0, "the condition is empty"),
            ("  \n ", 0, "the condition is empty"),
            ("a is 1", 2, "expected an operator after `a`, found `is`"),
            ("a not", 5, "expected an operator after `a`, found the end of the condition"),
            ("a == ", 4, "expected a value after `==`, found the end of the condition"),
            ("a == 1 b == 2", 7, "expected `AND`, `OR` or the end of the condition, found `b`"),
            ("(a == 1", 0, "this `(` is never closed"),
            ("a == 1)", 6, "this `)` closes nothing"),
            ("a in [1 2]", 8, "expected `,` or `]`, found `2`"),
            ("a in [1", 5, "this `[` is never closed"),
            ("a == 1 AND", 10, "expected a field, found the end of the condition"),
            ("a == 1 AND == 2", 11, "expected a field, found `==`"),
            ("\"a\" == 1", 0, "expected a field, found the text \"a\""),
            ("a contain 'x'", 2, "expected an operator after `a`, found `contain`"),
            ("a not == 1", 6, "expected an operator after `a`, found `==`"),
            ("exists a", 0, "`exists` follows its field"),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!((problem.span.start, problem.message.as_str()), (at, message), "{text}");
        }
    }

    #[test]
    fn nesting_without_end_is_refused() {
        for text in ["(".repeat(100_000), "not ".repeat(10_000) + "a exists", "(".repeat(200) + "a exists"] {
            assert!(parse(&text).is_err());
        }
    }

    /// The tree without the places of its parts.
    fn bare(expr: Expr) -> Expr {
        let span = Span::default();
        let word = |word: Word| Word { span, ..word };
        let literal = |literal: Literal| Literal { span, ..literal };
        match expr {
            Expr::And(parts) => Expr::And(parts.into_iter().map(bare).collect()),
            Expr::Or(parts) => Expr::Or(parts.into_iter().map(bare).collect()),
            Expr::Not(inner) => Expr::Not(Box::new(bare(*inner))),
            Expr::Macro(name) => Expr::Macro(word(name)),
            Expr::Test(test) => Expr::Test(Test {
                field: word(test.field),
                operator_span: span,
                operand: match test.operand {
                    Operand::None => Operand::None,
                    Operand::One(one) => Operand::One(literal(one)),
                    Operand::Many(many, _) => Operand::Many(many.into_iter().map(literal).collect(), span),
                },
                ..test
            }),
        }
    }

    proptest! {
        #[test]
        fn a_condition_that_is_printed_and_read_again_is_the_same(text in crate::generate::condition()) {
            let parsed = parse(&text).unwrap();
            let printed = parsed.to_string();
            prop_assert_eq!(bare(parse(&printed).unwrap()), bare(parsed), "{}", printed);
        }

        #[test]
        fn a_text_that_is_printed_and_read_again_is_the_same(text in ".*") {
            let literal = Literal { text, quoted: true, span: Span::default() };
            let Expr::Test(test) = parse(&format!("a == {literal}")).unwrap() else { panic!("{literal}") };
            let Operand::One(read) = test.operand else { panic!("{literal}") };
            prop_assert_eq!(read.text, literal.text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_sequence_of_tokens_makes_the_parser_panic(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", "(", ")", "[", "]", ",", "==", "<", "not", "and", "or", "in", "exists", "'x'", "1"]), 0..24)
        ) {
            let _ = parse(&parts.join(" "));
        }
    }
}
