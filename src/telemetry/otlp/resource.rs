//! Identity of the agent: the resource of every metric and span.

use opentelemetry::KeyValue as SdkKeyValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use uuid::Uuid;

/// The attributes of the resource, each key once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceAttributes(Vec<(String, String)>);

impl ResourceAttributes {
    /// Returns the agent's own attributes, overridden and extended by `configured` (which has
    /// `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`, too); of equal keys the last one holds.
    pub fn new(host_name: &str, instance_id: &str, configured: &[(String, String)]) -> Self {
        let own = [
            ("service.name", "nbu-otel-agent"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", instance_id),
            ("host.name", host_name),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.language", "rust"),
            // The release of the SDK that Cargo.toml pins.
            ("telemetry.sdk.version", "0.33.1"),
        ];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let configured = configured.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut attributes: Vec<(String, String)> = Vec::new();
        for (key, value) in own.chain(configured) {
            match attributes.iter_mut().find(|(known, _)| known == key) {
                Some((_, present)) => value.clone_into(present),
                None => attributes.push((key.to_owned(), value.to_owned())),
            }
        }
        Self(attributes)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub fn to_proto(&self) -> Resource {
        let attributes = self.iter().map(|(key, value)| attribute(key, value)).collect();
        Resource { attributes, ..Resource::default() }
    }

    /// Returns the resource of a tracer provider. No detector reads the environment.
    pub fn to_sdk(&self) -> opentelemetry_sdk::Resource {
        let attributes =
            self.iter().map(|(key, value)| SdkKeyValue::new(key.to_owned(), value.to_owned()));
        opentelemetry_sdk::Resource::builder_empty().with_attributes(attributes).build()
    }
}

pub(super) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(any_value::Value::StringValue(value.to_owned()));
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

/// Returns a `service.instance.id` that is the same after each restart: agents differ in host or address.
pub(crate) fn instance_id(host_name: &str, listen_address: &str) -> String {
    let name = format!("nbu-otel-agent:{host_name}:{listen_address}");
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, name.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_attributes_override_and_the_last_one_wins() {
        let configured = [("service.name", "a"), ("site", "x"), ("service.name", "b")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let resource = ResourceAttributes::new("host", "id", &configured);
        let get = |wanted| resource.iter().find(|(key, _)| *key == wanted).map(|(_, value)| value);
        assert_eq!(get("service.name"), Some("b"));
        assert_eq!(get("site"), Some("x"));
        assert_eq!(get("host.name"), Some("host"));
        let keys: std::collections::HashSet<_> = resource.iter().map(|(key, _)| key).collect();
        assert_eq!(keys.len(), resource.iter().count());
        assert_eq!(resource.to_proto().attributes.len(), resource.to_sdk().len());
    }

    #[test]
    fn resource_without_host_name_omits_it() {
        let resource = ResourceAttributes::new("", "id", &[]);
        assert!(resource.iter().all(|(key, _)| key != "host.name"));
    }

    #[test]
    fn instances_differ_by_host_and_address_and_stay_the_same() {
        let id = instance_id("host", "0.0.0.0:2112");
        assert_eq!(id, instance_id("host", "0.0.0.0:2112"));
        assert_ne!(id, instance_id("other", "0.0.0.0:2112"));
        assert_ne!(id, instance_id("host", "0.0.0.0:2113"));
    }

    #[test]
    fn sdk_version_matches_the_dependency() {
        let lock = include_str!("../../../Cargo.lock");
        let line = lock.split("name = \"opentelemetry_sdk\"\n").nth(1).unwrap();
        assert!(line.starts_with("version = \"0.33.1\""), "adapt telemetry.sdk.version");
    }
}
