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
pub struct Environment(Vec<String>);

impl Default for Environment {
    fn default() -> Self {
        Environment(DEFAULT.map(str::to_owned).into())
    }
}

impl Environment {
    /// The variables of these names.
    pub fn new(names: Vec<String>) -> Self {
        Environment(names)
    }

    /// The wanted variables of an environment (`NAME=value`, each ended by NUL), in its order. What is not text is
    /// kept as far as it is.
    pub(super) fn of(&self, environment: &[u8]) -> String {
        let mut kept = String::new();
        for variable in environment.split(|byte| *byte == 0) {
            let Some(end) = variable.iter().position(|byte| *byte == b'=') else { continue };
            if self.0.iter().any(|name| name.as_bytes() == &variable[..end]) {
                kept.push_str(&String::from_utf8_lossy(variable));
                kept.push('\0');
            }
        }
        kept
    }
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
