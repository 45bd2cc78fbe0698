//! Tapes folded into counts: by pool, by word of their status, cleaning tapes, bytes, vaults.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::collectors::counts::{Counts, label};
use crate::metric::{Definition, Metric, Samples, UNKNOWN};
use crate::netbackup::lenient::{self, Text};

/// The robot number of what is in no robot.
pub(super) const NO_ROBOT: &str = "NONE";

/// Words of mediaStatus; a tape may have any of them, or none.
const WORDS: [&str; 9] = [
    "FROZEN",
    "SUSPENDED",
    "FULL",
    "MULTIPLE_RETENTION_LEVELS",
    "IMPORTED",
    "ACTIVE",
    "MULTIPLEXED",
    "WORM",
    "BE",
];

/// The attributes of a tape that the agent uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TapeRow<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    volume_pool: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    media_type: Text<'a>,
    #[serde(borrow, deserialize_with = "lenient::object")]
    robot: Option<Robot<'a>>,
    /// Words, between spaces; empty for a tape that no media server has written on.
    #[serde(borrow, deserialize_with = "lenient::text")]
    media_status: Text<'a>,
    #[serde(deserialize_with = "lenient::integer")]
    kilo_bytes: Option<i64>,
    #[serde(deserialize_with = "lenient::integer")]
    valid_images: Option<i64>,
    /// Of cleaning tapes.
    #[serde(deserialize_with = "lenient::integer")]
    cleanings_remaining: Option<i64>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    vault_name: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Robot<'a> {
    /// `TLD`, `ACS`; `NOT_ROBOTIC` and `NA` on a shelf.
    #[serde(borrow, deserialize_with = "lenient::text")]
    robot_type: Text<'a>,
    #[serde(deserialize_with = "lenient::integer")]
    robot_number: Option<i64>,
}

impl TapeRow<'_> {
    fn robot_type(&self) -> &str {
        self.robot.as_ref().map_or(UNKNOWN, |robot| label(&robot.robot_type))
    }

    /// Returns the number of its robot, [`NO_ROBOT`] or [`UNKNOWN`].
    fn place(&self) -> String {
        let number = self.robot.as_ref().and_then(|robot| robot.robot_number);
        match (self.robot_type(), number.filter(|number| *number >= 0)) {
            ("NOT_ROBOTIC" | "NA", _) => NO_ROBOT.to_owned(),
            (UNKNOWN, _) | (_, None) => UNKNOWN.to_owned(),
            (_, Some(number)) => number.to_string(),
        }
    }

    fn words(&self) -> BTreeSet<&str> {
        let text = self.media_status.as_deref().unwrap_or_default();
        text.split([' ', ',']).map(str::trim).filter(|word| !word.is_empty()).collect()
    }
}

static MEDIA_COUNT: Metric<3> = Metric::gauge(
    "nbu.tape.media.count",
    "{tape}",
    &["pool", "media_type", "robot_type"],
    "Tapes by volume pool, media type and robot type. Combinations seen since the agent started remain at 0 once no tape has them. For scratch tapes see nbu_tape_scratch_available. NetBackup 10.5 and later.",
);
static STATUS_COUNT: Metric<3> = Metric::gauge(
    "nbu.tape.media.status_count",
    "{tape}",
    &["status", "robot_number", "media_type"],
    "Tapes that carry a word of mediaStatus, such as FROZEN or FULL: a tape counts under each of its words, so the sum is not the number of tapes. robot_number is NONE for tapes in no robot. All nine known words are exported for each robot and media type found. NetBackup 10.5 and later.",
);
static CLEANINGS: Metric<2> = Metric::gauge(
    "nbu.tape.cleanings_remaining",
    "{cleaning}",
    &["robot_number", "media_type"],
    "Cleanings that are left on the cleaning tapes of a robot (cleaningsRemaining); robot_number is NONE for those on a shelf. Absent where a tape does not tell; 0 once a robot that had cleaning tapes has none, as long as it holds other tapes. NetBackup 10.5 and later.",
);
static MEDIA_BYTES: Metric<1> = Metric::gauge(
    "nbu.tape.media",
    "By",
    &["pool"],
    "Bytes written on the tapes of a volume pool (kiloBytes times 1,024). NetBackup 10.5 and later.",
);
static OFFSITE: Metric<1> = Metric::gauge(
    "nbu.tape.media.offsite",
    "{tape}",
    &["vault"],
    "Tapes that are in no robot and name a vault (vaultName), by vault. A vault that was seen remains at 0. NetBackup 10.5 and later.",
);

