//! The schema of the file: one struct a section, one field a setting. A field's doc comment is its
//! documentation, and what `schemars(extend(...))` adds to it:
//!
//! - `default`: taken where the key is absent.
//! - `x-default`: the default in words, where it is no constant.
//! - `examples`: a value for the example, where there is no default.
//! - `x-change`: the effect of a change.
//! - `x-variable`: variables of the environment that stand in for the key; `{}` is the signal.
//!
//! `config.schema.json`, `config.example.yaml` and `docs/configuration.md` are printed from it.

mod address;
mod collectors;
mod drop_rules;
mod election;
mod kinds;
mod nbuservers;
mod opentelemetry;
mod server;
mod servers;
mod shape;
mod sharding;
mod site_files;
mod tls;
mod web;
mod web_file;
mod web_rules;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Config;
use super::entries::Entries;
use super::yaml::context::{Context, Place};
use super::yaml::setting::Key;
use super::yaml::tree::Node;
use super::yaml::values::text;
use super::yaml::{document, section};
use crate::sharding::Config as Sharding;
use crate::{state, telemetry};
use drop_rules::DropRules;
use kinds::{Flag, Number, Text};

/// A configuration file.
#[derive(Deserialize, JsonSchema)]
struct File {
    /// The Prometheus endpoint, the log, and the times between polls.
    server: server::Server,
    /// The primary servers; at least one must be enabled.
    nbuservers: Vec<nbuservers::Server>,
    /// The old form for a single server, with the keys of an entry of `nbuservers`. Its `site` is its `host` unless
    /// it has one. Not beside `nbuservers`.
    #[schemars(extend("deprecated" = true))]
    nbuserver: nbuservers::Server,
    /// Directory of site files, beside `nbuservers` or in place of it. Each file `*.yaml` or `*.yml` has the keys of one
    /// entry of `nbuservers`; without `site`, the site is called as the file is, without its extension. Paths in a file
    /// are relative to its directory. Files that come, change or go are seen as changes of this file are.
    #[serde(rename = "sitesDirectory")]
    #[schemars(extend("x-default" = "`sites.d` beside this file, where it is there"))]
    #[schemars(extend("examples" = ["/etc/nbu-otel-agent/sites.d"], "x-change" = "sites start and end"))]
    sites_directory: Key<Text>,
    /// Sites shared out over several agents, as the pods of a StatefulSet.
    sharding: sharding::Sharding,
    /// The election of one of several agents by a Lease of Kubernetes: it polls and exports, and another takes over when
    /// it ends or is cut off.
    election: election::Election,
    /// Collectors beside jobs and storage, which always run. All of them are off by default.
    collectors: collectors::Collectors,
    /// Limits of the export.
    metrics: Metrics,
    /// State that survives a restart: the agent's identity, totals, last results, and increments that were pushed.
    state: State,
    /// The OTLP push. An `OTEL_*` variable stands in for a key that is absent, as long as the push is enabled; a
    /// key of the file always wins.
    opentelemetry: opentelemetry::OpenTelemetry,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    /// Series of one metric over all sites, 1 to 10000000. Series beyond it are dropped and counted.
    #[schemars(extend("default" = 200_000, "x-change" = "at once"))]
    cardinality_limit: Key<Number<1, 10_000_000>>,
    /// Series of sites that are not exported. Each entry is the name of a metric, or a mapping with `name` and `labels`,
    /// which all must match; names and values of labels may have `*` and `?`.
    #[schemars(extend("default" = [], "x-change" = "at once; counters go on unseen"))]
    drop: Key<DropRules>,
}

#[derive(Deserialize, JsonSchema)]
struct State {
    /// Directory of the state; it is created if it is missing. The agent locks it: each agent needs a directory of its
    /// own, on a local file system. Relative to the directory of the configuration file. Without a directory, counters
    /// start at zero after a restart. The systemd unit and docker-compose.yml set `NBU_STATE_DIRECTORY`, which stands
    /// in for an absent key.
    #[schemars(extend("x-default" = "none; `NBU_STATE_DIRECTORY`"))]
    #[schemars(extend("examples" = ["/var/lib/nbu-otel-agent"], "x-change" = "at once"))]
    directory: Key<Text>,
    /// `true` if the directory is on a volume that the agents of `sharding` or `election` share. With `sharding`, each
    /// file is locked by the agent that polls its site: a site that moves takes its totals along, and the volume must have
    /// working locks, as local file systems and NFS version 4 do. With `election`, totals go on with the next leader.
    #[schemars(extend("default" = false, "x-change" = "at the next start of the agent"))]
    shared: Key<Flag>,
}

