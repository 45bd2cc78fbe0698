//! Sites that replicate to each other, without a server.

use std::collections::{BTreeSet, HashMap};

use super::*;
use crate::slp::{Copy, Image};

const NOW: i64 = 1_800_000_000_000;

/// Makes a round with one image for each id and state of its replication.
fn sends(images: &[(&str, &str)]) -> Round {
    let mut round = Round::first();
    for (id, state) in images {
        let copies = vec![
            Copy { operation: "BACKUP", state: "COPYCOMPLETE", retrying: false },
            Copy { operation: "REPLICATE_TO_REMOTE_MASTER", state, retrying: false },
        ];
        round.add(&image(id, None, copies));
    }
    round
}

/// Makes a round with one replica for each id and state of its import.
fn receives(origin: &str, images: &[(&str, &str)]) -> Round {
    let mut round = Round::first();
    for (id, state) in images {
        let copies = vec![Copy { operation: "IMPORT", state, retrying: false }];
        round.add(&image(id, Some(origin), copies));
    }
    round
}

fn image<'r>(id: &str, origin: Option<&'r str>, copies: Vec<Copy<'r>>) -> Image<'r> {
    Image {
        id: ImageId::of(id),
        slp: "gold",
        state: "IN_PROCESS",
        backup_time: Some(NOW - 7000),
        expiration: None,
        origin,
        has_import_time: false,
        copies,
    }
}

/// Two sites, and the exchange that they share; paris replicates to tokyo.
fn sites() -> (Exchange, Seat, Seat) {
    let exchange = Exchange::default();
    let seats = (Seat::take_at(&exchange, "paris"), Seat::take_at(&exchange, "tokyo"));
    let targets = BTreeSet::from(["TOKYO.example.com".to_owned()]);
    exchange.configure("paris", HashMap::from([("gold".to_owned(), targets)]));
    (exchange, seats.0, seats.1)
}

fn read(seat: &Seat, round: &Round, server: &str) {
    seat.take(round, server, NOW);
    seat.imported(&[]);
}

fn counts(seat: &Seat) -> Option<(u64, u64, u64)> {
    let pending = seat.pending();
    let of_paris = pending.get("paris");
    of_paris.map(|found| (found.not_arrived, found.waiting, found.failed))
}

#[test]
fn replica_is_pending_until_its_import() {
    let (_exchange, paris, tokyo) = sites();
    let sent =
        [("a", "COPYCOMPLETE"), ("b", "IN_PROCESS"), ("c", "CANCELLED"), ("d", "IMPORT_FAILED")];
    read(&paris, &sends(&sent), "Paris.example.com");
    read(&tokyo, &Round::first(), "tokyo.example.com");
    assert_eq!(counts(&tokyo), None, "nothing is published yet");
    paris.know();
    assert_eq!(counts(&tokyo), Some((2, 0, 0)));
    assert_eq!(counts(&paris), None, "tokyo does not replicate to it");
    let arrived = [("a", "IMPORT_PENDING"), ("d", "IMPORT_FAILED")];
    read(&tokyo, &receives("paris.EXAMPLE.com", &arrived), "tokyo.example.com");
    assert_eq!(counts(&tokyo), Some((0, 1, 1)));
    read(&tokyo, &receives("paris.example.com", &[("a", "COPYCOMPLETE")]), "tokyo.example.com");
    assert_eq!(counts(&tokyo), Some((1, 0, 0)), "d is gone from here");
    tokyo.imported(&[(ImageId::of("d"), "paris.example.com".to_owned())]);
    assert_eq!(counts(&tokyo), Some((0, 0, 0)));
}

#[test]
fn image_that_left_the_backlog_is_verified_or_dropped() {
    let (_exchange, paris, tokyo) = sites();
    let waits = [("a", "NOT_STARTED"), ("b", "NOT_STARTED"), ("c", "NOT_STARTED")];
    read(&paris, &sends(&waits), "paris.example.com");
    read(&tokyo, &receives("paris.example.com", &[("c", "IMPORT_PENDING")]), "tokyo.example.com");
    read(&paris, &sends(&[]), "paris.example.com");
    let ids = |names: &[&str]| names.iter().map(|name| ImageId::of(name)).collect::<BTreeSet<_>>();
    let unverified: BTreeSet<_> = paris.unverified().into_keys().collect();
    assert_eq!(unverified, ids(&["a", "b"]), "c is at tokyo");
    paris.verify(ImageId::of("a"), true);
    paris.verify(ImageId::of("b"), false);
    assert!(paris.unverified().is_empty());
    paris.know();
    assert_eq!(counts(&tokyo), Some((1, 1, 0)));
    assert_eq!(tokyo.unseen().into_keys().collect::<BTreeSet<_>>(), ids(&["a"]));
}

#[test]
fn replica_of_another_origin_is_no_proof() {
    let (_exchange, paris, tokyo) = sites();
    read(&paris, &sends(&[("a", "COPYCOMPLETE")]), "paris.example.com");
    paris.know();
    read(&tokyo, &receives("oslo.example.com", &[("a", "COPYCOMPLETE")]), "tokyo.example.com");
    assert_eq!(counts(&tokyo), Some((1, 0, 0)));
}

#[test]
fn target_is_learned_where_none_is_configured() {
    let (exchange, paris, tokyo) = sites();
    exchange.configure("paris", HashMap::new());
    let sent = [("a", "COPYCOMPLETE"), ("b", "COPYCOMPLETE")];
    read(&paris, &sends(&sent), "paris.example.com");
    paris.know();
    read(&tokyo, &Round::first(), "tokyo.example.com");
    assert_eq!(counts(&tokyo), None, "where it goes to is not known");
    read(&tokyo, &receives("paris.example.com", &[("a", "IMPORT_PENDING")]), "tokyo.example.com");
    read(&paris, &sends(&sent), "paris.example.com");
    paris.know();
    assert_eq!(counts(&tokyo), Some((1, 1, 0)));
}

#[test]
fn site_that_fails_or_leaves_is_no_side() {
    let (_exchange, paris, tokyo) = sites();
    read(&paris, &sends(&[("a", "COPYCOMPLETE")]), "paris.example.com");
    paris.know();
    read(&tokyo, &Round::first(), "tokyo.example.com");
    assert_eq!(counts(&tokyo), Some((1, 0, 0)));
    paris.lose();
    assert_eq!(counts(&tokyo), None);
    paris.know();
    assert_eq!(counts(&tokyo), Some((1, 0, 0)));
    drop(paris);
    assert_eq!(counts(&tokyo), None);
}

#[test]
fn image_that_was_imported_everywhere_is_forgotten_when_complete() {
    let (_exchange, paris, tokyo) = sites();
    let sent = [("a", "COPYCOMPLETE")];
    read(&paris, &sends(&sent), "paris.example.com");
    paris.know();
    read(&tokyo, &receives("paris.example.com", &[("a", "COPYCOMPLETE")]), "tokyo.example.com");
    read(&paris, &sends(&sent), "paris.example.com");
    assert_eq!(paris.saved().len(), 1, "another copy of it waits");
    read(&paris, &sends(&[]), "paris.example.com");
    assert_eq!(paris.saved().len(), 0);
    // What never arrives is given up.
    read(&paris, &sends(&[("b", "COPYCOMPLETE")]), "paris.example.com");
    paris.take(&sends(&[]), "paris.example.com", NOW + GIVEN_UP);
    assert_eq!(paris.saved().len(), 0);
}
