//! What the sensor's thread takes of memory: nothing for a record that matches nothing.

#[path = "../../openclaw-detect/tests/counting/mod.rs"]
mod counting;
mod records;

use counting::allocations;
use openclaw_agent::enrich::HostFacts;
use openclaw_agent::pipeline::Stage;
use openclaw_common::record::FORK;
use openclaw_detect::{Engine, RuleSet, Source};
use records::{Nobody, PID, SHELL, exec, file, network, process};

/// Rules over fields that are put together when somebody asks for them, and which are not asked of records of which
/// something cheaper is not so.
const DEAR: &str = "rules:
- {name: ancestors, event: [file_access, network_connection], condition: process.ancestors == 'nginx' and process.name == 'sh'}
- {name: capabilities, event: file_access, condition: process.thread.capabilities.effective == 'CAP_SYS_ADMIN' and file.path startswith '/etc/'}
- {name: parent, event: network_connection, condition: process.parent.entity_id == '1-1' and destination.port == 4444}
";

#[test]
fn a_record_that_matches_nothing_takes_no_memory_on_its_whole_way() {
    let dear = Source { name: "x.yml".to_owned(), text: DEAR.to_owned() };
    let sources: Vec<Source> = Source::shipped().into_iter().chain([dear]).collect();
    let rules = RuleSet::load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let mut stage = Stage::new(Engine::new(rules), HostFacts::of_this_host());
    for record in [process(FORK, SHELL), process(FORK, PID), exec(PID), file(PID), network(PID)] {
        stage.handle(&record, &mut Nobody);
    }
    for (what, record) in [("a file", file(PID)), ("a connection", network(PID))] {
        assert_eq!(allocations(|| stage.handle(&record, &mut Nobody)), 0, "{what}");
    }
    let events: u64 = stage.counts().events.iter().sum();
    assert_eq!(events, 7, "each was an event");
}
