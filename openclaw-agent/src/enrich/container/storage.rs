//! What Podman and CRI-O keep of a container: `DRIVER-containers/ID/userdata/config.json` below their storage,
//! a runtime specification (containers/storage: `store.go` has the folders).
//!
//! CRI-O's annotations tell everything (cri-o: `pkg/annotations`, and the kubelet's `io.kubernetes.*`). Podman's
//! say little more than whose it is: the rest is in its database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Details, Runtime, podman, state};

/// What Podman or CRI-O says of the container of that id.
pub(super) fn read(roots: &[PathBuf], id: &str) -> Option<Details> {
    let (driver, annotations) = roots.iter().flat_map(|root| drivers(root)).find_map(|driver| {
        let annotations = state::annotations(&driver.join(id).join("userdata/config.json"))?;
        Some((driver, annotations))
    })?;
    if annotations.get("io.container.manager").is_some_and(|manager| manager == "libpod") {
        // What is transient lies in one of the roots, and the database in the other.
        return Some(podman::read(roots, &driver, id));
    }
    Some(crio(&annotations))
}

/// The folders with the containers of each storage driver: one as a rule, `overlay-containers`.
fn drivers(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let is_driver =
        |entry: &std::fs::DirEntry| entry.file_name().as_encoded_bytes().ends_with(b"-containers");
    entries.filter(is_driver).map(|entry| entry.path()).collect()
}

fn crio(annotations: &BTreeMap<String, String>) -> Details {
    let text = |key: &str| annotations.get(key).cloned().unwrap_or_default();
    let mut details = Details {
        runtime: Some(Runtime::CriO),
        name: text("io.kubernetes.container.name"),
        image: text("io.kubernetes.cri-o.ImageName"),
        pod: text("io.kubernetes.pod.name"),
        namespace: text("io.kubernetes.pod.namespace"),
        labels: String::new(),
    };
    if details.name.is_empty() {
        details.name = text("io.kubernetes.cri-o.Name");
    }
    if details.image.is_empty() {
        details.image = text("io.kubernetes.cri-o.Image");
    }
    // An object of JSON in a text.
    let labels: BTreeMap<String, String> =
        serde_json::from_str(&text("io.kubernetes.cri-o.Labels")).unwrap_or_default();
    details.add_labels(labels.iter().map(|(key, value)| (&**key, &**value)));
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    // Written by hand after the annotations that CRI-O's and the kubelet's sources name.
    const CRIO: &str = r#"{"ociVersion":"1.1.0","annotations":{"io.container.manager":"cri-o",
        "io.kubernetes.container.name":"app","io.kubernetes.cri-o.ImageName":"registry.example.com/shop/app:2",
        "io.kubernetes.cri-o.Image":"sha256:12","io.kubernetes.cri-o.Name":"k8s_app_web-0_shop_uid_0",
        "io.kubernetes.cri-o.Labels":"{\"io.kubernetes.pod.name\":\"web-0\",\"team\":\"web\"}",
        "io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"shop"}}"#;

    fn in_storage(config: &str) -> Option<Details> {
        let folder = tempfile::tempdir().unwrap();
        let userdata = folder.path().join("overlay-containers/c0ffee/userdata");
        std::fs::create_dir_all(&userdata).unwrap();
        std::fs::write(userdata.join("config.json"), config).unwrap();
        read(&[folder.path().join("nothing"), folder.path().to_owned()], "c0ffee")
    }

    #[test]
    fn a_container_of_crio_is_told_with_image_labels_and_pod() {
        let details = in_storage(CRIO).unwrap();
        assert_eq!((&*details.name, &*details.image), ("app", "registry.example.com/shop/app:2"));
        assert_eq!((&*details.pod, &*details.namespace), ("web-0", "shop"));
        assert_eq!(details.labels, "io.kubernetes.pod.name=web-0\0team=web\0");
        assert_eq!(details.runtime, Some(Runtime::CriO));
    }

    #[test]
    fn the_container_that_holds_a_pods_namespaces_has_the_name_that_crio_gave_it() {
        let config = CRIO.replace("io.kubernetes.container.name", "x").replace("ImageName", "Other");
        let details = in_storage(&config).unwrap();
        assert_eq!((&*details.name, &*details.image), ("k8s_app_web-0_shop_uid_0", "sha256:12"));
    }

    #[test]
    fn a_container_whose_specification_is_being_written_is_not_there_yet() {
        assert_eq!(in_storage("{\"annotations\":{"), None);
    }
}
