//! Reads one value from a database of bbolt, in which older versions of Podman keep their state.
//!
//! The format (bbolt: `internal/common/page.go`, `meta.go`, `bucket.go`, `inode.go`), little-endian on x86-64:
//! pages of a fixed size make B+ trees. Two meta pages take turns; the one with the higher transaction whose
//! checksum is right names the root. The value of a bucket is the root of another tree, or where that would be
//! 0 is followed by a page of its own. A writer copies what it changes, so that a file that is read while it is
//! written holds the state of the last transaction but few; a look-up in a torn file finds nothing.

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;
const BRANCH: u16 = 1;
const LEAF: u16 = 2;

/// Bytes of the head of a page, of an element in it, and of a bucket's own head.
const HEAD: usize = 16;

/// Levels of a tree that are followed: deeper than any that fits into a file.
const DEPTH: usize = 32;

/// The value that lies at a path of buckets and a key.
pub(super) fn get<'a>(file: &'a [u8], buckets: &[&str], key: &str) -> Option<&'a [u8]> {
    let mut tree = Tree::of_file(file)?;
    for bucket in buckets {
        tree = tree.bucket(tree.find(bucket.as_bytes())?)?;
    }
    tree.find(key.as_bytes())
}

/// A tree of pages.
#[derive(Clone, Copy)]
struct Tree<'a> {
    file: &'a [u8],
    page_size: usize,
    root: &'a [u8],
}

impl<'a> Tree<'a> {
    /// That of the whole file.
    fn of_file(file: &'a [u8]) -> Option<Self> {
        let page_size = u32_at(file, HEAD + 8)? as usize;
        let metas = [file.get(HEAD..)?, file.get(page_size.checked_add(HEAD)?..)?];
        let meta = metas.into_iter().filter(|meta| is_meta(meta)).max_by_key(|meta| u64_at(meta, 48))?;
        Tree { file, page_size, root: &[] }.at(u64_at(meta, 16)?)
    }

    /// The tree whose root is the page of that number.
    fn at(self, page: u64) -> Option<Self> {
        let from = usize::try_from(page).ok()?.checked_mul(self.page_size)?;
        Some(Tree { root: self.file.get(from..)?, ..self })
    }

    /// The tree of a bucket, given the value that stands for it.
    fn bucket(self, value: &'a [u8]) -> Option<Self> {
        match u64_at(value, 0)? {
            0 => Some(Tree { root: value.get(HEAD..)?, ..self }),
            page => self.at(page),
        }
    }

    fn find(self, key: &[u8]) -> Option<&'a [u8]> {
        let mut page = self;
        for _ in 0..DEPTH {
            match u16_at(page.root, 8)? {
                LEAF => return page.in_leaf(key),
                BRANCH => page = self.at(page.child(key)?)?,
                _ => return None,
            }
        }
        None
    }

    /// Where the elements of the page begin.
    fn elements(self) -> Option<impl Iterator<Item = usize>> {
        let count = usize::from(u16_at(self.root, 10)?);
        Some((0..count).map(|index| HEAD + index * 16))
    }

    /// In a leaf: `flags`, `position` of the key from here, its length, and that of the value behind it.
    fn in_leaf(self, key: &[u8]) -> Option<&'a [u8]> {
        for at in self.elements()? {
            let start = at.checked_add(u32_at(self.root, at + 4)? as usize)?;
            let length = u32_at(self.root, at + 8)? as usize;
            if slice(self.root, start, length)? == key {
                return slice(self.root, start + length, u32_at(self.root, at + 12)? as usize);
            }
        }
        None
    }

    /// In a branch: `position` of the key from here, its length, and the page in which keys from this one on are.
    fn child(self, key: &[u8]) -> Option<u64> {
        let mut child = None;
        for at in self.elements()? {
            let start = at.checked_add(u32_at(self.root, at)? as usize)?;
            let first = slice(self.root, start, u32_at(self.root, at + 4)? as usize)?;
            if first > key {
                break;
            }
            child = Some(u64_at(self.root, at + 8)?);
        }
        child
    }
}

