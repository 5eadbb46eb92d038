//! Two network namespaces with a cable between them.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::cgroup::Cgroup;
use super::socket::Socket;
use super::{run, unique, wait_for};

/// A network namespace that is removed again, with its end of the cable.
pub(crate) struct Namespace {
    name: String,
    /// Its addresses.
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
}

impl Namespace {
    /// The file that stands for it.
    pub(crate) fn file(&self) -> File {
        File::open(format!("/run/netns/{}", self.name)).unwrap()
    }

    /// Runs something inside it. The sockets that it makes stay there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = self.file();
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let kind = Some(rustix::thread::LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(file.as_fd(), kind).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    /// Gives it a further address of the cable's network.
    pub(crate) fn add(&self, address: Ipv4Addr) {
        run(&format!("ip -n {} addr add {address}/24 dev cable", self.name));
    }

    /// Has it reach an address over the cable.
    pub(crate) fn route_over_cable(&self, to: Ipv4Addr) {
        run(&format!("ip -n {} route replace {to}/32 dev cable", self.name));
    }

    /// Has it forget who is who on the cable.
    pub(crate) fn forget_neighbours(&self) {
        run(&format!("ip -n {} neigh flush dev cable", self.name));
    }

    pub(crate) fn v4(&self, port: u16) -> SocketAddr {
        (IpAddr::V4(self.ipv4), port).into()
    }

    pub(crate) fn v6(&self, port: u16) -> SocketAddr {
        (IpAddr::V6(self.ipv6), port).into()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A command that runs in a network namespace.
pub(crate) fn inside(namespace: &Namespace, mut command: Command) -> Command {
    let file = OwnedFd::from(namespace.file());
    // SAFETY: one system call, on a descriptor that was opened before.
    unsafe {
        command.pre_exec(move || Ok(rustix::thread::move_into_link_name_space(file.as_fd(), None)?));
    }
    command
}

/// Two namespaces that reach each other: `near` for what is acted upon, `far` for the rest of the world.
pub(crate) struct Cable {
    pub(crate) near: Namespace,
    pub(crate) far: Namespace,
}

impl Cable {
    pub(crate) fn new() -> Self {
        Self::made_by(|command| command)
    }

    /// One whose kernel's own sockets, such as those that ask who is who on a link, belong to a control group: to that of
    /// who made the namespaces.
    pub(crate) fn of(cgroup: &Cgroup) -> Self {
        Self::made_by(|command| cgroup.inside(command))
    }

    fn made_by(maker: impl Fn(Command) -> Command) -> Self {
        let number = unique();
        let namespace = |end: u8| {
            let name = format!("oc{}-{number}-{end}", std::process::id());
            let mut command = Command::new("ip");
            command.args(["netns", "add", &name]);
            assert!(maker(command).status().unwrap().success(), "ip netns add {name}");
            Namespace {
                name,
                ipv4: Ipv4Addr::new(10, 211, 77, end),
                ipv6: Ipv6Addr::new(0xfd00, 0x0c1a, 0, 0, 0, 0, 0, u16::from(end)),
            }
        };
        let cable = Cable { near: namespace(1), far: namespace(2) };
        let (near, far) = (&cable.near, &cable.far);
        run(&format!("ip link add cable netns {} type veth peer name cable netns {}", near.name, far.name));
        for end in [near, far] {
            let name = &end.name;
            run(&format!("ip -n {name} addr add {}/24 dev cable", end.ipv4));
            run(&format!("ip -n {name} -6 addr add {}/64 dev cable nodad", end.ipv6));
            run(&format!("ip -n {name} link set lo up"));
            run(&format!("ip -n {name} link set cable up"));
        }
        // Ready when the other side answers that nobody listens.
        for there in [far.v4(1), far.v6(1)] {
            wait_for("the cable carries packets", || {
                let refused = near.inside(|| Socket::connect_tcp(there).unwrap_err());
                refused.raw_os_error() == Some(libc::ECONNREFUSED)
            });
        }
        cable
    }
}
