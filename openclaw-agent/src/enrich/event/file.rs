//! What was done to which file.

use openclaw_detect::{Field, Value};

use super::value::number;
use crate::enrich::procfs::last_part;

/// What was done to which file.
#[derive(Debug, Clone, Copy)]
pub struct FileBody<'a> {
    /// The value of `event.action`.
    pub action: &'static str,
    /// The path; of a rename, the new one.
    pub path: &'a str,
    /// Of a rename: the old one.
    pub original: Option<&'a str>,
    /// Whether the path is the kernel's own.
    pub resolved: bool,
    /// Whether the path lacks its beginning.
    pub truncated: bool,
    /// Inode and device number, owner and group, where an open file told them.
    pub inode: Option<(u64, u32, u32, u32)>,
    /// Permission bits.
    pub mode: Option<u32>,
}

impl FileBody<'_> {
    /// The value of one of its fields.
    pub(super) fn field(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::FilePath => Some(Value::Str(self.path)),
            Field::FileName => Some(Value::Str(last_part(self.path))),
            Field::FileDirectory => Some(Value::Str(directory(self.path)?)),
            Field::FileExtension => Some(Value::Str(extension(last_part(self.path))?)),
            Field::FileOriginalPath => self.original.map(Value::Str),
            Field::FileResolved => Some(Value::Bool(self.resolved)),
            Field::FileTruncated => Some(Value::Bool(self.truncated)),
            Field::FileInode => Some(Value::Int(self.inode?.0.cast_signed())),
            Field::FileDevice => Some(number(self.inode?.1)),
            Field::FileUid => Some(number(self.inode?.2)),
            Field::FileGid => Some(number(self.inode?.3)),
            Field::FileMode => self.mode.map(number),
            _ => None,
        }
    }
}

/// A path without its last part; `/` for what lies directly below the root.
fn directory(path: &str) -> Option<&str> {
    match path.rfind('/')? {
        0 => Some("/"),
        at => Some(&path[..at]),
    }
}

/// What follows the last dot of a name that does not begin with it.
fn extension(name: &str) -> Option<&str> {
    match name.rfind('.')? {
        0 => None,
        at => Some(&name[at + 1..]).filter(|extension| !extension.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_falls_into_directory_and_extension() {
        assert_eq!(directory("/etc/passwd"), Some("/etc"));
        assert_eq!(directory("/passwd"), Some("/"));
        assert_eq!(directory("cut"), None);
        assert_eq!(extension("a.tar.gz"), Some("gz"));
        assert_eq!(extension(".bashrc"), None);
        assert_eq!(extension("a."), None);
    }
}
