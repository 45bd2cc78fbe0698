//! Tests that receivers count what was counted, whatever fails in between.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
    metric::Data,
};
use proptest::prelude::*;
use prost::Message as _;

use super::convert::{Converted, Sequence};
use super::point::{count, key};
use super::*;
use crate::telemetry::otlp::config::Temporality;

mod properties;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const SECOND: u64 = 1_000_000_000;
/// The memory began here; origins are after it unless a test says so.
const OPENED: u64 = 1_000 * SECOND;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(any_value::Value::StringValue(value.to_owned()));
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

fn point(action: &str, origin: u64, time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute("action", action), attribute("site", "s")],
        start_time_unix_nano: origin,
        time_unix_nano: time,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), data: Some(data), ..Metric::default() }
}

fn sum(data_points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true };
    metric("nbu.jobs", Data::Sum(sum))
}

fn histogram(action: &str, (origin, time): (u64, u64), counts: &[u64], total: f64) -> Metric {
    let point = HistogramDataPoint {
        attributes: vec![attribute("action", action)],
        start_time_unix_nano: origin,
        time_unix_nano: time,
        count: counts.iter().sum(),
        sum: Some(total),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![1.0, 2.0],
        max: Some(9.0),
        ..HistogramDataPoint::default()
    };
    let data_points = vec![point];
    let histogram = Histogram { data_points, aggregation_temporality: CUMULATIVE };
    metric("nbu.took", Data::Histogram(histogram))
}

/// Action, start, end and value of each point of the sums.
fn points(metrics: &[Metric]) -> Vec<(String, u64, u64, f64)> {
    let sums = metrics.iter().filter_map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => Some(&sum.data_points),
        _ => None,
    });
    sums.flatten()
        .map(|point| {
            let (_, action) = key("", &point.attributes);
            let Some(Value::AsDouble(value)) = point.value else { panic!("not a double") };
            (action, point.start_time_unix_nano, point.time_unix_nano, value)
        })
        .collect()
}

/// Takes the changes of the points in a range.
fn taken(sequence: &mut Sequence, range: std::ops::Range<usize>) -> Vec<Change> {
    sequence.changes[range].iter_mut().filter_map(Option::take).collect()
}

/// Puts increments into the outbox, one request for each metric, and returns everything else.
fn send(delta: &mut Delta, converted: Converted) -> Sequence {
    let Converted { mut increments, others } = converted;
    let mut first = 0;
    let mut outbox = Vec::new();
    for metric in std::mem::take(&mut increments.metrics) {
        let points = metric.data.as_ref().map_or(0, count);
        let changes = taken(&mut increments, first..first + points);
        first += points;
        outbox.push(Outgoing::new(metric.encode_to_vec().into(), points as u64, changes));
    }
    delta.outbox = outbox;
    others
}

/// Exports one snapshot; all requests have this fate. Returns the increments, those of nothing included.
fn export(delta: &mut Delta, snapshot: Metric, fate: Fate) -> Vec<(String, u64, u64, f64)> {
    let converted = delta.convert(vec![snapshot], Temporality::Delta, false);
    let mut all = points(&converted.increments.metrics);
    all.extend(points(&converted.others.metrics));
    send(delta, converted);
    let fates = (0..delta.outbox.len()).map(|place| (place, fate)).collect();
    delta.settle(fates, 0);
    all
}

fn said(action: &str, start: u64, end: u64, value: f64) -> (String, u64, u64, f64) {
    (action.to_owned(), start, end, value)
}

const fn t(seconds: u64) -> u64 {
    OPENED + seconds * SECOND
}

/// The same memory in a new process.
fn restarted(delta: &Delta) -> Delta {
    Delta::decode(&delta.encode().unwrap()).unwrap()
}

