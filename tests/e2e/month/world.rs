//! A small site and what happens at it in five weeks: policies, machines, storage, and three incidents. It knows
//! what happened, and nothing of the agent's rules.

use std::collections::BTreeMap;

/// 2026-06-01T00:00:00Z, a Monday.
pub const BEGIN: i64 = 1_780_272_000_000;

pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// Days that are simulated, from the beginning on, and those before it.
pub const DAYS: i64 = 33;
const BEFORE: i64 = 3;

/// Nightly windows open at this hour.
const EVENING: i64 = 20 * HOUR;

/// A span in which something is broken, and the status of what meets it.
pub struct Incident {
    pub from: i64,
    pub to: i64,
    pub place: &'static str,
    pub statuses: [i64; 2],
}

/// A media server is down for four hours of the second Wednesday night.
pub const SERVER_DOWN: Incident = Incident {
    from: BEGIN + 9 * DAY + EVENING + 30 * MINUTE,
    to: BEGIN + 10 * DAY + 30 * MINUTE,
    place: "media-2",
    statuses: [2074, 2106],
};

/// A pool is full in the third Tuesday night, until somebody makes room in the morning.
pub const POOL_FULL: Incident = Incident {
    from: BEGIN + 15 * DAY + EVENING,
    to: BEGIN + 16 * DAY + 10 * HOUR,
    place: "stu-4",
    statuses: [129, 129],
};

/// A client refuses access from the fourth Tuesday evening to Thursday noon, since its password changed.
pub const PASSWORD: Incident = Incident {
    from: BEGIN + 22 * DAY + 18 * HOUR,
    to: BEGIN + 24 * DAY + 12 * HOUR,
    place: "files-05",
    statuses: [59, 59],
};

/// Statuses of failures without a common cause.
const CHANCE: [i64; 10] = [13, 41, 58, 2, 6, 84, 24, 156, 42, 69];

#[derive(Debug, Clone)]
pub struct Job {
    pub id: i64,
    /// The number of the root; 0 for a root.
    pub parent: i64,
    pub children: i64,
    pub kind: &'static str,
    pub policy_type: &'static str,
    pub policy: &'static str,
    pub client: String,
    /// The name of a virtual machine.
    pub display_name: String,
    pub schedule: &'static str,
    pub unit: &'static str,
    pub server: &'static str,
    pub created: i64,
    /// `None` for a job that never ran.
    pub active: Option<i64>,
    pub end: i64,
    pub status: i64,
    pub kilobytes: i64,
}

impl Job {
    /// Returns the machine that it protects.
    pub fn workload(&self) -> &str {
        if self.display_name.is_empty() { &self.client } else { &self.display_name }
    }

    pub fn is_leaf(&self) -> bool {
        self.children == 0
    }

    pub fn is_restorable(&self) -> bool {
        matches!(self.status, 0 | 1)
    }

    pub fn failed(&self) -> bool {
        !matches!(self.status, 0 | 1 | 150 | 190)
    }
}

pub struct World {
    pub jobs: Vec<Job>,
    random: u64,
}

/// A plan of a job; chance and incidents decide what becomes of it.
struct Plan {
    kind: &'static str,
    policy_type: &'static str,
    policy: &'static str,
    client: String,
    display_name: String,
    schedule: &'static str,
    unit: &'static str,
    created: i64,
    minutes: i64,
    kilobytes: i64,
}

fn server_of(unit: &str) -> &'static str {
    match unit {
        "stu-1" | "stu-4" => "media-1",
        "stu-2" => "media-2",
        _ => "media-3",
    }
}

