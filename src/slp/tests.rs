//! The fold, the bounds of what is kept, and the format on disk.

use std::collections::BTreeMap;

use super::sizes::{MAX_SIZES, Sizes};
use super::*;
use crate::metric::{Samples, Value};

const HOUR: i64 = 3600;
const NOW: i64 = 1_000_000 * 1000;

fn image<'r>(id: &str, slp: &'r str, state: &'r str, copies: &[(&'r str, &'r str)]) -> Image<'r> {
    let copies = copies.iter();
    let copies = copies.map(|(operation, state)| Copy {
        operation,
        state,
        retrying: *state == "IN_PROCESS",
    });
    Image {
        id: ImageId::of(id),
        slp,
        state,
        backup_time: Some(NOW - 5000),
        expiration: None,
        origin: None,
        has_import_time: false,
        copies: copies.collect(),
    }
}

/// Returns the values by name and labels, as they are printed.
fn shown(samples: Samples) -> BTreeMap<String, String> {
    let (families, duplicates) = samples.finish();
    assert_eq!(duplicates, 0);
    let points = families.iter().flat_map(|family| {
        family.points.iter().map(|point| {
            let name = family.definition.prometheus_name();
            let Value::Number(value) = &point.value else { panic!("{name}") };
            (format!("{name} {}", point.attributes.join(" ")), value.to_string())
        })
    });
    points.collect()
}

