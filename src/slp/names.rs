//! Names that rows have, as small numbers, so that many images take little memory and a server that makes up names
//! makes no flood of series.

use std::collections::HashMap;

/// The label of names beyond the limit.
const OTHER: &str = "other";

/// Names up to a limit; the others share one.
#[derive(Debug, Clone)]
pub(super) struct Names {
    limit: usize,
    places: HashMap<Box<str>, u16>,
    /// By place; the first is [`OTHER`].
    by_place: Vec<Box<str>>,
}

impl Names {
    /// Makes an empty one; `limit` is less than 65,535.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, places: HashMap::new(), by_place: vec![OTHER.into()] }
    }

    /// Returns the place of a name.
    pub(super) fn place(&mut self, name: &str) -> u16 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        match u16::try_from(self.by_place.len()) {
            Ok(place) if self.by_place.len() <= self.limit => {
                self.by_place.push(name.into());
                self.places.insert(name.into(), place);
                place
            }
            _ => 0,
        }
    }

    pub(super) fn name(&self, place: u16) -> &str {
        self.by_place.get(usize::from(place)).map_or(OTHER, |name| name)
    }

    /// Returns the places of all names but [`OTHER`].
    pub(super) fn places(&self) -> impl Iterator<Item = u16> + use<> {
        1..u16::try_from(self.by_place.len()).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_share_a_place() {
        let mut names = Names::new(2);
        let places = ["a", "b", "c", "d", "a"].map(|name| names.place(name));
        assert_eq!(places, [1, 2, 0, 0, 1]);
        assert_eq!(places.map(|place| names.name(place)), ["a", "b", "other", "other", "a"]);
        assert_eq!(names.places().collect::<Vec<_>>(), [1, 2]);
    }
}
