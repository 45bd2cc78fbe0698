//! Forecast as operators understand it, from what was seen at each poll: written from docs/adr/0021-storage.md, and by
//! none of the agent's code.

use std::collections::BTreeMap;

use crate::support::exposition::{Series, key};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// (zone, distance from UTC before, distance after, Unix ms of the changes to and fro) in 2026.
const ZONES: [(&str, i64, i64, [i64; 2]); 6] = [
    ("UTC", 0, 0, [0, 0]),
    ("Asia/Tokyo", 9 * HOUR, 9 * HOUR, [0, 0]),
    ("Asia/Kolkata", 11 * HOUR / 2, 11 * HOUR / 2, [0, 0]),
    ("America/New_York", -5 * HOUR, -4 * HOUR, [1_772_953_200_000, 1_793_512_800_000]),
    ("Europe/Berlin", HOUR, 2 * HOUR, [1_774_746_000_000, 1_792_890_000_000]),
    // Summer until the fifth of April.
    ("Australia/Sydney", 11 * HOUR, 10 * HOUR, [1_775_318_400_000, 1_791_043_200_000]),
];

/// A pool at a poll.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub at: i64,
    pub used: i64,
    pub limit: i64,
}

/// A night that was seen whole.
#[derive(Debug, Clone, Copy)]
struct Whole {
    number: i64,
    growth: i64,
}

/// Readings of the pools of a site.
#[derive(Debug, Clone)]
pub struct Oracle {
    zone: &'static str,
    seen: BTreeMap<(String, String, String), Vec<Reading>>,
}

impl Oracle {
    pub fn new(zone: &str) -> Self {
        let zone = ZONES.iter().find(|known| known.0 == zone).expect("a zone of the oracle").0;
        Self { zone, seen: BTreeMap::new() }
    }

    /// Takes a reading of (name, category, type).
    pub fn observe(&mut self, pool: (&str, &str, &str), reading: Reading) {
        let pool = (pool.0.to_owned(), pool.1.to_owned(), pool.2.to_owned());
        self.seen.entry(pool).or_default().push(reading);
    }

    /// Forgets what it saw.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Adds what another one saw later.
    pub fn join(&mut self, later: Self) {
        for (pool, readings) in later.seen {
            self.seen.entry(pool).or_default().extend(readings);
        }
    }

    fn local(&self, at: i64) -> i64 {
        let zone = ZONES.iter().find(|known| known.0 == self.zone).expect("it was found");
        let (_, before, after, [to, fro]) = *zone;
        at + if at >= to && at < fro { after } else { before }
    }

    /// The night of a time, by the number of the day of its first noon.
    fn night(&self, at: i64) -> i64 {
        (self.local(at) - DAY / 2).div_euclid(DAY)
    }

    /// Local time since the first noon of the night.
    fn since_noon(&self, at: i64) -> i64 {
        (self.local(at) - DAY / 2).rem_euclid(DAY)
    }

    /// Returns what the forecast must be after the last reading of each pool.
    pub fn expected(&self, site: &str) -> BTreeMap<Series, f64> {
        let mut all = BTreeMap::new();
        for ((name, category, server_type), readings) in &self.seen {
            let labels = [
                ("site", site),
                ("pool_name", name),
                ("storage_category", category),
                ("server_type", server_type),
            ];
            for (metric, night, value) in self.of_pool(readings) {
                let night = (!night.is_empty()).then_some(("night", night));
                let labels: Vec<_> = labels.into_iter().chain(night).collect();
                all.insert(key(metric, &labels), value);
            }
        }
        all
    }

