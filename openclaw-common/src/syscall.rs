//! Which system calls matter, and where their paths are: one word for each, which the agent writes into the
//! table that the sensor's `sys_exit` program looks up.

/// A file was opened to be read.
pub const READ: u32 = 1;
/// A file was opened to be written.
pub const WRITE: u32 = 2;
/// A file, directory, node or link was created.
pub const CREATE: u32 = 3;
/// A file or directory was deleted.
pub const DELETE: u32 = 4;
/// A file or directory was renamed.
pub const RENAME: u32 = 5;
/// Permissions were changed.
pub const CHMOD: u32 = 6;
/// The owner or group was changed.
pub const CHOWN: u32 = 7;
/// A file was given another name: a hard link.
pub const LINK: u32 = 8;
/// A symbolic link was made.
pub const SYMLINK: u32 = 9;
/// A file was cut or lengthened.
pub const TRUNCATE: u32 = 10;
/// An extended attribute was set.
pub const SET_ATTRIBUTE: u32 = 11;
/// An extended attribute was taken away.
pub const REMOVE_ATTRIBUTE: u32 = 12;

/// A file system was mounted.
pub const MOUNT: u32 = 13;
/// A file system was unmounted.
pub const UNMOUNT: u32 = 14;
/// A kernel module was loaded from an open file.
pub const LOAD_MODULE: u32 = 15;

/// Operation of [`SHAPE_KERNEL`]: `ptrace`.
pub const TRACE: u32 = 1;
/// Operation of [`SHAPE_KERNEL`]: another process's memory was read.
pub const READ_MEMORY: u32 = 2;
/// Operation of [`SHAPE_KERNEL`]: another process's memory was written.
pub const WRITE_MEMORY: u32 = 3;
/// Operation of [`SHAPE_KERNEL`]: a namespace was entered.
pub const ENTER_NAMESPACE: u32 = 4;
/// Operation of [`SHAPE_KERNEL`]: namespaces of its own were made.
pub const LEAVE_NAMESPACE: u32 = 5;
/// Operation of [`SHAPE_KERNEL`]: `bpf`.
pub const BPF: u32 = 6;
/// Operation of [`SHAPE_KERNEL`]: an io_uring was set up.
pub const IO_URING: u32 = 7;
/// Operation of [`SHAPE_KERNEL`]: a kernel module was loaded from memory.
pub const LOAD_MODULE_IMAGE: u32 = 8;
/// Operation of [`SHAPE_KERNEL`]: a kernel module was unloaded.
pub const UNLOAD_MODULE: u32 = 9;

/// Operation of [`SHAPE_KERNEL`]: `bpf`, of which only detaching is of interest.
pub const DETACH: u32 = 10;
/// Operation of a record that no call made: a signal was sent to the agent. Its arguments are the signal, and 1
/// where the kernel sent it by itself.
pub const SIGNAL: u32 = 11;
/// Operation of a record that no call made: io_uring was given something to do. Its argument is the operation, of
/// `enum io_uring_op`.
pub const SUBMIT: u32 = 12;

/// The call returns a descriptor of a file that it opened.
pub const SHAPE_OPEN: u32 = 1;
/// The call acts upon a path that is among its arguments.
pub const SHAPE_PATH: u32 = 2;
/// The call acts upon two paths.
pub const SHAPE_TWO_PATHS: u32 = 3;
/// The call acts upon an open file, its first argument.
pub const SHAPE_DESCRIPTOR: u32 = 4;
/// The call returns a descriptor of a connection that it accepted.
pub const SHAPE_ACCEPT: u32 = 5;
/// The call may change credentials.
pub const SHAPE_CREDENTIALS: u32 = 6;
/// The call acts upon the kernel, or upon another process; its operation is one of those named so above.
pub const SHAPE_KERNEL: u32 = 7;
/// The call binds a socket, its first argument, to an address.
pub const SHAPE_BIND: u32 = 9;
/// The call returns a descriptor of a socket that it made.
pub const SHAPE_SOCKET: u32 = 10;
/// How many shapes a call's word has room for, 0 (of no interest) included.
pub const SHAPES: u32 = 16;

