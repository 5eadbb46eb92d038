//! The folder of the BPF file system in which verdicts outlive the agent.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use openclaw_common::verdict::VERSION;

/// `BPF_FS_MAGIC` of the kernel's `magic.h`.
const MAGIC: u64 = 0xcafe_4a11;

/// Names of pinned links begin with this.
const LINK: &str = "link_";

/// That one agent has the pins. The kernel takes it back when that agent ends, however it does.
#[derive(Debug)]
pub(super) struct Hold(File);

/// Where the pins are.
#[derive(Debug, Clone)]
pub(super) struct Pins {
    bpffs: PathBuf,
}

impl Pins {
    pub(super) fn new(bpffs: &Path) -> Self {
        Pins { bpffs: bpffs.to_owned() }
    }

    /// The folder of all versions.
    fn base(&self) -> PathBuf {
        self.bpffs.join("openclaw")
    }

    /// The folder of what is in force.
    pub(super) fn folder(&self) -> PathBuf {
        self.base().join(VERSION)
    }

    /// The folder in which the pins are made. It becomes the other by one rename, so what is found there
    /// is whole. The file system takes no dots in names.
    pub(super) fn staging(&self) -> PathBuf {
        self.base().join(format!("{VERSION}-new"))
    }

    /// The folder of what was in force, while another takes its place.
    fn former(&self) -> PathBuf {
        self.base().join(format!("{VERSION}-old"))
    }

    /// Whether pins are in force.
    pub(super) fn exist(&self) -> bool {
        is_bpffs(&self.bpffs) && self.folder().is_dir()
    }

    /// Whether there is a file system to pin in.
    pub(super) fn are_mounted(&self) -> bool {
        is_bpffs(&self.bpffs)
    }

