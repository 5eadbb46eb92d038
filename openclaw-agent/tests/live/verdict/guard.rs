//! Guard rails on real processes, and findings in both modes.

use openclaw_agent::respond::{ActionKind, NoLookup, Outcome, Responder, ResponseSettings};
use openclaw_detect::{Action, Finding, Mode, ProcessId, Scope};

use super::{Stage, layout};
use crate::support::helper::Helper;
use crate::support::{deed, live, live_once, start_of, wait_for};

fn finding(helper: &Helper) -> Finding {
    let process = ProcessId { pid: helper.pid, start: start_of(helper.pid) };
    Finding { actions: vec![Action::Alert, Action::Block, Action::Isolate], ..super::finding(process) }
}

fn outcomes(responder: &mut Responder, finding: &Finding) -> Vec<Outcome> {
    responder.on_finding(finding, None, &NoLookup).iter().map(|record| record.outcome).collect()
}

#[test]
fn a_finding_is_answered_in_enforce_mode_and_only_recorded_in_observe_mode() {
    live_once!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let finding = finding(&helper);
    let observe = ResponseSettings { mode: Mode::Observe, ..stage.settings() };
    let mut responder = Responder::new(observe, layout());
    assert_eq!(outcomes(&mut responder, &finding), [Outcome::Would; 2]);
    assert!(!stage.bpffs.has_pins());
    assert!(responder.live().is_empty());

    let mut responder = stage.responder();
    let records = responder.on_finding(&finding, None, &NoLookup);
    assert_eq!(
        records.iter().map(|record| record.kind).collect::<Vec<_>>(),
        [ActionKind::Block, ActionKind::Isolate]
    );
    for record in records {
        assert_eq!(record.outcome, Outcome::Done, "{record:?}");
        assert_eq!((record.finding.as_deref(), record.rule.as_deref()), (Some("f-1"), Some("test")));
        let seconds = (record.expires.unwrap().0 - record.at.0) / 1_000_000_000;
        assert!((29..=31).contains(&seconds), "{seconds}");
    }
}

#[test]
fn an_answer_that_is_not_sure_enough_is_refused_in_both_modes() {
    live_once!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    for mode in [Mode::Enforce, Mode::Observe] {
        let mut responder = Responder::new(ResponseSettings { mode, ..stage.settings() }, layout());
        for confidence in [0.8, 0.1, f64::NAN] {
            let finding = Finding { confidence, ..finding(&helper) };
            assert_eq!(outcomes(&mut responder, &finding), [Outcome::Refused; 2]);
        }
    }
}

#[test]
fn a_pid_that_belongs_to_another_process_by_now_is_not_acted_upon() {
    live!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut finding = finding(&helper);
    finding.actions = vec![Action::Isolate];
    let id = finding.process.as_mut().unwrap();
    id.start -= 10_000_000;
    assert_eq!(outcomes(&mut stage.responder(), &finding), [Outcome::Refused]);
}

#[test]
fn a_protected_executable_is_not_isolated_whoever_asks() {
    live_once!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let executable = std::env::current_exe().unwrap().canonicalize().unwrap();
    let protected = vec![executable.display().to_string().parse().unwrap()];
    let mut responder = Responder::new(ResponseSettings { protected, ..stage.settings() }, layout());
    let record = responder.isolate(helper.pid, Scope::Tree, None, None, &NoLookup);
    assert_eq!(record.outcome, Outcome::Refused);
    assert!(record.reason.unwrap().contains("protected"));
    let own = responder.isolate(std::process::id(), Scope::Tree, None, None, &NoLookup);
    assert_eq!(own.outcome, Outcome::Refused);
    assert!(!stage.bpffs.has_pins());
}

