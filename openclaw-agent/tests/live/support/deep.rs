//! A folder that lies deep.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A folder below a temporary one. Removed from its end, since what removes trees keeps each level open.
pub(crate) struct Deep {
    top: TempDir,
    path: PathBuf,
}

impl Deep {
    /// One that many components deep.
    pub(crate) fn new(components: usize) -> Self {
        let top = tempfile::tempdir().unwrap();
        let mut path = top.path().to_str().unwrap().to_owned();
        for _ in 0..components {
            path.push_str("/d");
            std::fs::create_dir(&path).unwrap();
        }
        Deep { path: path.into(), top }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        let levels = self.path.ancestors().take_while(|level| *level != self.top.path());
        for level in levels {
            for file in std::fs::read_dir(level).into_iter().flatten().flatten() {
                let _ = std::fs::remove_file(file.path());
            }
            let _ = std::fs::remove_dir(level);
        }
    }
}
