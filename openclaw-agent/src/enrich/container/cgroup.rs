//! From the path of a control group to the container that it is of.
//!
//! The paths are those of systemd's scopes (`docker-ID.scope`), of runtimes that make the folders themselves
//! (`/docker/ID`), and of Kubernetes (`/kubepods/…/podUID/ID`). They nest: a runtime that itself runs in a
//! container makes its own below that one's.

use super::Runtime;

/// What a path says of the innermost container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The container's id, or where its runtime has none its name as the path spells it: a part of the path.
    pub(super) id: &'a str,
    /// The path up to the component that names the container.
    pub(super) own: &'a str,
    /// The runtime, where the path tells it.
    pub(super) runtime: Option<Runtime>,
    /// The component that names the pod around the container, where there is one.
    pod: Option<&'a str>,
}

impl Found<'_> {
    /// The uid of the pod, as Kubernetes writes it: in the names of slices, dashes stand as underscores.
    pub(super) fn pod_uid(&self) -> Option<String> {
        Some(self.pod?.replace('_', "-"))
    }
}

/// The innermost container that a path leads to. `None` for what belongs to no container, such as a service,
/// a session, or a runtime's own process beside the container (conmon).
pub(super) fn parse(path: &str) -> Option<Found<'_>> {
    let mut rest = path;
    loop {
        let (outer, component) = rest.rsplit_once('/').unwrap_or(("", rest));
        if let Some((id, runtime)) = container(component, outer) {
            let pod = pod(component).or_else(|| outer.rsplit('/').find_map(pod));
            return Some(Found { id, own: rest, runtime, pod });
        }
        if outer.is_empty() {
            return None;
        }
        rest = outer;
    }
}

/// The path of the innermost container that a path leads to: that of all its processes, and of no other container's.
pub(in crate::enrich) fn own(path: &str) -> Option<&str> {
    parse(path).map(|found| found.own)
}

/// The container that one component names, given the path around it.
fn container<'a>(component: &'a str, outer: &str) -> Option<(&'a str, Option<Runtime>)> {
    let parent = outer.rsplit('/').next().unwrap_or_default();
    let name = component.strip_suffix(".scope").unwrap_or(component);
    if is_id(name) {
        return Some((name, runtime_of_parent(parent)));
    }
    // `SLICE:PREFIX:ID`, which is meant for systemd, as a folder's name: the runtime was not told to use systemd.
    if let Some((slice_and_prefix, id)) = name.rsplit_once(':')
        && is_id(id)
    {
        let prefix = slice_and_prefix.rsplit(':').next().unwrap_or_default();
        return Some((id, runtime_of_prefix(prefix)));
    }
    if let Some((prefix, id)) = name.rsplit_once('-')
        && is_id(id)
        && let Some(runtime) = runtime_of_prefix(prefix)
    {
        return Some((id, Some(runtime)));
    }
    named(component, parent).map(|(name, runtime)| (name, Some(runtime)))
}

/// Containers of runtimes that call them by names.
fn named<'a>(component: &'a str, parent: &str) -> Option<(&'a str, Runtime)> {
    let scope = component.strip_suffix(".scope");
    let found = if let Some(name) = component.strip_prefix("lxc.payload.") {
        (name, Runtime::Lxc)
    } else if matches!(parent, "lxc" | "lxc.payload") {
        (component, Runtime::Lxc)
    } else if let Some(name) = scope.and_then(|name| name.strip_prefix("runc-")) {
        (name, Runtime::Runc)
    } else if let Some(name) = scope.and_then(|name| name.strip_prefix("machine-"))
        && parent == "machine.slice"
        && !name.starts_with("qemu\\x2d")
    {
        // A virtual machine of libvirt's is a machine to systemd, too, but no container.
        (name, Runtime::Nspawn)
    } else if let Some(name) = component.strip_prefix("systemd-nspawn@") {
        (name.strip_suffix(".service")?, Runtime::Nspawn)
    } else {
        return None;
    };
    (!found.0.is_empty()).then_some(found)
}

