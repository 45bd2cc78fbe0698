//! Holds the simulator's real answers against the vendor's OpenAPI files, one for each release.
//!
//! The files are not part of this project: `NBU_OPENAPI_DIR` names the folder that has `10.3.yaml`,
//! `10.5.yaml`, `11.0.yaml` and `11.2.yaml`. Without it there is nothing to compare with, and the test says
//! so and passes.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jsonschema::Validator;
use nbu_sim::{API_KEY, Fault, Paging, Permissions, PoolSizes, Release, Rows, Settings};
use reqwest::Response;
use serde_json::{Value, json};
use support::{Api, api};

/// Attributes that answers have beside the schema's own: the vendor's list of what is required has them,
/// and nothing says what they are.
const UNDOCUMENTED: &[&str] = &["malwareToolId", "scanHostId"];

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("NBU_OPENAPI_DIR").map(PathBuf::from);
    if folder.is_none() {
        #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
        {
            eprintln!(
                "SKIPPED: NBU_OPENAPI_DIR does not name the folder of the vendor's OpenAPI files"
            );
        }
    }
    folder
}

/// OpenAPI file of one release.
struct Contract(Value);

impl Contract {
    fn load(folder: &std::path::Path, release: Release) -> Self {
        let file = folder.join(format!("{release}.yaml"));
        let text = std::fs::read_to_string(&file).expect("the release's file");
        Self(serde_yaml::from_str(&text).expect("YAML"))
    }

    /// The content (media type to schema) of a documented answer; `None` where it is not documented.
    fn content(
        &self,
        path: &str,
        method: &str,
        status: u16,
    ) -> Option<&serde_json::Map<String, Value>> {
        let answers = &self.0["paths"][path][method]["responses"];
        let answer = self.follow(answers.get(status.to_string())?);
        answer["content"].as_object()
    }

    fn follow<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.follow(self.0.pointer(&reference[1..]).expect("a target")),
            None => value,
        }
    }

    /// A schema of the file as plain JSON schema: references replaced, OpenAPI's `nullable` said as a type,
    /// the enums that YAML 1.1 readers spoil turned back, and nothing but known properties.
    fn schema(&self, value: &Value, strict: bool) -> Value {
        match self.follow(value) {
            Value::Object(all) => {
                let mut plain = serde_json::Map::new();
                for (name, value) in all {
                    let value = match name.as_str() {
                        "example" | "description" => continue,
                        "enum" => enums(value),
                        // Names of attributes, among which may be a "description".
                        "properties" if value.is_object() => {
                            let known = value.as_object().into_iter().flatten();
                            let known = known.map(|(k, v)| (k.clone(), self.schema(v, strict)));
                            Value::Object(known.collect())
                        }
                        // The branches know only their own property: the outer object knows them all.
                        "oneOf" | "anyOf" | "allOf" => self.schema(value, false),
                        _ => self.schema(value, strict),
                    };
                    plain.insert(name.clone(), value);
                }
                if strict && plain.get("properties").is_some_and(Value::is_object) {
                    close(&mut plain);
                }
                if plain.remove("nullable") == Some(json!(true)) {
                    plain["type"] = json!([plain["type"], "null"]);
                }
                Value::Object(plain)
            }
            Value::Array(all) => all.iter().map(|value| self.schema(value, strict)).collect(),
            other => other.clone(),
        }
    }

    fn validator(&self, schema: &Value) -> Validator {
        jsonschema::draft202012::new(&self.schema(schema, true)).expect("a schema")
    }
}

