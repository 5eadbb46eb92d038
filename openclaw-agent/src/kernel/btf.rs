//! A reader of BTF, the kernel's own description of its types.
//!
//! It answers only what the layout table asks: offsets of members, sizes of structs, values of enumerators,
//! and whether a type or a variable exists. Format: `Documentation/bpf/btf.rst` of the kernel.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::path::Path;

/// Why BTF cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file is not there, or not readable.
    #[error(
        "cannot read the kernel's type information (BTF) at {path}: {source}. The sensor needs it: boot a kernel that has it (CONFIG_DEBUG_INFO_BTF), as those of all current distributions do"
    )]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not BTF as this reader knows it.
    #[error("the kernel's type information is malformed: {0}")]
    Malformed(&'static str),
}

const MAGIC: u16 = 0xeb9f;
const MEMBER_DEPTH: usize = 16;

/// `enum btf_kind` values that are told apart here.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
    pub(super) const LAST: u32 = ENUM64;
}

/// `struct btf_type`, with the place of what follows it.
#[derive(Debug, Clone, Copy)]
struct Type {
    name: u32,
    info: u32,
    /// `size` or `type`, as the kind demands.
    size_or_type: u32,
    /// Where the members, parameters or enumerators begin.
    tail: usize,
}

/// What an argument of a tracepoint is.
#[derive(Debug, PartialEq, Eq)]
pub enum Argument<'a> {
    /// A pointer to a struct or union of that name.
    Pointer(&'a str),
    /// An unsigned byte.
    Byte,
    /// Anything else.
    Other,
}

impl Type {
    fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    fn vlen(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// `kind_flag`: member offsets carry the size of a bit field in their upper byte.
    fn flag(self) -> bool {
        self.info >> 31 != 0
    }

    fn is_composite(self) -> bool {
        matches!(self.kind(), kind::STRUCT | kind::UNION)
    }
}

/// What a module's types build upon: those of the kernel, after which its own are numbered, and their names.
#[derive(Debug, Default)]
struct Base {
    types: usize,
    strings: Vec<u8>,
}

/// The types of one kernel, or those that a module adds.
#[derive(Debug)]
pub struct Btf {
    data: Vec<u8>,
    strings: Range<usize>,
    base: Base,
    types: Vec<Type>,
    /// The types that have a name: the name's hash, and their place in `types`, in this order. There are some hundred
    /// thousand, of which some hundred are asked for.
    named: Vec<(u32, u32)>,
    hashes: RandomState,
}

impl Btf {
    /// The running kernel's types, from `/sys/kernel/btf/vmlinux`.
    ///
    /// # Errors
    /// When the kernel was built without `CONFIG_DEBUG_INFO_BTF`, or the file is not BTF.
    pub fn of_running_kernel() -> Result<Self, BtfError> {
        Self::from_file(Path::new("/sys/kernel/btf/vmlinux"))
    }

    /// The types that a file describes.
    ///
    /// # Errors
    /// When it cannot be read or is not BTF.
    pub fn from_file(path: &Path) -> Result<Self, BtfError> {
        let data = std::fs::read(path)
            .map_err(|source| BtfError::Read { path: path.display().to_string(), source })?;
        Self::parse(data)
    }

    /// The types that a loaded module adds to these. Of a struct that it defines, members are found whose
    /// way leads through no type of the kernel. Since 5.11.
    ///
    /// # Errors
    /// When there is no such module, or the kernel does not tell its types.
    pub fn of_module(&self, name: &str) -> Result<Self, BtfError> {
        let path = Path::new("/sys/kernel/btf").join(name);
        let data = std::fs::read(&path)
            .map_err(|source| BtfError::Read { path: path.display().to_string(), source })?;
        self.parse_module(data)
    }

    fn parse_module(&self, data: Vec<u8>) -> Result<Self, BtfError> {
        let strings = self.data.get(self.strings.clone()).unwrap_or_default().to_vec();
        Self::parse_upon(Base { types: self.types.len(), strings }, data)
    }

    /// The types that these bytes describe.
    ///
    /// # Errors
    /// When they are not BTF of this machine's byte order.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        Self::parse_upon(Base::default(), data)
    }

