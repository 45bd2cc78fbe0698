//! The OTLP push, prepared or started, and its resource.

use std::sync::Arc;

use crate::config::Config;
use crate::http;
use crate::net::host_name;
use crate::state::StateDir;
use crate::telemetry::otlp::exporter::{FIRST_EXPORT, FIRST_EXPORT_OF_LEADER, Turn};
use crate::telemetry::otlp::producer::Producer;
use crate::telemetry::otlp::resource::{ResourceAttributes, instance_id};
use crate::telemetry::otlp::{BuildError, ExporterHandle, MetricSource, Transport};
use crate::telemetry::traces::Tracing;

/// OTLP push that can be started; without a transport it is the end of the push.
pub(super) struct OtlpPipeline {
    transport: Option<Arc<Transport>>,
}

impl OtlpPipeline {
    /// Returns the end of the push.
    pub(super) fn none() -> Self {
        Self { transport: None }
    }

    /// Builds the transport, if the configuration has one.
    ///
    /// # Errors
    ///
    /// If its TLS material cannot be loaded.
    pub(super) fn new(config: &Config) -> Result<Self, BuildError> {
        let transport = config.otlp.as_ref().map(Transport::new).transpose()?;
        Ok(Self { transport: transport.map(Arc::new) })
    }

    pub(super) fn start(
        self,
        services: &Arc<http::State>,
        config: &Config,
        state: Option<&StateDir>,
    ) -> (Option<ExporterHandle>, Option<Tracing>) {
        let (Some(transport), Some(otlp)) = (self.transport, &config.otlp) else {
            return (None, None);
        };
        let resource = resource(config, state);
        let stats = Arc::clone(services.agent.otlp());
        let tenure = services.tenure.load_full();
        let tracing = Tracing::new(
            otlp,
            &resource,
            Arc::clone(&transport),
            Arc::clone(&stats),
            Arc::clone(&tenure),
        );
        let exporter = otlp.metrics.then(|| {
            let (store, agent) = (Arc::clone(&services.store), Arc::clone(&services.agent));
            let limit = config.metrics.cardinality_limit;
            let producer = Producer::new(store, agent, limit);
            let metrics: Arc<MetricSource> = Arc::new(move |each| producer.collect(each));
            let first =
                if config.election.is_some() { FIRST_EXPORT_OF_LEADER } else { FIRST_EXPORT };
            let turn = Turn { tenure, first };
            ExporterHandle::spawn(otlp, transport, &resource, metrics, stats, state, turn)
        });
        (exporter, tracing)
    }
}

/// Returns the resource of everything that is exported. `service.instance.id` is stable across
/// restarts: the state directory keeps it. Without one it follows from host name and listen address,
/// of which two agents cannot share both.
fn resource(config: &Config, state: Option<&StateDir>) -> ResourceAttributes {
    let host = host_name();
    let id = match state.and_then(StateDir::instance_id) {
        Some(id) => id.to_owned(),
        None => instance_id(&host, &config.http.address.to_string()),
    };
    let configured = config.otlp.as_ref().map_or(&[][..], |otlp| &otlp.resource_attributes);
    ResourceAttributes::new(&host, &id, configured)
}
