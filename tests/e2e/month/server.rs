//! The job list of the simulated site, over HTTP, as it is at a time that the test sets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};

use super::world::{DAY, HOUR, Job, MINUTE};

/// Time for which the server keeps jobs.
const KEPT: i64 = 7 * DAY;

/// Rows of a page.
const PAGE: usize = 100;

pub struct JobServer {
    pub address: SocketAddr,
    now: Arc<AtomicI64>,
}

impl JobServer {
    pub async fn start(mut jobs: Vec<Job>, now: i64) -> Self {
        jobs.sort_unstable_by_key(|job| job.created);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let now = Arc::new(AtomicI64::new(now));
        let (clock, jobs) = (Arc::clone(&now), Arc::new(jobs));
        let router = Router::new().fallback(move |request: Request| {
            let (now, jobs) = (clock.load(Ordering::SeqCst), Arc::clone(&jobs));
            async move { answer(&jobs, now, &request) }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, now }
    }

    /// Sets the server's time, Unix ms.
    pub fn set_time(&self, now: i64) {
        self.now.store(now, Ordering::SeqCst);
    }
}

fn answer(jobs: &[Job], now: i64, request: &Request) -> Response {
    let (status, kind, body) = match request.uri().path() {
        "/netbackup/ping" => (200, "text/vnd.netbackup+plain", now.to_string()),
        "/netbackup/admin/jobs" => {
            let pairs = url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes());
            let pairs: Vec<(String, String)> = pairs.into_owned().collect();
            match list(jobs, now, &pairs) {
                Some(page) => (200, JSON, page.to_string()),
                None => (400, JSON, json!({"errorCode": 7, "errorMessage": "filter"}).to_string()),
            }
        }
        _ => (404, JSON, json!({"errorCode": 4, "errorMessage": "no such path"}).to_string()),
    };
    let response = Response::builder().status(status).header("content-type", kind);
    let response = response.header("x-netbackup-api-version", "12.0");
    response.body(Body::from(body)).expect("a response")
}

const JSON: &str = "application/vnd.netbackup+json;version=12.0";

/// Returns a page of the jobs that the server lists at `now`; `None` for a filter that it does not take.
fn list(jobs: &[Job], now: i64, parameters: &[(String, String)]) -> Option<Value> {
    let parameter =
        |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| &**value);
    let terms = parameter("filter").map_or(Some(Vec::new()), |filter| {
        filter.split(" and ").map(Term::parse).collect::<Option<Vec<_>>>()
    })?;
    let created = |time| jobs.partition_point(|job| job.created <= time);
    let known = jobs.get(created(now - KEPT - DAY)..created(now)).unwrap_or_default();
    let listed = known.iter().filter(|job| job.end > now - KEPT).map(|job| Listed { job, now });
    let mut rows: Vec<Listed<'_>> =
        listed.filter(|row| terms.iter().all(|term| term.holds(row))).collect();
    let sort = parameter("sort").unwrap_or("jobId");
    let property = sort.trim_start_matches('-');
    rows.sort_by_key(|row| (row.time(property), row.job.id));
    if sort.starts_with('-') {
        rows.reverse();
    }
    let limit = parameter("page[limit]").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE);
    let after: usize = parameter("page[after]").and_then(|after| after.parse().ok()).unwrap_or(0);
    let (count, next) = (rows.len(), after + limit);
    let page = rows.into_iter().skip(after).take(limit);
    let data: Vec<Value> = page.map(|row| record(&row.attributes())).collect();
    let mut pagination = json!({ "limit": limit, "count": count });
    if next < count {
        pagination["next"] = json!(next.to_string());
    }
    Some(json!({ "data": data, "meta": { "pagination": pagination } }))
}

fn record(row: &Value) -> Value {
    json!({ "type": "job", "id": row["jobId"].to_string(), "attributes": row })
}

/// A comparison of a filter.
struct Term {
    property: String,
    operator: String,
    value: String,
    /// The value as a number; of a time, Unix ms.
    number: Option<i64>,
}

