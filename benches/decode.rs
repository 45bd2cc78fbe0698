//! Decoding a page of jobs, as the simulator serves it. All times are of the same bytes in one run, so
//! that their ratios mean something on a busy machine.
//!
//! - `floor_100_jobs`: serde_json parses just the needed fields into strict types.
//! - `utf8_100_jobs`: the check of the text alone, which no decoding can do without.
//! - `hash_100_jobs`: a hash of the body, which would tell an unchanged page before it is decoded.
//! - `page_100_jobs`: what the agent does. Budget: 0.7 of the floor.
//! - `page_and_count_100_jobs`: the same, and each job is counted. Budget: the floor.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a bench may panic")]

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use nbu_otel_agent::jobs::Ledger;
use nbu_otel_agent::netbackup::wire::jobs::JobRow;
use nbu_otel_agent::netbackup::wire::read_page;
use nbu_sim::{Clock, Settings, Simulator};

#[path = "support/floor.rs"]
mod floor;

use floor::Floor;

/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000;

/// A page of 100 finished jobs over HTTP.
fn page() -> Vec<u8> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let clock = Clock::manual(NOON);
        let settings = Settings { jobs_in_history: 1_000, clock, ..Settings::default() };
        let simulator = Simulator::start(settings).await.expect("a simulator");
        let url = format!(
            "{}/admin/jobs?page%5Blimit%5D=100&filter=state%20eq%20%27DONE%27",
            simulator.base_url()
        );
        let response = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client")
            .get(url)
            .header("authorization", &simulator.settings().api_key)
            .header("accept", "application/vnd.netbackup+json;version=13.0")
            .send()
            .await
            .expect("an answer");
        response.bytes().await.expect("a page").to_vec()
    })
}

fn decode(criterion: &mut Criterion) {
    let page = page();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("floor_100_jobs", |bencher| {
        bencher.iter(|| {
            let floor: Floor<'_> = serde_json::from_slice(black_box(&page)).expect("a page");
            floor.data.iter().map(|record| record.attributes.job_id).sum::<i64>()
        });
    });
    group.bench_function("utf8_100_jobs", |bencher| {
        bencher.iter(|| simdutf8::basic::from_utf8(black_box(&page)).is_ok());
    });
    group.bench_function("hash_100_jobs", |bencher| {
        bencher.iter(|| BuildHasherDefault::<DefaultHasher>::default().hash_one(black_box(&page)));
    });
    group.bench_function("page_100_jobs", |bencher| {
        bencher.iter(|| {
            let page = read_page::<JobRow<'_>>(black_box(&page)).expect("a page");
            page.rows.len()
        });
    });
    group.bench_function("page_and_count_100_jobs", |bencher| {
        let day = Duration::from_secs(86_400);
        let fresh = || Ledger::new(NOON - 2 * 86_400_000, day, SystemTime::UNIX_EPOCH);
        bencher.iter_batched_ref(
            fresh,
            |ledger| {
                let page = read_page::<JobRow<'_>>(black_box(&page)).expect("a page");
                page.rows.iter().for_each(|row| ledger.apply_changed(row));
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
