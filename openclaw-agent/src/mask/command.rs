//! Secrets that are known by their place in a command: `--password …`, `mysql -p…`, `curl -u name:…`.

use std::sync::LazyLock;

use regex::Regex;

use super::{Secret, assign, name};

/// How deep commands are looked for within the quotes of others.
const DEPTH: usize = 3;

/// Where a flag's value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the same word: `-pVALUE`.
    Same,
    /// In the next word: `-p VALUE`.
    Next,
    /// In either.
    Both,
}

/// What of a flag's value is secret.
#[derive(Debug, Clone, Copy)]
enum Part {
    All,
    /// What follows the first of these: a name stands before it.
    After(char),
    /// What follows this word, and nothing where another one stands there.
    Behind(&'static str),
    /// All, where it is not a file.
    Pairs,
}

/// A flag that is given a secret.
type Flag = (&'static str, At, Part);

/// Programs with flags that are given secrets, beside those flags that say so by their names.
struct Program {
    names: &'static [&'static str],
    flags: &'static [Flag],
    /// A word that must have come before.
    within: Option<&'static str>,
}

const fn program(names: &'static [&'static str], flags: &'static [Flag]) -> Program {
    Program { names, flags, within: None }
}

const PROGRAMS: [Program; 24] = [
    program(
        &[
            "mysql",
            "mysqladmin",
            "mysqlcheck",
            "mysqldump",
            "mysqlimport",
            "mysqlpump",
            "mysqlsh",
            "mysqlshow",
            "mysqlslap",
            "mariadb",
            "mariadb-admin",
            "mariadb-check",
            "mariadb-dump",
            "mariadb-import",
        ],
        &[("-p", At::Same, Part::All), ("password", At::Next, Part::All)],
    ),
    program(&["sshpass"], &[("-p", At::Both, Part::All)]),
    program(
        &["redis-cli", "valkey-cli", "keydb-cli"],
        &[("-a", At::Both, Part::All), ("auth", At::Next, Part::All)],
    ),
    program(
        &["curl"],
        &[
            ("-u", At::Both, Part::After(':')),
            ("-U", At::Both, Part::After(':')),
            ("--user", At::Both, Part::After(':')),
            ("--proxy-user", At::Both, Part::After(':')),
            ("-E", At::Next, Part::After(':')),
            ("--cert", At::Next, Part::After(':')),
            ("-b", At::Both, Part::Pairs),
            ("--cookie", At::Both, Part::Pairs),
        ],
    ),
    program(
        &["http", "https", "httpie", "xh", "xhs"],
        &[("-a", At::Both, Part::After(':')), ("--auth", At::Both, Part::After(':'))],
    ),
    program(
        &["openssl"],
        &[
            ("-passin", At::Next, Part::Behind("pass:")),
            ("-passout", At::Next, Part::Behind("pass:")),
            ("-pass", At::Next, Part::Behind("pass:")),
            ("-k", At::Next, Part::All),
            ("-K", At::Next, Part::All),
        ],
    ),
    program(
        &["smbclient", "smbget", "smbcacls", "rpcclient", "net", "winexe", "wmic", "pth-winexe"],
        &[("-U", At::Both, Part::After('%')), ("--user", At::Both, Part::After('%'))],
    ),
    program(&["lftp"], &[("-u", At::Both, Part::After(','))]),
    program(
        &["ldapsearch", "ldapadd", "ldapmodify", "ldapdelete", "ldapwhoami", "ldapcompare"],
        &[("-w", At::Both, Part::All)],
    ),
    program(
        &["ldappasswd"],
        &[("-w", At::Both, Part::All), ("-s", At::Both, Part::All), ("-a", At::Both, Part::All)],
    ),
    Program {
        names: &["docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "az", "oc"],
        flags: &[("-p", At::Both, Part::All)],
        within: Some("login"),
    },
    program(&["vault", "bao"], &[("login", At::Next, Part::All)]),
    program(
        &["mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport", "mongostat"],
        &[("-p", At::Both, Part::All)],
    ),
    program(
        &["sqlcmd", "bcp", "tsql", "mosquitto_pub", "mosquitto_sub", "ipmitool", "zip", "unzip"],
        &[("-P", At::Both, Part::All)],
    ),
    program(
        &["7z", "7za", "7zr", "7zz", "rar", "unrar"],
        &[("-p", At::Same, Part::All), ("-hp", At::Same, Part::All)],
    ),
    program(&["useradd", "usermod", "groupadd", "groupmod"], &[("-p", At::Next, Part::All)]),
    program(&["xfreerdp", "xfreerdp3", "wlfreerdp"], &[("/p:", At::Same, Part::All)]),
    program(&["rdesktop"], &[("-p", At::Both, Part::All)]),
    program(
        &["evil-winrm", "crackmapexec", "cme", "nxc", "netexec"],
        &[("-p", At::Both, Part::All), ("-H", At::Both, Part::All)],
    ),
    program(&["hydra", "medusa"], &[("-p", At::Both, Part::All)]),
    program(
        &["snmpget", "snmpwalk", "snmpset", "snmpbulkwalk"],
        &[("-c", At::Both, Part::All), ("-A", At::Both, Part::All), ("-X", At::Both, Part::All)],
    ),
    program(&["nmcli"], &[("password", At::Next, Part::All)]),
    program(
        &["aws"],
        &[("aws_secret_access_key", At::Next, Part::All), ("aws_session_token", At::Next, Part::All)],
    ),
    // What these run begins with a program of its own, and their flags are not those of the program before them.
    program(&["ssh", "scp", "sftp", "rsync", "nc", "ncat", "find", "tar"], &[]),
];

/// Parts of which each such command has one, for a first look at a text.
pub(super) fn parts() -> impl Iterator<Item = &'static str> {
    let with_flags = PROGRAMS.iter().filter(|program| !program.flags.is_empty());
    let piped = ["chpasswd", "sudo", "cryptsetup", "-stdin"];
    with_flags.flat_map(|program| program.names.iter().copied()).chain(piped)
}