#[test]
fn increment_covers_what_was_not_taken() {
    let mut delta = Delta::opened_at(OPENED);
    let at = |time, value| sum(vec![point("a", t(0), time, value)]);
    let ack = Fate::Acknowledged;
    assert_eq!(export(&mut delta, at(t(1), 5.0), ack), [said("a", t(0), t(1), 5.0)]);
    assert_eq!(export(&mut delta, at(t(2), 7.0), Fate::Unsent), [said("a", t(1), t(2), 2.0)]);
    assert_eq!(export(&mut delta, at(t(3), 7.0), Fate::Refused), [said("a", t(1), t(3), 2.0)]);
    assert_eq!(export(&mut delta, at(t(4), 8.0), ack), [said("a", t(1), t(4), 3.0)]);
    assert_eq!(export(&mut delta, at(t(5), 8.0), ack), [said("a", t(4), t(5), 0.0)]);
}

#[test]
fn request_in_doubt_stays_as_it_was_across_a_restart() {
    let mut delta = Delta::opened_at(OPENED);
    let at = |time, value| sum(vec![point("a", t(0), time, value)]);
    export(&mut delta, at(t(1), 5.0), Fate::Unknown { answered: false });
    let body = delta.outbox[0].body.clone();
    let mut delta = restarted(&delta);
    assert_eq!(delta.outbox[0].body, body);
    delta.settle(HashMap::new(), 0);
    assert_eq!(delta.outbox.len(), 1, "not sent, and in doubt still");
    delta.settle(HashMap::from([(0, Fate::Acknowledged)]), 0);
    let next = export(&mut delta, at(t(2), 9.0), Fate::Acknowledged);
    assert_eq!(next, [said("a", t(1), t(2), 4.0)]);
}

#[test]
fn request_that_only_ever_gets_errors_is_given_up() {
    let mut delta = Delta::opened_at(OPENED);
    let first = sum(vec![point("a", t(0), t(1), 5.0)]);
    export(&mut delta, first, Fate::Unknown { answered: true });
    for _ in 1..MAX_REFUSALS {
        assert_eq!(delta.outbox.len(), 1);
        delta.settle(HashMap::from([(0, Fate::Unknown { answered: true })]), 0);
    }
    assert!(delta.outbox.is_empty());
    let next = export(&mut delta, sum(vec![point("a", t(0), t(2), 6.0)]), Fate::Acknowledged);
    assert_eq!(next, [said("a", t(0), t(2), 6.0)], "nothing is lost");
}

#[test]
fn new_origin_counts_from_zero_and_a_fall_waits() {
    let mut delta = Delta::opened_at(OPENED);
    let ack = Fate::Acknowledged;
    export(&mut delta, sum(vec![point("a", t(1), t(2), 100.0)]), ack);
    let anew = export(&mut delta, sum(vec![point("a", t(3), t(4), 120.0)]), ack);
    assert_eq!(anew, [said("a", t(3), t(4), 120.0)]);
    // The ledger went back to an older save, and counts the same jobs again.
    assert_eq!(export(&mut delta, sum(vec![point("a", t(3), t(5), 110.0)]), ack), []);
    let on = export(&mut delta, sum(vec![point("a", t(3), t(6), 123.0)]), ack);
    assert_eq!(on, [said("a", t(4), t(6), 3.0)]);
}

#[test]
fn total_of_before_the_memory_is_counted_on_from() {
    let mut delta = Delta::opened_at(OPENED);
    let old = OPENED - 1;
    let ack = Fate::Acknowledged;
    assert_eq!(export(&mut delta, sum(vec![point("a", old, t(1), 1e6)]), ack), []);
    let both = sum(vec![point("a", old, t(2), 1e6 + 3.0), point("b", old, t(2), 1.0)]);
    let expected = [said("a", t(1), t(2), 3.0), said("b", old, t(2), 1.0)];
    assert_eq!(export(&mut delta, both, ack), expected);
}

