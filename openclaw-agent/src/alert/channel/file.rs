//! A line of JSON in a file, which is on disk when it counts as delivered.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{Attempt, json, quote};
use crate::alert::Alert;
use crate::config;

#[derive(Debug)]
pub(crate) struct File {
    config: config::File,
}

impl File {
    pub(super) fn new(config: &config::File) -> File {
        File { config: config.clone() }
    }

    /// Appends a line. The file is opened for each, so whoever moves it away gets no later ones.
    pub(super) async fn send(&self, alert: &Alert) -> Attempt {
        let mut line = match json(alert) {
            Ok(line) => line,
            Err(attempt) => return attempt,
        };
        line.push(b'\n');
        let config = self.config.clone();
        // A disk may take its time, which other channels are not to wait for.
        match tokio::task::spawn_blocking(move || append(&config, &line)).await {
            Ok(Ok(length)) => Attempt::Delivered { said: format!("{length} bytes written") },
            Ok(Err(error)) => Attempt::Later { reason: quote(&error.to_string()), after: None },
            Err(_) => Attempt::Later { reason: "the agent stops".to_owned(), after: None },
        }
    }
}

/// Appends a line to the file, or to a new one in its place where it is full, and waits until the disk has it. Returns its
/// length.
fn append(config: &config::File, line: &[u8]) -> io::Result<usize> {
    let path = &config.path;
    let mut file = open(path)?;
    let mut length = file.metadata()?.len();
    if length > 0 && length + line.len() as u64 > config.max_size {
        rotate(path, config.keep)?;
        file = open(path)?;
        length = file.metadata()?.len();
    }
    let is_new = length == 0;
    // An agent that was killed amid a line left a part of it: that line is lost, not this one.
    let torn = !is_new && last_byte(&mut file)? != b'\n';
    let line = if torn { [b"\n", line].concat() } else { line.to_vec() };
    let written = file.write_all(&line).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // A full disk takes a part of a line. It will be written again as a whole.
        let _ = file.set_len(length);
        return Err(error);
    }
    if is_new {
        sync_folder(path)?;
    }
    Ok(line.len())
}

/// Opens the file for appending, in a folder that is made where there is none.
fn open(path: &Path) -> io::Result<fs::File> {
    match open_in_place(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(folder_of(path))?;
            open_in_place(path)
        }
        opened => opened,
    }
}

/// Opens the file in a folder that is there. It is made for the agent's user alone. A link in its place is not followed, nor
/// is a file taken that is somebody else's or has another name, since the agent can write everywhere and alerts are not for
/// all.
fn open_in_place(path: &Path) -> io::Result<fs::File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw() && metadata.nlink() == 1;
    if !is_own || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write it: remove it, or give it to the agent's user alone"));
    }
    Ok(file)
}

fn last_byte(file: &mut fs::File) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}

/// Makes room: `path.1` becomes `path.2` and so on, `path` becomes `path.1`, and the oldest goes.
fn rotate(path: &Path, keep: u32) -> io::Result<()> {
    let full = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    if keep == 0 {
        return fs::remove_file(path);
    }
    for number in (0..keep).rev() {
        match fs::rename(full(number), full(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    sync_folder(path)
}

/// Makes a folder, and those in which it lies, for the agent's user alone.
fn make_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    missing.into_iter().try_for_each(sync_folder)
}

/// Has the disk know the names in the folder of a file.
fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn read(path: &Path, suffix: &str) -> String {
        fs::read_to_string(format!("{}{suffix}", path.display())).unwrap_or_else(|_| "none".to_owned())
    }

    #[test]
    fn full_files_are_renamed_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.json");
        let config = config::File { max_size: 10, keep: 2, ..config::File::new(path.clone()) };
        for line in ["11111\n", "222\n", "33333\n", "44444\n", "a line that is larger than a file\n"] {
            append(&config, line.as_bytes()).unwrap();
        }
        assert_eq!(read(&path, ""), "a line that is larger than a file\n");
        assert_eq!((read(&path, ".1").as_str(), read(&path, ".2").as_str()), ("44444\n", "33333\n"));
        assert_eq!(read(&path, ".3"), "none");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        append(&config::File { keep: 0, ..config }, b"55555\n").unwrap();
        assert_eq!(read(&path, ""), "55555\n");
    }

    #[test]
    fn a_folder_that_is_missing_is_made_for_the_agents_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/alerts.json");
        append(&config::File::new(path.clone()), b"{}\n").unwrap();
        assert_eq!(read(&path, ""), "{}\n");
        for made in ["a", "a/b"] {
            assert_eq!(folder.path().join(made).metadata().unwrap().permissions().mode() & 0o777, 0o700);
        }
        let through_a_file = config::File::new(path.join("alerts.json"));
        assert!(append(&through_a_file, b"{}\n").is_err());
    }

    #[test]
    fn what_was_torn_off_does_not_spoil_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alerts.json");
        fs::write(&path, "{\"id\": \"a").unwrap();
        append(&config::File::new(path.clone()), b"{}\n").unwrap();
        assert_eq!(read(&path, ""), "{\"id\": \"a\n{}\n");
    }

    #[test]
    fn no_link_is_followed_and_no_file_of_others_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("alerts.json"), folder.path().join("target"));
        symlink(&target, &path).unwrap();
        assert!(append(&config::File::new(path), b"{}\n").is_err() && !target.exists());
        assert!(append(&config::File::new("/dev/full".into()), b"{}\n").is_err(), "a device");
        let shared = folder.path().join("shared.json");
        fs::write(&shared, "").unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(append(&config::File::new(shared.clone()), b"{}\n").is_err());
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o640)).unwrap();
        append(&config::File::new(shared.clone()), b"{}\n").unwrap();
        fs::hard_link(&shared, folder.path().join("other name")).unwrap();
        assert!(append(&config::File::new(shared), b"{}\n").is_err());
    }
}
