//! What runc keeps of a container: `ID/state.json` below its root.
//!
//! The file is libcontainer's `State` (runc: `libcontainer/container_linux.go`) as JSON. `config.labels` are texts
//! `KEY=VALUE`: the annotations of the bundle's specification, and the bundle's own path as `bundle`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Container, Details, Runtime, state};

#[derive(Deserialize)]
struct State {
    id: String,
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    labels: Option<Vec<String>>,
}

/// What runc says of the container of that id.
pub(super) fn read(roots: &[PathBuf], id: &str) -> Option<Details> {
    roots.iter().find_map(|root| state::json::<State>(&file(root, id))).map(details)
}

/// The innermost container whose control group runc has named after it, without anything that says so: a part
/// of the path is an id of runc's. Asks the file system, which as a rule holds runc's state in memory.
pub(super) fn by_name(roots: &[PathBuf], cgroup: &str) -> Option<Container> {
    let mut own = cgroup;
    loop {
        let (outer, id) = own.rsplit_once('/')?;
        let is_name = !matches!(id, "" | "." | "..");
        if is_name && roots.iter().any(|root| file(root, id).is_file()) {
            return Some(Container::new(id, own, Some(Runtime::Runc), None));
        }
        own = outer;
    }
}

fn file(root: &Path, id: &str) -> PathBuf {
    root.join(id).join("state.json")
}

fn details(State { id, config }: State) -> Details {
    let mut details = Details { runtime: Some(Runtime::Runc), name: id, ..Details::default() };
    let labels = config.labels.unwrap_or_default();
    details.add_labels(
        labels.iter().filter_map(|label| label.split_once('=')).filter(|(key, _)| *key != "bundle"),
    );
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_group_is_runcs_where_runc_knows_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let roots = [folder.path().to_owned()];
        std::fs::create_dir(folder.path().join("box")).unwrap();
        assert!(by_name(&roots, "/some/where/box").is_none());
        let state = r#"{"id":"box","init_process_pid":7,"config":{"labels":["team=web","bundle=/tmp/b"]}}"#;
        std::fs::write(folder.path().join("box/state.json"), state).unwrap();
        let container = by_name(&roots, "/some/where/box").unwrap();
        assert_eq!((&*container.id, container.runtime()), ("box", Some(Runtime::Runc)));
        let details = read(&roots, "box").unwrap();
        assert_eq!((&*details.name, &*details.labels), ("box", "team=web\0"));
        assert_eq!(by_name(&roots, "/box/below").unwrap().cgroup, "/box");
        for path in ["", "/", "/other", "/..", "/./.", "box"] {
            assert!(by_name(&roots, path).is_none(), "{path}");
        }
    }
}
