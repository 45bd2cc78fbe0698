//! Cursor pages: every sort gives the same list as sorting all rows, forwards and backwards; cursors are
//! bound to their sort and filter.

mod support;

use std::cmp::Ordering;
use std::time::Duration;

use nbu_sim::{Release, Rows, Settings};
use serde_json::Value;
use support::{Api, api, ids};

fn settings() -> Settings {
    Settings { jobs_in_history: 230, live_jobs: 25, ..Settings::default() }
}

/// The list sorted by one attribute, without the server's help; ties fall to the jobId.
fn sorted(mut rows: Vec<Value>, name: &str, descending: bool) -> Vec<i64> {
    rows.sort_by(|a, b| {
        let (a, b) = (&a["attributes"], &b["attributes"]);
        let key = match (&a[name], &b[name]) {
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (a, b) => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        };
        let order = key.then(a["jobId"].as_i64().cmp(&b["jobId"].as_i64()));
        if descending { order.reverse() } else { order }
    });
    ids(&rows)
}

const SORTS: &[&str] = &[
    "startTime",
    "endTime",
    "lastUpdateTime",
    "jobId",
    "state",
    "status",
    "jobType",
    "policyType",
    "policyName",
    "clientName",
    "kilobytesTransferred",
    "numberOfFiles",
    "dedupRatio",
    "parentJobId",
];

#[tokio::test]
async fn every_sort_gives_the_sorted_list_in_pages() {
    let api = api(settings()).await;
    let all = api.walk(&[("page[limit]", "100"), ("sort", "jobId")]).await;
    assert_eq!(all.len(), 255);
    for name in SORTS {
        for descending in [false, true] {
            let sort = format!("{}{name}", if descending { "-" } else { "" });
            let rows = api.walk(&[("page[limit]", "37"), ("sort", &sort)]).await;
            assert_eq!(ids(&rows), sorted(all.clone(), name, descending), "sort={sort}");
        }
    }
    let rows = api.walk(&[("page[limit]", "37")]).await;
    assert_eq!(ids(&rows), sorted(all, "startTime", true), "the default sort");
}

#[tokio::test]
async fn backward_walk_sees_the_same_rows() {
    let api = api(settings()).await;
    for sort in ["lastUpdateTime", "-endTime", "clientName", "-jobId", "-startTime"] {
        let query = [("page[limit]", "20"), ("sort", sort)];
        let forwards = ids(&api.walk(&query).await);
        let mut page = api.json("/admin/jobs", &query).await;
        while let Some(next) = page["meta"]["pagination"]["next"].as_str() {
            let query = [query[0], query[1], ("page[after]", next)];
            page = api.json("/admin/jobs", &query).await;
        }
        let mut backwards = ids(page["data"].as_array().unwrap());
        while let Some(prev) = page["meta"]["pagination"]["prev"].as_str() {
            let query = [query[0], query[1], ("page[before]", prev)];
            page = api.json("/admin/jobs", &query).await;
            let mut rows = ids(page["data"].as_array().unwrap());
            rows.append(&mut backwards);
            backwards = rows;
        }
        assert_eq!(backwards, forwards, "sort={sort}");
    }
}

#[tokio::test]
async fn range_between_cursors_tells_when_it_is_cut() {
    let api = api(settings()).await;
    let sort = ("sort", "-lastUpdateTime");
    let page = api.json("/admin/jobs", &[sort, ("page[limit]", "50")]).await;
    let cursor = |row: usize| page["data"][row]["meta"]["page"]["cursor"].as_str().unwrap();
    let range = [sort, ("page[after]", cursor(4)), ("page[before]", cursor(10))];
    let inside = api.json("/admin/jobs", &range).await;
    assert_eq!(
        ids(inside["data"].as_array().unwrap()),
        ids(&page["data"].as_array().unwrap()[5..10])
    );
    assert_eq!(inside["meta"]["pagination"]["rangeTruncated"], false);
    let cut = [range[0], range[1], range[2], ("page[limit]", "3")];
    let cut = api.json("/admin/jobs", &cut).await;
    assert_eq!(ids(cut["data"].as_array().unwrap()), ids(&page["data"].as_array().unwrap()[5..8]));
    assert_eq!(cut["meta"]["pagination"]["rangeTruncated"], true);
}

#[tokio::test]
async fn cursor_is_valid_only_for_its_sort_and_filter() {
    let api = api(settings()).await;
    let page = api.json("/admin/jobs", &[("sort", "jobId")]).await;
    let next = page["meta"]["pagination"]["next"].as_str().unwrap();
    let after = ("page[after]", next);
    assert_eq!(api.error("/admin/jobs", &[after]).await.0, 400);
    assert_eq!(api.error("/admin/jobs", &[("sort", "-jobId"), after]).await.0, 400);
    let other = [("sort", "jobId"), ("filter", "status eq 0"), after];
    assert_eq!(api.error("/admin/jobs", &other).await.0, 400);
    let made_up = [("sort", "jobId"), ("page[after]", "MTIz")];
    assert_eq!(api.error("/admin/jobs", &made_up).await.0, 400);
    api.json("/admin/jobs", &[("sort", "jobId"), ("page[limit]", "7"), after]).await;
}

