//! What was done to which file.

use openclaw_detect::{Field, Value};

use super::error::error_name;
use super::value::number;
use crate::enrich::procfs::last_part;

/// What was done to which file.
#[derive(Debug, Clone, Copy)]
pub struct FileBody<'a> {
    /// The value of `event.action`.
    pub action: &'static str,
    /// The path; of a rename or link, the new one.
    pub path: &'a str,
    /// What else the act names.
    pub other: Option<Other<'a>>,
    /// Whether the path is the kernel's own.
    pub resolved: bool,
    /// Whether the path lacks its beginning.
    pub truncated: bool,
    /// Inode and device number, where an open file told them.
    pub inode: Option<(u64, u32)>,
    /// Owner and group, where they are known.
    pub owner: (Option<u32>, Option<u32>),
    /// Whether it lies in the upper layer of an overlay; none where it lies in no overlay, or the kernel does not tell.
    pub upper_layer: Option<bool>,
    /// Permission bits.
    pub mode: Option<u32>,
    /// Why it was not done, an `errno`; 0 where it was.
    pub error: u32,
}

/// What an act upon a file names beside the file.
#[derive(Debug, Clone, Copy)]
pub enum Other<'a> {
    /// The path before a rename.
    Original(&'a str),
    /// What a link leads to: of a symbolic link, as it was written.
    Target(&'a str),
    /// An extended attribute.
    Attribute(&'a str),
}

impl FileBody<'_> {
    /// The value of one of its fields.
    pub(super) fn field(&self, field: Field) -> Option<Value<'_>> {
        match field {
            Field::FilePath => Some(Value::Str(self.path)),
            Field::FileName => Some(Value::Str(last_part(self.path))),
            Field::FileDirectory => Some(Value::Str(directory(self.path)?)),
            Field::FileExtension => Some(Value::Str(extension(last_part(self.path))?)),
            Field::FileOriginalPath => match self.other? {
                Other::Original(path) => Some(Value::Str(path)),
                _ => None,
            },
            Field::FileTargetPath => match self.other? {
                Other::Target(path) => Some(Value::Str(path)),
                _ => None,
            },
            Field::FileAttribute => match self.other? {
                Other::Attribute(name) => Some(Value::Str(name)),
                _ => None,
            },
            Field::FileResolved => Some(Value::Bool(self.resolved)),
            Field::FileTruncated => Some(Value::Bool(self.truncated)),
            Field::FileInode => Some(Value::Int(self.inode?.0.cast_signed())),
            Field::FileDevice => Some(number(self.inode?.1)),
            Field::FileUid => self.owner.0.map(number),
            Field::FileGid => self.owner.1.map(number),
            Field::FileUpperLayer => self.upper_layer.map(Value::Bool),
            Field::ErrorCode => error_name(self.error).map(Value::Str),
            Field::FileMode => self.mode.map(number),
            Field::FileSetuid => Some(Value::Bool(self.mode? & 0o4000 != 0)),
            Field::FileSetgid => Some(Value::Bool(self.mode? & 0o2000 != 0)),
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
