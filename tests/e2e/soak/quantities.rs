//! Quantities that a soak records, and the slopes that they may have.

use super::slope::Line;

/// The slope that a quantity may have after the warm-up, an hour at 50 times the usual pace, or its largest value.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// It may grow by so much; falling is no leak.
    Growth(f64),
    /// It may move by so much in either direction.
    Drift(f64),
    /// It rises and falls, and may not be more.
    Most(f64),
    /// It is recorded only.
    Free,
}

/// A recorded quantity.
#[derive(Debug)]
pub struct Quantity {
    /// Name of its column and its plot.
    pub name: &'static str,
    pub unit: &'static str,
    pub bound: Bound,
    /// Reason of the bound.
    pub why: &'static str,
}

/// An hour at this pace is two days: a leak of one in an hour is one of fifteen in a month.
const ONE_IN_TWO_DAYS: Bound = Bound::Growth(1.0);

/// The quantities, in the order of [`super::sampler::Sample`].
pub const QUANTITIES: [Quantity; 15] = [
    Quantity {
        name: "resident memory",
        unit: "MB",
        bound: Bound::Most(200.0),
        why: "a window that fills and labels that turn up take room; twice what the sizes of the documentation give",
    },
    Quantity {
        name: "memory beyond its content",
        unit: "MB",
        bound: Bound::Growth(1.0),
        why: "15 MB in a month at the usual pace, which no operator would notice",
    },
    Quantity {
        name: "descriptors",
        unit: "files",
        bound: ONE_IN_TWO_DAYS,
        why: "none may be left over; troubles open and close some",
    },
    Quantity {
        name: "threads",
        unit: "threads",
        bound: ONE_IN_TWO_DAYS,
        why: "none may be left over; blocking ones come and go",
    },
    Quantity {
        name: "tasks",
        unit: "tasks",
        bound: ONE_IN_TWO_DAYS,
        why: "none may be left over; requests and connections have some",
    },
    Quantity {
        name: "state directory",
        unit: "KB",
        bound: Bound::Most(24_000.0),
        why: "16 journals, each rewritten beyond 1 MiB, with what their rewrites and the documents beside them hold; at first they \
              grow in step",
    },
    Quantity {
        name: "series",
        unit: "series",
        bound: Bound::Free,
        why: "totals keep the labels that turned up, of which a world has ever fewer new ones; one site comes and goes",
    },
    Quantity {
        name: "schedule drift",
        unit: "ms",
        bound: Bound::Drift(50.0),
        why: "polls keep to their grid: 0.1 ms a poll would be 60 ms in an hour",
    },
    Quantity {
        name: "polls behind",
        unit: "polls",
        bound: Bound::Growth(60.0),
        why: "a tenth of the polls may be skipped where the machine is too busy to answer them; a poller that stops misses all",
    },
    Quantity {
        name: "age of samples",
        unit: "s",
        bound: Bound::Drift(3.0),
        why: "the agent's timestamps go with the clock of the harness; half an interval is noise",
    },
    Quantity {
        name: "completions behind",
        unit: "completions",
        bound: Bound::Growth(100.0),
        why: "those since the last poll, and of an outage; what is missed for good adds up",
    },
    Quantity {
        name: "CPU",
        unit: "ms a second",
        bound: Bound::Free,
        why: "depends on the machine",
    },
    Quantity {
        name: "requests",
        unit: "a second",
        bound: Bound::Free,
        why: "depends on the troubles of the moment",
    },
    Quantity {
        name: "load",
        unit: "runnable processes",
        bound: Bound::Free,
        why: "that of the machine, others included: it explains the polls behind",
    },
    Quantity { name: "rendering", unit: "ms", bound: Bound::Free, why: "depends on the machine" },
];

impl Quantity {
    /// Returns the complaint about a slope that is certain to be beyond the bound, or about the largest value.
    pub fn complaint(&self, line: &Line, largest: f64) -> Option<String> {
        let is_beyond = match self.bound {
            Bound::Growth(most) => line.at_least() > most,
            Bound::Drift(most) => line.at_least() > most || line.at_most() < -most,
            Bound::Most(most) => largest > most,
            Bound::Free => false,
        };
        is_beyond.then(|| {
            let (name, unit, allowed) = (self.name, self.unit, self.bound());
            let (slope, doubt) = (line.slope, 3.0 * line.error);
            format!(
                "{name}: slope {slope:.3} ± {doubt:.3} {unit} an hour, at most {largest:.3}; allowed is {allowed}"
            )
        })
    }

    /// The bound in words.
    pub fn bound(&self) -> String {
        match self.bound {
            Bound::Growth(most) => format!("growth of {most}"),
            Bound::Drift(most) => format!("{most} either way"),
            Bound::Most(most) => format!("at most {most}"),
            Bound::Free => "any".to_owned(),
        }
    }
}

#[test]
fn slope_beyond_its_bound_is_named() {
    let quantity =
        |name: &str| QUANTITIES.iter().find(|known| known.name == name).expect("it is known");
    let line = Line { slope: 2.0, at_zero: 40.0, error: 0.1 };
    let memory = quantity("memory beyond its content");
    let complaint = memory.complaint(&line, 42.0).expect("a complaint");
    assert!(
        complaint.starts_with("memory beyond its content: slope 2.000 ± 0.300 MB an hour"),
        "{complaint}"
    );
    assert!(memory.complaint(&Line { error: 0.5, ..line }, 42.0).is_none(), "it may be noise");
    assert!(memory.complaint(&Line { slope: -2.0, ..line }, 42.0).is_none(), "it falls");
    let back = Line { slope: -60.0, ..line };
    assert!(quantity("schedule drift").complaint(&back, 0.0).is_some(), "no direction is good");
    let state = quantity("state directory");
    assert!(
        state.complaint(&line, 25_000.0).is_some() && state.complaint(&line, 9_000.0).is_none()
    );
}
