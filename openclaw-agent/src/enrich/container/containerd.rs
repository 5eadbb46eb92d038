//! What containerd keeps of a running container: the bundle of its task, in
//! `io.containerd.runtime.v2.task/NAMESPACE/ID` below its state. `config.json` in it is a runtime specification.
//!
//! For Kubernetes its annotations tell of container, image and pod (containerd: `pkg/cri/annotations`). nerdctl
//! writes the container's labels, its own (`nerdctl/…`) among them, into the annotations too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Details, Runtime, state};

/// The folder of the tasks of all namespaces.
const TASKS: &str = "io.containerd.runtime.v2.task";

/// Namespaces in which a container is looked for first.
const USUAL_NAMESPACES: [&str; 2] = ["k8s.io", "default"];

/// What containerd says of the container of that id.
pub(super) fn read(roots: &[PathBuf], id: &str) -> Option<Details> {
    roots.iter().find_map(|root| in_tasks(&root.join(TASKS), id)).map(|annotations| details(&annotations))
}

fn in_tasks(tasks: &Path, id: &str) -> Option<BTreeMap<String, String>> {
    let in_namespace = |folder: PathBuf| state::annotations(&folder.join(id).join("config.json"));
    USUAL_NAMESPACES.iter().find_map(|namespace| in_namespace(tasks.join(namespace))).or_else(|| {
        let namespaces = std::fs::read_dir(tasks).ok()?.flatten();
        namespaces.map(|entry| entry.path()).find_map(in_namespace)
    })
}

fn details(annotations: &BTreeMap<String, String>) -> Details {
    let text = |key: &str| annotations.get(key).cloned().unwrap_or_default();
    let cri = |key: &str| text(&format!("io.kubernetes.cri.{key}"));
    let mut details = Details {
        runtime: Some(Runtime::Containerd),
        name: cri("container-name"),
        image: cri("image-name"),
        pod: cri("sandbox-name"),
        namespace: cri("sandbox-namespace"),
        labels: String::new(),
    };
    if cri("container-type") == "sandbox" {
        // The container that holds the pod's namespaces. The kubelet has no name for it; this one is crictl's.
        "POD".clone_into(&mut details.name);
    }
    if annotations.contains_key("nerdctl/name") {
        details.name = text("nerdctl/name");
        let internal = ["nerdctl/", "io.containerd.", "containerd.io/"];
        let labels = annotations
            .iter()
            .filter(|(key, _)| !internal.iter().any(|prefix| key.starts_with(prefix)))
            .map(|(key, value)| (&**key, &**value));
        details.add_labels(labels);
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by hand after the annotations that containerd's source names.
    const KUBERNETES: &str = r#"{"ociVersion":"1.1.0","process":{"args":["/app"]},"annotations":{
        "io.kubernetes.cri.container-name":"app","io.kubernetes.cri.container-type":"container",
        "io.kubernetes.cri.image-name":"registry.example.com/shop/app:2","io.kubernetes.cri.sandbox-id":"5a5a",
        "io.kubernetes.cri.sandbox-name":"web-0","io.kubernetes.cri.sandbox-namespace":"shop",
        "io.kubernetes.cri.sandbox-uid":"d2c4a6b8-0e1f-4a3b-8c5d-6e7f8a9b0c1d"}}"#;

    fn in_namespace(namespace: &str, config: &str) -> Details {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join(TASKS).join(namespace).join("c0ffee");
        std::fs::create_dir_all(&bundle).unwrap();
        std::fs::write(bundle.join("config.json"), config).unwrap();
        read(&[folder.path().to_owned()], "c0ffee").unwrap()
    }

    #[test]
    fn a_container_of_kubernetes_is_told_with_its_pod() {
        let details = in_namespace("k8s.io", KUBERNETES);
        assert_eq!((&*details.name, &*details.image), ("app", "registry.example.com/shop/app:2"));
        assert_eq!((&*details.pod, &*details.namespace), ("web-0", "shop"));
    }

    #[test]
    fn the_container_that_holds_a_pods_namespaces_is_called_pod() {
        let sandbox = KUBERNETES.replace("\"container\"", "\"sandbox\"").replace("container-name", "other");
        assert_eq!(in_namespace("k8s.io", &sandbox).name, "POD");
    }

    #[test]
    fn a_container_of_nerdctl_in_a_namespace_of_its_own_has_its_name_and_labels() {
        let details = in_namespace(
            "mine",
            r#"{"annotations":{"nerdctl/name":"box","nerdctl/namespace":"mine","team":"web",
               "io.containerd.image.config.stop-signal":"SIGTERM"}}"#,
        );
        assert_eq!((&*details.name, &*details.labels), ("box", "team=web\0"));
    }

    #[test]
    fn a_container_of_which_nothing_is_said_is_still_containerds() {
        let expected = Details { runtime: Some(Runtime::Containerd), ..Details::default() };
        assert_eq!(in_namespace("default", "{}"), expected);
    }
}