    fn of_pool(&self, readings: &[Reading]) -> Vec<(&'static str, &'static str, f64)> {
        let now = readings.last().expect("a reading");
        let tonight = self.night(now.at);
        let mut nights: BTreeMap<i64, Vec<Reading>> = BTreeMap::new();
        for reading in readings {
            nights.entry(self.night(reading.at)).or_default().push(*reading);
        }
        let whole = self.whole(&nights, tonight);
        let room = now.limit - now.used;
        let mut found = vec![("nbu_disk_pool_headroom_bytes", "", room as f64)];
        let growth = "nbu_disk_pool_night_growth_bytes";
        if let Some(last) = whole.last() {
            found.push((growth, "last", last.growth as f64));
        }
        if let Some(high) = high(&whole) {
            found.push((growth, "high", high as f64));
            if high > 0 {
                let nights = room.max(0) as f64 / high as f64;
                found.push(("nbu_disk_pool_nights_left", "", nights));
            }
        }
        if let Some(expected) = expected_of(&whole, tonight) {
            found.push((growth, "tonight", expected as f64));
            if let Some(fits) = self.fits(&nights[&tonight], expected) {
                found.push(("nbu_disk_pool_tonight_fits", "", f64::from(u8::from(fits))));
            }
        }
        if let Some(daily) = self.daily(&nights, tonight) {
            found.push(("nbu_disk_pool_free_daily_change_bytes", "", 0.0 - daily));
            if daily > 0.0 {
                found.push(("nbu_disk_pool_days_left", "", room.max(0) as f64 / daily));
            }
        }
        found
    }

    /// The nights of the last four weeks that were seen from before 16:00 until after 06:00.
    fn whole(&self, nights: &BTreeMap<i64, Vec<Reading>>, tonight: i64) -> Vec<Whole> {
        let past = nights.range(tonight - 28..tonight);
        let whole = past.filter_map(|(number, readings)| {
            let (first, last) = (readings.first()?, readings.last()?);
            let is_whole =
                self.since_noon(first.at) <= 4 * HOUR && self.since_noon(last.at) >= 18 * HOUR;
            let most = readings.iter().map(|reading| reading.used).max()?;
            is_whole.then_some(Whole { number: *number, growth: most - first.used })
        });
        whole.collect()
    }

    /// The decision of 14:00, if there was a poll until 18:00, and what became of it.
    fn fits(&self, readings: &[Reading], expected: i64) -> Option<bool> {
        let fits = |reading: &Reading| expected <= 0 || reading.limit - reading.used >= expected;
        let decided = readings
            .iter()
            .position(|reading| self.since_noon(reading.at) >= 2 * HOUR)
            .filter(|place| self.since_noon(readings[*place].at) < 6 * HOUR)?;
        Some(readings[decided..].iter().any(fits))
    }

    /// The median of the slopes between all noons of two weeks, bytes a day.
    fn daily(&self, nights: &BTreeMap<i64, Vec<Reading>>, tonight: i64) -> Option<f64> {
        let noons: Vec<(i64, Reading)> = nights
            .range(tonight - 14..=tonight)
            .map(|(number, readings)| (*number, readings[0]))
            .filter(|(_, first)| self.since_noon(first.at) <= 4 * HOUR)
            .collect();
        if noons.last()?.0 - noons.first()?.0 < 3 {
            return None;
        }
        let mut slopes = Vec::new();
        for (place, (_, one)) in noons.iter().enumerate() {
            for (_, other) in &noons[place + 1..] {
                let days = (other.at - one.at) as f64 / DAY as f64;
                slopes.push((other.used - one.used) as f64 / days);
            }
        }
        slopes.sort_by(f64::total_cmp);
        let (lower, upper) = ((slopes.len() - 1) / 2, slopes.len() / 2);
        Some(f64::midpoint(slopes[lower], slopes[upper]))
    }
}

/// Returns what nine of ten nights do not exceed.
fn high(whole: &[Whole]) -> Option<i64> {
    let mut growths: Vec<i64> = whole.iter().map(|night| night.growth).collect();
    growths.sort_unstable();
    let within = |growth: &&i64| {
        let up_to = growths.iter().filter(|other| other <= growth).count();
        up_to * 10 >= growths.len() * 9
    };
    growths.iter().find(within).copied()
}

fn expected_of(whole: &[Whole], tonight: i64) -> Option<i64> {
    let of_weekday = whole.iter().filter(|night| (tonight - night.number) % 7 == 0);
    let of_weekday: Vec<i64> = of_weekday.map(|night| night.growth).collect();
    if of_weekday.len() >= 2 {
        return of_weekday.into_iter().max();
    }
    if whole.len() >= 3 { high(whole) } else { None }
}
