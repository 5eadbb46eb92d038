//! Resolves the layout table of `openclaw-common` against the running kernel's types.

use openclaw_common::layout::{Layout, MISSING, Spec};

use super::btf::Btf;

/// The table with its numbers, and the entries that this kernel lacks.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the kernel programs are given.
    pub layout: Layout,
    /// Names of the entries that are missing, in the table's order.
    pub missing: Vec<&'static str>,
}

/// Resolves every entry. One that the kernel lacks is [`MISSING`], never a guess.
pub fn resolve(btf: &Btf) -> Resolved {
    let mut numbers = [MISSING; Layout::ENTRIES.len()];
    let mut missing = Vec::new();
    for (number, (name, spec)) in numbers.iter_mut().zip(Layout::ENTRIES) {
        match find(btf, *spec) {
            Some(found) => *number = found,
            None => missing.push(*name),
        }
    }
    Resolved { layout: bytemuck::cast(numbers), missing }
}

fn find(btf: &Btf, spec: Spec) -> Option<u32> {
    match spec {
        Spec::Offset(of, paths) => paths.iter().find_map(|path| btf.offset_of(of, path)),
        Spec::Size(of) => btf.size_of(of),
        Spec::Enumerator(of, name) => btf.enumerator(of, name),
    }
}

#[cfg(test)]
mod tests {
    use super::super::btf::tests::Builder;
    use super::*;

    #[test]
    fn a_field_that_moved_and_one_that_was_renamed_are_found_where_they_are() {
        let mut b = Builder::new();
        let int = b.int("int", 4);
        b.composite("task_struct", false, 128, &[("pid", int, 512), ("real_start_time", int, 640)]);
        let resolved = resolve(&Btf::parse(b.build()).unwrap());
        assert_eq!(resolved.layout.task_pid, 64);
        assert_eq!(resolved.layout.task_start_boottime, 80);
    }

    #[test]
    fn a_field_that_is_not_there_is_missing_and_named() {
        let mut b = Builder::new();
        let int = b.int("int", 4);
        b.composite("task_struct", false, 8, &[("pid", int, 0)]);
        let resolved = resolve(&Btf::parse(b.build()).unwrap());
        assert_eq!(resolved.layout.task_tgid, MISSING);
        assert!(resolved.missing.contains(&"task_tgid"));
        assert!(!resolved.missing.contains(&"task_pid"));
    }

    #[test]
    fn the_running_kernel_has_the_fields_that_a_process_is_told_by() {
        let Ok(btf) = Btf::of_running_kernel() else {
            eprintln!("skipped: this kernel has no BTF");
            return;
        };
        let resolved = resolve(&btf);
        for essential in ["task_pid", "task_tgid", "task_start_boottime", "dentry_name", "file_path"] {
            assert!(!resolved.missing.contains(&essential), "{essential} of {:?}", resolved.missing);
        }
    }
}