impl Term {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(3, ' ').map(str::to_owned);
        let (property, operator, value) = (words.next()?, words.next()?, words.next()?);
        let time = value.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
        let number = value.parse().ok().or(time);
        let is_known = ["state", "status", "lastUpdateTime", "endTime"].contains(&&*property);
        is_known.then_some(Self { property, operator, value, number })
    }

    fn holds(&self, row: &Listed<'_>) -> bool {
        let order = match &*self.property {
            "state" => row.state().cmp(self.value.trim_matches('\'')),
            "status" => Some(row.status()).cmp(&self.number),
            property => match row.time(property) {
                Some(time) => Some(time).cmp(&self.number),
                None => return false,
            },
        };
        match &*self.operator {
            "eq" => order.is_eq(),
            "ne" => order.is_ne(),
            "ge" => order.is_ge(),
            "gt" => order.is_gt(),
            "le" => order.is_le(),
            "lt" => order.is_lt(),
            _ => false,
        }
    }
}

fn time(ms: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).expect("a time"))
}

/// A job as the server shows it at a time.
struct Listed<'j> {
    job: &'j Job,
    now: i64,
}

impl Listed<'_> {
    fn is_done(&self) -> bool {
        self.job.end <= self.now
    }

    /// Returns when it became active, if it is, or was.
    fn running(&self) -> Option<i64> {
        self.job.active.filter(|active| *active <= self.now)
    }

    fn state(&self) -> &'static str {
        match (self.is_done(), self.running()) {
            (true, _) => "DONE",
            (false, Some(_)) => "ACTIVE",
            (false, None) => "QUEUED",
        }
    }

    fn status(&self) -> i64 {
        if self.is_done() { self.job.status } else { 0 }
    }

    fn time(&self, property: &str) -> Option<i64> {
        let changed = self.now - self.now.rem_euclid(MINUTE);
        match property {
            "endTime" => self.is_done().then_some(self.job.end),
            "lastUpdateTime" if self.is_done() => Some(self.job.end),
            "lastUpdateTime" => Some(changed.max(self.job.created)),
            _ => None,
        }
    }

    fn attributes(&self) -> Value {
        let (job, now) = (self.job, self.now);
        let (is_done, state, running) = (self.is_done(), self.state(), self.running());
        let share = running.map_or(0, |active| {
            let whole = (job.end - active).max(1);
            1000 * (now.min(job.end) - active) / whole
        });
        let kilobytes = job.kilobytes * share / 1000;
        let has_image = job.is_leaf() && job.is_restorable() && job.kind == "BACKUP";
        let medium = if job.unit.starts_with("tape") { "A00001L8" } else { "@aaaab" };
        let mut row = json!({
            "jobId": job.id,
            "parentJobId": job.parent,
            "jobType": job.kind,
            "policyType": job.policy_type,
            "policyName": job.policy,
            "clientName": job.client,
            "state": state,
            "status": self.status(),
            "try": 1,
            "kilobytesTransferred": kilobytes,
            "kilobytesDataTransferred": kilobytes / 8,
            "numberOfFiles": kilobytes / 100,
            "startTime": time(job.created),
            "lastUpdateTime": self.time("lastUpdateTime").map(time),
            "childCount": job.children,
            "currentOperation": if job.is_leaf() { 3 } else { 27 },
            "scheduleType": job.schedule,
            "backupId": if is_done && has_image { format!("{}_{}", job.client, job.end / 1000) } else { String::new() },
            "workloadDisplayName": job.display_name,
            "destinationStorageUnitName": job.unit,
            "destinationMediaServerName": job.server,
            "destinationMediaId": if job.unit.is_empty() { "" } else { medium },
            "jobQueueReason": if state == "QUEUED" { 24 } else { 0 },
        });
        if let Some(active) = running {
            row["activeTryStartTime"] = json!(time(active));
        }
        if is_done {
            row["endTime"] = json!(time(job.end));
        }
        row
    }
}

/// A day of the server's time holds some hundred jobs: a page or a few for a first window.
pub const WINDOW: std::time::Duration =
    std::time::Duration::from_secs((HOUR / 1000).unsigned_abs() * 24);
