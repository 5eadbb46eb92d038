//! What standard input, output and error are when a program begins: a shell whose input is a socket is a remote
//! one.

use openclaw_common::record::{CLOSED, Descriptor};

/// What a descriptor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdio {
    /// Not open.
    Closed,
    /// A socket of IPv4 or IPv6.
    InternetSocket,
    /// A Unix socket.
    UnixSocket,
    /// A socket of another family, such as vsock.
    OtherSocket,
    /// A pipe or FIFO.
    Pipe,
    /// A terminal.
    Terminal,
    /// `/dev/null`
    Null,
    /// A regular file.
    File,
    /// Another device.
    Device,
    /// Anything else, such as an eventfd or a directory.
    Other,
}

impl Stdio {
    /// What a record's descriptor stands for.
    pub(super) fn of(descriptor: Descriptor) -> Self {
        let Descriptor { mode, detail } = descriptor;
        if mode == CLOSED {
            return Stdio::Closed;
        }
        match mode & libc::S_IFMT {
            libc::S_IFSOCK => match detail.cast_signed() {
                libc::AF_INET | libc::AF_INET6 => Stdio::InternetSocket,
                libc::AF_UNIX => Stdio::UnixSocket,
                _ => Stdio::OtherSocket,
            },
            libc::S_IFIFO => Stdio::Pipe,
            libc::S_IFREG => Stdio::File,
            libc::S_IFBLK => Stdio::Device,
            // Numbers of `Documentation/admin-guide/devices.txt`.
            libc::S_IFCHR => match (detail >> 20, detail & 0xf_ffff) {
                (1, 3) => Stdio::Null,
                (4 | 5 | 136..=143, _) => Stdio::Terminal,
                _ => Stdio::Device,
            },
            _ => Stdio::Other,
        }
    }

    /// The name that rules use.
    pub const fn name(self) -> &'static str {
        match self {
            Stdio::Closed => "closed",
            Stdio::InternetSocket => "internet_socket",
            Stdio::UnixSocket => "unix_socket",
            Stdio::OtherSocket => "other_socket",
            Stdio::Pipe => "pipe",
            Stdio::Terminal => "terminal",
            Stdio::Null => "null",
            Stdio::File => "file",
            Stdio::Device => "device",
            Stdio::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_told_by_type_family_and_number() {
        let told = |mode, detail| Stdio::of(Descriptor { mode, detail }).name();
        assert_eq!(told(CLOSED, 0), "closed");
        assert_eq!(told(libc::S_IFSOCK | 0o777, 10), "internet_socket");
        assert_eq!(told(libc::S_IFSOCK | 0o777, 1), "unix_socket");
        assert_eq!(told(libc::S_IFSOCK | 0o777, 40), "other_socket");
        assert_eq!(told(libc::S_IFCHR | 0o620, 136 << 20 | 5), "terminal");
        assert_eq!(told(libc::S_IFCHR | 0o666, 1 << 20 | 3), "null");
        assert_eq!(told(libc::S_IFCHR | 0o666, 1 << 20 | 9), "device");
        assert_eq!(told(libc::S_IFREG | 0o644, 0), "file");
        assert_eq!(told(0o600, 0), "other");
    }
}
