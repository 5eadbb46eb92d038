//! The container that a process is in.

use openclaw_detect::{Field, StrList, Value};

use super::HostFacts;
use super::value::text;
use crate::enrich::container::Container;

/// The value of one of its fields.
pub(super) fn field<'a>(
    container: Option<&'a Container>,
    host: &'a HostFacts,
    field: Field,
) -> Option<Value<'a>> {
    let container = container?;
    match field {
        Field::ContainerId => Some(Value::Str(&container.id)),
        Field::ContainerRuntime => container.runtime().map(|runtime| Value::Str(runtime.name())),
        Field::ContainerName => text(&container.details()?.name),
        Field::ContainerImage => text(&container.details()?.image),
        Field::ContainerLabels => {
            let labels = &container.details()?.labels;
            (!labels.is_empty()).then(|| Value::List(StrList::new(labels)))
        }
        Field::OrchestratorType => is_in_pod(container).then_some(Value::Str("kubernetes")),
        Field::OrchestratorNamespace => text(&container.details()?.namespace),
        Field::OrchestratorResourceName => text(&container.details()?.pod),
        Field::OrchestratorResourceId => container.pod_uid.as_deref().map(Value::Str),
        Field::KubernetesNode => is_in_pod(container).then_some(Value::Str(&host.node)),
        _ => None,
    }
}

fn is_in_pod(container: &Container) -> bool {
    container.pod_uid.is_some() || container.details().is_some_and(|details| !details.pod.is_empty())
}