fn round(images: &[Image<'_>]) -> Round {
    let mut round = Round::first();
    for image in images {
        round.add(image);
    }
    round
}

#[test]
fn image_that_moves_between_lists_counts_as_seen_last() {
    let first = image("a", "s", "NOT_STARTED", &[("DUPLICATE", "NOT_STARTED")]);
    let then = image("a", "s", "IN_PROCESS", &[("DUPLICATE", "IN_PROCESS")]);
    let shown = shown(samples(&round(&[first, then]), &Sizes::default(), NOW));
    assert_eq!(shown["nbu_slp_backlog_copies s DUPLICATE IN_PROCESS"], "1");
    assert!(!shown.contains_key("nbu_slp_backlog_copies s DUPLICATE NOT_STARTED"));
    assert_eq!(shown["nbu_slp_incomplete_images s"], "1");
    assert_eq!(shown["nbu_slp_retrying_copies s DUPLICATE"], "1");
}

#[test]
fn copy_that_is_done_or_deferred_is_no_backlog() {
    let copies = [
        ("BACKUP", "COPYCOMPLETE"),
        ("DUPLICATE", "DEFERRED"),
        ("IMPORT", "IMPORTS_DONE"),
        ("REPLICATION", "CANCELLED"),
        ("DUPLICATE", "JOBCOMPLETE"),
        ("DUPLICATE", "NOT_MANAGED"),
    ];
    let mut sizes = Sizes::default();
    sizes.note(ImageId::of("a"), 2, 0);
    let shown = shown(samples(&round(&[image("a", "s", "IN_PROCESS", &copies)]), &sizes, NOW));
    assert_eq!(
        shown.into_iter().collect::<Vec<_>>(),
        [
            ("nbu_slp_deferred_bytes s DUPLICATE".to_owned(), "2048".to_owned()),
            ("nbu_slp_deferred_copies s DUPLICATE".to_owned(), "1".to_owned()),
            ("nbu_slp_expired_incomplete_images s".to_owned(), "0".to_owned()),
            ("nbu_slp_incomplete_images s".to_owned(), "1".to_owned()),
        ]
    );
}

#[test]
fn image_without_copies_that_wait_is_unplanned() {
    let image = image("a", "s", "NOT_STARTED", &[("BACKUP", "COPYCOMPLETE")]);
    let shown = shown(samples(&round(&[image]), &Sizes::default(), NOW));
    assert_eq!(shown["nbu_slp_backlog_copies s UNPLANNED NOT_STARTED"], "1");
    assert_eq!(shown["nbu_slp_backlog_oldest_age_seconds s UNPLANNED NOT_STARTED"], "5");
    assert_eq!(shown["nbu_slp_backlog_sized_ratio s"], "0");
    assert!(!shown.keys().any(|name| name.contains("bytes")), "no size is known");
}

#[test]
fn slp_without_images_stays_at_zero() {
    let first = round(&[image("a", "s", "NOT_STARTED", &[])]);
    let mut next = first.next();
    next.add(&image("b", "t", "NOT_STARTED", &[]));
    let shown = shown(samples(&next, &Sizes::default(), NOW));
    assert_eq!(shown["nbu_slp_incomplete_images s"], "0");
    assert_eq!(shown["nbu_slp_incomplete_images t"], "1");
    assert!(!shown.contains_key("nbu_slp_backlog_sized_ratio s"));
}

#[test]
fn server_that_makes_up_names_makes_few_series() {
    let mut round = Round::first();
    for number in 0..30_000 {
        let (slp, word) = (format!("slp-{}", number % 2_000), format!("WORD-{number}"));
        round.add(&image(&number.to_string(), &slp, "NOT_STARTED", &[(&word, &word)]));
    }
    let shown = shown(samples(&round, &Sizes::default(), NOW));
    let copies = |name: &str| name.starts_with("nbu_slp_backlog_copies ");
    let found: Vec<_> = shown.iter().filter(|(name, _)| copies(name)).collect();
    assert!(found.len() <= 10_000, "{}", found.len());
    let all: u32 = found.iter().map(|(_, count)| count.parse::<u32>().unwrap()).sum();
    assert_eq!(all, 30_000, "none is lost");
    let slps = shown.keys().filter(|name| name.starts_with("nbu_slp_incomplete_images ")).count();
    assert_eq!(slps, 501);
}

#[test]
fn size_waits_for_its_image_and_goes_with_it() {
    let mut sizes = Sizes::default();
    let id = ImageId::of;
    for name in ["seen", "other"] {
        sizes.note(id(name), 3, 0);
    }
    let pending = round(&[image("seen", "s", "NOT_STARTED", &[])]);
    sizes.settle(&pending, 30 * HOUR);
    assert_eq!((sizes.bytes(id("seen")), sizes.bytes(id("other"))), (Some(3072), Some(3072)));
    sizes.settle(&pending, 40 * HOUR);
    assert_eq!((sizes.bytes(id("seen")), sizes.bytes(id("other"))), (Some(3072), None));
    sizes.settle(&pending.next(), 40 * HOUR);
    assert_eq!(sizes.len(), 0, "it is complete");
}

#[test]
fn sizes_beyond_the_limit_drop_those_that_wait_longest() {
    let mut sizes = Sizes::default();
    let pending = round(&[image("pending", "s", "NOT_STARTED", &[])]);
    sizes.note(ImageId::of("pending"), 1, 0);
    sizes.settle(&pending, 0);
    let count = i64::try_from(MAX_SIZES).unwrap();
    for number in 0..count + 10 {
        sizes.note(ImageId::of(&number.to_string()), 1, number);
    }
    assert!(sizes.len() <= MAX_SIZES);
    let known = |name: i64| sizes.bytes(ImageId::of(&name.to_string())).is_some();
    assert!(known(count + 9) && known(count - 1) && !known(0));
    assert!(sizes.bytes(ImageId::of("pending")).is_some(), "it does not wait");
}

#[test]
fn image_that_is_missing_is_wanted_three_times() {
    let mut sizes = Sizes::default();
    let id = ImageId::of("a");
    for _ in 0..3 {
        assert!(sizes.is_wanted(id));
        sizes.note_missing(id, 0);
    }
    assert!(!sizes.is_wanted(id));
    assert_eq!(sizes.bytes(id), None);
    sizes.note(id, 5, 0);
    sizes.note_missing(id, 0);
    assert_eq!(sizes.bytes(id), Some(5120), "a job told it after all");
}

#[test]
fn saved_sizes_are_read_again_unless_newer_ones_are_known() {
    let mut sizes = Sizes::default();
    let (a, b, c) = (ImageId::of("a"), ImageId::of("b"), ImageId::of("c"));
    sizes.note(a, 5, 7);
    sizes.note_missing(b, 8);
    assert!(sizes.take_changed() && !sizes.take_changed());
    let seat = Seat::take_at(&Exchange::default(), "paris");
    let bytes = to_bytes(&sizes, &seat).unwrap();
    let mut next = Sizes::default();
    next.note(a, 6, 9);
    next.note(c, 1, 9);
    from_bytes(&bytes, &mut next, &seat).unwrap();
    assert_eq!((next.bytes(a), next.bytes(b), next.bytes(c)), (Some(6144), None, Some(1024)));
    assert_eq!(next.entries[&b], sizes.entries[&b]);
    for cut in 0..bytes.len() {
        assert!(from_bytes(&bytes[..cut], &mut Sizes::default(), &seat).is_err(), "{cut}");
    }
}

#[test]
fn format_on_disk_is_the_same_as_ever() {
    let mut sizes = Sizes::default();
    sizes.note(ImageId::of("client_1700000000"), 300, 1_700_000_000);
    // Version, one size; its id, kilobytes, tries, time, not pending; nothing replicated.
    let expected = [
        1, 1, 153, 202, 180, 164, 143, 138, 160, 237, 222, 1, 1, 172, 2, 0, 128, 196, 159, 213, 12,
        0, 0,
    ];
    let seat = Seat::take_at(&Exchange::default(), "paris");
    assert_eq!(to_bytes(&sizes, &seat).unwrap(), expected);
}
