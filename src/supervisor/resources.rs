//! Who this agent is, in the words of OpenTelemetry's resource.

use crate::config::Config;
use crate::http;
use crate::state::StateDir;
use crate::telemetry::otlp::resource::{ResourceAttributes, instance_id};

/// The resource of everything that is exported. `service.instance.id` is stable across restarts: the
/// state directory keeps it. Without one it follows from host name and listen address, of which two
/// agents cannot share both.
pub(super) fn resource(config: &Config, state: Option<&StateDir>) -> ResourceAttributes {
    let host = host_name();
    let id = match state.and_then(StateDir::instance_id) {
        Some(id) => id.to_owned(),
        None => instance_id(&host, &http::display(&config.http.host, config.http.port)),
    };
    let configured = config.otlp.as_ref().map_or(&[][..], |otlp| &otlp.resource_attributes);
    ResourceAttributes::new(&host, &id, configured)
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
