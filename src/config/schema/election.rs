//! `election`: one of several agents polls and exports.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kinds::{Time, free_text, kinds, text};
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::Key;
use crate::config::yaml::values::{Parsed, duration};
use crate::election::{Config, is_built_in};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Election {
    /// Name of the Lease. All agents with this Lease take turns: the one that holds it polls and exports, the others show
    /// metrics of themselves alone. It is made if it is missing.
    #[schemars(extend("x-default" = "none: this agent polls and exports, whatever others do"))]
    #[schemars(extend("examples" = ["nbu-otel-agent"], "x-change" = "this agent stands for election anew"))]
    lease: Key<LeaseName>,
    /// Namespace of the Lease.
    #[schemars(extend("x-default" = "that of the pod, or of the kubeconfig"))]
    #[schemars(extend("examples" = ["monitoring"], "x-change" = "this agent stands for election anew"))]
    namespace: Key<Namespace>,
    /// Time after which another agent takes over from one that does not renew the Lease, 5s to 60s in whole seconds. The
    /// leader stops a fifth of it earlier, should it not reach the API server: so long it bridges.
    #[schemars(extend("default" = "9s", "x-change" = "this agent stands for election anew"))]
    duration: Key<LeaseDuration>,
}

kinds! {
    LeaseName: String, |name: &str| name_of_labels(name, 253, "."), text, free_text();
    Namespace: String, |name: &str| name_of_labels(name, 63, ""), text, free_text();
    /// A duration of whole seconds, as a Lease has it.
    LeaseDuration: Duration, lease_duration, Time::show, Time::schema();
}

/// Parses a name as Kubernetes has them.
fn name_of_labels(name: &str, most: usize, separator: &str) -> Parsed<String> {
    let name = name.trim();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(is_plain)
            && label.ends_with(is_plain)
            && label.chars().all(|c| is_plain(c) || c == '-')
    };
    let mut labels = name.split(|c: char| separator.contains(c));
    if name.len() <= most && labels.all(is_label) {
        return Ok(name.to_owned());
    }
    let separator = if separator.is_empty() { "" } else { ", ." };
    Err(format!(
        "expected a name of Kubernetes: at most {most} of a-z, 0-9, -{separator}, with a letter or digit at both ends"
    )
    .into())
}

fn lease_duration(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        time if time.subsec_nanos() == 0 && (5..=60).contains(&time.as_secs()) => Ok(time),
        _ => Err("expected whole seconds from 5s to 60s".into()),
    }
}

/// Returns the settings of the election, if there is one.
pub(super) fn read(
    context: &Context<'_>,
    section: &Election,
    is_shared_out: bool,
) -> Option<Config> {
    let (lease, namespace) = (section.lease.get(context), section.namespace.get(context));
    let duration = section.duration.get(context);
    if lease.is_absent() {
        if namespace.is_set() {
            lease.section_error("missing: an election needs the name of a Lease");
        }
        // The example has it.
        duration.value()?;
        return None;
    }
    if is_shared_out {
        lease.error(
            "not beside sharding: give each shard to one pod, or let all pods take turns for all sites",
        );
    }
    if !is_built_in() {
        lease.error("this build cannot elect: it was made without the feature kubernetes");
    }
    Some(Config {
        lease: lease.option()?,
        namespace: namespace.option(),
        duration: duration.value()?,
    })
}
