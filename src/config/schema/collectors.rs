//! `collectors`: what is collected beside jobs and storage.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kinds::{Flag, FlagOrAuto, Number, Text, Time, TimeOrNever};
use crate::collectors::{Config, NameFilter, NameFilterConfig, Subject};
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::{Key, Kind, List, Pairs, Setting};

/// Declares the section: its switches, each a name with its documentation, and the keys that are more than a
/// switch. A walk over the switches reads them all.
macro_rules! collectors {
    ($($(#[$documentation:meta])+ $switch:ident: $kind:ident,)+) => {
        #[derive(Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct Collectors {
            $($(#[$documentation])+ $switch: $kind,)+
            /// Metrics of single clients.
            per_client: NameFilterKeys,
            /// Metrics of single policies, with the same keys. Here, case matters in names.
            per_policy: NameFilterKeys,
            /// Metrics of single workloads: virtual machines and the like by their display name, other clients by their
            /// name. Case does not matter.
            per_workload: WorkloadFilterKeys,
            /// Metrics of jobs.
            jobs: Jobs,
        }

        impl Collectors {
            /// Returns the names of the switches, each with what it says.
            fn switches(&self, context: &Context<'_>) -> Vec<(String, Option<Use>)> {
                vec![$((name(self.$switch.enabled, context), self.$switch.read(context))),+]
            }
        }
    };
}

collectors! {
    /// Alerts of NetBackup by severity and category.
    alerts: Switch,
    /// Results of malware scans.
    malware: Switch,
    /// Images of the last 24 hours by malware and anomaly status: up to 42 small requests.
    catalog: Switch,
    /// Number of protection plans (service level objectives).
    slo: Switch,
    /// Backlog of storage lifecycle policies (SLP): copies that wait, their bytes and age, and suspended SLPs. Needs two
    /// permissions of its own, and a third one for the sizes of older backups.
    slp: Switch,
    /// Tape drives, media, robots and pools. All but drives need NetBackup 10.5.
    tape: Switch,
    /// Disk pools and their volumes: space, marks and state, whether the coming night fits, and when a pool is full.
    disk_pools: TriedSwitch,
    /// Storage servers, and the space of those of MSDP.
    storage_servers: TriedSwitch,
    /// Time at which the API key itself expires. It needs no permission, and a key of NetBackup: a token has no such time.
    api_key: TriedSwitch,
}

#[derive(Deserialize, JsonSchema)]
struct Switch {
    /// Collect it.
    #[schemars(extend("default" = false, "x-change" = "at once"))]
    enabled: Key<Flag>,
}

/// A switch of what the role that nbu_exporter needs may permit.
#[derive(Deserialize, JsonSchema)]
struct TriedSwitch {
    /// Collect it. With `auto` it is tried: where the role of the key never permitted it, it is left out without an
    /// alert. `true` says that it is wanted, and a missing permission is one.
    #[schemars(extend("default" = "auto", "x-change" = "at once"))]
    enabled: Key<FlagOrAuto>,
}

/// Use of what a switch is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Off,
    On,
    Tried,
}

impl From<bool> for Use {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

impl Switch {
    fn read(&self, context: &Context<'_>) -> Option<Use> {
        self.enabled.get(context).value().map(Use::from)
    }
}

impl TriedSwitch {
    fn read(&self, context: &Context<'_>) -> Option<Use> {
        self.enabled.get(context).value().map(|on| on.map_or(Use::Tried, Use::from))
    }
}

/// Returns the name that the file and the rows of the table have for a switch.
fn name<K: Kind>(switch: Key<K>, context: &Context<'_>) -> String {
    let path = switch.get(context).path();
    path.trim_start_matches("collectors.").trim_end_matches(".enabled").to_owned()
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NameFilterKeys {
    /// Export them.
    #[schemars(extend("default" = false, "x-change" = "at once"))]
    enabled: Key<Flag>,
    /// Names, or patterns with `*` and `?`; case does not matter for clients. Nothing is selected if it is empty.
    /// Names without `*` and `?` come first if there are more than `limit`, and the agent looks for their last jobs beyond
    /// the job window. It is an error to list more of them than `limit`.
    #[schemars(extend("default" = [], "x-change" = "kept"))]
    allowlist: Key<List<Text>>,
    /// Names or patterns to exclude, even if `allowlist` matches.
    #[schemars(extend("default" = [], "x-change" = "kept"))]
    denylist: Key<List<Text>>,
    /// The most names of a site with metrics of their own, 1 to 100000. Jobs of the others count under the name
    /// `other`.
    #[schemars(extend("default" = 1000, "x-change" = "kept"))]
    limit: Key<Number<1, 100_000>>,
    /// Age of the last job after which a name is removed: its series end and its place is free. `never` keeps it, as do
    /// names without `*` and `?` in `allowlist`. The default of 90 days leaves alerts time where a monthly or quarterly
    /// backup was missed; use more if backups are rarer.
    #[schemars(extend("default" = "2160h", "x-change" = "kept"))]
    forget_after: Key<TimeOrNever>,
}

/// The choice of workloads. It falls back to that of clients, so that who selects clients has the alerts of workloads.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WorkloadFilterKeys {
    /// Export them.
    #[schemars(extend("x-default" = "as `perClient`", "examples" = [true], "x-change" = "at once"))]
    enabled: Key<Flag>,
    /// Names, or patterns with `*` and `?`. Nothing is selected if it is empty. Names without `*` and `?` come first if
    /// there are more than `limit`. It is an error to list more of them than `limit`.
    #[schemars(extend("x-default" = "as `perClient`", "examples" = [["db*", "vm-*"]], "x-change" = "kept"))]
    allowlist: Key<List<Text>>,
    /// Names or patterns to exclude, even if `allowlist` matches.
    #[schemars(extend("x-default" = "as `perClient`", "examples" = [["*-test"]], "x-change" = "kept"))]
    denylist: Key<List<Text>>,
    /// The most workloads of a site with metrics of their own, 1 to 100000.
    #[schemars(extend("x-default" = "as `perClient`", "examples" = [1000], "x-change" = "kept"))]
    limit: Key<Number<1, 100_000>>,
    /// Age of the last job after which a name is removed, or `never`.
    #[schemars(extend("x-default" = "as `perClient`", "examples" = ["2160h"], "x-change" = "kept"))]
    forget_after: Key<TimeOrNever>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Jobs {
    /// Other names for job types in the label `action`; dashboards of nbu_exporter need `DUPLICATE: DUPLICATION`.
    #[schemars(extend("default" = {}, "x-change" = "at once; totals under the old name end"))]
    action_names: Key<Pairs<Text>>,
    /// An active job that started longer ago counts as long-running.
    #[schemars(extend("default" = "12h", "x-change" = "at once"))]
    long_running_after: Key<Time>,
    /// An active job of which bytes, files, operation and try did not change for so long counts as stalled.
    #[schemars(extend("default" = "1h", "x-change" = "at once"))]
    stalled_after: Key<Time>,
    /// Time between two audits, which compare pages of the server's list with the jobs that were counted; each takes
    /// a few requests. `never` for a server that cannot spare them.
    #[schemars(extend("default" = "1h", "x-change" = "kept; a shorter time counts from the last audit"))]
    audit_interval: Key<TimeOrNever>,
}

/// Returns the names of the switches, by whether each is tried unless the file says otherwise.
pub(super) fn switches(
    context: &Context<'_>,
    section: &Collectors,
    is_wanted: fn(bool) -> bool,
) -> Vec<String> {
    let all = section.switches(context).into_iter();
    let wanted = all.filter(|(_, use_of)| is_wanted(*use_of == Some(Use::Tried)));
    wanted.map(|(name, _)| name).collect()
}

pub(super) fn read(context: &Context<'_>, section: &Collectors) -> Option<Config> {
    let (mut switched_on, mut tried) = (BTreeSet::new(), BTreeSet::new());
    for (name, use_of) in section.switches(context) {
        match use_of? {
            Use::On => drop(switched_on.insert(name)),
            Use::Off => {}
            Use::Tried => drop(tried.insert(name)),
        }
    }
    let per_client = name_filter(context, &section.per_client, Subject::Client);
    let per_policy = name_filter(context, &section.per_policy, Subject::Policy);
    let per_workload =
        per_client.as_ref().map(|clients| workload_filter(context, &section.per_workload, clients));
    let mut action_names = section.jobs.action_names.get(context).value()?;
    action_names.sort_by(|a, b| a.name.cmp(&b.name));
    section.jobs.action_names.show(context, &action_names);
    Some(Config {
        action_names: action_names.into_iter().map(|pair| (pair.name, pair.value)).collect(),
        switched_on,
        tried,
        per_client: per_client?,
        per_policy: per_policy?,
        per_workload: per_workload?,
        long_running_after: section.jobs.long_running_after.get(context).value()?,
        stalled_after: section.jobs.stalled_after.get(context).value()?,
        audit_interval: section.jobs.audit_interval.get(context).value()?,
    })
}

fn name_filter(
    context: &Context<'_>,
    section: &NameFilterKeys,
    subject: Subject,
) -> Option<NameFilterConfig> {
    let given = section.allowlist.get(context);
    let rules = NameFilterConfig {
        enabled: section.enabled.get(context).value()?,
        allowlist: given.value()?,
        denylist: section.denylist.get(context).value()?,
        limit: section.limit.get(context).value()?,
        forget_after: section.forget_after.get(context).value()?,
    };
    check_allowlist(&given, subject, &rules);
    Some(rules)
}

fn workload_filter(
    context: &Context<'_>,
    section: &WorkloadFilterKeys,
    clients: &NameFilterConfig,
) -> NameFilterConfig {
    let given = section.allowlist.get(context);
    let rules = NameFilterConfig {
        enabled: section.enabled.get(context).or(clients.enabled),
        allowlist: given.or(clients.allowlist.clone()),
        denylist: section.denylist.get(context).or(clients.denylist.clone()),
        limit: section.limit.get(context).or(clients.limit),
        forget_after: section.forget_after.get(context).or(clients.forget_after),
    };
    if section.enabled.get(context).is_set() || given.is_set() {
        check_allowlist(&given, Subject::Workload, &rules);
    }
    rules
}

/// Reports an allowlist that selects nothing, or more names than there is room for.
fn check_allowlist(given: &Setting<'_, List<Text>>, subject: Subject, rules: &NameFilterConfig) {
    if rules.enabled && rules.allowlist.is_empty() {
        given.warn("empty, so nothing is selected; \"*\" selects everything");
    }
    let literals = NameFilter::new(subject, rules).literals().count();
    if literals > rules.limit {
        given.error(&format!(
            "spells out {literals} names, and limit leaves room for {}: raise limit to at least \
             {literals}, or remove names",
            rules.limit
        ));
    }
}
