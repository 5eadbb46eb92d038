//! Programs that come from the distribution's packages.

use anyhow::{Result, bail};

use super::apt;
use super::distribution::Distribution;
use crate::console;
use crate::process;

/// What a program is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Any build.
    Build,
    /// Tests that drive the agent on this machine's kernel.
    LiveTest,
    /// Tests on other kernels in virtual machines.
    VirtualMachine,
    /// Trying what strangers write with whatever bytes.
    Fuzzing,
    /// Measuring what others cost that watch a machine.
    Peers,
    /// Doing what rules are to find.
    Attack,
}

/// A program and the packages that bring it.
#[derive(Debug)]
struct Need {
    purpose: Purpose,
    program: &'static str,
    why: &'static str,
    debian: &'static str,
    fedora: &'static str,
    arch: &'static str,
    suse: &'static str,
    alpine: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        purpose: Purpose::Build,
        program: "cc",
        why: "compiles the bundled SQLite and links",
        debian: "gcc libc6-dev",
        fedora: "gcc",
        arch: "gcc",
        suse: "gcc",
        alpine: "gcc musl-dev",
    },
    Need {
        purpose: Purpose::Fuzzing,
        program: "c++",
        why: "compiles libFuzzer",
        debian: "g++",
        fedora: "gcc-c++",
        arch: "gcc",
        suse: "gcc-c++",
        alpine: "g++",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "nc.openbsd",
        why: "the netcat that the rules look for",
        debian: "netcat-openbsd",
        fedora: "netcat",
        arch: "openbsd-netcat",
        suse: "netcat-openbsd",
        alpine: "netcat-openbsd",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "busybox",
        why: "a second netcat, and the virtual machines' user space",
        debian: "busybox-static",
        fedora: "busybox",
        arch: "busybox",
        suse: "busybox-static",
        alpine: "busybox-static",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "ip",
        why: "network namespaces of the tests' own",
        debian: "iproute2",
        fedora: "iproute",
        arch: "iproute2",
        suse: "iproute2",
        alpine: "iproute2",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "ping",
        why: "ICMP from an isolated process",
        debian: "iputils-ping",
        fedora: "iputils",
        arch: "iputils",
        suse: "iputils",
        alpine: "iputils",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "socat",
        why: "connections of every kind",
        debian: "socat",
        fedora: "socat",
        arch: "socat",
        suse: "socat",
        alpine: "socat",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "runc",
        why: "containers",
        debian: "runc",
        fedora: "runc",
        arch: "runc",
        suse: "runc",
        alpine: "runc",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "podman",
        why: "containers with images and labels",
        debian: "podman",
        fedora: "podman",
        arch: "podman",
        suse: "podman",
        alpine: "podman",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "aiosmtpd",
        why: "a mail server that takes alerts",
        debian: "python3-aiosmtpd",
        fedora: "python3-aiosmtpd",
        arch: "python-aiosmtpd",
        suse: "python3-aiosmtpd",
        alpine: "py3-aiosmtpd",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "prometheus-alertmanager",
        why: "an Alertmanager that takes alerts",
        debian: "prometheus-alertmanager",
        fedora: "golang-github-prometheus-alertmanager",
        arch: "alertmanager",
        suse: "golang-github-prometheus-alertmanager",
        alpine: "alertmanager",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "rsyslogd",
        why: "a receiver of syslog that takes alerts, by TLS too",
        debian: "rsyslog rsyslog-openssl",
        fedora: "rsyslog rsyslog-openssl",
        arch: "rsyslog",
        suse: "rsyslog rsyslog-module-ossl",
        alpine: "rsyslog rsyslog-tls",
    },
    Need {
        purpose: Purpose::LiveTest,
        program: "openssl",
        why: "certificates for servers that take alerts",
        debian: "openssl",
        fedora: "openssl",
        arch: "openssl",
        suse: "openssl",
        alpine: "openssl",
    },
    Need {
        purpose: Purpose::VirtualMachine,
        program: "qemu-system-x86_64",
        why: "boots other kernels",
        debian: "qemu-system-x86",
        fedora: "qemu-system-x86-core",
        arch: "qemu-system-x86",
        suse: "qemu-x86",
        alpine: "qemu-system-x86_64",
    },
    Need {
        purpose: Purpose::VirtualMachine,
        program: "systemctl",
        why: "the first process of virtual machines, for the agent's service",
        debian: "systemd",
        fedora: "systemd",
        arch: "systemd",
        suse: "systemd",
        alpine: "systemd",
    },
    Need {
        purpose: Purpose::VirtualMachine,
        program: "modprobe",
        why: "finds the modules of another kernel",
        debian: "kmod",
        fedora: "kmod",
        arch: "kmod",
        suse: "kmod",
        alpine: "kmod",
    },
    Need {
        purpose: Purpose::VirtualMachine,
        program: "xz",
        why: "unpacks modules",
        debian: "xz-utils",
        fedora: "xz",
        arch: "xz",
        suse: "xz",
        alpine: "xz",
    },
    Need {
        purpose: Purpose::Peers,
        program: "auditd",
        why: "what watching costs with it",
        debian: "auditd",
        fedora: "audit",
        arch: "audit",
        suse: "audit",
        alpine: "audit",
    },
    Need {
        purpose: Purpose::Peers,
        program: "bpftrace",
        why: "what watching costs with it",
        debian: "bpftrace",
        fedora: "bpftrace",
        arch: "bpftrace",
        suse: "bpftrace",
        alpine: "bpftrace",
    },
    Need {
        purpose: Purpose::Peers,
        program: "execsnoop",
        why: "what watching costs with it",
        debian: "libbpf-tools",
        fedora: "libbpf-tools",
        arch: "libbpf-tools",
        suse: "libbpf-tools",
        alpine: "libbpf-tools",
    },
    Need {
        purpose: Purpose::Attack,
        program: "debootstrap",
        why: "makes the root file system on which attacks are done",
        debian: "debootstrap debian-archive-keyring",
        fedora: "debootstrap",
        arch: "debootstrap",
        suse: "debootstrap",
        alpine: "debootstrap",
    },
];

