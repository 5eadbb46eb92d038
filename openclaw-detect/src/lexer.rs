//! From a condition's text to words, texts in quotes and signs.

use crate::diagnostic::{Problem, Span};

/// The smallest part of a condition that has a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A field, a keyword, a number, an address, a list's name.
    Word(String),
    /// A text in quotes, without them.
    Text(String),
    /// One of `== != < <= > >=`.
    Sign(&'static str),
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    Comma,
    /// The end of the condition.
    End,
}

/// The tokens of `text`, the last being [`Token::End`].
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token, Span)>, Problem> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let (token, length) = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '(' => (Token::OpenParenthesis, 1),
            ')' => (Token::CloseParenthesis, 1),
            '[' => (Token::OpenBracket, 1),
            ']' => (Token::CloseBracket, 1),
            ',' => (Token::Comma, 1),
            '"' | '\'' => quoted(text, at, c)?,
            c if is_word(c) => {
                let word = &text[at..];
                let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
                let word = &word[..end + item_number(&word[..end], &word[end..])];
                (Token::Word(word.to_owned()), word.len())
            }
            _ => sign(text, at, c)?,
        };
        tokens.push((token, Span::new(at, at + length)));
        at += length;
    }
    tokens.push((Token::End, Span::new(text.trim_end().len(), text.trim_end().len())));
    Ok(tokens)
}

/// What fields, numbers, sizes, addresses and networks are written with.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '/' | '-' | '@')
}

/// The length of `[3]` where it follows a field's name, which has a dot: an item of a list is meant.
fn item_number(word: &str, rest: &str) -> usize {
    let digits = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(digits, _)| digits);
    let is_number = |digits: &&str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.filter(is_number).filter(|_| word.contains('.')).map_or(0, |digits| digits.len() + 2)
}

fn sign(text: &str, at: usize, c: char) -> Result<(Token, usize), Problem> {
    for sign in ["==", "!=", "<=", ">=", "<", ">"] {
        if text[at..].starts_with(sign) {
            return Ok((Token::Sign(sign), sign.len()));
        }
    }
    for (wrong, right) in [("=~", "matches"), ("=", "=="), ("!", "NOT"), ("&&", "AND"), ("||", "OR")] {
        if text[at..].starts_with(wrong) {
            let span = Span::new(at, at + wrong.len());
            return Err(Problem::error(span, format!("`{wrong}` is not part of the rule language"))
                .help(format!("write `{right}`")));
        }
    }
    let problem = Problem::error(Span::new(at, at + c.len_utf8()), format!("unexpected character {c:?}"));
    Err(problem.help("texts stand in quotes, such as \"nc\""))
}

/// A text in quotes. In single quotes nothing is special. In double quotes `\"`, `\\`, `\n` and `\t` are; a
/// backslash before anything else stands for itself, so that a regular expression needs no doubling.
fn quoted(text: &str, at: usize, quote: char) -> Result<(Token, usize), Problem> {
    let mut value = String::new();
    let mut rest = text[at + 1..].char_indices();
    while let Some((offset, c)) = rest.next() {
        if c == quote {
            return Ok((Token::Text(value), offset + 2));
        }
        if c == '\\' && quote == '"' {
            let mut ahead = rest.clone();
            let special = match ahead.next() {
                Some((_, '"')) => Some('"'),
                Some((_, '\\')) => Some('\\'),
                Some((_, 'n')) => Some('\n'),
                Some((_, 't')) => Some('\t'),
                _ => None,
            };
            if let Some(special) = special {
                value.push(special);
                rest = ahead;
                continue;
            }
        }
        value.push(c);
    }
    let line_end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    Err(Problem::error(Span::new(at, line_end), "this text has no end")
        .help(format!("close it with {quote}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<Token> {
        tokens(text).unwrap().into_iter().map(|(token, _)| token).collect()
    }

    #[test]
    fn words_hold_sizes_addresses_and_networks_together() {
        use Token::*;
        let word = |text: &str| Word(text.to_owned());
        assert_eq!(
            words("a.b>100MB AND(c in[fe80::/10,'x\\'])"),
            [
                word("a.b"),
                Sign(">"),
                word("100MB"),
                word("AND"),
                OpenParenthesis,
                word("c"),
                word("in"),
                OpenBracket,
                word("fe80::/10"),
                Comma,
                Text("x\\".into()),
                CloseBracket,
                CloseParenthesis,
                End
            ]
        );
    }

    #[test]
    fn a_backslash_in_double_quotes_escapes_the_quote_and_leaves_regular_expressions_alone() {
        assert_eq!(words(r#""a\"b\\c\d\n""#)[0], Token::Text("a\"b\\c\\d\n".into()));
    }

    #[test]
    fn what_other_languages_write_is_answered_with_what_this_one_writes() {
        for (text, help) in
            [("a = 1", "=="), ("!a", "NOT"), ("a && b", "AND"), ("a || b", "OR"), ("a =~ b", "matches")]
        {
            assert_eq!(tokens(text).unwrap_err().help, Some(format!("write `{help}`")), "{text}");
        }
        assert_eq!(tokens("a == \"x").unwrap_err().span, Span::new(5, 7));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_lexer_panic_and_every_token_is_inside_the_text(text in ".*") {
            if let Ok(tokens) = tokens(&text) {
                for (_, span) in tokens {
                    prop_assert!(text.get(span.start..span.end).is_some());
                }
            }
        }
    }
}
