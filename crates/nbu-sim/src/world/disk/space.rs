//! Space of a disk pool over time: a slow wave, or nights of writes and days of clean-up.

use std::f64::consts::TAU;
use std::sync::Arc;

use fastrand::Rng;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};

use crate::pool_script::PoolScript;

const MINUTE: i64 = 60_000;

/// Bytes are whole: a pool that lacks less than this is full.
const HALF: f64 = 0.5;

/// Nights that a script knows, nearly three years; afterwards nothing is written any more.
const NIGHTS: usize = 1_000;

/// A span from 20:00 to 06:00 of the next day, in world time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Night {
    pub(crate) from: i64,
    pub(crate) to: i64,
    /// Weekday on which it begins, 0 is Monday.
    pub(crate) weekday: usize,
}

impl Night {
    /// The nights from the one that goes on at `start`, or the first one after it.
    pub(crate) fn all(zone: &TimeZone, start: i64) -> Vec<Self> {
        let now = Timestamp::from_millisecond(start).unwrap_or(Timestamp::UNIX_EPOCH);
        let yesterday = zone.to_datetime(now).date().saturating_sub(1.day());
        let nights = yesterday.series(1.day()).map_while(|evening| {
            let at = |date: jiff::civil::Date, hour| {
                let local = date.at(hour, 0, 0, 0);
                zone.to_timestamp(local).ok().map(Timestamp::as_millisecond)
            };
            let weekday = evening.weekday().to_monday_zero_offset();
            Some(Self {
                from: at(evening, 20)?,
                to: at(evening.tomorrow().ok()?, 6)?,
                weekday: usize::try_from(weekday).unwrap_or(0),
            })
        });
        nights.skip_while(|night| night.to <= start).take(NIGHTS).collect()
    }
}

/// Space of a pool at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Level {
    /// Bytes used.
    pub(crate) used: i64,
    /// Front-end bytes that were written since the start, of a script.
    pub(crate) written: Option<i64>,
    /// World time from which the pool took no more for the first time.
    pub(crate) full_from: Option<i64>,
}

/// Course of the used space.
#[derive(Clone, Debug)]
pub(crate) enum Course {
    /// A wave with a period of ten days around a mean share.
    Wave { mean: f64, phase: f64 },
    /// Nights and days, from a start.
    Nights(Arc<Nights>),
}

/// Nights with what is written in each.
#[derive(Debug)]
pub(crate) struct Nights {
    start: i64,
    used: f64,
    /// Bytes at which the pool takes no more.
    full: f64,
    cleaned: f64,
    /// Share of the front-end bytes that is stored.
    stored: f64,
    /// Front-end bytes of each night.
    plan: Vec<(Night, f64)>,
}

impl Course {
    /// Draws a wave.
    pub(crate) fn wave(rng: &mut Rng) -> Self {
        Self::Wave { mean: 0.3 + 0.5 * rng.f64(), phase: rng.f64() }
    }

    /// Follows a script from `start` on, in a pool of `size` bytes that is full at `high` percent.
    pub(crate) fn scripted(
        script: &PoolScript,
        high: i64,
        nights: &[Night],
        start: i64,
        seed: u64,
    ) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x1_9417);
        let written = |(number, night): (usize, &Night)| {
            let drawn = 1.0 + script.varies * (2.0 * rng.f64() - 1.0);
            (*night, script.planned(number, night.weekday) * drawn)
        };
        Self::Nights(Arc::new(Nights {
            start,
            used: script.used.min(script.size) as f64,
            full: (script.size as f64 * high as f64 / 100.0).ceil(),
            cleaned: script.cleaned as f64,
            stored: 1.0 - script.saving,
            plan: nights.iter().enumerate().map(written).collect(),
        }))
    }

    /// Returns the space at world time `at` of a pool of `size` bytes, to the minute, so that two reads within a
    /// minute agree.
    #[allow(clippy::cast_possible_truncation, reason = "shares of a size that fits")]
    pub(crate) fn at(&self, size: i64, at: i64) -> Level {
        let at = at.div_euclid(MINUTE) * MINUTE;
        match self {
            Self::Wave { mean, phase } => {
                let days = (at / MINUTE) as f64 / (24.0 * 60.0);
                let share = mean + 0.1 * (TAU * (days / 10.0 + phase)).sin();
                Level { used: (size as f64 * share) as i64, ..Level::default() }
            }
            Self::Nights(nights) => nights.at(at),
        }
    }
}

impl Nights {
    #[allow(clippy::cast_possible_truncation, reason = "shares of a size that fits")]
    fn at(&self, at: i64) -> Level {
        let (mut used, mut written, mut full_from) = (self.used, 0.0, None);
        if used >= self.full {
            full_from = Some(self.start);
        }
        for (place, (night, front_end)) in self.plan.iter().enumerate() {
            if night.from >= at {
                break;
            }
            let span = night.to.min(at) - night.from.max(self.start);
            let length = (night.to - night.from) as f64;
            let offered = front_end * span.max(0) as f64 / length;
            let room = (self.full - used).max(0.0);
            let taken = offered.min(room / self.stored);
            written += taken;
            used += taken * self.stored;
            if full_from.is_none() && self.full - used < HALF {
                let needed = (room - HALF).max(0.0) / self.stored / front_end * length;
                let exact = night.from.max(self.start) + needed.ceil() as i64;
                full_from = Some((exact + MINUTE - 1).div_euclid(MINUTE) * MINUTE);
            }
            let evening = self.plan.get(place + 1).map_or(night.to, |(next, _)| next.from);
            let span = evening.min(at) - night.to.max(self.start);
            if span > 0 {
                used -= self.cleaned * span as f64 / (evening - night.to) as f64;
                used = used.max(0.0);
            }
        }
        Level { used: used.round() as i64, written: Some(written.round() as i64), full_from }
    }
}
