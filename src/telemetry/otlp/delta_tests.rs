//! What is acknowledged adds up to the totals, whatever fails in between.

use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Histogram, Sum};
use proptest::prelude::*;

use super::*;

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;
const SECOND: u64 = 1_000_000_000;
/// The process began here; origins are after it unless a test says so.
const OPENED: u64 = 1_000 * SECOND;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(any_value::Value::StringValue(value.to_owned()));
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }
}

fn point(label: &str, origin: u64, time: u64, value: f64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![attribute("label", label)],
        start_time_unix_nano: origin,
        time_unix_nano: time,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn metric(data: Data) -> Metric {
    Metric { name: "nbu.jobs".to_owned(), data: Some(data), ..Metric::default() }
}

fn sum(data_points: Vec<NumberDataPoint>) -> Metric {
    metric(Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true }))
}

fn histogram(time: u64, counts: &[u64], total: f64) -> Metric {
    let point = HistogramDataPoint {
        start_time_unix_nano: OPENED,
        time_unix_nano: time,
        count: counts.iter().sum(),
        sum: Some(total),
        bucket_counts: counts.to_vec(),
        explicit_bounds: vec![1.0, 2.0],
        max: Some(9.0),
        ..HistogramDataPoint::default()
    };
    let data_points = vec![point];
    metric(Data::Histogram(Histogram { data_points, aggregation_temporality: CUMULATIVE }))
}

fn points(metrics: &[Metric]) -> Vec<(u64, u64, f64)> {
    let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("not a sum") };
    sum.data_points
        .iter()
        .map(|point| match point.value {
            Some(Value::AsDouble(value)) => {
                (point.start_time_unix_nano, point.time_unix_nano, value)
            }
            other => panic!("not a double: {other:?}"),
        })
        .collect()
}

/// Converts one snapshot of sums, and acknowledges all of it if `acknowledged`.
fn export(ledger: &mut Ledger, snapshot: Metric, acknowledged: bool) -> Vec<(u64, u64, f64)> {
    let mut metrics = vec![snapshot];
    let mut pending = ledger.convert(&mut metrics, Temporality::Delta);
    let all = points(&metrics);
    if acknowledged {
        ledger.commit(&mut pending, 0..all.len());
    }
    all
}

#[test]
fn an_increment_covers_what_was_not_acknowledged() {
    let mut ledger = Ledger::opened_at(OPENED);
    let origin = OPENED + 1;
    let at = |time, value| sum(vec![point("a", origin, time, value)]);
    let (t1, t2, t3) = (OPENED + SECOND, OPENED + 2 * SECOND, OPENED + 3 * SECOND);
    assert_eq!(export(&mut ledger, at(t1, 5.0), true), [(origin, t1, 5.0)]);
    assert_eq!(export(&mut ledger, at(t2, 7.0), false), [(t1, t2, 2.0)]);
    assert_eq!(export(&mut ledger, at(t3, 8.0), true), [(t1, t3, 3.0)]);
    assert_eq!(export(&mut ledger, at(t3 + 1, 8.0), true), [(t3, t3 + 1, 0.0)]);
}

#[test]
fn a_new_origin_and_a_fall_are_resets() {
    let mut ledger = Ledger::opened_at(OPENED);
    let t = |seconds: u64| OPENED + seconds * SECOND;
    export(&mut ledger, sum(vec![point("a", t(1), t(2), 100.0)]), true);
    let anew = export(&mut ledger, sum(vec![point("a", t(3), t(4), 120.0)]), true);
    assert_eq!(anew, [(t(3), t(4), 120.0)], "a new origin counts from there");
    let fell = export(&mut ledger, sum(vec![point("a", t(3), t(5), 4.0)]), true);
    assert_eq!(fell, [(t(4), t(5), 4.0)], "intervals never overlap");
}

#[test]
fn a_restored_total_is_where_counting_goes_on() {
    let mut ledger = Ledger::opened_at(OPENED);
    let old = OPENED - 1_000 * SECOND;
    let t = |seconds: u64| OPENED + seconds * SECOND;
    let first = export(&mut ledger, sum(vec![point("a", old, t(1), 1e6)]), true);
    assert_eq!(first, [], "the process before this one has reported it");
    let both = sum(vec![point("a", old, t(2), 1e6 + 3.0), point("b", old, t(2), 1.0)]);
    assert_eq!(export(&mut ledger, both, true), [(t(1), t(2), 3.0), (old, t(2), 1.0)]);
}

#[test]
fn a_series_that_went_stale_comes_back_without_counting_twice() {
    let mut ledger = Ledger::opened_at(OPENED);
    let t = |seconds: u64| OPENED + seconds * SECOND;
    let other = |seconds| point("b", t(0), t(seconds), 1.0);
    export(&mut ledger, sum(vec![point("a", t(0), t(1), 5.0), other(1)]), true);
    export(&mut ledger, sum(vec![other(60)]), true);
    let back = export(&mut ledger, sum(vec![point("a", t(0), t(120), 6.0), other(120)]), true);
    assert_eq!(back[0], (t(1), t(120), 1.0));
    export(&mut ledger, sum(vec![other(4_000)]), true);
    assert_eq!(ledger.len(), 1, "what is gone for good is forgotten");
}

