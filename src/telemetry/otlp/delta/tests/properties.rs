//! Random lives: kills at any point of a push, outages, lost answers, disks that fail, reloads, renames. Each (series,
//! start, end) counts once at the receiver, and all of them together are what was counted.

use super::*;

/// Treatment of the requests of one push.
#[derive(Debug, Clone, Copy)]
enum Network {
    Works,
    /// Nothing gets through.
    Down,
    /// Loss of the answers: what is sent arrives, and no answer comes back.
    Deaf,
    /// Nothing arrives, and no answer comes back.
    Hole,
}

/// Point at which the process is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kill {
    Never,
    BeforeSaving,
    AfterSaving,
    /// Requests have arrived, answers have not.
    Amid,
    /// Answers have arrived, and are not saved.
    BeforeTheLastSave,
}

#[derive(Debug, Clone)]
struct Step {
    gains: [u32; 3],
    /// The site is not shown for want of answers.
    stale: bool,
    /// The names of the actions: two sets, and one that makes a single name of two.
    names: u8,
    cumulative: bool,
    network: Network,
    kill: Kill,
}

const NAMES: [[&str; 3]; 3] = [["a", "b", "c"], ["x", "b", "y"], ["a", "a", "c"]];

/// Everything that outlives a process, and the receiver.
struct World {
    delta: Delta,
    disk: Option<Vec<u8>>,
    totals: [f64; 3],
    now: u64,
    process: u64,
    /// Increments by series and interval.
    received: BTreeMap<(Vec<u8>, u64, u64), f64>,
    /// Jobs of the site that were reported as totals only.
    told_as_totals: f64,
    last_total: f64,
}

const ORIGIN: u64 = OPENED + 5;

impl World {
    fn new() -> Self {
        let mut delta = Delta::opened_at(OPENED);
        delta.in_use = true;
        Self {
            disk: delta.encode(),
            delta,
            totals: [0.0; 3],
            now: t(10),
            process: OPENED,
            received: BTreeMap::new(),
            told_as_totals: 0.0,
            last_total: 0.0,
        }
    }

    fn kill(&mut self) {
        let disk = self.disk.as_deref();
        self.delta = disk.map_or_else(|| Delta::opened_at(self.now), |b| Delta::decode(b).unwrap());
        self.process = self.now;
    }

    fn snapshot(&self, step: &Step) -> Vec<Metric> {
        let mut by_name: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, total) in NAMES[usize::from(step.names)].iter().zip(self.totals) {
            *by_name.entry(name).or_default() += total;
        }
        let jobs = by_name.iter().map(|(name, total)| point(name, ORIGIN, self.now, *total));
        let mut own = sum(vec![point("", self.process, self.now, (self.now / SECOND) as f64)]);
        own.name = "own".to_owned();
        let mut metrics = vec![own];
        if !step.stale {
            metrics.push(sum(jobs.collect()));
        }
        metrics
    }

    /// A receiver that has an interval already takes it for a repetition.
    fn arrive(&mut self, body: &[u8]) {
        let metric = Metric::decode(body).unwrap();
        let Some(Data::Sum(sum)) = &metric.data else { panic!("not a sum") };
        for point in &sum.data_points {
            let (start, end) = (point.start_time_unix_nano, point.time_unix_nano);
            let Some(Value::AsDouble(value)) = point.value else { panic!("not a double") };
            let mut series = metric.name.clone().into_bytes();
            series.extend(key("", &point.attributes).1.into_bytes());
            let before = self.received.insert((series, start, end), value);
            assert!(
                before.is_none_or(|before| before.to_bits() == value.to_bits()),
                "a repetition is the same"
            );
        }
    }

    /// Sends what is in the outbox; true if the rest of the export may follow.
    fn send_outbox(&mut self, step: &Step) -> bool {
        let bodies: Vec<Bytes> = self.delta.outbox.iter().map(|r| r.body.clone()).collect();
        let mut fates = HashMap::new();
        for (place, body) in bodies.iter().enumerate() {
            let fate = match step.network {
                Network::Works => Fate::Acknowledged,
                Network::Down => Fate::Unsent,
                Network::Deaf | Network::Hole => Fate::Unknown { answered: false },
            };
            if matches!(step.network, Network::Works | Network::Deaf) {
                self.arrive(body);
            }
            fates.insert(place, fate);
        }
        if step.kill == Kill::Amid {
            self.kill();
            return false;
        }
        self.delta.settle(fates, 0);
        self.delta.outbox.is_empty()
    }

    fn push(&mut self, step: &Step) {
        if !self.send_outbox(step) {
            return;
        }
        let temporality =
            if step.cumulative { Temporality::Cumulative } else { Temporality::Delta };
        let converted = self.delta.convert(self.snapshot(step), temporality, false);
        let mut others = send(&mut self.delta, converted);
        if step.kill == Kill::BeforeSaving {
            return self.kill();
        }
        self.disk = self.delta.encode();
        if step.kill == Kill::AfterSaving {
            return self.kill();
        }
        if !self.send_outbox(step) {
            return;
        }
        if matches!(step.network, Network::Works) {
            let all = 0..others.changes.len();
            let changes = taken(&mut others, all);
            let told: f64 = points(&others.metrics).iter().map(|(.., value)| value).sum();
            if step.cumulative && told > 0.0 && !step.stale {
                let total: f64 = self.totals.iter().sum();
                self.told_as_totals += total - self.received_jobs() - self.told_as_totals;
            }
            self.delta.commit(changes);
        }
        if step.kill == Kill::BeforeTheLastSave && !step.cumulative {
            return self.kill();
        }
        self.disk = self.delta.encode();
    }

    fn received_jobs(&self) -> f64 {
        let jobs = self.received.iter().filter(|((series, ..), _)| series.starts_with(b"nbu.jobs"));
        jobs.map(|(_, value)| value).sum()
    }

    fn live(&mut self, step: &Step) {
        self.now += SECOND;
        for (total, gain) in self.totals.iter_mut().zip(step.gains) {
            *total += f64::from(gain);
        }
        self.push(step);
        self.last_total = self.totals.iter().sum();
    }
}

