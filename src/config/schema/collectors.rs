//! `collectors`: what is collected beside jobs and storage.

use schemars::JsonSchema;
use serde::Deserialize;

use super::kinds::{Flag, Number, Text, Time, TimeOrNever};
use crate::collectors::{Config, NameFilter, NameFilterConfig, Subject};
use crate::config::yaml::context::Context;
use crate::config::yaml::setting::{Key, List, Pairs};

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Collectors {
    /// Alerts of NetBackup by severity and category.
    alerts: Switch,
    /// Results of malware scans.
    malware: Switch,
    /// Images of the last 24 hours by malware and anomaly status: up to 42 small requests.
    catalog: Switch,
    /// Number of protection plans (service level objectives).
    slo: Switch,
    /// Tape drives, media, robots, pools, and volumes of disk pools. All but drives and disk volumes need NetBackup
    /// 10.5.
    tape: Switch,
    /// Metrics of single clients.
    per_client: NameFilterKeys,
    /// Metrics of single policies, with the same keys. Here, case matters in names.
    per_policy: NameFilterKeys,
    /// Metrics of jobs.
    jobs: Jobs,
}

#[derive(Deserialize, JsonSchema)]
struct Switch {
    /// Collect it.
    #[schemars(extend("default" = false, "x-change" = "at once"))]
    enabled: Key<Flag>,
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

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Jobs {
    /// Other names for job types in the label `action`; dashboards of nbu_exporter need `DUPLICATE: DUPLICATION`.
    #[schemars(extend("default" = {}, "x-change" = "at once; totals under the old name end"))]
    action_names: Key<Pairs<Text>>,
    /// An active job that started longer ago counts as long-running.
    #[schemars(extend("default" = "12h", "x-change" = "at once"))]
    long_running_after: Key<Time>,
    /// Time between two audits, which compare pages of the server's list with the jobs that were counted; each takes
    /// a few requests. `never` for a server that cannot spare them.
    #[schemars(extend("default" = "1h", "x-change" = "kept; a shorter time counts from the last audit"))]
    audit_interval: Key<TimeOrNever>,
}

pub(super) fn read(context: &Context<'_>, section: &Collectors) -> Option<Config> {
    let enabled = |switch: &Switch| switch.enabled.get(context).value();
    let per_client = name_filter(context, &section.per_client, Subject::Client);
    let per_policy = name_filter(context, &section.per_policy, Subject::Policy);
    let mut action_names = section.jobs.action_names.get(context).value()?;
    action_names.sort_by(|a, b| a.name.cmp(&b.name));
    section.jobs.action_names.show(context, &action_names);
    Some(Config {
        action_names: action_names.into_iter().map(|pair| (pair.name, pair.value)).collect(),
        alerts: enabled(&section.alerts)?,
        malware: enabled(&section.malware)?,
        catalog: enabled(&section.catalog)?,
        slo: enabled(&section.slo)?,
        tape: enabled(&section.tape)?,
        per_client: per_client?,
        per_policy: per_policy?,
        long_running_after: section.jobs.long_running_after.get(context).value()?,
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
    if rules.enabled && rules.allowlist.is_empty() {
        given.warn("empty, so nothing is selected; \"*\" selects everything");
    }
    let literals = NameFilter::new(subject, &rules).literals().count();
    if literals > rules.limit {
        given.error(&format!(
            "spells out {literals} names, and limit leaves room for {}: raise limit to at least \
             {literals}, or remove names",
            rules.limit
        ));
    }
    Some(rules)
}
