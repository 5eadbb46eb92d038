//! What runs inside a guest, from its first process to its power-off.

use std::fmt::Write;

use super::kernels::Kernel;
use crate::process::quoted;
use crate::setup::promtool;
use crate::test::live::Plan;
use crate::workspace;

/// What marks, in a guest's output, a line of the tests' skip log.
pub(crate) const SKIP: &str = "guest-skips: ";

/// What marks, likewise, what the doctor says.
pub(crate) const DOCTOR: &str = "guest-doctor: ";

/// The first process: from the initramfs to this machine's files, a layer in memory over them.
///
/// The root has to be a mount of its own, as on a real system: on the initramfs itself the kernel's walks
/// along paths end differently.
pub(crate) const FIRST: &str = r#"#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
give_up() { echo "guest: $1"; poweroff -f; }
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
while read -r module; do insmod /modules/$module.ko; done < /modules/order
. /guest/settings

mkdir /lower /layer
mount -t virtiofs -o ro root /lower || give_up "the host's files cannot be mounted"
mount -t tmpfs -o size=75% tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work overlay /new ||
    give_up "no layer can be put over the host's files"

# The modules of this kernel, where its own and the host's modprobe look for them.
mkdir -p /new/lib/modules/$release
mount --bind /lower$modules /new/lib/modules/$release
mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp
for folder in proc sys dev; do mount --move /$folder /new/$folder; done
mount -t tmpfs tmpfs /new/run
cp -r /guest /new/run/guest
cp /bin/busybox /new/run/guest/busybox
exec switch_root /new /bin/sh /run/guest/second
"#;

/// What the first process becomes on its real root, before it does the guest's work itself or leaves that to systemd.
///
/// systemd knows the units of the guest's own folder, those of tests and transient ones, and none of this machine's: each
/// of these takes its time under emulation, and none is what a test is about.
pub(crate) const SECOND: &str = r#"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
bb=/run/guest/busybox
. /run/guest/settings
at() { $bb mkdir -p "$2"; $bb mount -t "$1" "$1" "$2"; }
at devpts /dev/pts
at tmpfs /dev/shm
# A file on the layer shows another device and inode than it has in the kernel. A workspace below /tmp has to
# stay in sight.
at tmpfs /run/tmp
$bb chmod 1777 /run/tmp
case $workspace in /tmp/*) $bb mkdir -p "/run$workspace"; $bb mount --bind "$workspace" "/run$workspace" ;; esac
$bb mount --move /run/tmp /tmp
at securityfs /sys/kernel/security
at tracefs /sys/kernel/tracing
at bpf /sys/fs/bpf
at cgroup2 /sys/fs/cgroup
$bb ln -sf /proc/self/fd /dev/fd
for number in 0:stdin 1:stdout 2:stderr; do $bb ln -sf /proc/self/fd/${number%%:*} /dev/${number#*:}; done
$bb ip link set lo up
$bb hostname openclaw-guest
for module in veth dummy bridge tun sch_ingress cls_bpf act_bpf inet_diag tcp_diag udp_diag; do
    modprobe -q $module
done
if [ $init = systemd ]; then
    [ -s /etc/machine-id ] || $bb tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
    export SYSTEMD_UNIT_PATH=/run/systemd/transient:/run/systemd/system:/run/guest/units
    export SYSTEMD_GENERATOR_PATH=/run/guest/none SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/run/guest/none
    exec /lib/systemd/systemd --unit=guest.target --show-status=no --log-target=kmsg
fi
exec /bin/sh /run/guest/work
"#;

/// The guest's work: the task, and the end.
pub(crate) const WORK: &str = r#"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 OPENCLAW_GUEST=1
bb=/run/guest/busybox
for port in /sys/class/virtio-ports/*; do
    case $($bb cat $port/name) in
    output) output=/dev/${port##*/} ;;
    status) status=/dev/${port##*/} ;;
    esac
done
cd /run/guest
/bin/sh /run/guest/task </dev/null >$output 2>&1
echo $? >$status
$bb sync
$bb poweroff -f
"#;

/// The units of a guest whose first process is systemd: its work, and what a service asks for by default.
pub(crate) const UNITS: [(&str, &str); 5] = [
    (
        "guest.service",
        "[Unit]\nDefaultDependencies=no\n\n[Service]\nExecStart=/bin/sh /run/guest/work\nDelegate=yes\n\
         TasksMax=infinity\nLimitMEMLOCK=infinity\nStandardOutput=null\nStandardError=null\n",
    ),
    ("guest.target", "[Unit]\nDefaultDependencies=no\nWants=guest.service\n"),
    ("sysinit.target", "[Unit]\nDefaultDependencies=no\n"),
    ("basic.target", "[Unit]\nDefaultDependencies=no\nRequires=sysinit.target\nAfter=sysinit.target\n"),
    ("shutdown.target", "[Unit]\nDefaultDependencies=no\n"),
];

/// What a guest's first process is, once it has its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Init {
    /// A script that does the guest's work, and nothing else.
    Script,
    /// systemd, which runs that script as a service.
    Systemd,
}

