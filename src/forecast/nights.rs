//! The nights of one disk pool.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::trend::slope;
use crate::night::Night;

const HOUR: i64 = 3_600_000;

const DAY: f64 = 24.0 * 3_600_000.0;

/// Nights that are kept.
const NIGHTS: i32 = 28;

/// Nights that are needed before the next one is judged.
const ENOUGH: usize = 3;

/// Nights of one weekday that are needed before that weekday is judged by itself.
const ENOUGH_OF_WEEKDAY: usize = 2;

/// The quantile of the growth of nights that counts as high. Of 28 nights, it is exceeded by two; a weekly full
/// backup, four of 28, is within.
const HIGH: f64 = 0.9;

/// The first reading of a night whose growth counts is at most this long after its noon.
const LATEST_START: i64 = 4 * HOUR;

/// The last reading of a night whose growth counts is at least this long after its noon.
const EARLIEST_END: i64 = 18 * HOUR;

/// The decision is made between 14:00 and this long after noon; later, part of the night may be written already.
const LATEST_DECISION: i64 = 6 * HOUR;

/// Days over which the trend is taken, and days without which there is none.
const TREND: i32 = 14;
const SHORTEST_TREND: i32 = 3;

/// Reading of a pool by a poll, bytes. All are the server's words, so none is trusted to fit the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The server's time, Unix ms.
    pub at: i64,
    pub used: i64,
    /// Space up to the high water mark; unknown for a pool without one.
    pub limit: Option<i64>,
}