#[test]
fn a_part_that_failed_stays_where_it_was() {
    let mut ledger = Ledger::opened_at(OPENED);
    let t = |seconds: u64| OPENED + seconds * SECOND;
    let at = |seconds, value| {
        let label = |label| point(label, t(0), t(seconds), value);
        let gauge = Gauge { data_points: vec![label("g")] };
        vec![sum(vec![label("a"), label("b"), label("c")]), metric(Data::Gauge(gauge))]
    };
    let mut first = at(1, 5.0);
    let mut pending = ledger.convert(&mut first, Temporality::Delta);
    pending.forget(&[1]);
    ledger.commit(&mut pending, 0..2);
    let mut second = at(2, 9.0);
    ledger.convert(&mut second, Temporality::Delta);
    let values: Vec<f64> = points(&second).iter().map(|(_, _, value)| *value).collect();
    assert_eq!(values, [4.0, 9.0, 9.0], "acknowledged, dropped, failed");
    assert_eq!(second[1], at(2, 9.0)[1], "a gauge passes");
}

#[test]
fn histograms_are_incremental_bucket_by_bucket() {
    for temporality in [Temporality::Delta, Temporality::LowMemory] {
        let mut ledger = Ledger::opened_at(OPENED);
        let mut first = vec![histogram(OPENED + 1, &[1, 2, 3], 10.0)];
        let mut pending = ledger.convert(&mut first, temporality);
        ledger.commit(&mut pending, 0..1);
        let mut second = vec![histogram(OPENED + 2, &[1, 4, 4], 15.5)];
        ledger.convert(&mut second, temporality);
        let Some(Data::Histogram(found)) = &second[0].data else { panic!("not a histogram") };
        let point = &found.data_points[0];
        assert_eq!(found.aggregation_temporality, AggregationTemporality::Delta as i32);
        assert_eq!(point.bucket_counts, [0, 2, 1]);
        assert_eq!((point.count, point.sum, point.max), (3, Some(5.5), None));
        assert_eq!(point.start_time_unix_nano, OPENED + 1);
    }
}

#[test]
fn low_memory_leaves_counters_alone_and_cumulative_everything() {
    let mut ledger = Ledger::opened_at(OPENED);
    let counter = sum(vec![point("a", OPENED, OPENED + 1, 5.0)]);
    let mut metrics = vec![counter.clone()];
    ledger.convert(&mut metrics, Temporality::LowMemory);
    assert_eq!(metrics[0], counter);
    let both = vec![counter, histogram(OPENED + 1, &[1, 2, 3], 10.0)];
    let mut metrics = both.clone();
    ledger.convert(&mut metrics, Temporality::Cumulative);
    assert_eq!(metrics, both);
    assert!(ledger.is_empty());
}

#[test]
fn attributes_are_a_set() {
    let (a, b) = (attribute("a", "1"), attribute("b", "2"));
    assert_eq!(key("m", &[a.clone(), b.clone()]), key("m", &[b, a.clone()]));
    assert_ne!(key("m", std::slice::from_ref(&a)), key("n", std::slice::from_ref(&a)));
}

/// What one export does: how much each series gains, and whether its request is acknowledged.
type Step = [(u32, bool, bool); 3];

proptest! {
    #[test]
    fn what_is_acknowledged_adds_up_to_the_totals(
        steps in prop::collection::vec(prop::array::uniform3((0u32..1000, any::<bool>(), any::<bool>())), 1..30)
    ) {
        let mut ledger = Ledger::opened_at(OPENED);
        let mut totals = [0.0; 3];
        let mut received = [0.0; 3];
        let mut ends = [OPENED; 3];
        for (round, step) in (1u64..).zip(steps.iter().chain([&all_acknowledged()])) {
            let time = OPENED + round * SECOND;
            for (total, (gain, ..)) in totals.iter_mut().zip(step) {
                *total += f64::from(*gain);
            }
            // A series may be missing from a snapshot; the last round has all of them.
            let present: Vec<usize> = (0..3).filter(|series| step[*series].2).collect();
            let snapshot = present
                .iter()
                .map(|series| point(&series.to_string(), OPENED, time, totals[*series]))
                .collect();
            let mut metrics = vec![sum(snapshot)];
            let mut pending = ledger.convert(&mut metrics, Temporality::Delta);
            for (place, (start, end, value)) in points(&metrics).into_iter().enumerate() {
                let series = present[place];
                prop_assert_eq!(start, ends[series]);
                if step[series].1 {
                    ledger.commit(&mut pending, place..place + 1);
                    received[series] += value;
                    ends[series] = end;
                }
            }
        }
        // Whole numbers, so there is nothing to round.
        prop_assert!(received.iter().zip(totals).all(|(got, total)| (got - total).abs() < 0.5));
    }
}

fn all_acknowledged() -> Step {
    [(1, true, true); 3]
}