fn is_meta(meta: &[u8]) -> bool {
    u32_at(meta, 0) == Some(MAGIC)
        && u32_at(meta, 4) == Some(VERSION)
        && meta.get(..56).is_some_and(|summed| u64_at(meta, 56) == Some(fnv1a(summed)))
}

/// The checksum of meta pages: FNV-1a of 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn slice(bytes: &[u8], from: usize, length: usize) -> Option<&[u8]> {
    bytes.get(from..from.checked_add(length)?)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    slice(bytes, at, 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    slice(bytes, at, 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    slice(bytes, at, 8)?.try_into().ok().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: usize = 512;

    /// A leaf page with one key.
    fn leaf(key: &str, value: &[u8]) -> Vec<u8> {
        let mut page = [&[0; 8][..], &LEAF.to_le_bytes(), &1u16.to_le_bytes(), &[0; 4]].concat();
        for number in [1, 16, key.len() as u32, value.len() as u32] {
            page.extend(number.to_le_bytes());
        }
        [&page, key.as_bytes(), value].concat()
    }

    /// A branch page over pages with the keys from there on.
    fn branch(children: [(&str, u64); 2]) -> Vec<u8> {
        let mut page = [&[0; 8][..], &BRANCH.to_le_bytes(), &2u16.to_le_bytes(), &[0; 4]].concat();
        let mut position = 32u32;
        for (key, child) in children {
            page.extend(position.to_le_bytes());
            page.extend((key.len() as u32).to_le_bytes());
            page.extend(child.to_le_bytes());
            position = position - 16 + key.len() as u32;
        }
        children.iter().for_each(|(key, _)| page.extend(key.as_bytes()));
        page
    }

    fn meta(root: u64, transaction: u64) -> Vec<u8> {
        let mut meta = [MAGIC, VERSION, PAGE as u32, 0].map(u32::to_le_bytes).concat();
        for number in [root, 0, 0, 0, transaction] {
            meta.extend(u64::to_le_bytes(number));
        }
        let sum = fnv1a(&meta);
        meta.extend(sum.to_le_bytes());
        [vec![0; HEAD], meta].concat()
    }

    fn database(pages: &[Vec<u8>]) -> Vec<u8> {
        let padded = pages.iter().map(|page| [&page[..], &vec![0; PAGE - page.len()]].concat());
        padded.flatten().collect()
    }

    /// `ctr` is a bucket with a page of its own behind a branch, and `x` in it one that lies in its parent.
    fn sample() -> Vec<u8> {
        let inline = [&[0; 16][..], &leaf("config", b"{}")].concat();
        let bucket = [5u64.to_le_bytes(), [0; 8]].concat();
        database(&[
            meta(9, 3),
            meta(2, 4),
            branch([("a", 3), ("b", 4)]),
            leaf("a", b"not this"),
            leaf("ctr", &bucket),
            leaf("x", &inline),
        ])
    }

    #[test]
    fn a_value_is_found_through_branches_and_both_kinds_of_buckets() {
        let file = sample();
        assert_eq!(get(&file, &["ctr", "x"], "config"), Some(&b"{}"[..]));
        assert_eq!(get(&file, &["ctr", "y"], "config"), None);
        assert_eq!(get(&file, &["0"], "config"), None);
    }

    #[test]
    fn the_newer_of_the_meta_pages_that_are_whole_counts() {
        let mut file = sample();
        assert!(get(&file, &["ctr", "x"], "config").is_some());
        file[PAGE + HEAD + 50] ^= 1;
        assert_eq!(get(&file, &["ctr", "x"], "config"), None, "the other one names a page that is not there");
    }

    #[test]
    fn a_branch_that_leads_back_to_itself_is_left() {
        let file = database(&[meta(2, 3), meta(2, 4), branch([("a", 2), ("b", 2)])]);
        assert_eq!(get(&file, &[], "c"), None);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(changes in prop::collection::vec((0usize..PAGE * 6, any::<u8>()), 0..40), cut in 0usize..=PAGE * 6) {
            let mut file = sample();
            for (at, byte) in changes {
                file[at] = byte;
            }
            get(&file[..cut], &["ctr", "x"], "config");
        }
    }
}
