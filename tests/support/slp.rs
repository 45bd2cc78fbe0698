//! Expected series of the SLP backlog, computed from the simulator's truth and from the meaning of the metrics as
//! operators know it.

use std::collections::{BTreeMap, BTreeSet};

use nbu_sim::{SlpImageView, Truth};

use super::exposition::{Series, key};

/// An image waits for copies in these states.
const INCOMPLETE: [&str; 4] =
    ["NOT_STARTED", "IN_PROCESS", "NOT_STARTED|INACTIVE", "IN_PROCESS|INACTIVE"];

/// The images that are not complete.
pub fn incomplete(truth: &Truth) -> Vec<SlpImageView> {
    let images = truth.slp_images().into_iter();
    images.filter(|image| INCOMPLETE.contains(&image.state)).collect()
}

/// Operation and state of the copies of an image that wait or run, and whether they were retried; the deferred ones
/// among them too.
pub fn waiting(image: &SlpImageView) -> Vec<(&'static str, &'static str, bool)> {
    let done = ["NOT_MANAGED", "COPYCOMPLETE", "IMPORTS_DONE", "CANCELLED", "JOBCOMPLETE"];
    let copies = image.copies.iter().filter(|copy| !done.contains(&copy.state));
    let copies: Vec<_> = copies.map(|copy| (copy.kind, copy.state, copy.retries > 0)).collect();
    if copies.is_empty() { vec![("UNPLANNED", image.state, false)] } else { copies }
}

/// SLPs that have images which are not complete.
pub fn busy(truth: &Truth) -> BTreeSet<String> {
    incomplete(truth).iter().map(|image| image.slp.to_string()).collect()
}

/// Series that are put together.
struct Shown<'s> {
    site: &'s str,
    series: BTreeMap<Series, f64>,
}

impl Shown<'_> {
    fn at(&mut self, name: &str, labels: &[(&str, &str)]) -> &mut f64 {
        let site = [("site", self.site)];
        let labels: Vec<_> = site.into_iter().chain(labels.iter().copied()).collect();
        self.series.entry(key(name, &labels)).or_default()
    }
}

/// All series of the backlog of a site. `known` are the SLPs that were busy at some time; `sized` says whether the
/// size of an image is known.
pub fn backlog(
    truth: &Truth,
    site: &str,
    known: &BTreeSet<String>,
    sized: impl Fn(&SlpImageView) -> bool,
) -> BTreeMap<Series, f64> {
    let mut shown = Shown { site, series: BTreeMap::new() };
    let now = truth.server_time();
    for slp in known {
        shown.at("nbu_slp_incomplete_images", &[("slp", slp)]);
        shown.at("nbu_slp_expired_incomplete_images", &[("slp", slp)]);
    }
    let mut shares: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for image in incomplete(truth) {
        let slp = ("slp", &*image.slp);
        *shown.at("nbu_slp_incomplete_images", &[slp]) += 1.0;
        if image.expires_ms.is_some_and(|at| at <= now) {
            *shown.at("nbu_slp_expired_incomplete_images", &[slp]) += 1.0;
        }
        let bytes = sized(&image).then_some(image.kilobytes as f64 * 1024.0);
        for (operation, state, retried) in waiting(&image) {
            let of = [slp, ("operation", operation)];
            if state == "DEFERRED" {
                *shown.at("nbu_slp_deferred_copies", &of) += 1.0;
                if let Some(bytes) = bytes {
                    *shown.at("nbu_slp_deferred_bytes", &of) += bytes;
                }
                continue;
            }
            let all = [of[0], of[1], ("state", state)];
            *shown.at("nbu_slp_backlog_copies", &all) += 1.0;
            let age = (now - image.backup_ms) as f64 / 1000.0;
            let oldest = shown.at("nbu_slp_backlog_oldest_age_seconds", &all);
            *oldest = oldest.max(age);
            *shown.at("nbu_slp_retrying_copies", &of) += f64::from(u8::from(retried));
            let share = shares.entry(image.slp.to_string()).or_default();
            share.0 += 1.0;
            if let Some(bytes) = bytes {
                share.1 += 1.0;
                *shown.at("nbu_slp_backlog_bytes", &all) += bytes;
            }
        }
    }
    for (slp, (all, sized)) in shares {
        *shown.at("nbu_slp_backlog_sized_ratio", &[("slp", &slp)]) = sized / all;
    }
    shown.series
}

/// The series of the configuration of a site's SLPs.
pub fn configuration(truth: &Truth, site: &str) -> BTreeMap<Series, f64> {
    let mut shown = Shown { site, series: BTreeMap::new() };
    for slp in truth.slps() {
        let name = ("slp", &*slp.name);
        *shown.at("nbu_slp_active", &[name]) = f64::from(u8::from(slp.active));
        for operation in &slp.operations {
            let index = operation.index.to_string();
            let labels = [name, ("operation_index", &*index), ("operation", operation.kind)];
            *shown.at("nbu_slp_operation_suspended", &labels) =
                f64::from(u8::from(operation.suspended));
        }
    }
    shown.series
}