/// Variable in place of `state.directory`, so that an installation can say where state belongs.
const STATE_VARIABLE: &str = "NBU_STATE_DIRECTORY";

/// Reads the configuration; errors are in the context.
pub(super) fn read(context: &Context<'_>, root: Node) -> Option<Config> {
    let file: File = section::read(context, root, &SCHEMA)?;
    let cardinality_limit = file.metrics.cardinality_limit.get(context).value()?;
    let schema = &SCHEMA["properties"]["nbuservers"]["items"];
    let (list, old_form) = (&file.nbuservers, &file.nbuserver);
    let servers = servers::read(context, list, old_form, file.sites_directory, schema);
    let sharding = sharding::read(context, &file.sharding);
    let election = election::read(context, &file.election, sharding.is_some());
    let is_own = |site: &str| sharding.is_none_or(|sharding| sharding.has(site));
    let (own, elsewhere): (Vec<_>, Vec<_>) =
        servers.configs.into_iter().partition(|server| is_own(&server.site));
    let (http, otlp) =
        (file.server.http(context)?, opentelemetry::read(context, &file.opentelemetry));
    if !http.enabled && otlp.as_ref().is_none_or(|otlp| !otlp.metrics) {
        file.server.refuse_silence(context);
    }
    let drop = file.metrics.drop.get(context).value()?;
    Some(Config {
        http,
        check_interval: file.server.config_check_interval.get(context).value()?,
        log: file.server.log(context)?,
        polling: file.server.polling(context)?,
        servers: own,
        sharding,
        sites_elsewhere: elsewhere.into_iter().map(|server| server.site).collect(),
        state: state(context, &file.state, (sharding, election.is_some()))?,
        election,
        collectors: collectors::read(context, &file.collectors)?,
        metrics: telemetry::Config { cardinality_limit, drop },
        otlp,
        // Once all of them are read.
        entries: Entries::new(context.entries(), servers.entries, is_own),
    })
}

/// Returns the settings of the state; agents that share a directory have the names of their shards there.
fn state(
    context: &Context<'_>,
    section: &State,
    (sharding, elects): (Option<Sharding>, bool),
) -> Option<state::Config> {
    let directory = directory(context, section);
    if directory.is_none() {
        return Some(state::Config::default());
    }
    let setting = section.shared.get(context);
    let shared = setting.value()?;
    let member = sharding.filter(|_| shared).map(|it| format!("shard-{}", it.shard));
    if shared && member.is_none() && !elects {
        setting.error(
            "only agents that share the sites or take turns can share their state: set \
             sharding.shards or election.lease",
        );
        return None;
    }
    Some(state::Config { directory, member, shared })
}

/// Returns the directory of the state. Whoever runs the agent sees if it can be used.
fn directory(context: &Context<'_>, state: &State) -> Option<PathBuf> {
    let setting = state.directory.get(context).or_variable(true, STATE_VARIABLE, text);
    let Some(path) = setting.path_given() else {
        context.show_empty("state");
        return None;
    };
    state.directory.show(context, &path.to_string_lossy().into_owned());
    Some(path)
}

pub(super) static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let mut schema = shape::schema_of::<File>();
    schema["title"] = json!("Configuration of nbu-otel-agent");
    schema["properties"]["nbuservers"]["items"]["required"] = json!(["site", "host"]);
    schema
});

/// Returns the keys and sections of the schema in its order; an item of a list is `[]`.
pub(super) fn places() -> Vec<Place> {
    let env = |_: &str| None;
    let context = Context::new(Path::new(""), &env);
    absent(&context);
    let named = |mut place: Place| {
        place.path = place.path.replace("[0]", "[]");
        place
    };
    context.places.into_inner().into_iter().skip(1).map(named).collect()
}

/// Returns the names of the switches of collectors: each is a section of `collectors` with `enabled`.
pub(super) fn switches() -> Vec<String> {
    switches_where(|_| true)
}

/// Returns the names of those that are on unless the file says otherwise.
pub(super) fn tried_switches() -> Vec<String> {
    switches_where(|tried| tried)
}

fn switches_where(is_wanted: fn(bool) -> bool) -> Vec<String> {
    let env = |_: &str| None;
    let context = Context::new(Path::new(""), &env);
    let file = absent(&context);
    file.map(|file| collectors::switches(&context, &file.collectors, is_wanted)).unwrap_or_default()
}

/// Returns a file with one server, in which every key is absent.
fn absent(context: &Context<'_>) -> Option<File> {
    let root = document::tree(context, "nbuservers: [{}]").ok()??;
    section::read(context, root, &SCHEMA)
}