/// Allows no property but the known ones, those of alternatives among them.
fn close(schema: &mut serde_json::Map<String, Value>) {
    let mut known = schema["properties"].as_object().cloned().unwrap_or_default();
    for choice in ["oneOf", "anyOf", "allOf"] {
        for branch in schema.get(choice).and_then(Value::as_array).into_iter().flatten() {
            for (name, value) in branch["properties"].as_object().into_iter().flatten() {
                known.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    for name in UNDOCUMENTED {
        known.entry(*name).or_insert(json!(true));
    }
    if let Some(branches) = schema.remove("oneOf") {
        // The branches of the vendor's oneOf require nothing, so that every object fits all of them.
        schema.insert("anyOf".to_owned(), branches);
    }
    schema.insert("properties".to_owned(), Value::Object(known));
    schema.insert("additionalProperties".to_owned(), json!(false));
}

/// ON, OFF, YES and NO are strings, though some readers of YAML 1.1 take them for booleans.
fn enums(values: &Value) -> Value {
    let text = |value: &Value| match value {
        Value::Bool(true) => json!(["ON", "YES"]),
        Value::Bool(false) => json!(["OFF", "NO"]),
        other => json!([other]),
    };
    let all = values.as_array().expect("enum values").iter().map(text);
    all.flat_map(|value| value.as_array().cloned().unwrap_or_default()).collect()
}

/// Returns at most five errors of a body against its schema.
fn errors(contract: &Contract, answer: &Value, body: &Value) -> Vec<String> {
    let validator = contract.validator(&answer["schema"]);
    validator.iter_errors(body).take(5).map(|e| format!("{}: {e}", e.instance_path)).collect()
}

/// Checks one answer: status documented, media type of the file, body valid.
async fn check(contract: &Contract, path: &str, method: &str, response: Response) -> Value {
    let status = response.status().as_u16();
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    let content = contract.content(path, method, status);
    let content = content.unwrap_or_else(|| panic!("{method} {path}: {status} is not documented"));
    let (media, answer) = content.iter().next().expect("a media type");
    // The file of 10.3 still calls the media type of counts 6.0; the server serves what was asked for.
    let kind = |media: &str| media.split(';').next().unwrap_or_default().to_owned();
    assert_eq!(kind(&content_type), kind(media), "{method} {path} {status}");
    if kind(media).ends_with("json") {
        let errors = errors(contract, answer, &body);
        assert!(errors.is_empty(), "{method} {path} {status}: {errors:#?}");
    }
    body
}

async fn count(api: &Api, body: &str) -> Response {
    let url = format!("{}/admin/jobs-count-requests", api.sim.base_url());
    let request = api.http.post(url).header("Accept", api.accept());
    let request = request.header("Content-Type", api.accept()).body(body.to_owned());
    request.header("Authorization", "nbu-sim-key").send().await.unwrap()
}

async fn check_jobs(contract: &Contract, api: &Api) {
    let path = "/admin/jobs";
    let mut after = None::<String>;
    loop {
        let mut query = vec![("page[limit]", "100"), ("sort", "jobId")];
        if let Some(after) = &after {
            query.push(("page[after]", after));
        }
        let page = check(contract, path, "get", api.get(path, &query).await).await;
        after = page["meta"]["pagination"]["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    let bad = api.get(path, &[("filter", "nothing eq 1")]).await;
    check(contract, path, "get", bad).await;
    let url = format!("{}{path}", api.sim.base_url());
    let json =
        api.http.get(&url).header("Authorization", "nbu-sim-key").header("Accept", "text/html");
    let not_acceptable = check(contract, path, "get", json.send().await.unwrap()).await;
    assert!(not_acceptable["errorCode"].is_i64());
    let put =
        api.http.put(&url).header("Authorization", "nbu-sim-key").header("Accept", api.accept());
    check(contract, path, "get", put.send().await.unwrap()).await;
    api.sim.faults().add(Fault::on(path).status(503).times(1));
    check(contract, path, "get", api.get(path, &[]).await).await;
}

async fn check_counts(contract: &Contract, api: &Api) {
    let path = "/admin/jobs-count-requests";
    let asked = json!({"data": {"type": "jobCount", "attributes": {"filter": "state eq 'DONE'"}}});
    for body in [asked.to_string(), String::new(), "{}".to_owned()] {
        check(contract, path, "post", count(api, &body).await).await;
    }
    api.sim.set_permissions(Permissions { job_counts: false, ..Permissions::ALL });
    check(contract, path, "post", count(api, "").await).await;
    api.sim.set_permissions(Permissions::ALL);
}

async fn check_storage(contract: &Contract, api: &Api) {
    let path = "/storage/storage-units";
    for query in
        [vec![], vec![("page[offset]", "4"), ("page[limit]", "4")], vec![("page[limit]", "500")]]
    {
        check(contract, path, "get", api.get(path, &query).await).await;
    }
    api.sim.set_permissions(Permissions::NONE);
    check(contract, path, "get", api.get(path, &[]).await).await;
    api.sim.set_permissions(Permissions::ALL);
}

/// The areas of which the vendor's copy of a release does not tell; of the others all do.
const UNTOLD: [(&str, Release); 3] = [
    ("/servicecatalog/", Release::R11_2),
    ("/storage/", Release::R11_2),
    ("/config/", Release::R11_0),
];

/// Pages of each fixture, from the first to the last and beyond, a limit out of range, and a missing permission.
async fn check_fixtures(contract: &Contract, api: &Api, release: Release) {
    for fixture in nbu_sim::fixtures() {
        let path = fixture.path;
        if release < fixture.since {
            assert_eq!(api.get(path, &[]).await.status(), 404, "{path} in {release}");
            continue;
        }
        if UNTOLD.iter().any(|(area, untold)| path.starts_with(area) && *untold == release) {
            assert!(contract.content(path, "get", 200).is_none(), "{path} in {release}");
            continue;
        }
        let unpaged = matches!(fixture.paging, Paging::Document);
        let place = match fixture.paging {
            Paging::Cursor | Paging::WideCursor => "page[after]",
            Paging::Offset(..) | Paging::Document => "page[offset]",
        };
        let mut at = String::new();
        loop {
            let mut query = if unpaged { vec![] } else { vec![("page[limit]", "7")] };
            if !at.is_empty() {
                query.push((place, &at));
            }
            let page = check(contract, path, "get", api.get(path, &query).await).await;
            match &page["meta"]["pagination"]["next"] {
                Value::Null => break,
                Value::String(cursor) => at.clone_from(cursor),
                offset => at = offset.to_string(),
            }
        }
        assert_eq!(at.is_empty(), fixture.has_one_page(), "{path} has one page only");
        // The copy documents no 400 of these two.
        let has_no_400 = ["tape-media", "storage-servers"].iter().any(|list| path.ends_with(list));
        if !unpaged && !has_no_400 {
            let beyond = api.get(path, &[("page[limit]", "1001")]).await;
            assert_eq!(check(contract, path, "get", beyond).await["errorCode"], 9400, "{path}");
        }
        api.sim.deny(fixture.permission);
        check(contract, path, "get", api.get(path, &[]).await).await;
        assert_eq!(api.get(path, &[]).await.status(), 401, "{path}");
        api.sim.permit(fixture.permission);
    }
}

/// Each value that the copy lets a filter of images ask for, and none that it does not.
async fn check_images(contract: &Contract, api: &Api) {
    let path = "/catalog/images";
    let parameters = contract.0["paths"][path]["get"]["parameters"].as_array().unwrap();
    let parameters = parameters.iter().map(|parameter| contract.follow(parameter));
    let filter = parameters.into_iter().find(|parameter| parameter["name"] == "filter").unwrap();
    let of_last_day = "backupTime ge 1970-01-01T00:00:00.000Z";
    for attribute in ["malwareScanResult", "malwareStatus", "anomalyStatus"] {
        let documented = &filter["x-filterable"][attribute];
        let values = documented["values"].as_str().unwrap_or_default();
        for value in values.split_whitespace() {
            let filter = format!("{attribute} eq '{value}' and {of_last_day}");
            let page = api.get(path, &[("filter", &filter)]).await;
            check(contract, path, "get", page).await;
        }
        let wrong = format!("{attribute} eq 'SOMETHING_NEW'");
        assert_eq!(api.error(path, &[("filter", &wrong)]).await, (400, 9401));
        if values.is_empty() {
            let unknown = format!("{attribute} eq 'CLEAN'");
            assert_eq!(api.error(path, &[("filter", &unknown)]).await, (400, 9401));
        }
    }
}

/// Texts of status codes, where the copy has them; elsewhere the path does not exist.
async fn check_status_codes(contract: &Contract, api: &Api) {
    let path = "/status-codes/{statusCode}";
    let ask = async |code: &str| api.get(&format!("/status-codes/{code}"), &[]).await;
    if contract.content(path, "get", 200).is_none() {
        assert_eq!(api.error("/status-codes/156", &[]).await, (404, 9404));
        return;
    }
    let known = check(contract, path, "get", ask("156").await).await;
    let documented = contract.content(path, "get", 200).expect("a 200");
    assert_eq!(known, documented.values().next().expect("a media type")["example"]);
    for (code, status) in [("0", 200), ("7777", 404), ("-1", 404), ("123456", 404), ("x", 400)] {
        let answer = ask(code).await;
        assert_eq!(answer.status(), status, "{code}");
        check(contract, path, "get", answer).await;
    }
    api.sim.set_permissions(Permissions::NONE);
    assert_eq!(ask("0").await.status(), 200);
    api.sim.set_permissions(Permissions::ALL);
    let url = format!("{}/status-codes/0", api.sim.base_url());
    let keyless = api.http.get(url).header("Accept", api.accept()).send().await.unwrap();
    assert_eq!(keyless.status(), 401);
    check(contract, path, "get", keyless).await;
}

/// A disk pool by its id, in each place where its sizes may be, and a pool that there is not.
async fn check_disk_pool(contract: &Contract, api: &Api) {
    let path = "/storage/disk-pools/{diskPoolId}";
    for pool in api.sim.truth().disk_pools() {
        let one = format!("/storage/disk-pools/{}", support::encode(&pool.id));
        let body = check(contract, path, "get", api.get(&one, &[]).await).await;
        assert_eq!(body["data"]["id"], pool.id);
    }
    let missing = api.get("/storage/disk-pools/PureDisk:gone", &[]).await;
    assert_eq!(missing.status(), 404);
    check(contract, path, "get", missing).await;
    api.sim.deny("|STORAGE|DISK-POOLS|");
    let denied = api.get("/storage/disk-pools/PureDisk:dp-msdp-01", &[]).await;
    assert_eq!(denied.status(), 401);
    check(contract, path, "get", denied).await;
    api.sim.permit("|STORAGE|DISK-POOLS|");
}

/// The key that is used, for whoever has it, and a key that there is not.
async fn check_api_key(contract: &Contract, release: Release) {
    let path = "/security/api-keys/{apiKeyTag}";
    let api = api(Settings { release, api_key: API_KEY.to_owned(), ..Settings::default() }).await;
    let ask = async |tag: &str| {
        api.get(&format!("/security/api-keys/{}", support::encode(tag)), &[]).await
    };
    api.sim.set_permissions(Permissions::NONE);
    let own = check(contract, path, "get", ask("nbu/sim+kew=").await).await;
    assert_eq!(own["data"]["attributes"]["expiryDateTime"], "2027-09-21T14:13:20.000Z");
    let other = ask("nbu/sim+key8=").await;
    assert_eq!(other.status(), 404);
    check(contract, path, "get", other).await;
}

/// The server's time, for whoever asks.
async fn check_server_time(contract: &Contract, api: &Api) {
    let path = "/security/servertime";
    let url = format!("{}{path}", api.sim.base_url());
    let keyless = api.http.get(&url).header("Accept", api.accept()).send().await.unwrap();
    let body = check(contract, path, "get", keyless).await;
    assert_eq!((&body["serverTime"], &body["timeZoneId"]), (&support::START.into(), &"UTC".into()));
    let refused = api.http.get(&url).header("Accept", "text/html").send().await.unwrap();
    assert_eq!(refused.status(), 406);
    check(contract, path, "get", refused).await;
}

async fn check_ping(contract: &Contract, api: &Api, release: Release) {
    let url = format!("{}/ping", api.sim.base_url());
    let pong = api.http.get(&url).send().await.unwrap();
    let documented = contract.content("/ping", "get", 200).expect("a 200");
    let media = pong.headers()["content-type"].to_str().unwrap();
    assert!(documented.contains_key(media), "{media}");
    assert_eq!(pong.headers()["x-netbackup-api-version"], release.api_version());
    assert_eq!(pong.text().await.unwrap(), support::START.to_string());
    let refused = api.http.get(&url).header("Accept", "image/png").send().await.unwrap();
    assert_eq!(refused.status(), 406);
    check(contract, "/ping", "get", refused).await;
}

#[tokio::test]
async fn answers_are_as_the_vendor_documents_them() {
    let Some(folder) = folder() else { return };
    for release in Release::ALL {
        let contract = Contract::load(&folder, release);
        assert_eq!(contract.0["info"]["version"].as_str(), Some(release.api_version()));
        let settings = Settings {
            release,
            jobs_in_history: 1_500,
            live_jobs: 150,
            policies: 20,
            storage_units: 40,
            rows: Rows::default()
                .with("tape-drives", 20)
                .with("volume-pools", 30)
                .with("disk-pools", 24),
            pool_sizes: PoolSizes::Mixed,
            ..Settings::default()
        };
        let api = api(settings).await;
        check_ping(&contract, &api, release).await;
        check_jobs(&contract, &api).await;
        check_counts(&contract, &api).await;
        check_fixtures(&contract, &api, release).await;
        check_images(&contract, &api).await;
        check_status_codes(&contract, &api).await;
        check_server_time(&contract, &api).await;
        check_api_key(&contract, release).await;
        if release != Release::R11_2 {
            // The copy of 11.2 lacks the storage file.
            check_storage(&contract, &api).await;
            check_disk_pool(&contract, &api).await;
        }
    }
}

#[tokio::test]
async fn every_attribute_of_a_job_is_there() {
    let Some(folder) = folder() else { return };
    for release in Release::ALL {
        let contract = Contract::load(&folder, release);
        let schema = &contract.content("/admin/jobs", "get", 200).expect("a 200")
            [&format!("application/vnd.netbackup+json;version={}", release.api_version())]["schema"];
        let schema = contract.schema(schema, false);
        let row = &schema["properties"]["data"]["items"]["properties"]["attributes"]["properties"];
        let documented: BTreeSet<&String> = row.as_object().expect("attributes").keys().collect();
        let api = api(Settings { release, ..Settings::default() }).await;
        let page = api.json("/admin/jobs", &[("page[limit]", "1")]).await;
        let row = page["data"][0]["attributes"].as_object().expect("attributes");
        assert_eq!(row.keys().collect::<BTreeSet<_>>(), documented, "{release}");
        assert_eq!(documented.len(), 77, "{release}");
    }
}

#[tokio::test]
async fn contract_check_finds_violations() {
    let Some(folder) = folder() else { return };
    let contract = Contract::load(&folder, Release::R11_0);
    let documented = contract.content("/admin/jobs", "get", 200).expect("a 200");
    let answer = documented.values().next().expect("a media type");
    let api = api(Settings::default()).await;
    let mut body = api.json("/admin/jobs", &[]).await;
    assert_eq!(errors(&contract, answer, &body), Vec::<String>::new());
    body["data"][0]["attributes"]["madeUp"] = json!(1);
    assert_eq!(errors(&contract, answer, &body).len(), 1, "an unknown attribute");
    for fault in [Fault::on("/").unknown_enum(), Fault::on("/").wrong_types()] {
        api.sim.faults().clear();
        api.sim.faults().add(fault);
        let body = api.json("/admin/jobs", &[]).await;
        assert!(!errors(&contract, answer, &body).is_empty());
    }
}
