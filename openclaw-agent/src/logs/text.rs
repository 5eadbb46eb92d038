//! Text that strangers wrote, of whatever bytes.

use std::fmt::Write as _;

/// The bytes as text; those that are no UTF-8 as percent escapes, so that they can still be looked for.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02x}");
        }
    }
    text
}

/// A text that a log tells; none of it, or `-`, stands for none.
pub(super) fn told(text: &str) -> Option<&str> {
    (!matches!(text, "" | "-")).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_escaped_byte_by_byte() {
        assert_eq!(text_of("a\u{e9}".as_bytes()), "a\u{e9}");
        assert_eq!(text_of(b"..\xc0\xaf\xff/"), "..%c0%af%ff/");
    }
}
