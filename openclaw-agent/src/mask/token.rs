//! Secrets that are known by their own form, wherever they stand.
//!
//! The forms are those that issuers publish, most of them so that leaked ones can be found by scanners.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use regex::Regex;

use super::Secret;

/// Parts of which each such secret has one, for a first look at a text.
pub(super) const PARTS: [&str; 45] = [
    "akia",
    "asia",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glptt-",
    "glsoat-",
    "xoxa-",
    "xoxb-",
    "xoxe",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "hooks.slack.com",
    "api/webhooks/",
    "webhook.office.com",
    "k_live_",
    "k_test_",
    "whsec_",
    "aiza",
    "ya29.",
    "gocspx-",
    "npm_",
    "pypi-",
    "eyj",
    "private key",
    "bearer",
    "basic",
    "sk-",
    "hf_",
    "hvs.",
    "dckr_",
    "dop_v1_",
    "sg.",
    "tskey-",
    "age-secret",
    // What follows the number of a Telegram bot begins so.
    ":a",
];

/// Each with its secret as the only group: what stands before it says what it was.
const FORMS: [&str; 24] = [
    // AWS: the id of an access key. The key itself has no form, but always a name.
    r"\b(?:AKIA|ASIA)([A-Z0-9]{16,})",
    // GitHub.
    r"\bgh[pousr]_([A-Za-z0-9]{20,})",
    r"\bgithub_pat_([A-Za-z0-9_]{20,})",
    // GitLab.
    r"\bgl(?:pat|dt|rt|cbt|ptt|soat)-([A-Za-z0-9_.-]{16,})",
    // Slack, and incoming webhooks of Slack, Discord and Teams, whose path is the secret.
    r"\b(?:xox[abeprs]|xapp|xoxe\.xox[bp])-([A-Za-z0-9-]{10,})",
    r"\bhooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/_-]+)",
    r"\b(?:discord|discordapp)\.com/api/webhooks/[0-9]+/([A-Za-z0-9_-]+)",
    r"\bwebhook\.office\.com/webhookb2/([A-Za-z0-9@/_-]+)",
    // Telegram: the number of the bot, and 35 characters, which begin with AA.
    r"\b(?:bot)?[0-9]{6,12}:(A[A-Za-z0-9_-]{31,45})",
    // Stripe.
    r"\b[rs]k_(?:live|test)_([A-Za-z0-9]{10,})",
    r"\bwhsec_([A-Za-z0-9+/=]{16,})",
    // Google.
    r"\bAIza([A-Za-z0-9_-]{30,})",
    r"\bya29\.([A-Za-z0-9_-]{20,})",
    r"\bGOCSPX-([A-Za-z0-9_-]{20,})",
    // Registries of packages.
    r"\bnpm_([A-Za-z0-9]{30,})",
    r"\bpypi-([A-Za-z0-9_-]{50,})",
    r"\bdckr_(?:pat|oat)_([A-Za-z0-9_-]{20,})",
    // Others whose tokens have a name before them.
    r"\bsk-(?:proj-|ant-|svcacct-|or-)?([A-Za-z0-9_]{20}[A-Za-z0-9_-]*)",
    r"\b(?:hf_|hvs\.|dop_v1_|tskey-[a-z]+-)([A-Za-z0-9_-]{20,})",
    r"\bSG\.([A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})",
    r"\bAGE-SECRET-KEY-1([0-9A-Z]{20,})",
    // JSON web tokens: two objects of JSON in base64, which begin with `{\"`, and a signature.
    r"\beyJ([A-Za-z0-9_-]{6,}\.eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)*)",
    // Private keys; of one that is cut, all that is there.
    r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(.*?)(?:-----END|$)",
    r"(?i)\bbearer[ :=]+([A-Za-z0-9+/_.~=-]{20,})",
];

/// Where such secrets are.
pub(super) fn secrets(text: &str) -> Vec<Secret> {
    #[expect(clippy::expect_used, reason = "the forms are constants, as the tests show")]
    static COMPILED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        FORMS.iter().map(|form| Regex::new(form).expect("a form is an expression")).collect()
    });
    let of_form =
        |form: &'static Regex| form.captures_iter(text).filter_map(|found| Some(found.get(1)?.range()));
    let mut found: Vec<Secret> = COMPILED.iter().flat_map(of_form).collect();
    found.extend(basic(text));
    found
}

/// `Basic …` with a name and a password, and not with the next word of a sentence.
fn basic(text: &str) -> impl Iterator<Item = Secret> {
    #[expect(clippy::expect_used, reason = "a constant")]
    static BASIC: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)\bbasic[ :=]+([A-Za-z0-9+/]{4,}={0,2})").expect("an expression"));
    let holds_a_name = |encoded: &str| {
        let decoded = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded));
        decoded.is_ok_and(|bytes| bytes.contains(&b':'))
    };
    let found = BASIC.captures_iter(text).filter_map(|found| found.get(1));
    found.filter(move |found| holds_a_name(found.as_str())).map(|found| found.range())
}
