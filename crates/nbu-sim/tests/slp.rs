//! Images under storage lifecycle policies: the list is the truth, under a walk too, and replicas arrive.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nbu_sim::{Clock, Rows, Settings, Simulator};
use serde_json::Value;
use support::{Api, api};

const PATH: &str = "/catalog/slp-images";

/// Walks a list to its end; `between` happens after each page. Returns the rows.
async fn walk(api: &Api, filter: &str, limit: &str, between: impl Fn()) -> Vec<Value> {
    let (mut rows, mut after) = (Vec::new(), String::new());
    loop {
        let mut query = vec![("filter", filter), ("page[limit]", limit)];
        if !after.is_empty() {
            query.push(("page[after]", &after));
        }
        let page = api.json(PATH, &query).await;
        rows.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(next) = page["meta"]["pagination"]["next"].as_str() else { return rows };
        next.clone_into(&mut after);
        between();
    }
}

fn text<'r>(row: &'r Value, name: &str) -> &'r str {
    row["attributes"][name].as_str().unwrap_or_default()
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| text(row, "backupId").to_owned()).collect()
}

#[tokio::test]
async fn each_state_lists_its_images_as_they_are() {
    let api = api(Settings { jobs_per_hour: 120.0, ..Settings::default() }).await;
    for _ in 0..4 {
        let truth = api.sim.truth().slp_images();
        for state in
            ["NOT_STARTED", "IN_PROCESS", "COMPLETE", "NOT_STARTED|INACTIVE", "IN_PROCESS|INACTIVE"]
        {
            let rows = walk(&api, &format!("slpImageState eq '{state}'"), "9", || {}).await;
            let expected: BTreeMap<_, _> = truth
                .iter()
                .filter(|image| image.state == state)
                .map(|image| (image.backup_id.clone(), image))
                .collect();
            assert_eq!(ids(&rows), expected.keys().cloned().collect(), "{state}");
            assert_eq!(rows.len(), expected.len(), "{state}: none twice");
            for row in &rows {
                let image = expected[text(row, "backupId")];
                let copies = row["attributes"]["copies"].as_array().unwrap();
                let copies: Vec<_> =
                    copies.iter().map(|copy| copy["copyState"].as_str().unwrap()).collect();
                let expected: Vec<_> = image.copies.iter().map(|copy| copy.state).collect();
                assert_eq!((copies, text(row, "slpName")), (expected, &*image.slp));
            }
        }
        api.sim.clock().advance(Duration::from_secs(5400));
    }
}

#[tokio::test]
async fn walk_loses_no_image_that_stays_in_its_list() {
    let rows = Rows::default().with("slp-images", 300);
    let api = api(Settings { rows, jobs_per_hour: 240.0, ..Settings::default() }).await;
    let state = "IN_PROCESS";
    let listed = || -> BTreeSet<String> {
        let images = api.sim.truth().slp_images().into_iter();
        images.filter(|image| image.state == state).map(|image| image.backup_id).collect()
    };
    let before = listed();
    let clock = api.sim.clock().clone();
    let found = walk(&api, &format!("slpImageState eq '{state}'"), "10", || {
        clock.advance(Duration::from_secs(300));
    })
    .await;
    let stays: BTreeSet<_> = before.intersection(&listed()).cloned().collect();
    assert!(stays.len() > 20 && stays.is_subset(&ids(&found)), "{} stay", stays.len());
}

#[tokio::test]
async fn backups_have_ids_of_their_own_and_one_size() {
    let api = api(Settings { jobs_in_history: 2_000, ..Settings::default() }).await;
    let truth = api.sim.truth();
    let jobs: Vec<_> = truth
        .completions()
        .filter(|job| matches!(job.status, 0 | 1) && !job.backup_id.is_empty())
        .collect();
    let mut sizes: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for job in &jobs {
        sizes.entry(&job.backup_id).or_default().insert(job.kilobytes);
    }
    let images = truth.slp_images();
    let mut compared = 0;
    for image in images.iter().filter(|image| image.cataloged) {
        let query =
            format!("backupId eq '{}' and backupTime ge 1970-01-01T00:00:00.000Z", image.backup_id);
        if let Some(sizes) = sizes.get(image.backup_id.as_str()) {
            assert!(sizes.contains(&image.kilobytes), "{}", image.backup_id);
        }
        if compared < 40 {
            let page = api.json("/catalog/images", &[("filter", &query)]).await;
            assert_eq!(
                page["data"][0]["attributes"]["kbytes"], image.kilobytes,
                "{}",
                image.backup_id
            );
            compared += 1;
        }
    }
    let all: BTreeSet<_> = images.iter().map(|image| &image.backup_id).collect();
    assert_eq!((all.len(), compared), (images.len(), 40));
}

#[tokio::test]
async fn replicas_arrive_are_imported_fail_or_get_lost() {
    let clock = Clock::manual(support::START);
    let settings = |name: &str| Settings {
        name: name.to_owned(),
        clock: clock.clone(),
        rows: Rows::default().with("slp-images", 300),
        ..Settings::default()
    };
    let source = Simulator::start(settings("source.example.com")).await.unwrap();
    let target = Simulator::start(settings("target.example.com")).await.unwrap();
    source.replicate_to(&target);
    clock.advance(Duration::from_secs(24 * 3600));
    let replicas: BTreeMap<_, _> = target
        .truth()
        .slp_images()
        .into_iter()
        .filter(|image| image.origin.as_deref() == Some("source.example.com"))
        .map(|image| (image.backup_id.clone(), image))
        .collect();
    let (mut lost, mut failed, mut imported) = (0, 0, 0);
    for image in source.truth().slp_images() {
        let sent = image
            .copies
            .iter()
            .any(|copy| copy.kind == "REPLICATE_TO_REMOTE_MASTER" && copy.state == "COPYCOMPLETE");
        match replicas.get(&image.backup_id).map(|replica| (replica, replica.copies[0].state)) {
            None => lost += usize::from(sent),
            Some((replica, state)) => {
                assert!(
                    sent && replica.kilobytes == image.kilobytes
                        && replica.backup_ms == image.backup_ms
                );
                failed += usize::from(state == "IMPORT_FAILED");
                imported += usize::from(state == "COPYCOMPLETE");
                assert_eq!(replica.imported_ms.is_some(), state == "COPYCOMPLETE");
            }
        }
    }
    assert!(lost > 0 && failed > 0 && imported > 50, "{lost} {failed} {imported}");
    source.stop().await;
    target.stop().await;
}
