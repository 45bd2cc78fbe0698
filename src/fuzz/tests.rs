//! The targets on the corpus and on mutations of it, for as long as `NBU_FUZZ_SECONDS` says each. This is what runs
//! where there is no libFuzzer.

#![allow(clippy::print_stderr, reason = "it says how many inputs there were")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::corpus::corpus;
use super::mutation::mutated;
use super::{TARGETS, Target};

/// The time for each target by default.
const BUDGET: Duration = Duration::from_millis(400);

/// The longest time for one input, on a loaded machine.
const INPUT_TIMEOUT: Duration = Duration::from_secs(20);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn budget() -> Duration {
    let seconds = std::env::var("NBU_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    seconds.map_or(BUDGET, Duration::from_secs)
}

/// Runs a target on its corpus and then on mutations until the time is over. Returns how many inputs there were.
fn run(target: &'static Target, seeds: &[Vec<u8>], budget: Duration) -> usize {
    let (inputs, work) = mpsc::channel::<Vec<u8>>();
    let (done, answers) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        while let Ok(input) = work.recv()
            && done.send(catch_unwind(AssertUnwindSafe(|| (target.run)(&input)))).is_ok()
        {}
    });
    let (started, mut random, mut count) = (Instant::now(), fastrand::Rng::with_seed(7), 0);
    let mut next = |count: usize| {
        if let Some(seed) = seeds.get(count) {
            return Some(seed.clone());
        }
        // One at least, however slow the machine is.
        let goes_on = count == seeds.len() || started.elapsed() < budget;
        goes_on.then(|| mutated(seeds, &mut random))
    };
    while let Some(input) = next(count) {
        let told =
            || format!("target {}, input (base64): {}", target.name, STANDARD.encode(&input));
        inputs.send(input.clone()).expect("the worker runs");
        match answers.recv_timeout(INPUT_TIMEOUT) {
            Ok(Ok(())) => count += 1,
            Ok(Err(panic)) => {
                eprintln!("{}", told());
                resume_unwind(panic);
            }
            Err(RecvTimeoutError::Timeout) => panic!("no end after {INPUT_TIMEOUT:?}: {}", told()),
            Err(RecvTimeoutError::Disconnected) => panic!("the worker is gone: {}", told()),
        }
    }
    drop(inputs);
    worker.join().expect("the worker ends");
    count
}

#[test]
fn targets_keep_their_promises_on_mutations_of_the_corpus() {
    let only = std::env::var("NBU_FUZZ_TARGET").ok().filter(|name| !name.is_empty());
    let budget = budget();
    let wanted = |target: &&Target| only.as_ref().is_none_or(|only| only == target.name);
    let mut counts = Vec::new();
    for target in TARGETS.iter().filter(wanted) {
        let seeds = &corpus()[target.name];
        let count = run(target, seeds, budget);
        assert!(count > seeds.len(), "{}: no time for mutations", target.name);
        counts.push(format!(
            "{}: {} inputs, {} of them the corpus",
            target.name,
            count,
            seeds.len()
        ));
    }
    assert!(!counts.is_empty(), "no target {only:?}");
    eprintln!("{}", counts.join("\n"));
}

#[test]
fn every_target_has_a_corpus_and_a_binary() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("the package");
    let named: Vec<&str> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(named, TARGETS.each_ref().map(|target| target.name));
    for target in &TARGETS {
        assert!(!corpus()[target.name].is_empty(), "{}", target.name);
        assert!(folder().join("fuzz_targets").join(format!("{}.rs", target.name)).exists());
    }
}

#[test]
#[ignore = "writes files: the corpus for libFuzzer, into fuzz/corpus"]
fn corpus_is_written() {
    for target in &TARGETS {
        let folder = folder().join("corpus").join(target.name);
        fs::create_dir_all(&folder).expect("a directory");
        for (number, seed) in corpus()[target.name].iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), seed).expect("a file");
        }
    }
}