/// Returns the declarations of what an [`Inventory`] records.
pub(super) fn metrics() -> Vec<&'static Definition> {
    vec![
        MEDIA_COUNT.definition(),
        STATUS_COUNT.definition(),
        CLEANINGS.definition(),
        MEDIA_BYTES.definition(),
        OFFSITE.definition(),
    ]
}

/// The tapes of a site, counted.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    media: Counts<3>,
    words: Counts<3>,
    cleanings: Counts<2>,
    /// Combinations of `cleanings` with a tape that does not tell how many are left.
    cleanings_untold: BTreeSet<[Box<str>; 2]>,
    bytes: Counts<1>,
    offsite: Counts<1>,
    /// Tapes that could be written on from the start if their pool is a scratch pool, by pool, robot number and
    /// media type. A combination of which there are only other tapes is 0.
    usable: Counts<3>,
    /// Robot numbers of all tapes.
    places: BTreeSet<Box<str>>,
}

impl Inventory {
    /// Returns one without tapes that knows the same combinations.
    pub(super) fn emptied(&self) -> Self {
        Self {
            media: self.media.emptied(),
            words: self.words.emptied(),
            cleanings: self.cleanings.emptied(),
            cleanings_untold: BTreeSet::new(),
            bytes: self.bytes.emptied(),
            offsite: self.offsite.emptied(),
            usable: Counts::default(),
            places: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, tape: &TapeRow<'_>) {
        let (pool, kind) = (label(&tape.volume_pool), label(&tape.media_type));
        let (place, words) = (tape.place(), tape.words());
        if !self.has(&place) {
            self.places.insert((*place).into());
        }
        self.media.add([pool, kind, tape.robot_type()]);
        for word in WORDS {
            self.words.expect([word, &place, kind]);
        }
        for word in &words {
            self.words.add([word, &place, kind]);
        }
        let kilobytes = tape.kilo_bytes.and_then(|number| u64::try_from(number).ok());
        self.bytes.add_amount([pool], kilobytes.unwrap_or(0).saturating_mul(1024));
        if place == NO_ROBOT && label(&tape.vault_name) != UNKNOWN {
            self.offsite.add([label(&tape.vault_name)]);
        }
        if is_for_cleaning(kind) {
            self.add_cleanings(&place, kind, tape.cleanings_remaining);
        } else if tape.robot_type() == UNKNOWN {
            // Neither in a robot nor outside of them, as far as is known.
        } else if words.contains("FROZEN") || words.contains("SUSPENDED") || holds_images(tape) {
            self.usable.expect([pool, &place, kind]);
        } else {
            self.usable.add([pool, &place, kind]);
        }
    }

    /// Forgets robots that hold no tape at all any more: they were removed, or have another number.
    pub(super) fn forget_robots(&mut self) {
        let places = &self.places;
        self.words.retain(|[_, place, _]| places.contains(place));
        self.cleanings.retain(|[place, _]| places.contains(place));
    }

    /// Returns whether a tape is in this robot, or, for [`NO_ROBOT`], in none.
    pub(super) fn has(&self, place: &str) -> bool {
        self.places.contains(place)
    }

    fn add_cleanings(&mut self, place: &str, kind: &str, left: Option<i64>) {
        self.cleanings.expect([place, kind]);
        match left.and_then(|left| u64::try_from(left).ok()) {
            Some(left) => self.cleanings.add_amount([place, kind], left),
            None => {
                self.cleanings_untold.insert([place.into(), kind.into()]);
            }
        }
    }

    /// Returns the tapes that are ready if their pool is a scratch pool, by pool, robot number and media type.
    pub(super) fn usable(&self) -> impl Iterator<Item = ([&str; 3], u64)> {
        self.usable.iter()
    }

    pub(super) fn record(&self, samples: &mut Samples) {
        self.media.record(&MEDIA_COUNT, samples);
        self.words.record(&STATUS_COUNT, samples);
        self.bytes.record(&MEDIA_BYTES, samples);
        self.offsite.record(&OFFSITE, samples);
        for ([place, kind], left) in self.cleanings.iter() {
            if !self.cleanings_untold.contains(&[place.into(), kind.into()]) {
                samples.record(&CLEANINGS, [place, kind], left as f64);
            }
        }
    }
}

/// Returns whether tapes of this media type clean drives.
fn is_for_cleaning(kind: &str) -> bool {
    kind.ends_with("_CLN")
}

fn holds_images(tape: &TapeRow<'_>) -> bool {
    tape.valid_images.is_some_and(|images| images > 0)
}
