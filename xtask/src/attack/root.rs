//! The root file system on which deeds are done: Debian's, with the tools that attackers use, and a user.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::console::Step;
use crate::setup::packages::Purpose;
use crate::{process, setup, workspace};

/// The release of Debian.
const RELEASE: &str = "bookworm";

/// What is installed beside the base system.
const PACKAGES: &[&str] = &[
    "adduser",
    "apache2",
    "at",
    "attr",
    "auditd",
    "bpftool",
    "busybox",
    "ca-certificates",
    "cron",
    "curl",
    "dbus",
    "dnsutils",
    "e2fsprogs",
    "expect",
    "fdisk",
    "gawk",
    "gdb-minimal",
    "git",
    "gnupg",
    "iodine",
    "iproute2",
    "iptables",
    "kmod",
    "libcap2-bin",
    "libpam-systemd",
    "login",
    "logrotate",
    "lua5.4",
    "mount",
    "ncat",
    "netcat-openbsd",
    "nginx-light",
    "nmap",
    "openssh-client",
    "openssh-server",
    "openssl",
    "passwd",
    "php-cli",
    "pkexec",
    "postgresql",
    "procps",
    "proxychains4",
    "psmisc",
    "python3",
    "rsync",
    "rsyslog",
    "ruby",
    "runc",
    "socat",
    "sshpass",
    "strace",
    "sudo",
    "systemd",
    "tcpdump",
    "tor",
    "udev",
    "util-linux",
    "vim-tiny",
    "wget",
    "xxd",
    "zip",
];

/// What the one for work has as well: what builds programs.
const MORE: &[&str] = &["cargo", "build-essential", "npm", "python3-pip", "python3-venv", "podman"];

/// What is done in it once.
const PREPARE: &str = r#"
set -e
useradd --create-home --shell /bin/bash --uid 1000 alice
echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice
chmod 440 /etc/sudoers.d/alice
su - alice -c 'mkdir -m 700 .ssh && ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519 && cp .ssh/id_ed25519.pub .ssh/authorized_keys'
echo nameserver 127.0.0.1 > /etc/resolv.conf
echo 127.0.0.1 localhost workstation > /etc/hosts
rm -rf /var/cache/apt/archives/*.deb
# No package begins a service, whose ports would be this machine's where work has its network.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
"#;

/// What is installed on top of it for work, by apt, which can do what debootstrap cannot: `npm` alone brings 300 packages.
const INSTALL: &str = r#"
set -e
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $PACKAGES
echo nameserver 127.0.0.1 > /etc/resolv.conf
rm -rf /var/cache/apt/archives/*.deb
"#;

/// What `unshare` is told, so that what follows is in namespaces of its own and nothing stays mounted.
const INSIDE: [&str; 6] = ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--"];

/// Where the one for deeds is, made where it is not there as it is to be.
///
/// # Errors
/// What makes it is missing, or fails.
pub(super) fn for_deeds() -> Result<PathBuf> {
    ensure("root", &recipe(), |new| {
        setup::packages::ensure(&[Purpose::Attack])?;
        let mut debootstrap = Command::new("unshare");
        debootstrap.args(INSIDE).args(["debootstrap", "--force-check-gpg", "--variant=minbase", "--include"]);
        process::capture(debootstrap.arg(PACKAGES.join(",")).arg(RELEASE).arg(new))?;
        process::capture(&mut inside(new, PREPARE))?;
        Ok(())
    })
}

/// All that makes the one for deeds what it is.
fn recipe() -> String {
    format!("{RELEASE}\n{}\n{PREPARE}", PACKAGES.join("\n"))
}

/// The same of the one with what builds programs.
///
/// # Errors
/// What makes it is missing, or fails.
pub(super) fn with_packages() -> Result<PathBuf> {
    let base = for_deeds()?;
    let recipe = format!("{}{}\n{INSTALL}", recipe(), MORE.join("\n"));
    ensure("root-with-packages", &recipe, |new| {
        process::capture(
            Command::new("cp").args(["--archive", "--no-target-directory"]).arg(&base).arg(new),
        )?;
        let names = new.join("etc/resolv.conf");
        std::fs::copy("/etc/resolv.conf", &names)
            .with_context(|| format!("cannot write {}", names.display()))?;
        process::capture(inside(new, INSTALL).env("PACKAGES", MORE.join(" ")))?;
        Ok(())
    })
}

/// A shell's script on a root file system.
fn inside(root: &Path, script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(INSIDE).arg("chroot").arg(root).args(["/bin/sh", "-c", script]);
    command
}

/// Has a folder made as the recipe says, where it was not yet: beside it, so that nothing half made is taken for the whole.
fn ensure(name: &str, recipe: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = workspace::target().join("attack").join(name);
    let made = folder.with_extension("made");
    if std::fs::read_to_string(&made).is_ok_and(|made| made == recipe) {
        return Ok(folder);
    }
    let step = Step::begin_silent(&format!("making {}, with Debian's packages", folder.display()));
    remove(&made)?;
    remove(&folder)?;
    let new = folder.with_extension(format!("new-{}", std::process::id()));
    std::fs::create_dir_all(&new).with_context(|| format!("cannot create {}", new.display()))?;
    make(&new)?;
    std::fs::rename(&new, &folder).with_context(|| format!("cannot move {}", new.display()))?;
    std::fs::write(&made, recipe).with_context(|| format!("cannot write {}", made.display()))?;
    step.done("");
    Ok(folder)
}

/// Removes a file or folder, where it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
