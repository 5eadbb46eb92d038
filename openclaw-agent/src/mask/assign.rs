//! Secrets that are given to a name: `--password=…`, `TOKEN=…`, `?key=…`, `Cookie: …`, `"secret": "…"`.

use std::sync::LazyLock;

use regex::Regex;

use super::{Secret, name};

/// Where such secrets are.
pub(super) fn secrets(text: &str) -> Vec<Secret> {
    #[expect(clippy::expect_used, reason = "a constant")]
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"([A-Za-z_][A-Za-z0-9_.-]*)(\\*["'])?\]?( ?)([:=])"#).expect("an expression")
    });
    NAMED
        .captures_iter(text)
        .filter_map(|found| {
            let name = found.get(1)?;
            let place = Place {
                text,
                name: name.as_str(),
                before: text[..name.start()].chars().next_back(),
                at_start: name.start() == 0,
                quoted: found.get(2).is_some(),
                apart: !found[3].is_empty(),
                colon: &found[4] == ":",
                value: found.get(0)?.end(),
            };
            place.secret()
        })
        .collect()
}

/// Of words that are whole (arguments of a program), those that give a secret to a name: all that follows belongs to it,
/// spaces included. What a shell runs (the word after `-c`) is no such word.
pub(super) fn whole_words(words: &[&str]) -> Vec<(usize, Secret)> {
    let is_script = |at: usize| {
        at.checked_sub(1).is_some_and(|at| {
            let before = words[at];
            before.starts_with('-') && !before.starts_with("--") && before.ends_with('c')
        })
    };
    let of_word = |(at, word): (usize, &&str)| {
        let (name, value) = word.split_once('=')?;
        let name = name.trim_start_matches('-');
        let secret = word.len() - value.len()..word.len();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let is_secret = name.chars().all(is_name) && name::is_secret(name) && !names_a_file(name, value);
        (is_secret && !is_script(at)).then_some((at, secret))
    };
    words.iter().enumerate().filter_map(of_word).collect()
}

fn names_a_file(name: &str, value: &str) -> bool {
    name::may_name_a_file(name) && name::is_path(value)
}

/// A name that something is given to.
struct Place<'a> {
    text: &'a str,
    name: &'a str,
    /// What stands before the name.
    before: Option<char>,
    /// Whether the text begins with it.
    at_start: bool,
    /// Whether a quote ends it.
    quoted: bool,
    /// Whether a space stands between it and what follows.
    apart: bool,
    /// By a colon, and not by an equals sign.
    colon: bool,
    /// Where what it is given begins, spaces included.
    value: usize,
}

impl Place<'_> {
    fn secret(&self) -> Option<Secret> {
        let rest = &self.text[self.value..];
        let spaces = rest.len() - rest.trim_start_matches(' ').len();
        let (start, value) = (self.value + spaces, &rest[spaces..]);
        if value.is_empty() {
            return None;
        }
        if self.colon && !self.quoted {
            let header = self.name.to_ascii_lowercase();
            match header.as_str() {
                "authorization" | "proxy-authorization" => return Some(self.credentials(start)),
                "cookie" | "set-cookie" => return Some(self.list(start, ';')),
                _ => {}
            }
        }
        let in_address = matches!(self.before, Some('?' | '&'));
        let is_secret =
            name::is_secret(self.name) || in_address && !self.colon && name::is_secret_parameter(self.name);
        if !is_secret || names_a_file(self.name, value) || !self.is_given(spaces > 0, value) {
            return None;
        }
        Some(self.value_from(start, in_address))
    }

    /// Whether it is given at all: a colon and spaces have other uses.
    fn is_given(&self, spaces: bool, value: &str) -> bool {
        match (self.colon, spaces) {
            (false, false) => true,
            // `NAME= command` gives nothing; `name = value` does.
            (false, true) => self.apart,
            _ if self.quoted => true,
            // Not a path (`/run/password:/run/password`), an ARN (`secret:name`), a function (`token::new`) or a
            // user's name (`user:token@`).
            (true, false) => !matches!(self.before, Some('/' | ':' | '@')) && !value.starts_with(['/', ':']),
            // Headers, and what is a password's name beyond doubt. A title begins with the name of a rule.
            (true, true) if self.at_start && self.name.contains('_') => false,
            (true, true) => self.name.contains('-') || name::is_plain(self.name),
        }
    }

    /// The value from `start` on.
    fn value_from(&self, start: usize, in_address: bool) -> Secret {
        let rest = &self.text[start..];
        if let Some(inner) = quoted(rest) {
            return start + inner.start..start + inner.end;
        }
        if let Some(end) = self.outer_quote(start) {
            return start..end;
        }
        let ends = |c: char| {
            c.is_whitespace()
                || match self.before {
                    _ if in_address => "&#\"'<>".contains(c),
                    Some(';') => c == ';',
                    Some(',') if !self.quoted => c == ',',
                    _ => self.quoted && ",}]".contains(c),
                }
        };
        start..start + rest.find(ends).unwrap_or(rest.len())
    }

    /// Where the quote ends that was opened before the name, if one was.
    fn outer_quote(&self, start: usize) -> Option<usize> {
        let quote = self.before.filter(|c| !self.quoted && matches!(c, '"' | '\''))?;
        Some(start + self.text[start..].find(quote)?)
    }

    /// Where the header ends of which the value begins at `start`, where that is known: at the quote that was opened
    /// before it, or with the line that it begins.
    fn end_of_header(&self, start: usize) -> Option<usize> {
        let line = || self.text[start..].find('\n').map_or(self.text.len(), |end| start + end);
        self.outer_quote(start).or_else(|| self.at_start.then(line))
    }

    /// What follows `Authorization:`; the scheme is no secret.
    fn credentials(&self, start: usize) -> Secret {
        const SCHEMES: [&str; 9] =
            ["bearer", "basic", "digest", "token", "negotiate", "ntlm", "apikey", "hmac", "aws4-hmac-sha256"];
        let rest = &self.text[start..];
        let scheme = rest.split(' ').next().unwrap_or_default();
        let after = rest[scheme.len()..].trim_start_matches(' ');
        if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) && !after.is_empty() {
            return self.list(self.text.len() - after.len(), ',');
        }
        self.list(start, ',')
    }

    /// Words of a header from `start` on, where its end is not known as long as a separator ends them.
    fn list(&self, start: usize, separator: char) -> Secret {
        if let Some(end) = self.end_of_header(start) {
            return start..end.max(start);
        }
        let mut end = start;
        for word in self.text[start..].split_inclusive(char::is_whitespace) {
            end += word.trim_end().len();
            if !word.trim_end().ends_with(separator) || word.ends_with('\n') {
                break;
            }
            end += word.len() - word.trim_end().len();
        }
        start..end
    }
}

/// What is between quotes at the start of a text, also where they are escaped as in JSON within JSON. None where there
/// are none, or where more of the value follows them.
pub(super) fn quoted(text: &str) -> Option<Secret> {
    let escapes = text.len() - text.trim_start_matches('\\').len();
    let quote = text[escapes..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let start = escapes + 1;
    let mut from = start;
    loop {
        let at = from + text[from..].find(quote)?;
        let before = text[start..at].len() - text[start..at].trim_end_matches('\\').len();
        if before == escapes {
            let after = text[at + 1..].chars().next();
            let is_end = after.is_none_or(|c| c.is_whitespace() || ",;}])&|\\\"'".contains(c));
            return is_end.then_some(start..at - escapes);
        }
        from = at + 1;
    }
}