/// Whether it is an id as Docker, containerd, CRI-O and Podman make them: 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The runtime that sets this before an id. Not `libpod-conmon` and `crio-conmon`: they look after a container
/// from outside.
fn runtime_of_prefix(prefix: &str) -> Option<Runtime> {
    match prefix {
        "docker" => Some(Runtime::Docker),
        "cri-containerd" | "nerdctl" => Some(Runtime::Containerd),
        "crio" => Some(Runtime::CriO),
        "libpod" => Some(Runtime::Podman),
        _ => None,
    }
}

/// The runtime whose folder has ids in it: Docker's own, and containerd's, which is named after its namespace.
fn runtime_of_parent(parent: &str) -> Option<Runtime> {
    match parent {
        "docker" => Some(Runtime::Docker),
        "default" | "k8s.io" => Some(Runtime::Containerd),
        _ => None,
    }
}

/// The uid in the name of a pod's folder (`podUID`) or slice (`kubepods-burstable-podUID.slice`).
fn pod(component: &str) -> Option<&str> {
    let slice = component.split(':').next().unwrap_or_default();
    let uid = match slice.strip_suffix(".slice") {
        Some(name) if name.contains("kubepods") => name.rsplit_once("-pod")?.1,
        Some(_) => return None,
        None => slice.strip_prefix("pod")?,
    };
    // A static pod's uid is a hash without dashes.
    let is_uid = uid.len() >= 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-_".contains(&byte));
    is_uid.then_some(uid)
}