#[tokio::test]
async fn undocumented_limits_and_sorts_are_refused() {
    let api = api(settings()).await;
    for (limit, rows) in [("0", 0), ("1", 1), ("100", 100)] {
        let page = api.json("/admin/jobs", &[("page[limit]", limit)]).await;
        assert_eq!(page["data"].as_array().unwrap().len(), rows);
        assert_eq!(page["meta"]["pagination"]["limit"].to_string(), limit);
    }
    assert_eq!(api.json("/admin/jobs", &[]).await["data"].as_array().unwrap().len(), 10);
    for limit in ["101", "-1", "x", "999"] {
        assert_eq!(api.error("/admin/jobs", &[("page[limit]", limit)]).await.0, 400, "{limit}");
    }
    for sort in ["jobQueueReason", "retentionLevel", "nothing", "", "-", "jobId,nothing", "try"] {
        assert_eq!(api.error("/admin/jobs", &[("sort", sort)]).await.0, 400, "{sort}");
    }
    for sort in ["-lastUpdateTime,jobId", "tryField", "qReasonCode", "killable", "retention"] {
        api.json("/admin/jobs", &[("sort", sort)]).await;
    }
    api.sim.upgrade(Release::R11_2);
    api.json("/admin/jobs", &[("sort", "try")]).await;
    assert_eq!(api.error("/admin/jobs", &[("sort", "tryField")]).await.0, 400);
}

#[tokio::test]
async fn two_keys_sort_by_both() {
    let api = api(settings()).await;
    let rows = api.walk(&[("sort", "-status,jobId"), ("page[limit]", "30")]).await;
    let key = |row: &Value| {
        let row = &row["attributes"];
        (-row["status"].as_i64().unwrap(), row["jobId"].as_i64().unwrap())
    };
    assert!(rows.is_sorted_by_key(key));
    assert_eq!(rows.len(), 255);
}

#[tokio::test]
async fn ascending_walk_loses_nothing_while_list_changes() {
    let api = api(Settings { jobs_per_hour: 600.0, ..settings() }).await;
    let query = [("sort", "lastUpdateTime"), ("page[limit]", "20")];
    let mut seen = std::collections::BTreeSet::new();
    let mut page = api.json("/admin/jobs", &query).await;
    let before: Vec<i64> = api.sim.truth().all_jobs().map(|job| job.job_id).collect();
    loop {
        seen.extend(ids(page["data"].as_array().unwrap()));
        let Some(next) = page["meta"]["pagination"]["next"].as_str() else { break };
        api.sim.clock().advance(Duration::from_secs(5));
        let query = [query[0], query[1], ("page[after]", next)];
        page = api.json("/admin/jobs", &query).await;
    }
    assert!(before.iter().all(|id| seen.contains(id)));
}

#[tokio::test]
async fn links_carry_the_servers_own_name() {
    let api: Api = api(Settings { name: "nbu-primary".to_owned(), ..settings() }).await;
    let page = api.json("/admin/jobs", &[("filter", "status eq 0"), ("page[limit]", "2")]).await;
    let next = page["meta"]["pagination"]["next"].as_str().unwrap();
    let list = "https://nbu-primary:1556/netbackup/admin/jobs";
    let query = "filter=status%20eq%200&page%5Blimit%5D=2";
    assert_eq!(page["links"]["self"]["href"], format!("{list}?{query}"));
    assert_eq!(page["links"]["first"]["href"], format!("{list}?{query}"));
    assert_eq!(page["links"]["next"]["href"], format!("{list}?{query}&page%5Bafter%5D={next}"));
    assert!(page["links"]["prev"].is_null());
    assert_eq!(page["data"][0]["type"], "job");
    let try_logs = page["data"][0]["links"]["try-logs"]["href"].as_str().unwrap();
    assert!(try_logs.starts_with(list), "{try_logs}");
}

#[tokio::test]
async fn tape_list_takes_only_its_own_cursors() {
    let api = api(Settings { rows: Rows::default().with("tapes", 45), ..settings() }).await;
    let path = "/storage/tape-media";
    let names = |page: &Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap().iter();
        rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let mut forwards = Vec::new();
    let mut page = api.json(path, &[("page[limit]", "20")]).await;
    forwards.extend(names(&page));
    assert!(page["meta"]["pagination"]["prev"].is_null());
    while let Some(next) = page["meta"]["pagination"]["next"].as_str() {
        page = api.json(path, &[("page[limit]", "20"), ("page[after]", next)]).await;
        forwards.extend(names(&page));
    }
    assert_eq!(forwards.len(), 45);
    let mut backwards = names(&page);
    while let Some(prev) = page["meta"]["pagination"]["prev"].as_str() {
        page = api.json(path, &[("page[limit]", "20"), ("page[before]", prev)]).await;
        backwards.splice(0..0, names(&page));
    }
    assert_eq!(backwards, forwards);
    let page = api.json("/storage/tape-volume-pools", &[("page[limit]", "2")]).await;
    let foreign = page["meta"]["pagination"]["next"].as_str().unwrap();
    for query in [("page[after]", foreign), ("page[after]", "MTIz"), ("page[limit]", "101")] {
        assert_eq!(api.error(path, &[query]).await.0, 400, "{query:?}");
    }
    assert_eq!(api.error(path, &[("filter", "slot eq 1")]).await.0, 400, "it does not filter");
}

#[tokio::test]
async fn list_pages_without_paging_parameters() {
    let api = api(Settings { rows: Rows::default().with("slos", 25), ..settings() }).await;
    let mut seen = 0;
    for (offset, expected) in [("0", 10), ("10", 10), ("20", 5), ("30", 0)] {
        let page = api.json("/servicecatalog/slos", &[("page[offset]", offset)]).await;
        assert_eq!(page.as_object().unwrap().keys().collect::<Vec<_>>(), ["data"]);
        assert_eq!(page["data"].as_array().unwrap().len(), expected);
        seen += expected;
    }
    assert_eq!(seen, api.sim.truth().slos().len());
}