/// Which of the live tests a guest does of those that need not be done on every kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// What is for the oldest kernel.
    Oldest,
    /// What is for the others.
    Newer,
}

/// What a guest is for.
#[derive(Debug)]
pub(crate) struct Task {
    script: String,
}

impl Task {
    /// A shell command, in this workspace's folder.
    pub(crate) fn command(command: &str) -> Self {
        let folder = quoted(&workspace::root().to_string_lossy());
        Self { script: format!("cd {folder}\nexec sh -c {}\n", quoted(command)) }
    }

    /// The live tests, with program and agent copied into the guest's memory; a share of them, or all.
    pub(crate) fn live(plan: &Plan<'_>, share: Option<Share>) -> Self {
        let path = |path: &std::path::Path| quoted(&path.to_string_lossy());
        let mut script = format!(
            "cp {} /run/guest/live\ncp {} /run/guest/openclaw\n\
             export OPENCLAW_LIVE=1 OPENCLAW_BIN=/run/guest/openclaw OPENCLAW_SKIPS=/run/guest/skips\n\
             export CARGO_MANIFEST_DIR={} OPENCLAW_TOOLS={}\n",
            path(&plan.program.path),
            path(plan.agent),
            path(&plan.program.folder),
            path(&promtool::folder()),
        );
        // Writing to a String does not fail.
        let _ = match share {
            Some(Share::Oldest) => writeln!(script, "export OPENCLAW_SHARE=oldest"),
            Some(Share::Newer) => writeln!(script, "export OPENCLAW_SHARE=newer"),
            None => Ok(()),
        };
        if plan.full {
            script.push_str("export OPENCLAW_FULL=1\n");
        }
        let arguments: Vec<String> = plan.arguments().iter().map(|argument| quoted(argument)).collect();
        let _ = write!(
            script,
            ": >$OPENCLAW_SKIPS\ncd {}\n/run/guest/live {}\nstatus=$?\nsed 's/^/{SKIP}/' $OPENCLAW_SKIPS\n\
             /run/guest/openclaw doctor --output json | sed 's/^/{DOCTOR}/'\nexit $status\n",
            path(&plan.program.folder),
            arguments.join(" "),
        );
        Self { script }
    }

    /// The script that the guest runs.
    pub(crate) fn script(&self) -> &str {
        &self.script
    }

    /// What the guest's scripts must know of this machine and of the guest, as shell assignments.
    pub(crate) fn settings(&self, kernel: &Kernel, init: Init) -> String {
        format!(
            "release={}\nmodules={}\nworkspace={}\ninit={}\n",
            quoted(&kernel.release),
            quoted(&kernel.modules().to_string_lossy()),
            quoted(&workspace::root().to_string_lossy()),
            match init {
                Init::Script => "script",
                Init::Systemd => "systemd",
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::test::programs::Program;

    #[test]
    fn the_live_tests_are_run_one_at_a_time_and_their_status_is_the_guests() {
        let program = Program {
            kind: "test".into(),
            name: "live".into(),
            path: "/a b/live-1".into(),
            folder: PathBuf::from("/a b/agent"),
        };
        let filter = ["it's".to_owned()];
        let plan =
            Plan { program: &program, agent: Path::new("/a b/openclaw"), full: false, filter: &filter };
        let task = Task::live(&plan, None);
        assert!(task.script().contains("cp '/a b/live-1' /run/guest/live\n"));
        assert!(task.script().contains(r"/run/guest/live --test-threads=1 'it'\''s'"), "{}", task.script());
        assert!(task.script().ends_with("exit $status\n"));
        assert!(!task.script().contains("OPENCLAW_FULL"));
    }
}
