//! Candidates against a Lease in memory, whose server is slow, loses answers and fails.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use super::record::{Leases, Record, RequestError, Seen, Version, Written};
use super::{Config, Election, Standing};
use crate::tenure::Moment;

/// A short one: the tests wait for it.
const DURATION: Duration = Duration::from_millis(900);

/// A shorter one, where it does not matter who leads.
const SHORT: Duration = Duration::from_millis(150);

/// Longer than any takeover.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server of a Lease.
#[derive(Debug, Default)]
struct World {
    lease: Mutex<Option<(Record, u64)>>,
    writes: AtomicU64,
    /// Slow, and its answers get lost.
    is_odd: AtomicBool,
}

/// The way of one candidate to it.
#[derive(Debug, Clone)]
struct Way {
    world: Arc<World>,
    is_cut: Arc<AtomicBool>,
}

impl Way {
    fn to(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world), is_cut: Arc::default() }
    }

    fn candidate(&self, name: &str) -> Election {
        self.candidate_for(name, DURATION)
    }

    fn candidate_for(&self, name: &str, duration: Duration) -> Election {
        let config = Config { lease: "test".to_owned(), namespace: None, duration };
        Election::with(&config, name.to_owned(), Box::new(self.clone()))
    }

    /// Takes its time, before or after what is asked for was done.
    async fn travel(&self) -> Result<(), RequestError> {
        let is_odd = self.world.is_odd.load(Ordering::Relaxed);
        if is_odd {
            sleep(SHORT.mul_f64(0.15 * fastrand::f64())).await;
        }
        if self.is_cut.load(Ordering::Relaxed) {
            sleep(PATIENCE).await;
        }
        if is_odd && fastrand::u8(..) < 40 {
            return Err(RequestError("lost".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Leases for Way {
    async fn read(&mut self) -> Result<Option<(Record, Version)>, RequestError> {
        self.travel().await?;
        let found = self.world.lease.lock().unwrap().clone();
        self.travel().await?;
        Ok(found.map(|(record, version)| (record, Version(version.to_string()))))
    }

    async fn write(
        &mut self,
        record: &Record,
        over: Option<&Version>,
    ) -> Result<Written, RequestError> {
        self.travel().await?;
        let written = {
            let mut lease = self.world.lease.lock().unwrap();
            let found = lease.as_ref().map(|(_, version)| Version(version.to_string()));
            if found.as_ref() == over {
                let version = self.world.writes.fetch_add(1, Ordering::Relaxed);
                *lease = Some((record.clone(), version));
                Written::Done(Version(version.to_string()))
            } else {
                Written::Overtaken
            }
        };
        self.travel().await?;
        Ok(written)
    }
}

impl World {
    fn record(&self) -> Option<Record> {
        self.lease.lock().unwrap().clone().map(|(record, _)| record)
    }
}

/// Returns the term, once the candidate leads.
async fn led(candidate: &Election) -> u64 {
    let waiting = async {
        loop {
            if let Standing::Leader(term) = candidate.office().standing {
                candidate.runs_by(Standing::Leader(term));
                return term;
            }
            candidate.changed(&[Some(Standing::Standby)]).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("it takes over")
}

/// A leader and a standby, each with its way to the server.
async fn pair(world: &Arc<World>) -> ([Way; 2], Election, Election) {
    let ways = [Way::to(world), Way::to(world)];
    let leader = ways[0].candidate("first");
    assert_eq!(led(&leader).await, 0);
    let standby = ways[1].candidate("second");
    (ways, leader, standby)
}

async fn stands_by(candidate: &Election) {
    let leads = candidate.office().standing;
    if leads != Standing::Standby {
        timeout(PATIENCE, candidate.changed(&[Some(leads)])).await.expect("it steps down");
    }
    assert_eq!(candidate.office().standing, Standing::Standby);
    assert!(candidate.office().tenure.is_over());
}

#[tokio::test]
async fn standby_takes_over_after_a_death() {
    let (_, leader, standby) = pair(&Arc::default()).await;
    sleep(DURATION * 3).await;
    assert_eq!(standby.office().standing, Standing::Standby, "the Lease is renewed");
    let died = Instant::now();
    drop(leader);
    assert_eq!(led(&standby).await, 1);
    assert!(died.elapsed() >= DURATION / 2, "nobody may be faster than the last renewal lasts");
}

#[tokio::test]
async fn standby_takes_over_at_once_from_one_that_resigns() {
    let world = Arc::default();
    let (_, leader, standby) = pair(&world).await;
    leader.resign(PATIENCE).await;
    let record = world.record().unwrap();
    assert!(record.holder.is_none() || record.transitions == Some(1), "{record:?}");
    assert_eq!(led(&standby).await, 1);
}

#[tokio::test]
async fn leader_that_is_cut_off_ends_before_another_begins() {
    let ([first, _], leader, standby) = pair(&Arc::default()).await;
    let tenure = leader.office().tenure;
    first.is_cut.store(true, Ordering::Relaxed);
    led(&standby).await;
    let taken = standby.office().tenure.ends();
    stands_by(&leader).await;
    // The second one sent its request a whole tenure before its own ends.
    let begun = taken.since(tenure.ends());
    assert!(tenure.is_over() && begun > DURATION * 4 / 5, "{begun:?}");
    assert!(leader.stats().numbers().error.is_some());
    first.is_cut.store(false, Ordering::Relaxed);
    sleep(DURATION).await;
    assert_eq!(leader.office().standing, Standing::Standby);
    assert_eq!(leader.stats().numbers().holder.as_deref(), Some("second"));
}

#[tokio::test]
async fn agent_that_abstains_leaves_the_lease_to_another() {
    let world = Arc::default();
    let (first, second) = (Way::to(&world), Way::to(&world));
    let leader = first.candidate("first");
    led(&leader).await;
    leader.abstain();
    assert!(leader.office().tenure.is_over());
    let other = second.candidate("second");
    assert_eq!(led(&other).await, 1);
    drop(other);
    assert_eq!(led(&leader).await, 2, "it stands again");
}

#[tokio::test]
async fn removed_lease_goes_on_with_a_higher_number() {
    let world: Arc<World> = Arc::default();
    let leader = Way::to(&world).candidate("first");
    led(&leader).await;
    leader.raise(7);
    let raised = async {
        while leader.office().standing != Standing::Leader(7) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, raised).await.expect("it has a later term");
    *world.lease.lock().unwrap() = None;
    sleep(DURATION * 2).await;
    assert_eq!(leader.office().standing, Standing::Leader(7), "it makes the Lease again");
    assert_eq!(world.record().unwrap().transitions, Some(7));
    drop(leader);
    assert_eq!(led(&Way::to(&world).candidate("second")).await, 8);
}

#[tokio::test]
async fn lease_that_nobody_has_had_begins_with_term_0() {
    let world: Arc<World> = Arc::default();
    let (holder, transitions, duration, acquired, renewed) = Default::default();
    let record = Record { holder, transitions, duration, acquired, renewed };
    *world.lease.lock().unwrap() = Some((record, 1000));
    assert_eq!(led(&Way::to(&world).candidate("first")).await, 0);
}

/// Three candidates, an odd server, cuts and deaths at random: whatever happens, at no moment two of them may export.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tenures_never_overlap() {
    let mut random = fastrand::Rng::new();
    let world: Arc<World> = Arc::default();
    world.is_odd.store(true, Ordering::Relaxed);
    let ways: Vec<_> = (0..3).map(|_| Way::to(&world)).collect();
    let name = |place: usize, life: u32| format!("{place}-{life}");
    let mut candidates: Vec<_> = ways
        .iter()
        .enumerate()
        .map(|(place, way)| way.candidate_for(&name(place, 0), SHORT))
        .collect();
    let mut terms = Vec::new();
    let started = Instant::now();
    for life in 1.. {
        sleep(Duration::from_millis(4)).await;
        let until = candidates.iter().map(|candidate| candidate.office().tenure.ends());
        let now = Moment::now();
        let exporting: Vec<_> = until.filter(|until| *until > now).collect();
        assert!(exporting.len() <= 1, "{exporting:?} at {now:?}");
        for candidate in &candidates {
            let standing = candidate.office().standing;
            candidate.runs_by(standing);
            terms.extend(standing.term());
        }
        assert!(terms.is_sorted(), "each term has a higher number: {terms:?}");
        if life > 600 && terms.last() > Some(&3) {
            return;
        }
        assert!(started.elapsed() < PATIENCE * 3, "some take over: {terms:?}");
        terms.dedup();
        let place = random.usize(..3);
        match random.u8(..) {
            0..8 => ways[place].is_cut.store(true, Ordering::Relaxed),
            8..18 => ways[place].is_cut.store(false, Ordering::Relaxed),
            18..20 => {
                candidates[place] = ways[place].candidate_for(&name(place, life), SHORT);
            }
            _ => {}
        }
    }
}

#[test]
fn lease_is_free_when_record_is_unchanged_for_its_duration() {
    let record = |holder: Option<&str>, renewed: u64| Record {
        holder: holder.map(str::to_owned),
        transitions: Some(3),
        duration: Some(Duration::from_secs(9)),
        acquired: None,
        renewed: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(renewed)),
    };
    let (start, least) = (Moment::now(), Duration::from_secs(5));
    let after = |seconds| start.after(Duration::from_secs(seconds));
    let mut seen = None;
    let mut wait = |record: Record, at| Seen::update(&mut seen, record, at).until_free(at, least);
    let left = Duration::from_secs;
    // The holder's time of day is of no account: a year ahead, or behind.
    assert_eq!(wait(record(Some("a"), 1_900_000_000), start), left(9));
    assert_eq!(wait(record(Some("a"), 1_900_000_000), after(5)), left(4));
    assert_eq!(wait(record(Some("a"), 5), after(6)), left(9), "it was renewed");
    assert_eq!(wait(record(Some("a"), 5), after(15)), left(0));
    assert_eq!(wait(record(None, 5), after(15)), left(0));
    assert_eq!(wait(record(Some("b"), 5), after(16)), left(9));
    for duration in [None, Some(Duration::from_secs(1))] {
        let lowered = Record { duration, ..record(Some("b"), 6) };
        assert_eq!(wait(lowered, after(16)), least, "{duration:?}");
    }
}

#[tokio::test]
async fn removed_lease_is_left_to_its_holder() {
    let world: Arc<World> = Arc::default();
    let (_, leader, standby) = pair(&world).await;
    sleep(DURATION / 2).await;
    *world.lease.lock().unwrap() = None;
    sleep(DURATION * 2).await;
    assert_eq!(leader.office().standing, Standing::Leader(0));
    assert_eq!(standby.office().standing, Standing::Standby);
}

#[tokio::test]
async fn agent_that_does_not_begin_leaves_the_lease() {
    let world: Arc<World> = Arc::default();
    let (hanging, other) =
        (Way::to(&world).candidate("first"), Way::to(&world).candidate("second"));
    let first = async {
        loop {
            for candidate in [&hanging, &other] {
                if let Standing::Leader(0) = candidate.office().standing {
                    return;
                }
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, first).await.expect("one is elected");
    let [leader, next] = match hanging.office().standing {
        Standing::Leader(_) => [&hanging, &other],
        _ => [&other, &hanging],
    };
    next.runs_by(Standing::Leader(1));
    assert_eq!(led(next).await, 1);
    assert_eq!(leader.office().standing, Standing::Standby);
    sleep(DURATION * 4).await;
    assert_eq!(next.office().standing, Standing::Leader(1), "it has begun, and goes on");
}
