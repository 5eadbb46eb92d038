//! Passwords of users in addresses: `scheme://user:password@host`.

use std::sync::LazyLock;

use regex::Regex;

use super::Secret;

/// What every such address has, for a first look at a text.
pub(super) const PARTS: [&str; 1] = ["@"];

/// From how many characters on a user without a password is a token (`https://TOKEN@host`), and no name.
const TOKEN: usize = 20;

/// How much of an address is looked through for its user, in bytes.
const LONGEST: usize = 4096;

/// Where such secrets are.
pub(super) fn secrets(text: &str) -> Vec<Secret> {
    if !text.contains('@') {
        return Vec::new();
    }
    let after_scheme = text.match_indices("://").map(|(at, scheme)| at + scheme.len());
    let mut found: Vec<Secret> = after_scheme.filter_map(|start| of_address(text, start)).collect();
    found.extend(without_scheme(text));
    found
}

/// The secret of the address of which the part after the scheme begins at `start`.
fn of_address(text: &str, start: usize) -> Option<Secret> {
    let rest = &text[start..text.floor_char_boundary(start + LONGEST)];
    let rest =
        &rest[..rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(rest.len())];
    let first = rest.find([':', '/', '?', '#', '@', '['])?;
    if rest[first..].starts_with('@') {
        let is_token = first >= TOKEN && rest[..first].contains(|c: char| !c.is_ascii_lowercase());
        return is_token.then_some(start..start + first);
    }
    if !rest[first..].starts_with(':') {
        return None;
    }
    let password = first + 1;
    // A password should have no `/` in it as it is, but many do.
    let end = password + rest[password..].rfind('@')?;
    let is_port = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    match rest[password..end].split_once('/') {
        Some((port, _)) if is_port(port) => None,
        _ => Some(start + password..start + end),
    }
}

/// `domain/user:password@host`, as tools for Windows networks take it, and `user:password@host:port`, as proxies are
/// named. No digest of an image: `name/of:tag@sha256:…`.
fn without_scheme(text: &str) -> impl Iterator<Item = Secret> {
    #[expect(clippy::expect_used, reason = "a constant")]
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        let word = r#"(?:^|[\s"'=])"#;
        let domain = r#"[\w.-]+/[\w.$-]+:([^\s"']+)@[\w.-]+"#;
        let port = r#"[\w.-]+:([^\s"'/@]+)@[\w.-]+:[0-9]"#;
        Regex::new(&format!("{word}(?:{domain}|{port})")).expect("an expression")
    });
    FORM.captures_iter(text).filter_map(|found| {
        let secret = found.get(1).or_else(|| found.get(2))?.range();
        (!text[secret.end..].starts_with("@sha256")).then_some(secret)
    })
}
