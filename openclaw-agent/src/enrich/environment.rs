//! The environment that a program is begun with: variables that are wanted by name are kept, and nothing of the
//! others, which are often secrets.

/// Variables that are kept unless configured otherwise: those by which a program is made to load other code, and
/// those by which its connections are led elsewhere.
pub const DEFAULT: [&str; 17] = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "GLIBC_TUNABLES",
    "BASH_ENV",
    "PERL5OPT",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "NODE_OPTIONS",
    "JAVA_TOOL_OPTIONS",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "HISTFILE",
];

/// Names of the variables that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    names: Vec<String>,
    /// Which lengths names have, a bit for each, the last for all from there on: most variables are none of them by that.
    lengths: u64,
}

impl Default for Environment {
    fn default() -> Self {
        Environment::new(DEFAULT.map(str::to_owned).into())
    }
}

impl Environment {
    /// The variables of these names.
    pub fn new(names: Vec<String>) -> Self {
        let lengths = names.iter().fold(0, |all, name| all | length_bit(name.len()));
        Environment { names, lengths }
    }

    /// The wanted variables of an environment (`NAME=value`, each ended by NUL), in its order. What is not text is
    /// kept as far as it is.
    pub(super) fn of(&self, environment: &[u8]) -> String {
        let mut kept = String::new();
        let ends = memchr::memchr_iter(0, environment).chain([environment.len()]);
        let mut begin = 0;
        for end in ends {
            let variable = &environment[begin..end];
            begin = end + 1;
            let Some(equals) = memchr::memchr(b'=', variable) else { continue };
            let is_wanted = || self.names.iter().any(|name| name.as_bytes() == &variable[..equals]);
            if self.lengths & length_bit(equals) != 0 && is_wanted() {
                kept.push_str(&String::from_utf8_lossy(variable));
                kept.push('\0');
            }
        }
        kept
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kept(names: &[&str], environment: &[u8]) -> String {
        Environment::new(names.iter().map(ToString::to_string).collect()).of(environment)
    }

    #[test]
    fn variables_are_kept_by_their_whole_names() {
        let environment = b"PATH=/bin\0LD_PRELOAD=/x=y\0XLD_PRELOAD=a\0LD_PRELOADX=b\0LD_PRELOAD\0A=\0";
        assert_eq!(kept(&["A", "LD_PRELOAD"], environment), "LD_PRELOAD=/x=y\0A=\0");
        assert_eq!(kept(&[], environment), "");
    }

    #[test]
    fn a_variable_that_is_cut_is_kept_as_far_as_it_goes() {
        assert_eq!(kept(&["A"], b"B=1\0A=beginn"), "A=beginn\0");
        assert_eq!(kept(&["A"], b"A=a\xffb\0"), "A=a\u{fffd}b\0");
    }

    proptest! {
        #[test]
        fn nothing_of_other_variables_is_kept(
            secret in "[a-z]{8,20}",
            before in "[A-Z=_]{0,8}",
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut environment = bytes;
            environment.extend_from_slice(format!("\0{before}X={secret}\0WANTED=1\0").as_bytes());
            let kept = kept(&["WANTED"], &environment);
            prop_assert!(!kept.contains(&secret));
            prop_assert!(kept.ends_with("WANTED=1\0"));
        }
    }
}