/// Where secrets are in words of a command line: in which word, and where in it.
pub(super) fn secrets(words: &[&str]) -> Vec<(usize, Secret)> {
    let mut found = Vec::new();
    let mut program: Option<&Program> = None;
    for (at, word) in words.iter().enumerate() {
        if is_operator(word) {
            program = None;
            continue;
        }
        if let Some(begun) = called(words, at) {
            program = Some(begun);
        }
        let next =
            words.get(at + 1).filter(|next| !is_operator(next) && !is_flag(next)).map(|next| (at + 1, *next));
        let here =
            program.filter(|program| program.within.is_none_or(|within| words[..at].contains(&within)));
        let flag =
            here.and_then(|program| program.flags.iter().find_map(|flag| of_flag(flag, at, word, next)));
        match flag {
            Some(secret) => found.extend(secret),
            None => found
                .extend(next.filter(|next| names_next(word, next.1)).map(|(at, next)| (at, 0..next.len()))),
        }
        if word.ends_with(';') {
            program = None;
        }
    }
    found
}

/// The same in a text, of which the words are found by spaces and quotes.
pub(super) fn secrets_in_text(text: &str) -> Vec<Secret> {
    let mut found = Vec::new();
    in_text(text, 0, DEPTH, &mut found);
    found.extend(piped(text));
    found
}

fn in_text(text: &str, offset: usize, depth: usize, found: &mut Vec<Secret>) {
    let places = words(text);
    let shown: Vec<&str> = places.iter().map(|place| &text[place.clone()]).collect();
    let shift = |(word, secret): (usize, Secret)| {
        let start = offset + places[word].start;
        start + secret.start..start + secret.end
    };
    found.extend(secrets(&shown).into_iter().map(shift));
    // What a shell is to run stands in quotes.
    for place in places.iter().filter(|_| depth > 0) {
        let inner = &text[place.clone()];
        if inner.contains(' ') {
            in_text(inner, offset + place.start, depth - 1, found);
        }
    }
}

/// Words, those in quotes without them.
fn words(text: &str) -> Vec<Secret> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(skip) = text[at..].find(|c: char| !c.is_whitespace()) {
        at += skip;
        let rest = &text[at..];
        let plain = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let word = assign::quoted(rest).unwrap_or(0..plain);
        words.push(at + word.start..at + word.end);
        // A quote's end is part of no word.
        at += word.end.max(1);
        at += text[at..].find(char::is_whitespace).unwrap_or(text.len() - at);
    }
    words
}

