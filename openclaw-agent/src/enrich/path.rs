//! Paths as the kernel's walk gives them: components from the last to the first.

/// Text that is put together anew for each event, without allocating once it has grown.
#[derive(Debug, Default, Clone)]
pub struct PathBuffer(String);

impl PathBuffer {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A path section (see `openclaw_common::record`) as a path. One that is cut lacks its beginning, and so
    /// has no leading slash.
    pub fn set_section(&mut self, section: &[u8], cut: bool) {
        self.0.clear();
        push_section(&mut self.0, section, cut);
        if self.0.is_empty() {
            self.0.push('/');
        }
    }

    /// Text that a caller passed, as it is.
    pub fn set_text(&mut self, passed: &[u8]) {
        self.0.clear();
        self.0.push_str(&String::from_utf8_lossy(trim_nul(passed)));
    }

    /// The path that a caller passed, begun at the directory of a path section where it is relative. `.`,
    /// `..` and doubled slashes are taken out by the letter; links are not followed.
    pub fn set_joined(&mut self, base: &[u8], passed: &[u8], cut: bool) {
        self.0.clear();
        if passed.first() != Some(&b'/') {
            push_section(&mut self.0, base, cut);
        }
        let root = self.0.len() - self.0.trim_start_matches(|c| c != '/').len();
        let passed = String::from_utf8_lossy(trim_nul(passed));
        for part in passed.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    let parent = self.0.rfind('/').unwrap_or(0);
                    self.0.truncate(parent.max(root));
                }
                name => {
                    self.0.push('/');
                    self.0.push_str(name);
                }
            }
        }
        if self.0.is_empty() {
            self.0.push('/');
        }
    }
}

fn push_section(out: &mut String, section: &[u8], cut: bool) {
    let section = trim_nul(section);
    if section.is_empty() {
        return;
    }
    for (index, part) in section.rsplit(|byte| *byte == 0).enumerate() {
        if index > 0 || !cut {
            out.push('/');
        }
        match std::str::from_utf8(part) {
            Ok(part) => out.push_str(part),
            Err(_) => out.push_str(&String::from_utf8_lossy(part)),
        }
    }
}

fn trim_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

/// A path section as a path of its own.
pub fn join(section: &[u8], cut: bool) -> String {
    let mut buffer = PathBuffer::default();
    buffer.set_section(section, cut);
    buffer.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &[u8], passed: &[u8]) -> String {
        let mut buffer = PathBuffer::default();
        buffer.set_joined(base, passed, false);
        buffer.0
    }

    #[test]
    fn a_section_is_read_from_its_end() {
        assert_eq!(join(b"nc.openbsd\0bin\0usr\0", false), "/usr/bin/nc.openbsd");
        assert_eq!(join(b"", false), "/");
    }

    #[test]
    fn a_path_that_is_cut_does_not_look_whole() {
        assert_eq!(join(b"leaf\0middle\0", true), "middle/leaf");
    }

    #[test]
    fn a_relative_path_begins_at_its_directory_and_an_absolute_one_does_not() {
        assert_eq!(joined(b"log\0var\0", b"app/x.log\0"), "/var/log/app/x.log");
        assert_eq!(joined(b"log\0var\0", b"/etc//passwd\0"), "/etc/passwd");
        assert_eq!(joined(b"", b"x\0"), "/x");
    }

    #[test]
    fn dots_are_taken_out_and_never_lead_above_the_root() {
        assert_eq!(joined(b"log\0var\0", b"./../../../../tmp/./x\0"), "/tmp/x");
        assert_eq!(joined(b"", b"..\0"), "/");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_not_lost() {
        assert_eq!(join(b"a\xffb\0", false), "/a\u{fffd}b");
    }
}
