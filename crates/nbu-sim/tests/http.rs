//! The HTTP side: `/ping`, version negotiation, keys and permissions, offset pages, TLS, faults, the log.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::time::Duration;

use nbu_sim::{
    Authorization, ErrorBody, Fault, Permissions, Release, Rows, Settings, Simulator, TlsMaterial,
};
use serde_json::Value;
use support::{START, api, client};

#[tokio::test]
async fn ping_tells_time_and_version_to_anyone() {
    let api = api(Settings { release: Release::R10_5, ..Settings::default() }).await;
    let url = format!("{}/ping", api.sim.base_url());
    let pong = api.http.get(&url).header("Accept", "text/plain").send().await.unwrap();
    assert_eq!(pong.headers()["content-type"], "text/vnd.netbackup+plain;version=12.0");
    assert_eq!(pong.headers()["x-netbackup-api-version"], "12.0");
    assert_eq!(pong.text().await.unwrap(), START.to_string());
    api.sim.clock().advance(Duration::from_secs(5));
    api.sim.clock().set_skew_ms(-1000);
    api.sim.upgrade(Release::R11_2);
    let pong = api.http.get(&url).send().await.unwrap();
    assert_eq!(pong.headers()["x-netbackup-api-version"], "14.0");
    assert_eq!(pong.text().await.unwrap(), (START + 4000).to_string());
}

#[tokio::test]
async fn versions_up_to_the_servers_are_served() {
    let api = api(Settings { release: Release::R10_5, ..Settings::default() }).await;
    let ask = async |accept: &str| {
        let url = format!("{}/admin/jobs", api.sim.base_url());
        let request = api.http.get(url).header("Accept", accept);
        request.header("Authorization", "nbu-sim-key").send().await.unwrap()
    };
    for version in ["12.0", "11.0", "10.0"] {
        let accept = format!("application/vnd.netbackup+json;version={version}");
        let answer = ask(&accept).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], accept.as_str());
    }
    for accept in ["application/vnd.netbackup+json;version=13.0", "application/json", "*/*", "x"] {
        let answer = ask(accept).await;
        assert_eq!(answer.status(), 406, "{accept}");
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(body["errorCode"].is_i64() && body["errorMessage"].is_string());
    }
}

