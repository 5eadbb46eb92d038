//! What Docker's engine keeps of a container: `containers/ID/config.v2.json` below its data.
//!
//! The file is the engine's `container.Container` (moby: `container/container.go`) as JSON: `Name`, with a slash
//! before it, and in `Config` the `Image` as it was asked for and the `Labels` (moby:
//! `api/types/container/config.go`). Under Kubernetes, dockershim and cri-dockerd tell of the pod by labels.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Details, Runtime, state};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    name: String,
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    image: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// What Docker says of the container of that id.
pub(super) fn read(roots: &[PathBuf], id: &str) -> Option<Details> {
    let path = |root: &PathBuf| root.join("containers").join(id).join("config.v2.json");
    roots.iter().find_map(|root| state::json::<State>(&path(root))).map(details)
}

fn details(State { name, config }: State) -> Details {
    let labels = config.labels.unwrap_or_default();
    let label = |key: &str| labels.get(key).cloned();
    let mut details = Details {
        runtime: Some(Runtime::Docker),
        name: label("io.kubernetes.container.name")
            .unwrap_or_else(|| name.strip_prefix('/').unwrap_or(&name).to_owned()),
        image: config.image,
        pod: label("io.kubernetes.pod.name").unwrap_or_default(),
        namespace: label("io.kubernetes.pod.namespace").unwrap_or_default(),
        labels: String::new(),
    };
    details.add_labels(labels.iter().map(|(key, value)| (&**key, &**value)));
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by hand, with the keys that matter here and some that surround them.
    const PLAIN: &str = r#"{"StreamConfig":{},"State":{"Running":true,"Pid":4242},"ID":"c0ffee",
        "Config":{"Hostname":"c0ffee","Image":"nginx:1.27","Labels":{"com.example.team":"web","maintainer":"jo"}},
        "Image":"sha256:1f2e3d","Name":"/web-1","Driver":"overlay2"}"#;

    #[test]
    fn name_image_and_labels_are_those_of_the_engines_file() {
        let folder = tempfile::tempdir().unwrap();
        let container = folder.path().join("containers/c0ffee");
        std::fs::create_dir_all(&container).unwrap();
        std::fs::write(container.join("config.v2.json"), PLAIN).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        let details = read(&[elsewhere, folder.path().to_owned()], "c0ffee").unwrap();
        assert_eq!((&*details.name, &*details.image), ("web-1", "nginx:1.27"));
        assert_eq!(details.labels, "com.example.team=web\0maintainer=jo\0");
        assert_eq!(details.runtime, Some(Runtime::Docker));
        assert_eq!(read(&[folder.path().to_owned()], "decaf"), None);
    }

    #[test]
    fn under_kubernetes_the_labels_tell_of_the_pod() {
        let state = r#"{"Name":"/k8s_app_web-0_shop_uid_0","Config":{"Image":"sha256:12","Labels":{
            "io.kubernetes.container.name":"app","io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"shop"}}}"#;
        let details = details(serde_json::from_str(state).unwrap());
        assert_eq!((&*details.name, &*details.pod, &*details.namespace), ("app", "web-0", "shop"));
    }

    #[test]
    fn a_container_without_labels_has_none() {
        let details = details(serde_json::from_str(r#"{"Name":"/x","Config":{"Labels":null}}"#).unwrap());
        assert_eq!((&*details.name, &*details.labels), ("x", ""));
    }
}