    fn parse_upon(base: Base, data: Vec<u8>) -> Result<Self, BtfError> {
        let header = |at: usize| u32_at(&data, at).ok_or(BtfError::Malformed("it ends within its header"));
        if header(0)? & 0xffff != u32::from(MAGIC) {
            return Err(BtfError::Malformed("it does not begin with BTF's magic number"));
        }
        let behind_header = header(4)? as usize;
        let section = |offset: u32, len: u32| {
            let start = behind_header.checked_add(offset as usize)?;
            let end = start.checked_add(len as usize)?;
            (end <= data.len()).then_some((start, end))
        };
        let outside = BtfError::Malformed("a section lies outside the file");
        let (mut at, types_end) = section(header(8)?, header(12)?).ok_or(outside)?;
        let outside = BtfError::Malformed("a section lies outside the file");
        let (strings, strings_end) = section(header(16)?, header(20)?).ok_or(outside)?;
        let strings = strings..strings_end;

        let mut types = Vec::new();
        if base.types == 0 {
            // Type 0 is void.
            types.push(Type { name: 0, info: 0, size_or_type: 0, tail: 0 });
        }
        while at < types_end {
            let word =
                |n: usize| u32_at(&data, at + 4 * n).ok_or(BtfError::Malformed("it ends within a type"));
            let ty = Type { name: word(0)?, info: word(1)?, size_or_type: word(2)?, tail: at + 12 };
            let tail = match ty.kind() {
                kind::INT | kind::VAR | kind::DECL_TAG => 4,
                kind::ARRAY => 12,
                kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * ty.vlen(),
                kind::ENUM | kind::FUNC_PROTO => 8 * ty.vlen(),
                known if known <= kind::LAST => 0,
                _ => return Err(BtfError::Malformed("it has a kind of type that is newer than this reader")),
            };
            types.push(ty);
            at = ty.tail + tail;
        }
        if at != types_end {
            return Err(BtfError::Malformed("its last type runs past the section's end"));
        }

        let mut btf = Btf { data, strings, base, types, named: Vec::new(), hashes: RandomState::new() };
        btf.index()?;
        Ok(btf)
    }

    fn index(&mut self) -> Result<(), BtfError> {
        let mut named = Vec::with_capacity(self.types.len());
        for (id, ty) in (0..).zip(&self.types).filter(|(_, ty)| ty.name != 0) {
            let name = self.string(ty.name).ok_or(BtfError::Malformed("a name lies outside the file"))?;
            named.push((self.hash(name), id));
        }
        named.sort_unstable();
        self.named = named;
        Ok(())
    }

    fn hash(&self, name: &[u8]) -> u32 {
        self.hashes.hash_one(name) as u32
    }

    /// The offset in bytes of a member of a struct or union. The path's parts are joined by dots; anonymous
    /// members are looked into. `None` where there is no such member, and for bit fields.
    pub fn offset_of(&self, of: &str, path: &str) -> Option<u32> {
        self.named(of, Type::is_composite).find_map(|ty| self.member_path(ty, path))
    }

    /// The size in bytes of a struct or union.
    pub fn size_of(&self, name: &str) -> Option<u32> {
        self.named(name, Type::is_composite).map(|ty| ty.size_or_type).next()
    }

    /// The value of an enumerator, where it fits 32 bits.
    pub fn enumerator(&self, of: &str, name: &str) -> Option<u32> {
        self.named(of, |ty| ty.kind() == kind::ENUM).find_map(|ty| {
            (0..ty.vlen()).find_map(|i| {
                let at = ty.tail + 8 * i;
                (self.string(u32_at(&self.data, at)?)? == name.as_bytes())
                    .then(|| u32_at(&self.data, at + 4))?
            })
        })
    }

