//! Series in groups, which are made again only where a name changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use fastrand::Rng;

use super::{job, rules};
use crate::jobs::completion::Completion;
use crate::jobs::last_results::{LastResults, LookupAnswer, Subject};
use crate::jobs::row::Actions;
use crate::metric::SeriesGroups;

fn text(groups: &SeriesGroups) -> BTreeSet<String> {
    let families = groups.iter().flat_map(|group| group.iter());
    let points = families.flat_map(|family| {
        family.points.iter().map(|point| format!("{} {point:?}", family.definition.name))
    });
    points.collect()
}

fn change(last_results: &mut LastResults, names: &[String], now: &mut i64, rng: &mut Rng) {
    let name = &names[rng.usize(0..names.len())];
    match rng.u8(0..40) {
        0 => {
            let (allow, limit) = (&names[rng.usize(0..names.len())], rng.usize(1..80));
            last_results.reconfigure(&rules(&[allow, "*"], limit));
        }
        1 => {
            *now += rng.i64(-40_000_000..40_000_000);
            last_results.set_now(*now);
            last_results.drop_future();
        }
        2 => last_results.apply_lookup(name, LookupAnswer::None),
        3 => last_results.apply_lookup(name, LookupAnswer::Found(*now)),
        4 => {
            let record = last_results.all_records().next();
            if let Some((key, value)) = record {
                last_results.restore(&key, value.as_deref().filter(|_| rng.bool())).unwrap();
            }
        }
        _ => {
            let status = [0, 0, 1, 6, 150][rng.usize(0..5)];
            let job_type = ["BACKUP", "RESTORE"][rng.usize(0..2)];
            let end = *now + rng.i64(-20_000_000..60_000);
            let job = job(rng.i64(1..1_000), end, status);
            last_results.record(&Completion { client: name, policy: name, job_type, ..job });
        }
    }
}

#[test]
fn groups_equal_series_made_anew_after_any_change() {
    let actions = [[("BACKUP", "SAVE")], [("RESTORE", "LOAD")]];
    let actions = actions.map(|pairs| {
        Actions(pairs.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect())
    });
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let names: Vec<String> = (0..100).map(|number| format!("Client-{number}")).collect();
        let subject = [Subject::Client, Subject::Policy][rng.usize(0..2)];
        let mut config = rules(&["*"], 60);
        config.forget_after = Some(std::time::Duration::from_secs(40_000));
        let (mut last_results, mut now) = (LastResults::new(subject, &config), 1_000_000_000);
        last_results.set_now(now);
        for step in 0..300 {
            for _ in 0..rng.usize(0..3) {
                change(&mut last_results, &names, &mut now, &mut rng);
            }
            let actions = &actions[usize::from(rng.u8(0..30) == 0)];
            let anew = last_results.samples_anew(actions);
            let groups: SeriesGroups = last_results.samples(actions);
            assert_eq!(text(&groups), text(&anew), "seed {seed}, step {step}");
        }
    }
}

#[test]
fn unchanged_groups_are_the_same_as_before() {
    let actions = Actions::default();
    let mut last_results = LastResults::new(Subject::Client, &rules(&["*"], 1_000));
    let names: Vec<String> = (0..500).map(|number| format!("client-{number}")).collect();
    for name in &names {
        last_results.record(&Completion { client: name, ..job(1, 1_000, 0) });
    }
    let before: SeriesGroups = last_results.samples(&actions);
    last_results.record(&Completion { client: "client-7", ..job(2, 2_000, 0) });
    let after: SeriesGroups = last_results.samples(&actions);
    let changed = before.iter().zip(&after).filter(|(one, other)| !Arc::ptr_eq(one, other));
    assert_eq!((before.len(), after.len(), changed.count()), (32, 32, 1));
}