#[tokio::test]
async fn key_is_required_changeable_and_may_lack_rights() {
    let api = api(Settings::default()).await;
    let url = format!("{}/admin/jobs", api.sim.base_url());
    let ask = async |key: Option<&str>| {
        let mut request = api.http.get(&url).header("Accept", api.accept());
        if let Some(key) = key {
            request = request.header("Authorization", key);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(None).await, 401);
    assert_eq!(ask(Some("Bearer nbu-sim-key")).await, 401);
    assert_eq!(ask(Some("nbu-sim-key")).await, 200);
    api.sim.set_api_key("another");
    assert_eq!(ask(Some("nbu-sim-key")).await, 401);
    assert_eq!(ask(Some("another")).await, 200);
    api.sim.set_api_key("nbu-sim-key");
    api.sim.set_permissions(Permissions::NONE);
    let jobs = api.json("/admin/jobs", &[]).await;
    assert_eq!(jobs["data"], serde_json::json!([]));
    assert!(jobs["meta"]["pagination"]["next"].is_null());
    assert_eq!(api.error("/storage/storage-units", &[]).await.0, 401);
    assert!(api.count("").await["errorCode"].is_i64());
}

#[tokio::test]
async fn missing_resource_returns_404() {
    let api = api(Settings::default()).await;
    assert_eq!(api.error("/admin/nothing", &[]).await.0, 404);
    assert_eq!(api.error("/admin/jobs-count-requests", &[]).await.0, 405);
    let url = format!("{}/admin/jobs-count-requests", api.sim.base_url());
    let request = api.http.post(url).header("Accept", api.accept()).body("{}");
    let request = request.header("Authorization", "nbu-sim-key");
    let typed = request.try_clone().unwrap().header("Content-Type", "application/json");
    assert_eq!(typed.send().await.unwrap().status(), 415);
    let typed = request.header("Content-Type", api.accept());
    assert_eq!(typed.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn status_codes_have_texts_where_the_release_has_them() {
    for release in Release::ALL {
        let api = api(Settings { release, ..Settings::default() }).await;
        let answer = api.get("/status-codes/196", &[]).await;
        if matches!(release, Release::R10_5 | Release::R11_0) {
            let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            let text = body["data"]["attributes"]["statusMessage"].as_str().unwrap();
            assert!(text.contains("window closed"), "{text}");
            assert_eq!(api.error("/status-codes/7777", &[]).await, (404, 9404));
            api.sim.faults().add(Fault::on("/status-codes").status(503).times(1));
            assert_eq!(api.get("/status-codes/0", &[]).await.status(), 503);
        } else {
            assert_eq!(answer.status(), 404);
        }
        assert_eq!(api.error("/status-codes", &[]).await.0, 404);
        assert!(api.sim.requests()[0].path.ends_with("/196"));
    }
}

#[tokio::test]
async fn storage_units_come_in_offset_pages() {
    let api = api(Settings { storage_units: 14, null_details: true, ..Settings::default() }).await;
    let path = "/storage/storage-units";
    let (mut offset, mut names) = (0, Vec::new());
    loop {
        let at = offset.to_string();
        let page = api.json(path, &[("page[offset]", &at), ("page[limit]", "6")]).await;
        let meta = &page["meta"]["pagination"];
        assert_eq!(
            (&meta["count"], &meta["limit"], &meta["pages"]),
            (&14.into(), &6.into(), &3.into())
        );
        assert_eq!((&meta["first"], &meta["last"]), (&0.into(), &12.into()));
        assert_eq!(page["links"]["next"].is_null(), meta["next"].is_null());
        names.extend(page["data"].as_array().unwrap().iter().map(|row| row["id"].to_string()));
        let Some(next) = meta["next"].as_u64() else { break };
        offset = next;
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 14);
    let first = api.json(path, &[("page[limit]", "1")]).await;
    assert!(first["data"][0]["attributes"]["mediaServerDetails"].is_null());
    for limit in ["0", "501", "x"] {
        assert_eq!(api.error(path, &[("page[limit]", limit)]).await.0, 400, "{limit}");
    }
}

#[tokio::test]
async fn requests_and_connections_are_counted() {
    let api = api(Settings::default()).await;
    api.json("/admin/jobs", &[("filter", "status eq 0"), ("page[limit]", "3")]).await;
    let _ = api.http.get(format!("{}/ping", api.sim.base_url())).send().await.unwrap();
    let log = api.sim.requests();
    assert_eq!((log.len(), api.sim.request_count(), api.sim.connections()), (2, 2, 1));
    assert_eq!((log[0].path.as_str(), log[0].status), ("/admin/jobs", 200));
    assert_eq!(log[0].parameter("filter"), Some("status eq 0"));
    assert_eq!(log[0].authorization, Authorization::Valid);
    assert_eq!(log[0].accept, Some(api.accept()));
    assert_eq!(log[1].authorization, Authorization::Absent);
}

#[tokio::test]
async fn tls_is_served_and_may_ask_for_a_certificate() {
    let tls = TlsMaterial::generate().unwrap();
    let root = reqwest::Certificate::from_pem(tls.ca_pem.as_bytes()).unwrap();
    let pem = format!("{}{}", tls.client_cert_pem, tls.client_key_pem);
    let identity = reqwest::Identity::from_pem(pem.as_bytes()).unwrap();
    let trusting = || client().tls_certs_only([root.clone()]);
    let (plain, known) =
        (trusting().build().unwrap(), trusting().identity(identity).build().unwrap());
    let start = async |tls| {
        Simulator::start(Settings { tls: Some(tls), ..Settings::default() }).await.unwrap()
    };
    let sim = start(tls.clone()).await;
    assert!(sim.base_url().starts_with("https://127.0.0.1:"));
    let url = |sim: &Simulator| format!("{}/ping", sim.base_url());
    assert_eq!(plain.get(url(&sim)).send().await.unwrap().status(), 200);
    let local = url(&sim).replace("127.0.0.1", "localhost");
    assert_eq!(plain.get(local).send().await.unwrap().status(), 200);
    assert!(client().build().unwrap().get(url(&sim)).send().await.is_err());
    let mutual = start(tls.mutual()).await;
    assert!(plain.get(url(&mutual)).send().await.is_err());
    assert_eq!(known.get(url(&mutual)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn gzip_is_sent_where_it_is_asked_for() {
    let api = api(Settings { gzip: true, ..Settings::default() }).await;
    let packed = api.get("/admin/jobs", &[]).await;
    assert!(packed.headers().get("content-length").is_none(), "reqwest has unpacked it");
    assert!(packed.json_value().await["data"].is_array());
}

trait JsonValue {
    async fn json_value(self) -> Value;
}

impl JsonValue for reqwest::Response {
    async fn json_value(self) -> Value {
        serde_json::from_slice(&self.bytes().await.unwrap()).unwrap()
    }
}

#[tokio::test]
async fn stopped_server_frees_its_port() {
    let sim = Simulator::start(Settings::default()).await.unwrap();
    let (addr, url) = (sim.addr(), format!("{}/ping", sim.base_url()));
    let http = client().build().unwrap();
    assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
    sim.stop().await;
    assert!(http.get(&url).send().await.is_err());
    let again = Simulator::start_on(addr, Settings::default()).await.unwrap();
    assert_eq!(http.get(&url).send().await.unwrap().status(), 200);
    drop(again);
}

const JOBS: &str = "/admin/jobs";

#[tokio::test]
async fn faults_replace_answers() {
    let api = api(Settings::default()).await;
    let faults = api.sim.faults();
    faults.add(Fault::on(JOBS).status(503).retry_after("2026-01-01T00:00:00Z").times(2));
    for _ in 0..2 {
        let busy = api.get(JOBS, &[]).await;
        assert_eq!(busy.status(), 503);
        assert_eq!(busy.headers()["retry-after"], "2026-01-01T00:00:00Z");
        assert_eq!(busy.json_value().await["errorCode"], 503);
    }
    assert_eq!(api.get(JOBS, &[]).await.status(), 200);
    assert_eq!(faults.struck(), 2);
    faults.clear();
    faults.add(Fault::on("/storage").status(502).error_body(ErrorBody::Html));
    assert_eq!(api.get(JOBS, &[]).await.status(), 200);
    let gateway = api.get("/storage/storage-units", &[]).await;
    assert_eq!(gateway.headers()["content-type"], "text/html; charset=utf-8");
    faults.clear();
    faults.add(Fault::on(JOBS).html());
    let page = api.get(JOBS, &[]).await;
    assert_eq!(
        (page.status().as_u16(), page.text().await.unwrap().contains("<html>")),
        (200, true)
    );
    faults.clear();
    faults.add(Fault::on(JOBS).empty_body());
    assert_eq!(api.get(JOBS, &[]).await.text().await.unwrap(), "");
    faults.clear();
    faults.add(Fault::on(JOBS).wrong_content_type());
    assert_eq!(api.get(JOBS, &[]).await.headers()["content-type"], "application/octet-stream");
    faults.clear();
    faults.add(Fault::on(JOBS).invalid_json());
    let half = api.get(JOBS, &[]).await.bytes().await.unwrap();
    assert!(serde_json::from_slice::<Value>(&half).is_err());
}

#[tokio::test]
async fn faults_break_connections() {
    let api = api(Settings::default()).await;
    let faults = api.sim.faults();
    let url = format!("{}/ping", api.sim.base_url());
    faults.add(Fault::on("/ping").close_connection().times(1));
    assert!(api.http.get(&url).send().await.is_err());
    assert_eq!(api.http.get(&url).send().await.unwrap().status(), 200);
    faults.add(Fault::on(JOBS).cut_body().times(1));
    let cut = api.get(JOBS, &[]).await;
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());
    faults.clear();
    faults.add(Fault::on("/ping").hang());
    let hung = api.http.get(&url).timeout(Duration::from_millis(200)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    faults.clear();
    faults.add(Fault::on("/ping").latency(Duration::from_secs(3)));
    let slow = api.http.get(&url).timeout(Duration::from_millis(200)).send().await;
    assert!(slow.unwrap_err().is_timeout());
    api.sim.stop().await;
}

#[tokio::test]
async fn faults_spoil_pages() {
    let api = api(Settings::default()).await;
    let faults = api.sim.faults();
    let first = async |fault: Fault| {
        faults.clear();
        faults.add(fault);
        api.json(JOBS, &[("page[limit]", "2")]).await["data"].clone()
    };
    assert_eq!(first(Fault::on(JOBS).garbage_record()).await[0], "garbage");
    let nulls = first(Fault::on(JOBS).null_attributes()).await;
    assert!(nulls[0]["attributes"]["jobId"].is_null() && nulls[1]["attributes"]["jobId"].is_i64());
    let wrong = first(Fault::on(JOBS).wrong_types()).await;
    assert!(
        wrong[0]["attributes"]["jobId"].is_object() && wrong[0]["attributes"]["state"].is_f64()
    );
    let new = first(Fault::on(JOBS).unknown_enum()).await;
    assert_eq!(new[0]["attributes"]["jobType"], "SOMETHING_NEW");
    let twice = first(Fault::on(JOBS).duplicate_rows()).await;
    assert_eq!(twice[0], twice[1]);
}

#[tokio::test]
async fn faults_mislead_walks() {
    let api = api(Settings { jobs_in_history: 30, live_jobs: 0, ..Settings::default() }).await;
    let faults = api.sim.faults();
    let next = async |after: &str| {
        let mut query = vec![("page[limit]", "20")];
        if !after.is_empty() {
            query.push(("page[after]", after));
        }
        api.json(JOBS, &query).await["meta"]["pagination"]["next"].clone()
    };
    let second = next("").await.as_str().unwrap().to_owned();
    assert_eq!(next(&second).await, Value::Null);
    faults.add(Fault::on(JOBS).empty_next());
    assert_eq!(next(&second).await, "");
    faults.clear();
    faults.add(Fault::on(JOBS).repeated_cursor());
    assert_eq!(next(&second).await, second.as_str());
    faults.clear();
    faults.add(Fault::on("/").endless_pages());
    let (mut at, mut seen) = (second.clone(), std::collections::BTreeSet::new());
    for _ in 0..10 {
        at = next(&at).await.as_str().unwrap().to_owned();
        assert!(seen.insert(at.clone()));
    }
    let units = api.json("/storage/storage-units", &[("page[offset]", "500")]).await;
    assert_eq!(units["meta"]["pagination"]["next"], 510);
    faults.clear();
    faults.add(Fault::on(JOBS).from_page(2).status(500));
    assert!(next("").await.is_string());
    assert_eq!(api.error(JOBS, &[("page[limit]", "20"), ("page[after]", &second)]).await.0, 500);
}

#[tokio::test]
async fn faults_leave_out_what_tells_of_paging() {
    let api = api(Settings {
        jobs_in_history: 30,
        live_jobs: 0,
        rows: Rows::default().with("slos", 25),
        ..Settings::default()
    })
    .await;
    let faults = api.sim.faults();
    faults.add(Fault::on(JOBS).without_meta());
    let page = api.json(JOBS, &[("page[limit]", "20")]).await;
    assert_eq!(page.as_object().unwrap().keys().collect::<Vec<_>>(), ["data"]);
    faults.add(Fault::on("/servicecatalog").short_pages(7));
    let query = [("page[limit]", "100"), ("page[offset]", "21")];
    let page = api.json("/servicecatalog/slos", &query).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 4);
    let page = api.json("/servicecatalog/slos", &[("page[limit]", "100")]).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 7);
    faults.add(Fault::on(JOBS).json(r#"{"errorCode": 8}"#));
    assert_eq!(api.json(JOBS, &[]).await["errorCode"], 8);
}