impl Need {
    fn packages(&self, distribution: Distribution) -> &'static str {
        match distribution {
            // A name that most distributions know is better than none.
            Distribution::Debian | Distribution::Unknown => self.debian,
            Distribution::Fedora => self.fedora,
            Distribution::Arch => self.arch,
            Distribution::Suse => self.suse,
            Distribution::Alpine => self.alpine,
        }
    }

    fn is_met(&self) -> bool {
        match self.program {
            // Only Debian keeps the name of the variant; elsewhere there is one `nc`.
            "nc.openbsd" => process::find("nc.openbsd").or_else(|| process::find("nc")).is_some(),
            // Debian's name of it alone begins with that of the project.
            "prometheus-alertmanager" => {
                process::find("prometheus-alertmanager").or_else(|| process::find("alertmanager")).is_some()
            }
            program => process::find(program).is_some(),
        }
    }
}

/// Sees to it that the programs for these purposes are there.
///
/// # Errors
/// Where packages cannot be installed, or this distribution is not one where set-up installs: the error
/// holds the commands to type.
pub(crate) fn ensure(purposes: &[Purpose]) -> Result<()> {
    let distribution = Distribution::of_this_machine();
    let wanted: Vec<&Need> = NEEDS.iter().filter(|need| purposes.contains(&need.purpose)).collect();
    if distribution == Distribution::Debian {
        // Packages rather than programs: Debian has several of which each brings an `nc` or a `busybox`.
        return apt::install(&wanted.iter().flat_map(|need| need.debian.split(' ')).collect::<Vec<_>>());
    }
    let missing: Vec<&Need> = wanted.into_iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        console::note(&format!("missing: {} ({})", need.program, need.why));
    }
    bail!("{}", advice(distribution, &missing));
}

fn advice(distribution: Distribution, missing: &[&Need]) -> String {
    let packages: Vec<&str> = missing.iter().map(|need| need.packages(distribution)).collect();
    match distribution.install_command() {
        Some(install) => {
            format!(
                "programs are missing. Install them and try again:\n\n    sudo {install} {}\n",
                packages.join(" ")
            )
        }
        None => format!(
            "programs are missing, and this distribution's package manager is not known here. Install what \
             Debian calls {} and try again",
            packages.join(" ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_the_command_of_the_distribution() {
        let missing: Vec<&Need> =
            NEEDS.iter().filter(|need| matches!(need.program, "cc" | "nc.openbsd")).collect();
        let expected = [
            (Distribution::Fedora, "sudo dnf install gcc netcat\n"),
            (Distribution::Arch, "sudo pacman -S --needed gcc openbsd-netcat\n"),
            (Distribution::Suse, "sudo zypper install gcc netcat-openbsd\n"),
            (Distribution::Alpine, "sudo apk add gcc musl-dev netcat-openbsd\n"),
        ];
        for (distribution, command) in expected {
            let text = advice(distribution, &missing);
            assert!(text.contains(command), "{distribution:?}: {text}");
        }
    }
}