    /// The index of the first argument that is wanted of a tracepoint. `None` where there is no such tracepoint
    /// or argument.
    pub fn argument(&self, tracepoint: &str, wanted: impl Fn(&Argument<'_>) -> bool) -> Option<u32> {
        let name = format!("btf_trace_{tracepoint}");
        let pointer = self.named(&name, |ty| ty.kind() == kind::TYPEDEF).next()?;
        let function = self.resolve(self.resolve(pointer.size_or_type)?.size_or_type)?;
        if function.kind() != kind::FUNC_PROTO {
            return None;
        }
        // The first parameter is the kernel's own.
        (1..function.vlen()).zip(0..).find_map(|(i, index)| {
            let parameter = self.resolve(u32_at(&self.data, function.tail + 8 * i + 4)?)?;
            wanted(&self.as_argument(parameter)).then_some(index)
        })
    }

    fn as_argument(&self, parameter: Type) -> Argument<'_> {
        let name = |ty: Type| std::str::from_utf8(self.string(ty.name)?).ok();
        let pointed = || self.resolve(parameter.size_or_type).filter(|to| to.is_composite()).and_then(name);
        match parameter.kind() {
            kind::PTR => pointed().map_or(Argument::Other, Argument::Pointer),
            kind::INT if name(parameter) == Some("unsigned char") => Argument::Byte,
            _ => Argument::Other,
        }
    }