#[test]
fn unpushed_increment_of_an_earlier_process_is_pushed() {
    let mut delta = Delta::opened_at(OPENED);
    export(&mut delta, sum(vec![point("a", t(0), t(1), 5.0)]), Fate::Acknowledged);
    // Seconds later, and with what ended meanwhile.
    let mut delta = restarted(&delta);
    let back = sum(vec![point("a", t(0), t(3), 7.0), point("b", t(0), t(3), 1.0)]);
    let expected = [said("a", t(1), t(3), 2.0), said("b", t(0), t(3), 1.0)];
    assert_eq!(export(&mut delta, back, Fate::Acknowledged), expected);
}

#[test]
fn kill_before_first_push_leaves_all_to_next_process() {
    let mut delta = Delta::opened_at(OPENED);
    delta.in_use = true;
    let mut delta = restarted(&delta);
    let first = export(&mut delta, sum(vec![point("a", t(1), t(500), 5.0)]), Fate::Acknowledged);
    assert_eq!(first, [said("a", t(1), t(500), 5.0)]);
}

#[test]
fn series_absent_for_months_comes_back_with_its_increment() {
    let mut delta = Delta::opened_at(OPENED);
    let ack = Fate::Acknowledged;
    export(&mut delta, sum(vec![point("a", t(0), t(1), 5.0)]), ack);
    let day = 86_400;
    let other = metric(
        "other",
        Data::Sum(Sum {
            data_points: vec![point("", t(0), t(300 * day), 1.0)],
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
    );
    export(&mut delta, other, ack);
    let mut delta = restarted(&delta);
    let back = export(&mut delta, sum(vec![point("a", t(0), t(301 * day), 6.0)]), ack);
    assert_eq!(back, [said("a", t(1), t(301 * day), 1.0)]);
    let forgotten = sum(vec![point("b", t(0), t(800 * day), 1.0)]);
    export(&mut delta, forgotten, ack);
    assert_eq!(delta.series(), 1, "what is gone for good is forgotten");
}

#[test]
fn clock_set_back_neither_repeats_nor_reverses_an_interval() {
    let mut delta = Delta::opened_at(OPENED);
    let ack = Fate::Acknowledged;
    export(&mut delta, sum(vec![point("a", t(5000), t(5001), 5.0)]), ack);
    for (seconds, value) in [(10, 6.0), (11, 8.0)] {
        let back = export(&mut delta, sum(vec![point("a", t(5000), t(seconds), value)]), ack);
        let (_, start, end, added) = &back[0];
        assert!(start < end && *end == t(seconds), "{back:?}");
        assert!((added - if seconds == 10 { 1.0 } else { 2.0 }).abs() < 0.1, "{back:?}");
    }
}

#[test]
fn renamed_actions_are_not_pushed_again() {
    let of = |time, pairs: &[(&str, f64)]| {
        sum(pairs.iter().map(|(action, value)| point(action, t(0), time, *value)).collect())
    };
    let before: &[(&str, f64)] = &[("DUPLICATE", 1000.0), ("BACKUP", 500.0)];
    let duplicates = [("DUPLICATE", 1001.0), ("BACKUP", 500.0)];
    let backups = [("DUPLICATE", 1000.0), ("BACKUP", 501.0)];
    let cases: [(&[(&str, f64)], _); 4] = [
        (&[("DUPLICATION", 1001.0), ("BACKUP", 500.0)], duplicates),
        (&[("BACKUP", 1501.0)], backups),
        (&[("DUPLICATE", 501.0), ("BACKUP", 1000.0)], backups),
        (&[("x", 1000.0), ("y", 501.0)], backups),
    ];
    for restart in [false, true] {
        for (after, again) in cases {
            let mut delta = Delta::opened_at(OPENED);
            export(&mut delta, of(t(1), before), Fate::Acknowledged);
            if restart {
                delta = restarted(&delta);
            }
            let told = export(&mut delta, of(t(2), after), Fate::Acknowledged);
            let added: f64 = told.iter().map(|(.., value)| value).sum();
            assert!((added - 1.0).abs() < 0.1, "{after:?}: {told:?}");
            // And back again: two names that were one.
            let told = export(&mut delta, of(t(3), &again), Fate::Acknowledged);
            let added: f64 = told.iter().map(|(.., value)| value).sum();
            assert!(added < 0.1, "{after:?}: {told:?}");
        }
    }
}

#[test]
fn renamed_histogram_keeps_what_was_told_bucket_by_bucket() {
    let mut delta = Delta::opened_at(OPENED);
    export(&mut delta, histogram("A", (t(0), t(1)), &[1, 2, 3], 10.0), Fate::Acknowledged);
    let renamed = histogram("B", (t(0), t(2)), &[1, 4, 4], 15.5);
    let converted = delta.convert(vec![renamed], Temporality::Delta, false);
    let Some(Data::Histogram(found)) = &converted.increments.metrics[0].data else {
        panic!("not a histogram")
    };
    assert_eq!(found.data_points[0].bucket_counts, [0, 2, 1]);
}

#[test]
fn series_that_is_cut_takes_nothing_from_those_that_stay() {
    let mut delta = Delta::opened_at(OPENED);
    let ack = Fate::Acknowledged;
    let both = |time, a, b| sum(vec![point("a", t(0), time, a), point("b", t(0), time, b)]);
    export(&mut delta, both(t(1), 5.0, 50.0), ack);
    let cut = export(&mut delta, sum(vec![point("a", t(0), t(2), 8.0)]), ack);
    assert_eq!(cut, [said("a", t(1), t(2), 3.0)]);
    let back = export(&mut delta, both(t(3), 8.0, 51.0), ack);
    assert_eq!(back[0], said("b", t(1), t(3), 1.0));
}

#[test]
fn totals_pushed_between_two_increments_are_not_repeated() {
    let mut delta = Delta::opened_at(OPENED);
    let at = |time, value| sum(vec![point("a", t(0), time, value)]);
    export(&mut delta, at(t(1), 5.0), Fate::Acknowledged);
    let mut converted = delta.convert(vec![at(t(2), 9.0)], Temporality::Cumulative, false);
    assert_eq!(points(&converted.others.metrics), [said("a", t(0), t(2), 9.0)]);
    let changes = taken(&mut converted.others, 0..1);
    delta.commit(changes);
    let next = export(&mut delta, at(t(3), 10.0), Fate::Acknowledged);
    assert_eq!(next, [said("a", t(2), t(3), 1.0)]);
}

#[test]
fn increments_after_totals_begin_at_the_change() {
    let mut delta = Delta::opened_at(OPENED);
    let at = |time, value| sum(vec![point("a", t(0), time, value)]);
    delta.convert(vec![at(t(2), 9.0)], Temporality::Cumulative, false);
    assert!(delta.groups.is_empty(), "nothing is remembered that nobody asks for");
    delta.told_totals(t(2));
    assert_eq!(export(&mut delta, at(t(3), 10.0), Fate::Acknowledged), []);
    let next = export(&mut delta, at(t(4), 12.0), Fate::Acknowledged);
    assert_eq!(next, [said("a", t(3), t(4), 2.0)]);
}

#[test]
fn increments_wait_for_what_they_count_from() {
    let mut delta = Delta::opened_at(OPENED);
    let gauge = metric("g", Data::Gauge(Gauge { data_points: vec![point("", 0, t(1), 1.0)] }));
    let both = vec![sum(vec![point("a", t(0), t(1), 5.0)]), gauge.clone()];
    let held = delta.convert(both, Temporality::Delta, true);
    assert!(held.increments.metrics.is_empty());
    assert_eq!(held.others.metrics, [gauge]);
    assert!(delta.groups.is_empty());
}

#[test]
fn histograms_are_incremental_bucket_by_bucket() {
    for temporality in [Temporality::Delta, Temporality::LowMemory] {
        let mut delta = Delta::opened_at(OPENED);
        let first = histogram("a", (t(0), t(1)), &[1, 2, 3], 10.0);
        let converted = delta.convert(vec![first], temporality, false);
        send(&mut delta, converted);
        delta.settle(HashMap::from([(0, Fate::Acknowledged)]), 0);
        let second = histogram("a", (t(0), t(2)), &[1, 4, 4], 15.5);
        let converted = delta.convert(vec![second], temporality, false);
        let Some(Data::Histogram(found)) = &converted.increments.metrics[0].data else {
            panic!("not a histogram")
        };
        let point = &found.data_points[0];
        assert_eq!(found.aggregation_temporality, AggregationTemporality::Delta as i32);
        assert_eq!(point.bucket_counts, [0, 2, 1]);
        assert_eq!((point.count, point.sum, point.max), (3, Some(5.5), None));
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (t(1), t(2)));
    }
}

#[test]
fn low_memory_leaves_counters_alone_and_cumulative_everything() {
    let mut delta = Delta::opened_at(OPENED);
    let counter = sum(vec![point("a", t(0), t(1), 5.0)]);
    let both = vec![counter.clone(), histogram("a", (t(0), t(1)), &[1, 2, 3], 10.0)];
    let converted = delta.convert(both.clone(), Temporality::Cumulative, false);
    assert_eq!(converted.others.metrics, both);
    let converted = delta.convert(vec![counter.clone()], Temporality::LowMemory, false);
    assert_eq!(converted.others.metrics, [counter]);
}

#[test]
fn attributes_are_a_set() {
    let (a, b) = (attribute("a", "1"), attribute("b", "2"));
    assert_eq!(key("m", &[a.clone(), b.clone()]), key("m", &[b, a.clone()]));
    assert_ne!(key("m", std::slice::from_ref(&a)), key("n", std::slice::from_ref(&a)));
}

/// A file of the first version: it must be read by every later build.
const GOLDEN: &str = "\
    0180a094a58d1d01156e62752e6a6f6273000b0a047369746512030a017302016280a094a58d1d80b4ff81911d\
    000000000000000000016180a094a58d1d80b4ff81911d00000000000000144001780a086e62752e746f6f6b4a\
    6c0a68110010a5d4e80000001900da3f10e9000000210600000000000000290000000000002440321801000000\
    00000000020000000000000003000000000000003a10000000000000f03f00000000000000404a0d0a06616374\
    696f6e12030a016161000000000000224010010101096e62752e746f6f6b00016180a094a58d1d80b4ff81911d\
    010100000000000024400301020302000000000000f03f0000000000000040";

#[test]
fn file_of_the_first_version_is_read() {
    let mut delta = Delta::opened_at(OPENED);
    let both = sum(vec![point("a", t(0), t(1), 5.0), point("b", t(0), t(1), 0.0)]);
    export(&mut delta, both, Fate::Acknowledged);
    let took = histogram("a", (t(0), t(1)), &[1, 2, 3], 10.0);
    export(&mut delta, took, Fate::Unknown { answered: false });
    let hex: Vec<String> =
        delta.encode().unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    assert_eq!(hex, GOLDEN, "another format needs another version");
    let bytes: Vec<u8> = (0..GOLDEN.len() / 2)
        .map(|place| u8::from_str_radix(&GOLDEN[2 * place..2 * place + 2], 16).unwrap())
        .collect();
    let read = Delta::decode(&bytes).unwrap();
    assert_eq!(read.groups, delta.groups);
    assert_eq!(read.outbox.len(), 1);
    assert_eq!(read.outbox[0].changes, delta.outbox[0].changes);
    assert_eq!(read.outbox[0].body, delta.outbox[0].body);
    assert!(read.outbox[0].in_doubt);
    assert_eq!(read.opened, OPENED);
}

#[test]
fn file_that_is_cut_or_from_the_future_is_refused() {
    let delta = Delta::opened_at(OPENED);
    let bytes = delta.encode().unwrap();
    for length in 0..bytes.len() {
        assert!(Delta::decode(&bytes[..length]).is_err(), "{length}");
    }
    let mut later = bytes;
    later[0] = VERSION_OF_LATER;
    assert!(Delta::decode(&later).unwrap_err().to_string().contains("later version"));
}

const VERSION_OF_LATER: u8 = 200;