/// What is written into a program that reads a password: `echo root:… | chpasswd`, of which the user is no secret.
fn piped(text: &str) -> impl Iterator<Item = Secret> {
    #[expect(clippy::expect_used, reason = "a constant")]
    static PIPED: LazyLock<Regex> = LazyLock::new(|| {
        let reader =
            r"(?:\S*/)?(?:chpasswd|passwd|sudo\s+(?:-\w+\s+)*-\w*S|cryptsetup|[^|;&]*--password-stdin)";
        Regex::new(&format!(r"\b(?:echo|printf)\s+(?:-\w+\s+)*([^|;&\n]*?)\s*\|\s*(?:sudo\s+)?{reader}"))
            .expect("an expression")
    });
    PIPED.captures_iter(text).filter_map(|found| {
        let (whole, secret) = (found.get(0)?, found.get(1)?);
        let user = secret.as_str().find(':').filter(|_| whole.as_str().ends_with("chpasswd"));
        Some(secret.start() + user.map_or(0, |user| user + 1)..secret.end())
    })
}

/// The program that this word calls, where it stands as programs do: first, or not as the value of a long flag
/// (`find -name mysql`, `docker run --name mysql`), and by no path that is no program's.
fn called(words: &[&str], at: usize) -> Option<&'static Program> {
    let word = words[at].trim_start_matches(['(', '`']);
    let name = word.rsplit('/').next().unwrap_or(word);
    let in_place = match at.checked_sub(1).map(|before| words[before]) {
        None => true,
        Some(before) => {
            let after_long = before.starts_with('-') && before.len() > 3 && !before.contains('=');
            !after_long && (!word.contains('/') || word.contains("bin/"))
        }
    };
    let known = PROGRAMS.iter().find(|program| program.names.contains(&name));
    known.filter(|_| in_place)
}

/// What a flag of a program makes of a word. None where it is not that flag; no secret where the flag has none.
fn of_flag(
    &(flag, at, part): &Flag,
    index: usize,
    word: &str,
    next: Option<(usize, &str)>,
) -> Option<Option<(usize, Secret)>> {
    if word == flag || at == At::Both && is_cluster(word, flag) {
        let secret = || {
            let (index, next) = next.filter(|_| at != At::Same)?;
            Some((index, part.of(next, 0)?))
        };
        return Some(secret());
    }
    let attached = match flag {
        // Of long flags `=` is no part.
        long if long.starts_with("--") => word.strip_prefix(flag)?.strip_prefix('=')?,
        short => word.strip_prefix(short)?,
    };
    let start = word.len() - attached.len();
    (at != At::Next && !attached.is_empty()).then(|| Some((index, part.of(word, start)?)))
}

/// Whether a word is several flags of one letter, of which the last is this one: `-sku`.
fn is_cluster(word: &str, flag: &str) -> bool {
    let (Some(letters), Some(letter)) = (word.strip_prefix('-'), flag.strip_prefix('-')) else {
        return false;
    };
    letter.len() == 1
        && (2..=5).contains(&letters.len())
        && letters.ends_with(letter)
        && letters.chars().all(|c| c.is_ascii_alphabetic())
}

impl Part {
    /// The secret in the value that begins at `start` of a word.
    fn of(self, word: &str, start: usize) -> Option<Secret> {
        let value = &word[start..];
        let from = match self {
            Part::All => 0,
            Part::After(separator) => value.find(separator)? + separator.len_utf8(),
            Part::Behind(begin) => value.starts_with(begin).then_some(begin.len())?,
            Part::Pairs => value.contains('=').then_some(0)?,
        };
        Some(start + from..word.len())
    }
}

/// Whether a word is a flag that says by its name that the next word is secret.
fn names_next(word: &str, next: &str) -> bool {
    let name = word.trim_start_matches('-');
    let dashes = word.len() - name.len();
    matches!(dashes, 1 | 2)
        && name.len() > 2
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && name::is_secret(name)
        && !(name::may_name_a_file(name) && name::is_path(next))
}

/// Whether a word is a flag beyond doubt, and not a password that begins with `-`.
fn is_flag(word: &str) -> bool {
    let name = word.trim_start_matches('-');
    match word.len() - name.len() {
        1 => name.len() == 1 && name.chars().all(|c| c.is_ascii_alphabetic()),
        2 => name
            .split('=')
            .next()
            .is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')),
        _ => false,
    }
}

/// Whether a word separates two commands, or a command from its files.
fn is_operator(word: &str) -> bool {
    matches!(word, "|" | "||" | "&" | "&&" | ";" | ">" | ">>" | "<" | "2>&1" | "2>" | "then" | "do")
}