/// [`Call::argument`]: the descriptor of the directory at which the path begins.
pub const ARGUMENT_DIR: u32 = 8;
/// [`Call::argument`]: the path.
pub const ARGUMENT_PATH: u32 = 12;
/// [`Call::argument`]: the descriptor of the directory at which the second path begins.
pub const ARGUMENT_DIR2: u32 = 16;
/// [`Call::argument`]: the second path; of a call upon one path or descriptor, the extended attribute's name.
pub const ARGUMENT_PATH2: u32 = 20;
/// [`Call::argument`]: the permission bits.
pub const ARGUMENT_MODE: u32 = 24;
/// [`Call::argument`]: the new owner, which the new group follows.
pub const ARGUMENT_OWNER: u32 = 28;

/// [`Call::argument`], of a call upon another process: its process id, where only the agent's is of interest.
pub const ARGUMENT_PID: u32 = ARGUMENT_DIR;

/// No argument at all.
const NO_ARGUMENTS: u32 = NONE << 8 | NONE << 12 | NONE << 16 | NONE << 20 | NONE << 24 | NONE << 28;

/// An argument's index that stands for "the working directory".
pub const CWD: u32 = 0xf;
/// An argument's index that stands for "there is none".
pub const NONE: u32 = 0xe;

/// Entries of the table, by number of the call. Each holds two words: that of the 64-bit call below, that of
/// the 32-bit call of the same number above.
pub const TABLE: u32 = 512;

/// What one system call does, packed: `shape | operation << 4 | dir << 8 | path << 12 | dir2 << 16 |
/// path2 << 20 | mode << 24 | owner << 28`, in which the last six are argument indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call(pub u32);

impl Call {
    /// A call of that shape without paths.
    pub const fn plain(shape: u32) -> Call {
        Call(shape | NO_ARGUMENTS)
    }

    /// A call that acts upon the path in argument `path`, which begins at the directory in argument `dir`.
    pub const fn path(operation: u32, dir: u32, path: u32) -> Call {
        Call::plain(SHAPE_PATH).operation(operation).with(ARGUMENT_DIR, dir).with(ARGUMENT_PATH, path)
    }

    /// A call that acts upon two paths.
    pub const fn two_paths(operation: u32, dir: u32, path: u32, dir2: u32, path2: u32) -> Call {
        let first = Call::path(operation, dir, path).with(ARGUMENT_DIR2, dir2).with(ARGUMENT_PATH2, path2);
        Call(first.0 & !0xf | SHAPE_TWO_PATHS)
    }

    /// The shape, one of the `SHAPE_` constants.
    pub const fn shape(self) -> u32 {
        self.0 & 0xf
    }

    /// The operation.
    pub const fn operation_of(self) -> u32 {
        (self.0 >> 4) & 0xf
    }

    /// Index of the argument at `field`, one of the `ARGUMENT_` constants; [`CWD`] or [`NONE`] may stand there.
    pub const fn argument(self, field: u32) -> u32 {
        (self.0 >> field) & 0xf
    }

    /// The same call, with the permission bits in argument `mode`.
    #[must_use]
    pub const fn mode(self, mode: u32) -> Call {
        self.with(ARGUMENT_MODE, mode)
    }

    /// The same call, with the new owner in argument `owner` and the new group in the one behind it.
    #[must_use]
    pub const fn owner(self, owner: u32) -> Call {
        self.with(ARGUMENT_OWNER, owner)
    }

    /// The same call, with the name of the extended attribute in argument `name`.
    #[must_use]
    pub const fn attribute(self, name: u32) -> Call {
        self.with(ARGUMENT_PATH2, name)
    }

    /// The same call, of interest only where the process id in argument `pid` is the agent's.
    #[must_use]
    pub const fn upon_agent(self, pid: u32) -> Call {
        self.with(ARGUMENT_PID, pid)
    }

    const fn with(self, field: u32, index: u32) -> Call {
        Call(self.0 & !(0xf << field) | index << field)
    }

    /// The same call as another operation.
    #[must_use]
    pub const fn operation(self, operation: u32) -> Call {
        Call(self.0 & !(0xf << 4) | operation << 4)
    }
}