    /// Whether the kernel has a tracepoint of that name that BPF programs can attach to.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.named(&format!("btf_trace_{name}"), |ty| ty.kind() == kind::TYPEDEF).next().is_some()
    }

    /// Whether there is a type or a variable of that name. Of variables it has those that each processor has its own of.
    pub fn has(&self, name: &str) -> bool {
        self.named(name, |_| true).next().is_some()
    }

    fn named<'a>(&'a self, name: &'a str, wanted: fn(Type) -> bool) -> impl Iterator<Item = Type> + 'a {
        let hash = self.hash(name.as_bytes());
        let from = self.named.partition_point(|(of, _)| *of < hash);
        let same = self.named[from..].iter().take_while(move |(of, _)| *of == hash);
        same.map(|(_, id)| self.types[*id as usize])
            .filter(move |ty| wanted(*ty) && self.string(ty.name) == Some(name.as_bytes()))
    }

    fn member_path(&self, ty: Type, path: &str) -> Option<u32> {
        let mut offset = 0;
        let mut within = Some(ty);
        for part in path.split('.') {
            let (bits, member) = self.member(within?, part.as_bytes(), MEMBER_DEPTH)?;
            if bits % 8 != 0 {
                return None;
            }
            offset += bits / 8;
            within = self.resolve(member);
        }
        Some(offset)
    }

    /// The offset in bits and the type of a member, looked for in anonymous members too.
    fn member(&self, ty: Type, name: &[u8], depth: usize) -> Option<(u32, u32)> {
        if depth == 0 || !ty.is_composite() {
            return None;
        }
        let members = (0..ty.vlen()).map(|i| {
            let at = ty.tail + 12 * i;
            Some((u32_at(&self.data, at)?, u32_at(&self.data, at + 4)?, u32_at(&self.data, at + 8)?))
        });
        for member in members {
            let (member_name, member_type, offset) = member?;
            let (bits, bitfield) = if ty.flag() { (offset & 0xff_ffff, offset >> 24) } else { (offset, 0) };
            if member_name == 0 {
                let inner = self.resolve(member_type)?;
                if let Some((inner_bits, found)) = self.member(inner, name, depth - 1) {
                    return Some((bits + inner_bits, found));
                }
            } else if self.string(member_name)? == name {
                return (bitfield == 0).then_some((bits, member_type));
            }
        }
        None
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, id: u32) -> Option<Type> {
        let mut ty = self.own(id)?;
        for _ in 0..MEMBER_DEPTH {
            match ty.kind() {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    ty = self.own(ty.size_or_type)?;
                }
                _ => return Some(ty),
            }
        }
        None
    }

    /// The type of that number, where it is none of the base's.
    fn own(&self, id: u32) -> Option<Type> {
        self.types.get((id as usize).checked_sub(self.base.types)?).copied()
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let offset = offset as usize;
        let text = match offset.checked_sub(self.base.strings.len()) {
            Some(own) => self.data.get(self.strings.clone())?.get(own..)?,
            None => self.base.strings.get(offset..)?,
        };
        text.split(|byte| *byte == 0).next()
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Builds BTF as the kernel lays it out.
    #[derive(Default)]
    pub(in crate::kernel) struct Builder {
        types: Vec<u8>,
        strings: Vec<u8>,
        count: u32,
        /// Length of the names of what it builds upon.
        base: u32,
    }

    impl Builder {
        pub(in crate::kernel) fn new() -> Self {
            Builder { types: Vec::new(), strings: vec![0], count: 0, base: 0 }
        }

        /// Builds what a module adds.
        pub(in crate::kernel) fn upon(kernel: &Builder) -> Self {
            let base = kernel.strings.len() as u32;
            Builder { types: Vec::new(), strings: Vec::new(), count: kernel.count, base }
        }

        fn name(&mut self, name: &str) -> u32 {
            if name.is_empty() {
                return 0;
            }
            let at = self.base + self.strings.len() as u32;
            self.strings.extend_from_slice(name.as_bytes());
            self.strings.push(0);
            at
        }

        fn push(&mut self, words: &[u32]) {
            words.iter().for_each(|word| self.types.extend_from_slice(&word.to_ne_bytes()));
        }

        fn head(&mut self, name: &str, kind: u32, vlen: usize, size_or_type: u32) -> u32 {
            let name = self.name(name);
            self.push(&[name, kind << 24 | vlen as u32, size_or_type]);
            self.count += 1;
            self.count
        }

        pub(in crate::kernel) fn int(&mut self, name: &str, size: u32) -> u32 {
            let id = self.head(name, kind::INT, 0, size);
            self.push(&[size * 8]);
            id
        }

        pub(in crate::kernel) fn typedef(&mut self, name: &str, of: u32) -> u32 {
            self.head(name, kind::TYPEDEF, 0, of)
        }

        pub(in crate::kernel) fn pointer(&mut self, to: u32) -> u32 {
            self.head("", kind::PTR, 0, to)
        }

        /// A function without a name that returns nothing.
        pub(in crate::kernel) fn prototype(&mut self, parameters: &[u32]) -> u32 {
            let id = self.head("", kind::FUNC_PROTO, parameters.len(), 0);
            parameters.iter().for_each(|parameter| self.push(&[0, *parameter]));
            id
        }

        /// Members are (name, type, offset in bits).
        pub(in crate::kernel) fn composite(
            &mut self,
            name: &str,
            union: bool,
            size: u32,
            members: &[(&str, u32, u32)],
        ) -> u32 {
            let kind = if union { kind::UNION } else { kind::STRUCT };
            let id = self.head(name, kind, members.len(), size);
            for (member, ty, bits) in members {
                let member = self.name(member);
                self.push(&[member, *ty, *bits]);
            }
            id
        }

        pub(in crate::kernel) fn enumeration(&mut self, name: &str, values: &[(&str, u32)]) -> u32 {
            let id = self.head(name, kind::ENUM, values.len(), 4);
            for (value_name, value) in values {
                let value_name = self.name(value_name);
                self.push(&[value_name, *value]);
            }
            id
        }

        pub(in crate::kernel) fn build(&self) -> Vec<u8> {
            let mut out = Vec::new();
            out.extend_from_slice(&MAGIC.to_ne_bytes());
            out.extend_from_slice(&[1, 0]);
            let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
            for word in [24, 0, types, types, strings] {
                out.extend_from_slice(&u32::to_ne_bytes(word));
            }
            out.extend_from_slice(&self.types);
            out.extend_from_slice(&self.strings);
            out
        }
    }

    #[test]
    fn a_member_of_an_anonymous_union_is_found_at_its_whole_offset() {
        let mut b = Builder::new();
        let int = b.int("int", 4);
        let anonymous = b.composite("", true, 8, &[("len", int, 0), ("hash", int, 32)]);
        let qstr = b.composite("qstr", false, 16, &[("", anonymous, 0), ("name", int, 64)]);
        let renamed = b.typedef("qstr_t", qstr);
        b.composite("dentry", false, 64, &[("d_flags", int, 0), ("d_name", renamed, 256)]);
        let btf = Btf::parse(b.build()).unwrap();
        assert_eq!(btf.offset_of("dentry", "d_name.name"), Some(40));
        assert_eq!(btf.offset_of("dentry", "d_name.hash"), Some(36));
        assert_eq!(btf.offset_of("dentry", "d_name.gone"), None);
        assert_eq!(btf.offset_of("gone", "d_name"), None);
        assert_eq!(btf.size_of("dentry"), Some(64));
    }

    #[test]
    fn a_bit_field_has_no_offset_that_could_be_read() {
        let mut b = Builder::new();
        let int = b.int("int", 4);
        b.composite("sock", false, 8, &[("kern", int, 3), ("whole", int, 32)]);
        let btf = Btf::parse(b.build()).unwrap();
        assert_eq!(btf.offset_of("sock", "kern"), None);
        assert_eq!(btf.offset_of("sock", "whole"), Some(4));
    }

    #[test]
    fn an_enumerator_has_its_value() {
        let mut b = Builder::new();
        b.enumeration("pid_type", &[("PIDTYPE_PID", 0), ("PIDTYPE_SID", 3)]);
        let btf = Btf::parse(b.build()).unwrap();
        assert_eq!(btf.enumerator("pid_type", "PIDTYPE_SID"), Some(3));
        assert_eq!(btf.enumerator("pid_type", "PIDTYPE_GONE"), None);
    }

    #[test]
    fn an_argument_of_a_tracepoint_is_found_by_what_it_is() {
        let mut b = Builder::new();
        let byte = b.int("unsigned char", 1);
        let short = b.typedef("u8", byte);
        let request = b.composite("io_kiocb", false, 8, &[("opcode", byte, 0)]);
        let void = b.pointer(0);
        let pointer = b.pointer(request);
        for (name, parameters) in [("old", [void, void, short]), ("new", [void, pointer, short])] {
            let function = b.prototype(&parameters);
            let pointer = b.pointer(function);
            b.typedef(&format!("btf_trace_{name}"), pointer);
        }
        let btf = Btf::parse(b.build()).unwrap();
        let request = |argument: &Argument<'_>| *argument == Argument::Pointer("io_kiocb");
        assert_eq!((btf.argument("old", request), btf.argument("new", request)), (None, Some(0)));
        assert_eq!(btf.argument("old", |argument| *argument == Argument::Byte), Some(1));
        assert_eq!(btf.argument("gone", |_| true), None);
    }

    #[test]
    fn a_struct_of_a_module_is_found_with_names_that_the_kernel_has_too() {
        let mut kernel = Builder::new();
        let int = kernel.int("int", 4);
        let inode = kernel.composite("inode", false, 8, &[("i_ino", int, 0)]);
        let base = Btf::parse(kernel.build()).unwrap();
        let mut module = Builder::upon(&kernel);
        let anonymous = module.composite("", true, 8, &[("cache", int, 0), ("redirect", int, 0)]);
        let members = [("", anonymous, 0), ("vfs_inode", inode, 64), ("__upperdentry", int, 128)];
        module.composite("ovl_inode", false, 24, &members);
        let module = base.parse_module(module.build()).unwrap();
        assert_eq!(module.offset_of("ovl_inode", "vfs_inode"), Some(8));
        assert_eq!(module.offset_of("ovl_inode", "__upperdentry"), Some(16));
        assert_eq!(module.offset_of("ovl_inode", "redirect"), Some(0));
        assert_eq!(module.offset_of("ovl_inode", "vfs_inode.i_ino"), None, "a type of the kernel");
        assert_eq!(module.offset_of("inode", "i_ino"), None, "not the module's");
        assert_eq!(base.offset_of("ovl_inode", "vfs_inode"), None);
    }

    #[test]
    fn bytes_that_are_cut_anywhere_are_refused_or_read_without_a_panic() {
        let mut b = Builder::new();
        let int = b.int("int", 4);
        b.composite("task_struct", false, 8, &[("pid", int, 0)]);
        let whole = b.build();
        for len in 0..whole.len() {
            if let Ok(btf) = Btf::parse(whole[..len].to_vec()) {
                btf.offset_of("task_struct", "pid");
            }
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] = 0xff;
            if let Ok(btf) = Btf::parse(bent) {
                btf.offset_of("task_struct", "pid");
            }
        }
    }
}