/// A name as it was before systemd escaped it (`\x2d` is a dash): see `systemd.unit(5)`.
pub(super) fn unescape(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.extend_from_slice(b"\\x");
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "5bf6b6a7b8f9a0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
    const OTHER: &str = "0559aa0f6c7102abf3f3e7f6eb22b5a61eebec6a97d220ef7cf06772e88bbda5";

    fn runtime(path: &str) -> Option<(String, Option<Runtime>)> {
        parse(&path.replace("ID", ID).replace("OTHER", OTHER))
            .map(|found| (found.id.replace(ID, "ID"), found.runtime))
    }

    #[test]
    fn each_runtimes_paths_are_known() {
        use Runtime::{Containerd, CriO, Docker, Lxc, Nspawn, Podman, Runc};
        for (path, id, expected) in [
            ("/system.slice/docker-ID.scope", "ID", Some(Docker)),
            ("/docker/ID", "ID", Some(Docker)),
            ("/docker/ID/init", "ID", Some(Docker)),
            ("/system.slice:docker:ID", "ID", Some(Docker)),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope", "ID", Some(Docker)),
            ("/system.slice/nerdctl-ID.scope", "ID", Some(Containerd)),
            ("/default/ID", "ID", Some(Containerd)),
            ("/machine.slice/libpod-ID.scope/container", "ID", Some(Podman)),
            ("/libpod_parent/libpod-ID", "ID", Some(Podman)),
            ("/system.slice/runc-my-box.scope", "my-box", Some(Runc)),
            ("/lxc/web1/system.slice/x.service", "web1", Some(Lxc)),
            ("/lxc.payload.web1", "web1", Some(Lxc)),
            ("/lxc.payload/web1", "web1", Some(Lxc)),
            ("/machine.slice/machine-my\\x2dbox.scope/payload", "my\\x2dbox", Some(Nspawn)),
            ("/machine.slice/systemd-nspawn@box.service/payload", "box", Some(Nspawn)),
            ("/kubepods.slice/kubepods-pod1.slice/crio-ID.scope", "ID", Some(CriO)),
            ("/some/thing/else/ID", "ID", None),
            ("/some/thing/unheard-of-ID.scope", "", None),
        ] {
            let expected = (!id.is_empty()).then(|| (id.to_owned(), expected));
            assert_eq!(runtime(path), expected, "{path}");
        }
    }

    #[test]
    fn a_pods_uid_is_told_by_folder_slice_and_colons() {
        let dashed = "d2c4a6b8-0e1f-4a3b-8c5d-6e7f8a9b0c1d";
        let underscored = dashed.replace('-', "_");
        let hash = "0123456789abcdef0123456789abcdef";
        for (path, runtime, uid) in [
            (format!("/kubepods/burstable/pod{dashed}/{ID}"), None, dashed),
            (format!("/kubepods/pod{hash}/{ID}"), None, hash),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice/cri-containerd-{ID}.scope"
                ),
                Some(Runtime::Containerd),
                dashed,
            ),
            (
                format!(
                    "/system.slice/containerd.service/kubepods-besteffort-pod{underscored}.slice:cri-containerd:{ID}"
                ),
                Some(Runtime::Containerd),
                dashed,
            ),
            (
                format!(
                    "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{underscored}.slice/crio-{ID}.scope/container"
                ),
                Some(Runtime::CriO),
                dashed,
            ),
        ] {
            let found = parse(&path).unwrap();
            assert_eq!((found.id, found.runtime), (ID, runtime), "{path}");
            assert_eq!(found.pod_uid().as_deref(), Some(uid), "{path}");
        }
    }

    #[test]
    fn of_containers_in_containers_the_innermost_counts() {
        assert_eq!(
            runtime(&format!("/docker/{OTHER}/docker/ID")),
            Some(("ID".into(), Some(Runtime::Docker)))
        );
        let uid = "d2c4a6b8-0e1f-4a3b-8c5d-6e7f8a9b0c1d";
        let kind = format!("/docker/{OTHER}/kubelet/kubepods/besteffort/pod{uid}/{ID}");
        let found = parse(&kind).unwrap();
        assert_eq!((found.id, found.pod_uid().as_deref()), (ID, Some(uid)));
        let in_pod = format!("/kubepods/pod{uid}/{OTHER}/docker/{ID}");
        let found = parse(&in_pod).unwrap();
        assert_eq!((found.id, found.pod_uid().as_deref()), (ID, Some(uid)));
    }

    #[test]
    fn who_looks_after_a_container_is_not_in_it() {
        assert_eq!(runtime("/machine.slice/libpod-conmon-ID.scope"), None);
        assert_eq!(runtime("/system.slice/crio-conmon-ID.scope"), None);
        assert_eq!(runtime("/lxc.monitor.web1"), None);
        assert_eq!(
            runtime(&format!("/docker/{OTHER}/machine.slice/libpod-conmon-ID.scope")),
            Some((OTHER.into(), Some(Runtime::Docker)))
        );
    }

    #[test]
    fn what_only_looks_like_a_container_is_none() {
        for path in [
            "",
            "/",
            "//",
            "/init.scope",
            "/system.slice/docker.service",
            "/user.slice/user-0.slice/session-1.scope",
            "/process_api/8f9606f7903de6a5db567d4b9cbfce47",
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
            "/machine.slice/machine-.scope",
            "/lxc/",
            "/docker/5BF6B6A7B8F9A0D1E2F3A4B5C6D7E8F90A1B2C3D4E5F60718293A4B5C6D7E8F9",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    #[test]
    fn names_are_as_they_were_before_systemd_escaped_them() {
        assert_eq!(unescape("my\\x2dbox"), "my-box");
        assert_eq!(unescape("\\xc3\\xa9\\x"), "é\\x");
        assert_eq!(unescape("\\x2g\\x1é"), "\\x2g\\x1é");
    }

    proptest! {
        #[test]
        fn of_any_text_an_id_is_a_part_of_the_path(path in "\\PC{0,200}") {
            if let Some(found) = parse(&path) {
                prop_assert!(path.contains(found.id) && !found.id.is_empty());
            }
            unescape(&path);
        }

        #[test]
        fn of_any_path_made_of_what_runtimes_write_an_id_is_a_part_of_it(
            parts in prop::collection::vec(
                prop::sample::select(&[
                    "/", "docker", "-", ":", "pod", ".scope", ".slice", "lxc", ".payload.", "kubepods", "\\x2d",
                    "machine", "libpod", "conmon", "cri-containerd", "crio", ID, "é", "systemd-nspawn@", ".service",
                ][..]),
                0..24,
            )
        ) {
            let path = parts.concat();
            if let Some(found) = parse(&path) {
                prop_assert!(path.contains(found.id) && !found.id.is_empty());
                found.pod_uid();
            }
        }
    }
}
