//! Filters through HTTP: they select the rows that a plain comparison of all rows selects, and undocumented
//! ones are refused with errorCode 9401.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use nbu_sim::{Release, Settings};
use serde_json::Value;
use support::{START, api, ids};

fn iso(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

type Test = Box<dyn Fn(&Value) -> bool>;

fn cases() -> Vec<(String, Test)> {
    let at = iso(START - 6 * 3_600_000);
    let to = iso(START - 3 * 3_600_000);
    let (a, b, c, d) = (at.clone(), at.clone(), at.clone(), at.clone());
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let case = |filter: String, test: Test| (filter, test);
    vec![
        case("state eq 'DONE'".into(), Box::new(|r| r["state"] == "DONE")),
        case("state ne 'DONE'".into(), Box::new(|r| r["state"] != "DONE")),
        case("not (state ne 'DONE')".into(), Box::new(|r| r["state"] == "DONE")),
        case(
            "jobType eq 'BACKUP' and status ge 1".into(),
            Box::new(|r| r["jobType"] == "BACKUP" && r["status"].as_i64() >= Some(1)),
        ),
        case(
            "jobId gt 1100 and jobId le 1200".into(),
            Box::new(|r| (1101..=1200).contains(&r["jobId"].as_i64().unwrap())),
        ),
        case(format!("endTime ge {at}"), Box::new(move |r| text(r, "endTime") >= a)),
        case(
            format!("(endTime ge {at} or endTime eq 1970-01-01T00:00:00.000Z)"),
            Box::new(move |r| text(r, "endTime") >= b || text(r, "endTime").starts_with("1970")),
        ),
        case(
            format!("lastUpdateTime gt {at} and lastUpdateTime lt {to}"),
            Box::new(move |r| text(r, "lastUpdateTime") > c && text(r, "lastUpdateTime") < to),
        ),
        case(
            format!("startTime lt {at} and state eq 'DONE'"),
            Box::new(move |r| text(r, "startTime") < d && r["state"] == "DONE"),
        ),
        case(
            "contains(clientName,'client000')".into(),
            Box::new(move |r| text(r, "clientName").contains("client000")),
        ),
        case(
            "startswith(policyName,'VM') or endswith(policyName,'01')".into(),
            Box::new(move |r| {
                text(r, "policyName").starts_with("VM") || text(r, "policyName").ends_with("01")
            }),
        ),
        case(
            "kilobytesTransferred gt 2147483647".into(),
            Box::new(|r| r["kilobytesTransferred"].as_i64() > Some(2_147_483_647)),
        ),
        case("dedupRatio ge 50.5".into(), Box::new(|r| r["dedupRatio"].as_f64() >= Some(50.5))),
        case("applicationType eq 1".into(), Box::new(|r| r["applicationType"] == "VMWARE")),
        case("parentJobId ne 0".into(), Box::new(|r| r["parentJobId"] != 0)),
        case("qReasonCode ne 0".into(), Box::new(|r| r["jobQueueReason"] != 0)),
        case("jobId eq 1".into(), Box::new(|_| false)),
        case("jobId gt 1100 and jobId lt 1050".into(), Box::new(|_| false)),
    ]
}

#[tokio::test]
async fn filter_selects_the_same_rows_as_comparison() {
    let api = api(Settings { live_jobs: 60, ..Settings::default() }).await;
    let all = api.walk(&[("page[limit]", "100"), ("sort", "jobId")]).await;
    for (filter, test) in cases() {
        let expected: Vec<i64> =
            ids(&all.iter().filter(|row| test(&row["attributes"])).cloned().collect::<Vec<_>>());
        for sort in ["jobId", "-startTime", "lastUpdateTime", "-endTime", "clientName"] {
            let query = [("page[limit]", "50"), ("sort", sort), ("filter", filter.as_str())];
            let mut found = ids(&api.walk(&query).await);
            found.sort_unstable();
            assert_eq!(found, expected, "{filter} by {sort}");
        }
    }
    for (filter, test) in cases() {
        let count = api.count(&filter).await;
        if filter.contains("lastUpdateTime")
            || ["kilobytes", "dedup", "qReason"].iter().any(|n| filter.contains(n))
        {
            assert_eq!(count["errorCode"], 9401, "counts do not know {filter}");
            continue;
        }
        let expected = all.iter().filter(|row| test(&row["attributes"])).count();
        assert_eq!(count["data"]["attributes"]["count"], expected, "{filter}");
        assert_eq!(count["data"]["attributes"]["filter"], filter.as_str());
    }
    assert_eq!(api.count("").await["data"]["attributes"]["count"], all.len());
}

#[tokio::test]
async fn undocumented_filters_are_refused() {
    let api = api(Settings { release: Release::R10_3, ..Settings::default() }).await;
    for filter in [
        "endTime ge '2024-01-01T00:00:00.000Z'",
        "childCount eq 0",
        "policyName eq 'x'",
        "state eq 'FINISHED'",
        "policyType eq 'KVM'",
        "policyType eq 'NUTANIX_AHV'",
        "jobQueueReason eq 1",
        "applicationType eq 'VMWARE'",
        "backupId eq 'x'",
        "state eq 'DONE' and",
        "garbage",
    ] {
        assert_eq!(api.error("/admin/jobs", &[("filter", filter)]).await, (400, 9401), "{filter}");
    }
    api.json("/admin/jobs", &[("filter", "policyType eq 'KUBERNETES'")]).await;
    api.sim.upgrade(Release::R11_0);
    for filter in ["policyType eq 'NUTANIX_AHV'", "backupId eq 'x'"] {
        api.json("/admin/jobs", &[("filter", filter)]).await;
    }
    assert_eq!(api.count("policyType eq 'KVM'").await["data"]["type"], "jobCount");
}