fn network() -> impl Strategy<Value = Network> {
    prop_oneof![
        4 => Just(Network::Works),
        1 => Just(Network::Down),
        2 => Just(Network::Deaf),
        1 => Just(Network::Hole),
    ]
}

fn kill() -> impl Strategy<Value = Kill> {
    prop_oneof![
        6 => Just(Kill::Never),
        1 => Just(Kill::BeforeSaving),
        1 => Just(Kill::AfterSaving),
        1 => Just(Kill::Amid),
        1 => Just(Kill::BeforeTheLastSave),
    ]
}

fn step(cumulative: bool) -> impl Strategy<Value = Step> {
    let gains = prop::array::uniform3(0u32..50);
    let names = prop_oneof![8 => Just(0u8), 1 => Just(1u8), 1 => Just(2u8)];
    let totals = if cumulative { prop::bool::weighted(0.2).boxed() } else { Just(false).boxed() };
    (gains, prop::bool::weighted(0.2), names, totals, network(), kill()).prop_map(
        |(gains, stale, names, cumulative, network, kill)| {
            // A total whose answer is lost has no interval by which it could be told again.
            let network = if cumulative && matches!(network, Network::Deaf) {
                Network::Down
            } else {
                network
            };
            Step { gains, stale, names, cumulative, network, kill }
        },
    )
}

fn last() -> Step {
    Step {
        gains: [1; 3],
        stale: false,
        names: 0,
        cumulative: false,
        network: Network::Works,
        kill: Kill::Never,
    }
}

proptest! {
    #[test]
    fn received_is_counted_whatever_happens(steps in prop::collection::vec(step(false), 1..40)) {
        let mut world = World::new();
        for step in steps.iter().chain([&last(), &last()]) {
            world.live(step);
        }
        let counted: f64 = world.totals.iter().sum();
        // Whole numbers, so there is nothing to round.
        prop_assert!((world.received_jobs() - counted).abs() < 0.5,
            "received {} of {counted}", world.received_jobs());
        let mut ends: BTreeMap<&[u8], u64> = BTreeMap::new();
        let mut intervals: Vec<_> = world.received.keys().collect();
        intervals.sort_by_key(|(_, start, end)| (*end, *start));
        for (series, start, end) in intervals {
            prop_assert!(start < end);
            if series.starts_with(b"own") {
                let before = ends.insert(series, *end).unwrap_or_default();
                prop_assert!(*start >= before, "intervals of a series do not overlap");
            }
        }
    }

    #[test]
    fn totals_and_increments_together_tell_everything_once(
        steps in prop::collection::vec(step(true), 1..40)
    ) {
        let mut world = World::new();
        for step in steps.iter().chain([&last(), &last()]) {
            world.live(step);
        }
        let counted: f64 = world.totals.iter().sum();
        let told = world.received_jobs() + world.told_as_totals;
        prop_assert!((told - counted).abs() < 0.5, "told {told} of {counted}");
    }
}