impl World {
    /// Lets five weeks happen; chance is drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut world = Self { jobs: Vec::new(), random: seed };
        for day in -BEFORE..DAYS {
            let (midnight, weekday) = (BEGIN + day * DAY, day.rem_euclid(7));
            world.catalogue(midnight + 6 * HOUR + 30 * MINUTE);
            if weekday < 5 {
                world.files(midnight + EVENING, weekday == 4);
                world.machines(midnight + EVENING + 2 * HOUR);
                world.databases(midnight + EVENING + 4 * HOUR);
                world.logs(midnight + 6 * HOUR);
                world.copies(midnight + DAY + 4 * HOUR);
                world.restore(midnight + 11 * HOUR, weekday);
            }
            if weekday == 3 {
                world.shares(midnight + EVENING + HOUR);
            }
            // The third of June and of July.
            if day == 2 || day == 32 {
                world.archive(midnight + EVENING + 3 * HOUR);
            }
        }
        world
    }

    fn below(&mut self, limit: u64) -> i64 {
        // Splitmix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit).cast_signed()
    }

    /// File servers: incrementals of two streams, a full on Friday.
    fn files(&mut self, evening: i64, full: bool) {
        for machine in 0..16 {
            let unit = if machine % 2 == 1 {
                "stu-2"
            } else if machine % 4 == 0 {
                "stu-1"
            } else {
                "stu-3"
            };
            let plans = (0..2).map(|stream| Plan {
                kind: "BACKUP",
                policy_type: "STANDARD",
                policy: "files-nightly",
                client: format!("files-{machine:02}"),
                display_name: String::new(),
                schedule: if full { "FULL_BACKUP" } else { "DIFFERENTIAL_INCREMENTAL_BACKUP" },
                unit,
                created: evening + machine * 6 * MINUTE + stream * MINUTE,
                minutes: if full { 50 } else { 20 },
                kilobytes: if full { 80_000_000 } else { 4_000_000 },
            });
            self.family(plans.collect());
        }
    }

    /// Virtual machines, each a child of one job, through one host.
    fn machines(&mut self, evening: i64) {
        let plans = (0..14).map(|machine| Plan {
            kind: "BACKUP",
            policy_type: "VMWARE",
            policy: "vm-nightly",
            client: "backup-host".to_owned(),
            display_name: format!("vm-{machine:02}"),
            schedule: "FULL_BACKUP",
            unit: "stu-4",
            created: evening + machine * 4 * MINUTE,
            minutes: 25,
            kilobytes: 40_000_000,
        });
        self.family(plans.collect());
    }

    /// Databases of four streams.
    fn databases(&mut self, midnight: i64) {
        for database in 0..6 {
            let plans = (0..4).map(|_| Plan {
                kind: "BACKUP",
                policy_type: "MS_SQL_SERVER",
                policy: "databases-nightly",
                client: format!("db-{database}"),
                display_name: String::new(),
                schedule: "FULL_BACKUP",
                unit: if database % 2 == 0 { "stu-2" } else { "stu-3" },
                created: midnight + database * 5 * MINUTE,
                minutes: 40,
                kilobytes: 60_000_000,
            });
            self.family(plans.collect());
        }
    }

    /// Their logs, hourly from six to eight.
    fn logs(&mut self, morning: i64) {
        for hour in 0..14 {
            for database in 0..6 {
                let plan = Plan {
                    kind: "BACKUP",
                    policy_type: "MS_SQL_SERVER",
                    policy: "databases-logs",
                    client: format!("db-{database}"),
                    display_name: String::new(),
                    schedule: "TRANSACTION_LOG_BACKUP",
                    unit: "stu-3",
                    created: morning + hour * HOUR + database * MINUTE,
                    minutes: 3,
                    kilobytes: 200_000,
                };
                self.family(vec![plan]);
            }
        }
    }

    /// A full a week.
    fn shares(&mut self, evening: i64) {
        for share in 0..4 {
            let plan = Plan {
                kind: "BACKUP",
                policy_type: "NDMP",
                policy: "shares-weekly",
                client: format!("nas-{share}"),
                display_name: String::new(),
                schedule: "FULL_BACKUP",
                unit: "stu-3",
                created: evening + share * 10 * MINUTE,
                minutes: 90,
                kilobytes: 300_000_000,
            };
            self.family(vec![plan]);
        }
    }

    /// A full a month.
    fn archive(&mut self, evening: i64) {
        for machine in 0..2 {
            let plan = Plan {
                kind: "BACKUP",
                policy_type: "STANDARD",
                policy: "archive-monthly",
                client: format!("files-{machine:02}"),
                display_name: String::new(),
                schedule: "FULL_BACKUP",
                unit: "stu-3",
                created: evening + machine * 10 * MINUTE,
                minutes: 100,
                kilobytes: 160_000_000,
            };
            self.family(vec![plan]);
        }
    }

    /// Second copies of the night.
    fn copies(&mut self, morning: i64) {
        for copy in 0..20 {
            let plan = Plan {
                kind: "DUPLICATE",
                policy_type: "STANDARD",
                policy: "SLP_gold",
                client: "primary".to_owned(),
                display_name: String::new(),
                schedule: "",
                unit: "tape-1",
                created: morning + copy * 12 * MINUTE,
                minutes: 10,
                kilobytes: 30_000_000,
            };
            self.family(vec![plan]);
        }
    }

    fn restore(&mut self, noon: i64, weekday: i64) {
        let plan = Plan {
            kind: "RESTORE",
            policy_type: "STANDARD",
            policy: "files-nightly",
            client: format!("files-{weekday:02}"),
            display_name: String::new(),
            schedule: "",
            unit: "",
            created: noon,
            minutes: 15,
            kilobytes: 500_000,
        };
        self.family(vec![plan]);
    }

    /// A root job and two children, which it outlives.
    fn catalogue(&mut self, morning: i64) {
        let plans = (0..2).map(|_| Plan {
            kind: "BACKUP",
            policy_type: "NBU_CATALOG",
            policy: "catalogue",
            client: "primary".to_owned(),
            display_name: String::new(),
            schedule: "FULL_BACKUP",
            unit: "stu-1",
            created: morning,
            minutes: 12,
            kilobytes: 5_000_000,
        });
        self.family(plans.collect());
    }

    /// Adds jobs, and a root for several of them.
    fn family(&mut self, plans: Vec<Plan>) {
        let next = i64::try_from(self.jobs.len()).expect("few") + 1;
        let parent = if plans.len() > 1 { next } else { 0 };
        let first = next + i64::from(parent > 0);
        let jobs: Vec<Job> =
            (first..).zip(plans).map(|(id, plan)| self.outcome(id, parent, plan)).collect();
        if parent > 0 {
            let newest = |of: fn(&Job) -> i64| jobs.iter().map(of).max().expect("some");
            let created = jobs.iter().map(|job| job.created).min().expect("some");
            self.jobs.push(Job {
                id: parent,
                parent: 0,
                children: i64::try_from(jobs.len()).expect("few"),
                schedule: jobs[0].schedule,
                unit: "",
                server: "",
                created,
                active: Some(created + 1_000),
                end: newest(|job| job.end) + 30_000,
                status: newest(|job| job.status),
                kilobytes: jobs.iter().map(|job| job.kilobytes).sum(),
                display_name: String::new(),
                ..jobs[0].clone()
            });
        }
        self.jobs.extend(jobs);
    }

    /// Decides what becomes of a job.
    fn outcome(&mut self, id: i64, parent: i64, plan: Plan) -> Job {
        let wait = self.below(8 * 60_000) + 5_000;
        let active = plan.created + wait;
        let scatter = 90 + self.below(21);
        let mut job = Job {
            id,
            parent,
            children: 0,
            kind: plan.kind,
            policy_type: plan.policy_type,
            policy: plan.policy,
            client: plan.client,
            display_name: plan.display_name,
            schedule: plan.schedule,
            unit: plan.unit,
            server: if plan.unit.is_empty() { "" } else { server_of(plan.unit) },
            created: plan.created,
            active: Some(active),
            end: active + plan.minutes * MINUTE * scatter / 100,
            status: 0,
            kilobytes: plan.kilobytes * (90 + self.below(21)) / 100,
        };
        let (chance, short) = (self.below(1000), 30_000 + self.below(3 * 60_000));
        let place = usize::try_from(self.below(10)).expect("small");
        if matches!(job.policy, "catalogue") || job.kind == "RESTORE" {
            return job;
        }
        match chance {
            0..20 => (job.status, job.end) = (CHANCE[place], active + short),
            20..40 => job.status = 1,
            40..43 => (job.status, job.end) = (150, active + short),
            43..48 if job.schedule == "TRANSACTION_LOG_BACKUP" => {
                (job.status, job.end) = (190, active + 5_000);
            }
            43..46 => (job.status, job.active, job.end) = (196, None, job.created + 30 * MINUTE),
            _ => {}
        }
        for incident in [SERVER_DOWN, POOL_FULL, PASSWORD] {
            let is_there = [job.server, job.unit, &job.client].contains(&incident.place);
            let meets = active < incident.to && job.end > incident.from;
            if is_there && meets && job.active.is_some() {
                job.end = active.max(incident.from) + short;
                job.status = incident.statuses[place % 2];
            }
        }
        if job.failed() {
            job.kilobytes = 0;
        }
        job
    }

    /// Returns when the tenth failure within an hour ended of those that an incident caused.
    pub fn tenth_failure(&self, incident: &Incident) -> i64 {
        let there = |job: &&Job| {
            [job.server, job.unit, &*job.client].contains(&incident.place)
                && incident.statuses.contains(&job.status)
                && (incident.from..=incident.to + HOUR).contains(&job.end)
        };
        let mut ends: Vec<i64> =
            self.jobs.iter().filter(|job| job.is_leaf()).filter(there).map(|job| job.end).collect();
        ends.sort_unstable();
        let ten = ends.windows(10).find(|ten| ten[9] - ten[0] < HOUR);
        ten.expect("ten failures within an hour")[9]
    }

    /// Returns the machines whose backups failed in two nights without a good one between, from when on and until
    /// when: failures of a schedule more than twelve hours apart. Those that succeed within an hour after that are not
    /// among them: it was one stream of several. Ends before the beginning count, too.
    pub fn failing_for_two_nights(&self, name: fn(&Job) -> &str) -> BTreeMap<String, (i64, i64)> {
        let mut ended: Vec<&Job> = self.jobs.iter().filter(|job| job.is_leaf()).collect();
        ended.retain(|job| job.kind == "BACKUP" && (job.failed() || job.is_restorable()));
        ended.sort_unstable_by_key(|job| job.end);
        let mut first: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        let mut open: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        let mut found: Vec<(&str, i64, i64)> = Vec::new();
        for job in ended {
            let key = (name(job), job.schedule);
            if job.is_restorable() {
                first.remove(&key);
                found.extend(open.remove(&key).map(|from| (key.0, from, job.end)));
            } else if job.end - *first.entry(key).or_insert(job.end) > 12 * HOUR {
                open.entry(key).or_insert(job.end);
            }
        }
        found.extend(open.into_iter().map(|((name, _), from)| (name, from, i64::MAX)));
        let mut spans: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (name, from, until) in found.into_iter().filter(|(_, from, until)| until - from > HOUR)
        {
            let span = spans.entry(name.to_owned()).or_insert((from, until));
            *span = (span.0.min(from), span.1.max(until));
        }
        spans
    }
}
