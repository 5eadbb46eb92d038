//! Containers of real runtimes, of a root file system that holds busybox alone.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::unique;

/// A root file system with busybox under some of its names.
pub(crate) fn root_file_system(at: &Path, busybox: &Path) {
    for folder in ["bin", "proc", "dev", "sys", "tmp"] {
        std::fs::create_dir_all(at.join(folder)).unwrap();
    }
    std::fs::copy(busybox, at.join("bin/busybox")).unwrap();
    for name in ["sh", "sleep", "true"] {
        symlink("busybox", at.join("bin").join(name)).unwrap();
    }
}

/// A bundle of runc's, and the container made of it. Killed and deleted when it is dropped.
pub(crate) struct Runc {
    program: PathBuf,
    folder: TempDir,
    pub(crate) id: String,
}

impl Runc {
    /// A bundle whose container is to run a program of busybox, with an annotation.
    pub(crate) fn new(program: PathBuf, busybox: &Path, args: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("openclaw-runc-").tempdir().unwrap();
        root_file_system(&folder.path().join("rootfs"), busybox);
        let runc = Runc { program, folder, id: format!("openclaw-test-{}-{}", std::process::id(), unique()) };
        let specified = runc.command(&["spec"]).output().unwrap();
        assert!(specified.status.success(), "{specified:?}");
        let file = runc.folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(args);
        config["annotations"] = json!({"org.example.team": "web"});
        std::fs::write(file, config.to_string()).unwrap();
        runc
    }

    /// Where runc keeps the state, to be named in the agent's configuration.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// runc with its state there, in the bundle.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.root()).args(args).current_dir(self.folder.path());
        command.stdin(Stdio::null());
        command
    }

    /// Starts the container. The error says why this machine cannot.
    pub(crate) fn start(&self) -> Result<(), String> {
        // To files, since the container keeps them open.
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.command(&["run", "--detach", &self.id]);
        let status = command.stdout(Stdio::null()).stderr(log).status().unwrap();
        if status.success() {
            return Ok(());
        }
        Err(std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default().trim().to_owned())
    }

    /// Runs a program in the container, to its end.
    #[track_caller]
    pub(crate) fn exec(&self, program: &str) {
        let output = self.command(&["exec", &self.id, program]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Kills all that runs in the container.
    #[track_caller]
    pub(crate) fn kill(&self) {
        let output = self.command(&["kill", &self.id, "KILL"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Runc {
    fn drop(&mut self) {
        let _ = self.command(&["delete", "--force", &self.id]).output();
    }
}

/// Podman with storage of its own. All of its containers are removed when it is dropped.
pub(crate) struct Podman {
    program: PathBuf,
    folder: TempDir,
}

impl Podman {
    /// One that has an image of busybox alone. The error says why this machine cannot have it.
    pub(crate) fn new(program: PathBuf, busybox: &Path, image: &str) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix("openclaw-podman-").tempdir().unwrap();
        let podman = Podman { program, folder };
        let root = podman.folder.path().join("image");
        root_file_system(&root, busybox);
        let archive = Command::new("tar").arg("-C").arg(&root).args(["-c", "."]).output().unwrap();
        let mut import = podman.command(&["import", "-", image]);
        import.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut importing = import.spawn().unwrap();
        // An error shows in the status.
        let _ = importing.stdin.take().unwrap().write_all(&archive.stdout);
        told(importing.wait_with_output().unwrap())?;
        Ok(podman)
    }

    /// Where it keeps its storage, to be named in the agent's configuration.
    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(self.storage()).arg("--runroot").arg(self.folder.path().join("run"));
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        command.args(["--runtime", "runc"]).args(args).stdin(Stdio::null());
        command
    }

    /// Starts a container without a network and with limits that every root may set. Returns its id.
    pub(crate) fn start(&self, args: &[&str]) -> Result<String, String> {
        let mut command = self.command(&["run", "--detach", "--network", "none"]);
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]).args(args);
        told(command.output().unwrap())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.command(&["rm", "--all", "--force", "--time", "0"]).output();
    }
}

/// What a command says where it succeeds, and why it did not.
fn told(output: Output) -> Result<String, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
