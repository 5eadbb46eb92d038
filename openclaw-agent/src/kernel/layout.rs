//! Resolves the layout table of `openclaw-common` against the running kernel's types.

use std::path::Path;

use openclaw_common::layout::{ALTERNATIVES, BYTE_ARGUMENT, Layout, MISSING, Spec};

use super::btf::{Argument, Btf, BtfError};
use crate::capability::{Capability, State};

/// The table with its numbers, and what this kernel lacks.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What the kernel programs are given.
    pub layout: Layout,
    /// Names of the entries that are missing, in the table's order.
    pub missing: Vec<&'static str>,
    /// Modules that are not loaded, whose entries are missing for that reason alone.
    pub not_loaded: Vec<&'static str>,
}

impl Resolved {
    /// Whether all is known that the kernel programs ask for, in the words of `status` and `doctor`.
    pub fn capability(&self) -> Capability {
        let told = |state| Capability::new("kernel fields", "btf", state);
        if !self.missing.is_empty() {
            let missing = self.missing.join(", ");
            return told(State::Degraded)
                .because(format!("this kernel lacks {missing}: what needs them is left out"));
        }
        if self.not_loaded.is_empty() {
            return told(State::Full);
        }
        let modules = self.not_loaded.join(", ");
        told(State::Full).because(format!(
            "not loaded: {modules}. What lies in these is told by agents that start after they are loaded"
        ))
    }
}

/// What is known of a module.
#[derive(Debug)]
pub enum Module {
    /// Its types.
    Types(Box<Btf>),
    /// Loaded, but the kernel does not tell its types.
    Untold,
    /// Not loaded.
    NotLoaded,
}

/// Resolves every entry for the running kernel and its modules.
///
/// # Errors
/// When the kernel does not tell its types.
pub fn of_running_kernel() -> Result<Resolved, BtfError> {
    let btf = Btf::of_running_kernel()?;
    Ok(resolve(&btf, |name| match btf.of_module(name) {
        Ok(types) => Module::Types(Box::new(types)),
        Err(_) if Path::new("/sys/module").join(name).exists() => Module::Untold,
        Err(_) => Module::NotLoaded,
    }))
}

/// Resolves every entry. One that the kernel lacks is [`MISSING`], never a guess.
pub fn resolve(btf: &Btf, module: impl Fn(&str) -> Module) -> Resolved {
    let mut numbers = [MISSING; Layout::ENTRIES.len()];
    let (mut missing, mut not_loaded) = (Vec::new(), Vec::new());
    for (number, (name, spec)) in numbers.iter_mut().zip(Layout::ENTRIES) {
        match find(btf, &module, *spec) {
            Found::At(found) => *number = found,
            Found::Missing => missing.push(*name),
            Found::NotLoaded(module) if not_loaded.contains(&module) => {}
            Found::NotLoaded(module) => not_loaded.push(module),
        }
    }
    for (one, other) in ALTERNATIVES {
        if !(missing.contains(one) && missing.contains(other)) {
            missing.retain(|name| name != one && name != other);
        }
    }
    Resolved { layout: bytemuck::cast(numbers), missing, not_loaded }
}

enum Found {
    At(u32),
    Missing,
    NotLoaded(&'static str),
}

fn find(btf: &Btf, module: impl Fn(&str) -> Module, spec: Spec) -> Found {
    let offset = |btf: &Btf, of: &str, paths: &[&str]| paths.iter().find_map(|path| btf.offset_of(of, path));
    let found = match spec {
        Spec::Offset(of, paths) => offset(btf, of, paths),
        Spec::Size(of) => btf.size_of(of),
        Spec::Enumerator(of, name) => btf.enumerator(of, name),
        Spec::Argument(tracepoints, to) => tracepoints.iter().find_map(|tracepoint| {
            let pointer = btf.argument(tracepoint, |argument| *argument == Argument::Pointer(to));
            let byte = || btf.argument(tracepoint, |argument| *argument == Argument::Byte);
            pointer.or_else(|| Some(BYTE_ARGUMENT + byte()?))
        }),
        Spec::Has(names) => Some(u32::from(names.iter().all(|name| btf.has(name)))),
        // A part that is built in is no module.
        Spec::ModuleOffset(name, of, paths) => match offset(btf, of, paths) {
            Some(found) => Some(found),
            None => match module(name) {
                Module::Types(types) => offset(&types, of, paths),
                Module::Untold => None,
                Module::NotLoaded => return Found::NotLoaded(name),
            },
        },
    };
    found.map_or(Found::Missing, Found::At)
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
        let resolved = resolve(&Btf::parse(b.build()).unwrap(), |_| Module::NotLoaded);
        assert_eq!(resolved.layout.task_pid, 64);
        assert_eq!(resolved.layout.task_start_boottime, 80);
    }

    #[test]
    fn a_field_that_is_not_there_is_missing_and_named() {
        let mut b = Builder::new();
        let int = b.int("int", 4);
        b.composite("task_struct", false, 8, &[("pid", int, 0)]);
        let resolved = resolve(&Btf::parse(b.build()).unwrap(), |_| Module::NotLoaded);
        assert_eq!(resolved.layout.task_tgid, MISSING);
        assert!(resolved.missing.contains(&"task_tgid"));
        assert!(!resolved.missing.contains(&"task_pid"));
        assert_eq!(resolved.not_loaded, ["overlay"]);
        assert!(!resolved.missing.contains(&"ovl_inode_upper"), "its module is not there");
    }

    #[test]
    fn what_came_with_a_variable_and_a_type_is_there_where_both_are_and_never_missing() {
        let resolved_with = |names: &[&str]| {
            let mut b = Builder::new();
            names.iter().for_each(|name| {
                b.composite(name, false, 0, &[]);
            });
            resolve(&Btf::parse(b.build()).unwrap(), |_| Module::NotLoaded)
        };
        let all = ["tracepoint_srcu_srcu_data", "srcu_ctr"];
        let preemptible = |names| resolved_with(names).layout.preemptible_tracepoints;
        assert_eq!((preemptible(&all), preemptible(&all[..1]), preemptible(&all[1..])), (1, 0, 0));
        assert!(!resolved_with(&[]).missing.contains(&"preemptible_tracepoints"));
    }

    #[test]
    fn of_two_entries_that_stand_for_each_other_none_is_missing_where_one_is_there() {
        let resolved_with = |member: &str| {
            let mut b = Builder::new();
            let int = b.int("int", 4);
            b.composite("ns_common", false, 8, &[(member, int, 32)]);
            resolve(&Btf::parse(b.build()).unwrap(), |_| Module::NotLoaded).missing
        };
        let of_both =
            |missing: Vec<&'static str>| ["ns_type", "ns_ops_type"].map(|name| missing.contains(&name));
        assert_eq!(of_both(resolved_with("ns_type")), [false, false]);
        assert_eq!(of_both(resolved_with("other")), [true, true]);
    }

    #[test]
    fn the_running_kernel_has_the_fields_that_a_process_is_told_by() {
        let Ok(resolved) = of_running_kernel() else {
            eprintln!("skipped: this kernel has no BTF");
            return;
        };
        for essential in ["task_pid", "task_tgid", "task_start_boottime", "dentry_name", "file_path"] {
            assert!(!resolved.missing.contains(&essential), "{essential} of {:?}", resolved.missing);
        }
    }
}
