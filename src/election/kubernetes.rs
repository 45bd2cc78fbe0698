//! A Lease in the API of Kubernetes: where the pod's service account, or a kubeconfig, leads.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Config as Access};
use serde_json::json;

use super::config::Config;
use super::record::{Leases, Record, RequestError, Version, Written};
use crate::net::failure::ErrorChain;
use crate::net::text::one_line;

/// Statuses of a write that came too late: there is one already, it has another version, or it is gone.
const CONFLICT: u16 = 409;
const NOT_FOUND: u16 = 404;
const FORBIDDEN: u16 = 403;

/// The Lease of a name and namespace.
#[derive(Debug)]
pub(super) struct Kubernetes {
    name: String,
    namespace: Option<String>,
    /// The server checks a write, and does not do it.
    dry_run: bool,
    /// None while a request is on its way, and after one that failed or was given up: its connection may be broken.
    api: Option<Api<Lease>>,
}

impl Kubernetes {
    pub(super) fn new(config: &Config, dry_run: bool) -> Self {
        let (name, namespace) = (config.lease.clone(), config.namespace.clone());
        Self { name, namespace, dry_run, api: None }
    }

    async fn api(&mut self) -> Result<Api<Lease>, RequestError> {
        if let Some(api) = self.api.take() {
            return Ok(api);
        }
        let mut access = Access::infer().await.map_err(|error| {
            RequestError(format!(
                "no service account of a pod, and no kubeconfig (KUBECONFIG, ~/.kube/config): {}",
                in_one_line(&error)
            ))
        })?;
        // The candidate knows how long a request may take, and when to ask again.
        access.default_retry = false;
        let namespace = self.namespace.clone().unwrap_or_else(|| access.default_namespace.clone());
        let client = Client::try_from(access).map_err(|error| self.failed(&error))?;
        Ok(Api::namespaced(client, &namespace))
    }

    fn failed(&self, error: &kube::Error) -> RequestError {
        let hint = match error {
            kube::Error::Api(status) if status.code == FORBIDDEN => {
                "; the service account needs get, create and patch for this Lease (docs/kubernetes.md)"
            }
            _ => "",
        };
        RequestError(format!("Lease {}: {}{hint}", self.name, in_one_line(error)))
    }
}

#[async_trait]
impl Leases for Kubernetes {
    async fn read(&mut self) -> Result<Option<(Record, Version)>, RequestError> {
        let api = self.api().await?;
        let lease = api.get_opt(&self.name).await.map_err(|error| self.failed(&error))?;
        self.api = Some(api);
        Ok(lease.map(|lease| (record(lease.spec.unwrap_or_default()), version(&lease.metadata))))
    }

    async fn write(
        &mut self,
        record: &Record,
        over: Option<&Version>,
    ) -> Result<Written, RequestError> {
        let api = self.api().await?;
        let spec = spec(record);
        let result = match over {
            None => {
                let metadata = ObjectMeta { name: Some(self.name.clone()), ..Default::default() };
                let lease = Lease { metadata, spec: Some(spec) };
                let parameters = PostParams { dry_run: self.dry_run, ..PostParams::default() };
                api.create(&parameters, &lease).await
            }
            Some(Version(version)) => {
                // Labels and whatever else others put there stay.
                let mut patch = json!({ "metadata": { "resourceVersion": version }, "spec": spec });
                if record.holder.is_none() {
                    patch["spec"]["holderIdentity"] = json!(null);
                }
                let parameters = PatchParams { dry_run: self.dry_run, ..PatchParams::default() };
                api.patch(&self.name, &parameters, &Patch::Merge(patch)).await
            }
        };
        let written = match result {
            Ok(lease) => Written::Done(version(&lease.metadata)),
            // Nothing to make it in is another error: a namespace that is not there.
            Err(kube::Error::Api(status))
                if status.code == CONFLICT || status.code == NOT_FOUND && over.is_some() =>
            {
                Written::Overtaken
            }
            Err(error) => return Err(self.failed(&error)),
        };
        self.api = Some(api);
        Ok(written)
    }
}

fn version(metadata: &ObjectMeta) -> Version {
    Version(metadata.resource_version.clone().unwrap_or_default())
}

fn record(spec: LeaseSpec) -> Record {
    let time = |time: MicroTime| SystemTime::from(time.0);
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        // Some give it back by an empty name.
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        transitions: spec.lease_transitions.and_then(|number| u64::try_from(number).ok()),
        duration: seconds.map(Duration::from_secs),
        acquired: spec.acquire_time.map(time),
        renewed: spec.renew_time.map(time),
    }
}

fn spec(record: &Record) -> LeaseSpec {
    let time = |time: SystemTime| Timestamp::try_from(time).ok().map(MicroTime);
    let seconds = record.duration.and_then(|duration| i32::try_from(duration.as_secs()).ok());
    LeaseSpec {
        holder_identity: record.holder.clone(),
        lease_transitions: record
            .transitions
            .map(|number| i32::try_from(number).unwrap_or(i32::MAX)),
        lease_duration_seconds: seconds,
        acquire_time: record.acquired.and_then(time),
        renew_time: record.renewed.and_then(time),
        ..LeaseSpec::default()
    }
}

/// The longest text of an error that is told.
const MAX_TEXT: usize = 300;

fn in_one_line(error: &(dyn std::error::Error + 'static)) -> String {
    one_line(&ErrorChain::new(error).describe(), MAX_TEXT)
}
