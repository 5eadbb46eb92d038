//! Text of strangers on our terminal.

use std::fmt::{self, Write as _};

/// Shows a text that somebody else chose (a file's name, an argument) so that it can neither steer the terminal nor
/// break the line: control characters and those that turn the writing direction are shown escaped.
#[derive(Debug, Clone, Copy)]
pub struct Clean<'a>(pub &'a str);

impl fmt::Display for Clean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(f, "{}", c.escape_unicode())?;
                }
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_cannot_steer_the_terminal() {
        assert_eq!(Clean("a\x1b[2Jb\nc\u{9b}d\u{202e}é").to_string(), "a\\u{1b}[2Jb\\nc\\u{9b}d\\u{202e}é");
    }
}
