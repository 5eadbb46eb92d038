//! Where runtimes keep their state, and how it is read.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Container, Details, Runtime, cgroup, containerd, docker, runc, storage};

/// Longest file that is read, bytes.
const FILE_MAX: u64 = 16 << 20;

/// The folders of each runtime's state: `security.containers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Roots {
    /// Docker's data, `data-root` of its configuration.
    pub docker: Vec<PathBuf>,
    /// containerd's state, `state` of its configuration.
    pub containerd: Vec<PathBuf>,
    /// Storage of Podman and CRI-O, `runroot` and `graphroot` of theirs.
    pub storage: Vec<PathBuf>,
    /// runc's state, its `--root`.
    pub runc: Vec<PathBuf>,
}

impl Default for Roots {
    fn default() -> Roots {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Roots {
            docker: paths(&["/var/lib/docker"]),
            containerd: paths(&["/run/containerd", "/run/k3s/containerd"]),
            storage: paths(&["/run/containers/storage", "/var/lib/containers/storage"]),
            runc: paths(&["/run/runc"]),
        }
    }
}

impl Roots {
    /// The same with the folders of the user whose control group it is, where it is a user's: containers
    /// without root have their state there.
    fn with_those_of_user(&self, cgroup: &str) -> Roots {
        let mut roots = self.clone();
        let user = cgroup.split('/').find_map(|part| part.strip_prefix("user-")?.strip_suffix(".slice"));
        let Some(uid) = user.and_then(|uid| uid.parse::<u32>().ok()).filter(|uid| *uid != 0) else {
            return roots;
        };
        roots.storage.push(format!("/run/user/{uid}/containers").into());
        if let Some(home) = home(uid, &std::fs::read_to_string("/etc/passwd").unwrap_or_default()) {
            roots.docker.push(home.join(".local/share/docker"));
            roots.storage.push(home.join(".local/share/containers/storage"));
        }
        roots
    }
}

/// The folder of a user, by `passwd(5)`.
fn home(uid: u32, passwd: &str) -> Option<PathBuf> {
    let uid = uid.to_string();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()? == uid).then(|| PathBuf::from(fields.nth(2).unwrap_or_default()))
    })
}

/// What the state on disk says of a container. `None` where it is in nobody's, or not yet.
pub(super) fn read(roots: &Roots, container: &Container) -> Option<Details> {
    let roots = &roots.with_those_of_user(&container.cgroup);
    let id = &container.id;
    match container.runtime {
        Some(Runtime::Docker) => docker::read(&roots.docker, id),
        Some(Runtime::Containerd) => containerd::read(&roots.containerd, id),
        Some(Runtime::CriO | Runtime::Podman) => storage::read(&roots.storage, id),
        Some(Runtime::Runc) => runc::read(&roots.runc, id),
        Some(Runtime::Lxc | Runtime::Nspawn) => {
            Some(Details { name: cgroup::unescape(id), ..Details::default() })
        }
        None => docker::read(&roots.docker, id)
            .or_else(|| containerd::read(&roots.containerd, id))
            .or_else(|| storage::read(&roots.storage, id))
            .or_else(|| runc::read(&roots.runc, id)),
    }
}

/// A file of JSON. `None` where it is not there, is no regular file, is too long, or is not what it should be:
/// it may be a user's, or be written at this moment.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&bytes(path)?).ok()
}

/// What a regular file holds, on the same conditions.
pub(super) fn bytes(path: &Path) -> Option<Vec<u8>> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= FILE_MAX).then_some(bytes)
}

/// Opens a regular file. A FIFO would make the thread wait, and a link lead somewhere else.
fn open(path: &Path) -> Option<File> {
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// The annotations of a container's `config.json`, as the [runtime specification] has it.
///
/// [runtime specification]: https://github.com/opencontainers/runtime-spec/blob/main/config.md#annotations
pub(super) fn annotations(path: &Path) -> Option<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    json::<Spec>(path).map(|spec| spec.annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_containers_are_looked_for_in_the_users_folder() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\njo:x:1000:1000:Jo,,,:/home/jo:/bin/sh\nbroken\n";
        assert_eq!(home(1000, passwd), Some("/home/jo".into()));
        assert_eq!(home(1, passwd), None);
        let roots = Roots::default();
        let users = roots.with_those_of_user("/user.slice/user-77.slice/user@77.service/libpod-x.scope");
        assert!(users.storage.contains(&"/run/user/77/containers".into()));
        assert_eq!(roots.with_those_of_user("/user.slice/user-0.slice/session-1.scope"), roots);
    }

    #[test]
    fn what_is_no_regular_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "{}").unwrap();
        assert!(annotations(&file).is_some());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(annotations(&link).is_none());
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(annotations(&fifo).is_none());
        std::fs::write(&file, "{\"annotations\":").unwrap();
        assert!(annotations(&file).is_none());
    }

    #[test]
    fn a_container_without_state_on_disk_has_the_name_of_its_folder() {
        let container = Container::of_cgroup("/machine.slice/machine-my\\x2dbox.scope").unwrap();
        assert_eq!(read(&Roots::default(), &container).unwrap().name, "my-box");
    }
}
