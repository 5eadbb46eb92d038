//! Names to which secrets are given: of flags, variables, headers, parameters and keys.

/// Parts of which every such name has one, for a first look at a text.
pub(super) const PARTS: [&str; 16] = [
    "pass",
    "pw",
    "secret",
    "token",
    "key",
    "cookie",
    "credential",
    "authorization",
    "jwt",
    "sess",
    "_auth",
    "bearer",
    "sig",
    "otp",
    "psk",
    "creds",
];

/// Ends of names, in lower case and without what separates their words.
const ENDS: [&str; 27] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "secret",
    "token",
    "cookie",
    "credential",
    "credentials",
    "authorization",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "authkey",
    "accountkey",
    "sharedkey",
    "encryptionkey",
    "signingkey",
    "masterkey",
    "subscriptionkey",
    "clientkeydata",
    "sessid",
    "creds",
    "appkey",
    "secretkeybase",
];

/// Names, or last words of names, that as an end of a word would be found in others.
const WORDS: [&str; 11] =
    ["pass", "pwd", "pw", "jwt", "bearer", "otp", "psk", "sessionid", "bindpw", "rootpw", "userpw"];

/// What a parameter of an address is called, beside those: a flag of such a name is something else.
const PARAMETERS: [&str; 5] = ["key", "sig", "signature", "auth", "hmac"];

/// Words that end so and mean something else: English ones, programs that ask (`SSH_ASKPASS`), and that there is none
/// (`NOPASSWD` of sudoers).
const OTHERS: [&str; 11] = [
    "bypass",
    "compass",
    "encompass",
    "trespass",
    "surpass",
    "overpass",
    "underpass",
    "allpass",
    "askpass",
    "nopass",
    "nopasswd",
];

/// First words of names that say whether there is a secret, and not which: `--no-ask-password`, `require_token`.
const WHETHER: [&str; 9] =
    ["no", "ask", "allow", "disable", "enable", "require", "requires", "skip", "without"];

/// Whether what is given to this name is a secret. Words that follow say otherwise: `password-file`,
/// `token_ttl`, `secretName`; and so does a number of them: `--tokens 5` is a budget.
pub(super) fn is_secret(name: &str) -> bool {
    // The shell's own variables for folders.
    if name == "PWD" || name == "OLDPWD" {
        return false;
    }
    let (squeezed, word) = (squeezed(name), last_word(name));
    let first = name.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    if OTHERS.contains(&word.as_str()) || first.len() < name.len() && WHETHER.contains(&first.as_str()) {
        return false;
    }
    let ends = ENDS.iter().any(|end| squeezed.ends_with(end)) || word.ends_with("pass");
    ends || WORDS.contains(&word.as_str()) || name == "_auth"
}

/// The same, of a parameter of an address.
pub(super) fn is_secret_parameter(name: &str) -> bool {
    is_secret(name) || PARAMETERS.contains(&last_word(name).as_str())
}

/// Whether a name is so much a password's that `name: value` within a sentence gives it one.
pub(super) fn is_plain(name: &str) -> bool {
    let squeezed = squeezed(name);
    ["password", "passwd", "passphrase", "apikey", "accesskey", "secretkey"]
        .iter()
        .any(|end| squeezed.ends_with(end))
}

/// Whether what is given to this name is often the file with the secret.
pub(super) fn may_name_a_file(name: &str) -> bool {
    let squeezed = squeezed(name);
    ["privatekey", "signingkey", "credential", "credentials", "cookie"]
        .iter()
        .any(|end| squeezed.ends_with(end))
}

/// Whether a value is a file's path.
pub(super) fn is_path(value: &str) -> bool {
    let value = value.trim_start_matches(['"', '\'']);
    ["/", "./", "../", "~/", "file:"].iter().any(|begin| value.starts_with(begin))
}

fn squeezed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The last word, in lower case: `pass` of `DB_PASS`, `db.pass` and `dbPass`.
fn last_word(name: &str) -> String {
    let end = name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    let bytes = end.as_bytes();
    let begins = |at: usize| {
        let (before, here) = (bytes[at - 1], bytes[at]);
        !before.is_ascii_alphanumeric() || before.is_ascii_lowercase() && here.is_ascii_uppercase()
    };
    let start = (1..bytes.len()).rev().find(|at| begins(*at)).unwrap_or(0);
    squeezed(end.get(start..).unwrap_or(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_told_from_names_that_speak_of_them() {
        for name in [
            "password",
            "PASSWORD",
            "db-password",
            "dbPassword",
            "PGPASSWORD",
            "MYSQL_PWD",
            "SSHPASS",
            "DB_PASS",
            "dbPass",
            "pass",
            "storepass",
            "token",
            "botToken",
            "_authToken",
            "_auth",
            "GITHUB_TOKEN",
            "X-Api-Key",
            "apikey",
            "aws_secret_access_key",
            "SecretAccessKey",
            "AccountKey",
            "client_secret",
            "Set-Cookie",
            "PHPSESSID",
            "spring.datasource.password",
            "Dpassword",
            "bindpw",
            "client-key-data",
            "X-Vault-Token",
            "SECRET_KEY_BASE",
            "AWS_CREDS",
        ] {
            assert!(is_secret(name), "{name}");
            let name = name.to_ascii_lowercase();
            assert!(PARTS.iter().any(|part| name.contains(part)), "{name}");
        }
        for name in [
            "",
            "key",
            "key-file",
            "password-file",
            "passwordFile",
            "token-ttl",
            "tokens",
            "max_tokens",
            "secretName",
            "secretKeyRef",
            "PasswordAuthentication",
            "AuthorizedKeysFile",
            "PWD",
            "OLDPWD",
            "bypass",
            "compass",
            "SSH_ASKPASS",
            "no-ask-password",
            "allow-interactive-authorization",
            "NOPASSWD",
            "SSH_AUTH_SOCK",
            "XAUTHORITY",
            "accessKeyId",
            "cookie-jar",
            "credential.helper",
            "primary_key",
            "public-key",
            "passin",
            "sha256",
            "author",
            "monkey",
            "keyboard",
            "authentication",
            "passive",
            "-",
            "é",
        ] {
            assert!(!is_secret(name), "{name}");
        }
        assert!(
            is_secret_parameter("X-Amz-Signature")
                && is_secret_parameter("key")
                && !is_secret_parameter("keys")
        );
    }
}