#[test]
fn a_tree_with_a_protected_executable_in_it_is_not_isolated_whoever_asks() {
    live_once!();
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let vital = folder.path().canonicalize().unwrap().join("vital");
    deed::copy(&deed::program(), &vital);
    let mut helper = Helper::new(&stage.cgroup, &stage.cable.near);
    let mut child = helper.child();
    let protected = vec![vital.display().to_string().parse().unwrap()];
    for mode in [Mode::Enforce, Mode::Observe] {
        let settings = ResponseSettings { protected: protected.clone(), mode, ..stage.settings() };
        let mut responder = Responder::new(settings, layout());
        let mut finding = finding(&helper);
        finding.actions = vec![Action::Isolate];
        let below = child.child_as(&vital);
        let record = &responder.on_finding(&finding, None, &NoLookup)[0];
        assert_eq!(record.outcome, Outcome::Refused);
        let reason = record.reason.clone().unwrap();
        assert!(
            reason.starts_with(&format!("its descendant, process {} (vital) runs", below.pid)),
            "{reason}"
        );
        assert!(reason.contains("protected list"), "{reason}");
        assert_eq!(
            responder.isolate(helper.pid, Scope::Tree, None, None, &NoLookup).outcome,
            Outcome::Refused
        );
        assert!(!stage.bpffs.has_pins());
        let pid = below.pid;
        below.end();
        wait_for("it has ended", || !is_running(pid));
        let without = responder.isolate(helper.pid, Scope::Tree, None, None, &NoLookup);
        assert_eq!(without.outcome, Outcome::Done, "{without:?}");
        responder.undo_all().unwrap();
    }
}

/// Whether a process runs a program still, and is not one that nobody has waited for yet.
fn is_running(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

#[test]
fn a_process_that_the_cgroup_does_not_bound_is_refused_with_the_reason() {
    live!();
    let stage = Stage::new();
    let elsewhere = crate::support::cgroup::Cgroup::new();
    let helper = Helper::new(&elsewhere, &stage.cable.near);
    let record = stage.responder().isolate(helper.pid, Scope::Tree, None, None, &NoLookup);
    assert_eq!(record.outcome, Outcome::Refused);
    assert!(record.reason.unwrap().contains("security.response.cgroup"));
    helper.end();
}

#[test]
fn where_the_cgroup_is_none_answers_are_refused_in_both_modes() {
    live_once!();
    let stage = Stage::new();
    let helper = Helper::new(&stage.cgroup, &stage.cable.near);
    for mode in [Mode::Enforce, Mode::Observe] {
        let settings = ResponseSettings { mode, cgroup: Some("/tmp".into()), ..stage.settings() };
        let mut responder = Responder::new(settings, layout());
        assert!(responder.impediment().unwrap().contains("/tmp"));
        assert_eq!(outcomes(&mut responder, &finding(&helper)), [Outcome::Refused; 2]);
        let record = responder.block("10.211.77.2".parse().unwrap(), None, None);
        assert_eq!(record.outcome, Outcome::Refused);
        assert!(record.reason.unwrap().contains("is not a folder of cgroup v2"));
    }
}

#[test]
fn pins_in_a_folder_that_is_not_roots_are_neither_believed_nor_removed() {
    live_once!();
    let stage = Stage::new();
    let mut responder = stage.responder();
    let network = "10.211.77.2".parse().unwrap();
    assert_eq!(responder.block(network, None, None).outcome, Outcome::Done);
    drop(responder);
    let base = stage.bpffs.path().join("openclaw");
    std::os::unix::fs::chown(&base, Some(65534), None).unwrap();
    let mut responder = Responder::new(stage.settings(), layout());
    assert!(responder.notices()[0].contains("belongs to user 65534"), "{:?}", responder.notices());
    assert!(responder.live().is_empty());
    let record = responder.block(network, None, None);
    assert_eq!(record.outcome, Outcome::Failed);
    assert!(record.reason.unwrap().contains("belongs to user 65534"));
    assert!(stage.bpffs.has_pins());
    std::os::unix::fs::chown(&base, Some(0), None).unwrap();
    assert_eq!(stage.responder().live().len(), 1);
}