/// The nights of a pool, and one reading a day for the trend.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    tonight: Option<Tonight>,
    /// The oldest first.
    nights: VecDeque<PastNight>,
    /// The first reading of each day that came soon after noon, the oldest first.
    noons: VecDeque<Noon>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Tonight {
    number: i32,
    /// Time from its noon to the first and to the last reading.
    first_after: i64,
    last_after: i64,
    used_first: i64,
    used_most: i64,
    fits: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct PastNight {
    number: i32,
    growth: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Noon {
    number: i32,
    at: i64,
    used: i64,
}

/// Forecast of a pool by its nights. What is unknown is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Forecast {
    /// Bytes up to the high water mark; negative above it.
    pub headroom: Option<i64>,
    /// Growth of the last night that was seen whole, bytes.
    pub last: Option<i64>,
    /// High quantile of the growth of all nights, bytes.
    pub high: Option<i64>,
    /// Growth that the night now begun is expected to have, bytes.
    pub tonight: Option<i64>,
    /// Nights of high growth that the headroom takes, if nothing is expired.
    pub nights_left: Option<f64>,
    /// The night fits; known from its decision at 14:00 to its end.
    pub fits: Option<bool>,
    /// Change of the used space, bytes a day.
    pub daily: Option<f64>,
    /// Days until the trend reaches the mark; `None` if it never does.
    pub days_left: Option<f64>,
}

impl Tonight {
    /// Returns the night as a past one, if it was seen whole.
    fn growth_if_whole(&self) -> Option<PastNight> {
        let is_whole = self.first_after <= LATEST_START && self.last_after >= EARLIEST_END;
        let growth = self.used_most.saturating_sub(self.used_first);
        is_whole.then_some(PastNight { number: self.number, growth })
    }

    /// Adds what another process saw of it until this one began.
    fn join(&mut self, older: Self) {
        if older.first_after < self.first_after {
            (self.first_after, self.used_first) = (older.first_after, older.used_first);
        }
        self.last_after = self.last_after.max(older.last_after);
        self.used_most = self.used_most.max(older.used_most);
        self.fits = self.fits.or(older.fits);
    }
}

impl History {
    /// Takes a reading of `night`. Returns whether something changed that a restart must not lose.
    pub fn observe(&mut self, night: &Night, reading: Reading) -> bool {
        let began = self.begin(night, reading);
        let Some(tonight) = &mut self.tonight else { return began };
        tonight.last_after = tonight.last_after.max(reading.at - night.starts);
        tonight.used_most = tonight.used_most.max(reading.used);
        let decided = self.decide(night, reading);
        began || decided
    }

    /// Adds what another process saw until this one began: its nights, and the beginning of the one that goes on.
    pub fn join(&mut self, older: Self) {
        let Some(tonight) = &mut self.tonight else {
            *self = older;
            return;
        };
        let mut nights = older.nights;
        match older.tonight {
            Some(same) if same.number == tonight.number => tonight.join(same),
            Some(other) => nights.extend(other.growth_if_whole()),
            None => {}
        }
        let number = tonight.number;
        let known: Vec<i32> = self.nights.iter().map(|past| past.number).collect();
        nights.retain(|past| past.number < number && !known.contains(&past.number));
        nights.append(&mut self.nights);
        nights.make_contiguous().sort_unstable_by_key(|past| past.number);
        nights.retain(|past| past.number >= number - NIGHTS);
        self.nights = nights;
        // Of a day that both know, the reading of the older is the first one.
        let mut noons = older.noons;
        noons.retain(|noon| noon.number >= number - TREND && noon.number <= number);
        let known: Vec<i32> = noons.iter().map(|noon| noon.number).collect();
        noons.extend(self.noons.drain(..).filter(|noon| !known.contains(&noon.number)));
        noons.make_contiguous().sort_unstable_by_key(|noon| noon.number);
        self.noons = noons;
    }

    /// Begins the night, unless it is the one that goes on. Returns whether it did.
    fn begin(&mut self, night: &Night, reading: Reading) -> bool {
        if self.tonight.is_some_and(|tonight| tonight.number == night.number) {
            return false;
        }
        if let Some(done) = self.tonight.take().filter(|done| done.number < night.number) {
            self.nights.extend(done.growth_if_whole());
        } else {
            // The server's clock was set back: what it called the future did not happen yet.
            self.nights.retain(|past| past.number < night.number);
            self.noons.retain(|noon| noon.number < night.number);
        }
        self.nights.retain(|past| past.number >= night.number - NIGHTS);
        let after = reading.at - night.starts;
        if after <= LATEST_START {
            let noon = Noon { number: night.number, at: reading.at, used: reading.used };
            self.noons.push_back(noon);
        }
        self.noons.retain(|noon| noon.number >= night.number - TREND);
        self.tonight = Some(Tonight {
            number: night.number,
            first_after: after,
            last_after: after,
            used_first: reading.used,
            used_most: reading.used,
            fits: None,
        });
        true
    }

    /// Decides once whether the night fits. One that does not may fit later, when space was made: if there is room for
    /// all that it is expected to take. Returns whether the decision changed.
    fn decide(&mut self, night: &Night, reading: Reading) -> bool {
        let due = reading.at >= night.decides && reading.at < night.starts + LATEST_DECISION;
        let (Some(limit), Some(expected)) = (reading.limit, self.expected(night)) else {
            return false;
        };
        let Some(tonight) = &mut self.tonight else { return false };
        let fits = expected <= 0 || limit.saturating_sub(reading.used) >= expected;
        let (before, now) = match tonight.fits {
            None if due => (None, Some(fits)),
            Some(false) if fits => (Some(false), Some(true)),
            same => (same, same),
        };
        tonight.fits = now;
        before != now
    }

    /// Returns the growth that a night is expected to have: the most that its weekday had, else the high quantile.
    fn expected(&self, night: &Night) -> Option<i64> {
        let of_weekday = self.nights.iter().filter(|past| (night.number - past.number) % 7 == 0);
        let of_weekday: Vec<i64> = of_weekday.map(|past| past.growth).collect();
        if of_weekday.len() >= ENOUGH_OF_WEEKDAY {
            return of_weekday.into_iter().max();
        }
        if self.nights.len() >= ENOUGH { self.high() } else { None }
    }

    fn high(&self) -> Option<i64> {
        let mut growths: Vec<i64> = self.nights.iter().map(|past| past.growth).collect();
        growths.sort_unstable();
        // 28 at most.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a place in a short list"
        )]
        let rank = (HIGH * growths.len() as f64).ceil() as usize;
        growths.get(rank.saturating_sub(1)).copied()
    }

    /// Returns the change of the used space in a day; `None` before three days.
    fn daily(&self) -> Option<f64> {
        let (first, last) = (self.noons.front()?, self.noons.back()?);
        if last.number - first.number < SHORTEST_TREND {
            return None;
        }
        let day = |noon: &Noon| (noon.at - first.at) as f64 / DAY;
        let points: Vec<_> = self.noons.iter().map(|noon| (day(noon), noon.used as f64)).collect();
        slope(&points)
    }

    /// Returns the forecast at a reading that was observed.
    pub fn forecast(&self, night: &Night, reading: Reading) -> Forecast {
        let headroom = reading.limit.map(|limit| limit.saturating_sub(reading.used));
        let high = self.high();
        let daily = self.daily();
        let room = headroom.map(|room| room.max(0) as f64);
        Forecast {
            headroom,
            last: self.nights.back().map(|past| past.growth),
            high,
            tonight: self.expected(night),
            nights_left: high.filter(|high| *high > 0).and_then(|high| Some(room? / high as f64)),
            fits: self.tonight.and_then(|tonight| tonight.fits),
            daily,
            days_left: daily.filter(|daily| *daily > 0.0).and_then(|daily| Some(room? / daily)),
        }
    }

    /// Returns whether the pool was not seen for so long that nothing of it counts any more.
    pub fn is_forgotten(&self, night: &Night) -> bool {
        self.tonight.is_none_or(|tonight| tonight.number < night.number - NIGHTS)
    }
}

#[cfg(test)]
#[path = "nights_tests.rs"]
mod tests;
