//! Scratch tapes: which of the tapes of a site are in a pool of that type, whatever its name.

use std::collections::BTreeSet;

use super::inventory::{Inventory, NO_ROBOT};
use super::pools::PoolTypes;
use crate::collectors::counts::Counts;
use crate::metric::{Definition, Metric, Samples};

static AVAILABLE: Metric<2> = Metric::gauge(
    "nbu.tape.scratch.available",
    "{tape}",
    &["robot_number", "media_type"],
    "Scratch tapes that can be written on now: in a pool of type SCRATCH_MEDIA_POOL whatever its name, in a robot, without a valid image, neither FROZEN nor SUSPENDED, no cleaning tapes. 0 for each robot and media type of which there are only other tapes; what was seen since the agent started remains as long as the robot holds any tape. Absent if there is no scratch pool, or the volume pools may not be read, and for a robot and media type with tapes of a pool whose type is not told. NetBackup 10.5 and later.",
);
static OUTSIDE: Metric<1> = Metric::gauge(
    "nbu.tape.scratch.outside",
    "{tape}",
    &["media_type"],
    "The same in no robot: on a shelf or in a vault.",
);

/// Returns the declarations of what a [`Scratch`] records.
pub(super) fn metrics() -> Vec<&'static Definition> {
    vec![AVAILABLE.definition(), OUTSIDE.definition()]
}

/// The scratch tapes of a site, counted by robot number and media type.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    tapes: Counts<2>,
    /// Combinations of which it is not known how many there are: the type of a pool is not told.
    untold: BTreeSet<[Box<str>; 2]>,
}

impl Scratch {
    /// Counts the tapes anew, and keeps the combinations.
    pub(super) fn update(&mut self, inventory: &Inventory, types: &PoolTypes) {
        self.tapes.reset();
        self.tapes.retain(|[place, _]| &**place == NO_ROBOT || inventory.has(place));
        self.untold.clear();
        for ([pool, place, kind], usable) in inventory.usable() {
            if types.have_scratch() {
                self.tapes.expect([place, kind]);
                self.tapes.expect([NO_ROBOT, kind]);
            }
            match types.is_scratch(pool) {
                Some(true) => self.tapes.add_amount([place, kind], usable),
                None if usable > 0 => {
                    self.untold.insert([place.into(), kind.into()]);
                }
                Some(false) | None => {}
            }
        }
    }