    /// Has the pins for this agent alone, mounting the file system where it is not.
    ///
    /// # Errors
    /// When another agent has them, or somebody else than root can write there.
    pub(super) fn hold(&self) -> Result<Hold> {
        mount(&self.bpffs)?;
        let base = self.base();
        let shown = base.display();
        make_folder(&base)?;
        self.trust()?;
        let folder = File::open(&base).with_context(|| format!("cannot open {shown}"))?;
        match rustix::fs::flock(&folder, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Hold(folder)),
            Err(rustix::io::Errno::WOULDBLOCK) => bail!(
                "another agent has the verdicts in {shown}: ask that one, or stop it, or set OPENCLAW_BPFFS \
                 to another folder"
            ),
            Err(error) => Err(error).with_context(|| format!("cannot lock {shown}")),
        }
    }

    /// Whether that is still so: the folder may have been removed, and another made.
    pub(super) fn are_held_by(&self, hold: &Hold) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        match (hold.0.metadata(), fs::metadata(self.base())) {
            (Ok(held), Ok(there)) => identity(held) == identity(there),
            _ => false,
        }
    }

    /// Removes the folder of all versions, unless there is something in it.
    pub(super) fn tidy(&self) {
        let _ = fs::remove_dir(self.base());
    }

    /// Makes the staging folder anew.
    pub(super) fn stage(&self) -> Result<PathBuf> {
        self.trust()?;
        let staging = self.staging();
        remove_folder(&staging)?;
        make_folder(&staging)?;
        Ok(staging)
    }

    /// Refuses a folder that somebody else than root can have filled: what is in it is neither believed nor
    /// removed, since links in it may lead anywhere.
    pub(super) fn trust(&self) -> Result<()> {
        let base = self.base();
        match fs::symlink_metadata(&base) {
            Ok(found) => match unfit(found.is_dir(), found.uid(), found.mode()) {
                Some(why) => bail!(
                    "{} {why}, so its verdicts cannot be trusted: remove it as root (`rm -r`) and start again",
                    base.display()
                ),
                None => Ok(()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot look at {}", base.display())),
        }
    }

    /// Puts the staged pins in force, in place of those that are. At each moment the ones or the others are: see
    /// [`Pins::recover`].
    ///
    /// # Errors
    /// Those before are in force still.
    pub(super) fn commit(&self) -> Result<()> {
        self.trust()?;
        let (folder, former) = (self.folder(), self.former());
        let rename = |from: &Path, to: &Path| {
            fs::rename(from, to).with_context(|| format!("cannot rename {}", from.display()))
        };
        let takes_a_place = folder.is_dir();
        if takes_a_place {
            remove_folder(&former)?;
            rename(&folder, &former)?;
        }
        if let Err(error) = rename(&self.staging(), &folder) {
            if takes_a_place {
                rename(&former, &folder)?;
            }
            return Err(error);
        }
        // What cannot be removed of them now is when the next agent comes.
        remove_folder(&former).or_else(|error| {
            tracing::warn!("verdicts that were replaced stay in force until they are over: {error:#}");
            Ok(())
        })
    }

    /// Brings what an agent began to an end that was killed while it made pins, or put them in force.
    pub(super) fn recover(&self) -> Result<()> {
        self.trust()?;
        if !is_bpffs(&self.bpffs) {
            return Ok(());
        }
        let (folder, former) = (self.folder(), self.former());
        if former.is_dir() && !folder.is_dir() {
            fs::rename(&former, &folder).with_context(|| format!("cannot rename {}", former.display()))?;
        }
        remove_folder(&former)?;
        remove_folder(&self.staging())
    }

    /// Removes what is in force, and with it the verdicts.
    pub(super) fn remove(&self) -> Result<()> {
        self.trust()?;
        remove_folder(&self.folder())
    }

    /// Removes what was made and is not put in force.
    pub(super) fn remove_staging(&self) -> Result<()> {
        self.trust()?;
        if is_bpffs(&self.bpffs) { remove_folder(&self.staging()) } else { Ok(()) }
    }

    /// Removes the pins of other versions than this one's, which it cannot read. Returns which.
    pub(super) fn remove_others(&self) -> Result<Vec<String>> {
        let base = self.base();
        let shown = base.display();
        let entries = fs::read_dir(&base).with_context(|| format!("cannot list {shown}"))?;
        let mut removed = Vec::new();
        each(entries, |entry| {
            let entry = entry.with_context(|| format!("cannot list {shown}"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = name.trim_end_matches("-new").trim_end_matches("-old");
            let is_version = version.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
            if !is_version || version == VERSION {
                return Ok(());
            }
            remove_folder(&entry.path())?;
            removed.push(name);
            Ok(())
        })?;
        Ok(removed)
    }

    /// Removes the pins of all versions.
    pub(super) fn remove_all(&self) -> Result<()> {
        let base = self.base();
        if !is_bpffs(&self.bpffs) || !base.is_dir() {
            return Ok(());
        }
        self.trust()?;
        let entries = fs::read_dir(&base).with_context(|| format!("cannot list {}", base.display()))?;
        each(entries, |entry| remove_folder(&entry?.path()))?;
        fs::remove_dir(&base).with_context(|| format!("cannot remove {}", base.display()))
    }
}

/// Mounts the BPF file system in that folder, unless it is there.
///
/// # Errors
/// When the folder cannot be made, or the kernel refuses.
pub fn mount(bpffs: &Path) -> Result<()> {
    if is_bpffs(bpffs) {
        return Ok(());
    }
    let shown = bpffs.display();
    fs::create_dir_all(bpffs).with_context(|| format!("cannot make {shown}"))?;
    rustix::mount::mount("bpf", bpffs, "bpf", rustix::mount::MountFlags::empty(), c"mode=0700")
        .with_context(|| format!("cannot mount the BPF file system: try `mount -t bpf bpf {shown}` as root"))
}

/// The name of a link's pin.
pub(super) fn link(program: &str) -> String {
    format!("{LINK}{program}")
}

fn is_bpffs(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|found| u64::try_from(found.f_type).unwrap_or(0) == MAGIC)
}

/// Makes a folder of root's own, unless it is there.
fn make_folder(folder: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made.with_context(|| format!("cannot make {}", folder.display())),
    }
}

/// Why what is found in place of the folder of all versions is not root's alone.
fn unfit(is_folder: bool, owner: u32, mode: u32) -> Option<String> {
    if !is_folder {
        Some("is not a folder".to_owned())
    } else if owner != 0 {
        Some(format!("belongs to user {owner}, not to root"))
    } else if mode & 0o022 != 0 {
        Some(format!("may be written by others (mode {:04o})", mode & 0o7777))
    } else {
        None
    }
}

/// Does it with all, also after one has failed. Returns the first error.
fn each<T>(all: impl IntoIterator<Item = T>, act: impl FnMut(T) -> Result<()>) -> Result<()> {
    all.into_iter().map(act).fold(Ok(()), Result::and)
}

/// Links first: what enforces ends before what it reads.
fn remove_folder(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", folder.display())),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_by_key(|path| {
        let name = path.file_name().unwrap_or_default();
        !name.as_encoded_bytes().starts_with(LINK.as_bytes())
    });
    each(&paths, |path| fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display())))?;
    fs::remove_dir(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_folder_that_is_roots_alone_is_trusted() {
        assert_eq!(unfit(true, 0, 0o40700), None);
        assert_eq!(unfit(true, 0, 0o40755), None);
        assert!(unfit(true, 1000, 0o40700).unwrap().contains("user 1000"));
        assert!(unfit(true, 0, 0o41777).unwrap().contains("mode 1777"));
        assert!(unfit(true, 0, 0o40720).is_some());
        assert!(unfit(false, 0, 0o120777).unwrap().contains("not a folder"));
    }
}