    pub(super) fn record(&self, samples: &mut Samples) {
        for ([place, kind], tapes) in self.tapes.iter() {
            match place {
                _ if self.untold.contains(&[place.into(), kind.into()]) => {}
                NO_ROBOT => samples.record(&OUTSIDE, [kind], tapes as f64),
                robot => samples.record(&AVAILABLE, [robot, kind], tapes as f64),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::inventory::TapeRow;
    use super::*;
    use crate::metric::Value as Sample;

    /// Returns the tapes, folded as a walk folds them.
    fn tapes(known: &Inventory, rows: &[Value]) -> Inventory {
        let mut inventory = known.emptied();
        for row in rows {
            let text = row.to_string();
            inventory.add(&serde_json::from_str::<TapeRow<'_>>(&text).unwrap());
        }
        inventory
    }

    fn tape(pool: &str, robot: &Value, status: &str) -> Value {
        json!({"volumePool": pool, "mediaType": "HCART2", "robot": robot, "mediaStatus": status})
    }

    fn cleaning(number: i64, left: &Value) -> Value {
        json!({"mediaType": "HC2_CLN", "robot": robot(number), "cleaningsRemaining": left})
    }

    fn robot(number: i64) -> Value {
        json!({"robotType": "TLD", "robotNumber": number})
    }

    /// Returns the series as `name{values} value`.
    fn shown(record: impl FnOnce(&mut Samples)) -> Vec<String> {
        let mut samples = Samples::new();
        record(&mut samples);
        let (families, _) = samples.finish();
        let mut lines = Vec::new();
        for family in &families {
            for point in &family.points {
                let Sample::Number(value) = point.value else { continue };
                let labels: Vec<&str> = point.attributes.iter().map(|label| &**label).collect();
                lines.push(format!("{} {} {value}", family.definition.name, labels.join(" ")));
            }
        }
        lines
    }

    fn types() -> PoolTypes {
        PoolTypes::of(&[("Blanks", "SCRATCH_MEDIA_POOL"), ("Scratch", "REGULAR_MEDIA_POOL")])
    }

    fn scratch(types: &PoolTypes, rows: &[Value]) -> Vec<String> {
        let mut scratch = Scratch::default();
        scratch.update(&tapes(&Inventory::default(), rows), types);
        shown(|samples| scratch.record(samples))
    }

    #[test]
    fn scratch_is_known_by_type_place_and_status() {
        let shelf = json!({"robotType": "NOT_ROBOTIC", "robotNumber": 0});
        let with_images = json!({"volumePool": "Blanks", "mediaType": "HCART2", "robot": robot(0), "validImages": 1});
        let cleaning = json!({"volumePool": "Blanks", "mediaType": "HC2_CLN", "robot": robot(0)});
        let rows = [
            tape("Blanks", &robot(0), ""),
            tape("Blanks", &robot(0), "WORM ACTIVE"),
            tape("Blanks", &robot(0), "FROZEN"),
            tape("Blanks", &robot(0), "FULL  SUSPENDED"),
            tape("Blanks", &shelf, ""),
            tape("Blanks", &json!({"robotType": "NA"}), ""),
            tape("Blanks", &Value::Null, ""),
            tape("Blanks", &json!({"robotType": "TLD"}), ""),
            tape("Scratch", &robot(0), ""),
            tape("Scratch", &robot(3), ""),
            with_images,
            cleaning,
        ];
        let expected = [
            "nbu.tape.scratch.available 0 HCART2 2",
            "nbu.tape.scratch.available 3 HCART2 0",
            "nbu.tape.scratch.available UNKNOWN HCART2 1",
            "nbu.tape.scratch.outside HCART2 2",
        ];
        assert_eq!(scratch(&types(), &rows), expected);
    }

    #[test]
    fn pool_of_unknown_type_leaves_its_place_unknown() {
        let rows = [
            tape("Blanks", &robot(0), ""),
            tape("New", &robot(0), ""),
            tape("Blanks", &robot(1), ""),
            tape("New", &robot(1), "FROZEN"),
        ];
        let expected =
            ["nbu.tape.scratch.available 1 HCART2 1", "nbu.tape.scratch.outside HCART2 0"];
        assert_eq!(scratch(&types(), &rows), expected);
    }

    #[test]
    fn site_without_scratch_pool_has_no_series() {
        let types = PoolTypes::of(&[("Scratch", "REGULAR_MEDIA_POOL")]);
        assert_eq!(scratch(&types, &[tape("Scratch", &robot(0), "")]), [""; 0]);
    }

    #[test]
    fn last_scratch_tape_that_goes_leaves_zero() {
        let mut scratch = Scratch::default();
        let first = tapes(&Inventory::default(), &[tape("Blanks", &robot(0), "")]);
        scratch.update(&first, &types());
        let second = tapes(&first, &[cleaning(0, &json!(3))]);
        scratch.update(&second, &types());
        let expected =
            ["nbu.tape.scratch.available 0 HCART2 0", "nbu.tape.scratch.outside HCART2 0"];
        assert_eq!(shown(|samples| scratch.record(samples)), expected);
        // The robot has another number now.
        let moved = tapes(&second, &[tape("Blanks", &robot(5), "")]);
        scratch.update(&moved, &types());
        let expected =
            ["nbu.tape.scratch.available 5 HCART2 1", "nbu.tape.scratch.outside HCART2 0"];
        assert_eq!(shown(|samples| scratch.record(samples)), expected);
    }

    #[test]
    fn cleanings_are_absent_where_a_tape_does_not_tell() {
        let left = [(0, json!(7)), (0, json!(2)), (1, json!(7)), (1, Value::Null)];
        let rows = left.map(|(number, left)| cleaning(number, &left));
        let first = tapes(&Inventory::default(), &rows);
        let shown = |inventory: &Inventory| -> Vec<String> {
            let lines = shown(|samples| inventory.record(samples)).into_iter();
            lines.filter(|line| line.starts_with("nbu.tape.cleanings")).collect()
        };
        assert_eq!(shown(&first), ["nbu.tape.cleanings_remaining 0 HC2_CLN 9"]);
        let gone = [0, 1].map(|number| format!("nbu.tape.cleanings_remaining {number} HC2_CLN 0"));
        let data = [0, 1].map(|number| tape("Blanks", &robot(number), ""));
        assert_eq!(shown(&tapes(&first, &data)), gone);
        let mut removed = tapes(&first, &[]);
        removed.forget_robots();
        assert_eq!(shown(&removed), [""; 0]);
    }
}
