//! Nights: from noon to noon in the time zone of the primary server, so that no backup window is cut in two.

use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

/// The hour at which a night begins and ends.
const NOON: i8 = 12;

/// The hour at which it is decided whether the coming night fits.
const DECISION: i8 = 14;

/// A time zone with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// A night, named by the day of its first noon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Night {
    /// Days from 1970-01-01 to the day of its first noon.
    pub number: i32,
    pub weekday: Weekday,
    /// Unix ms.
    pub starts: i64,
    /// 14:00 local, Unix ms.
    pub decides: i64,
    /// Unix ms.
    pub ends: i64,
}

impl Zone {
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), rules: TimeZone::UTC }
    }

    /// Returns the zone with this id: one of the zone database, or a fixed distance from UTC such as `GMT+05:30`.
    /// `None` if there is none.
    pub fn named(id: &str) -> Option<Self> {
        let id = id.trim();
        let known = || TimeZone::get(id).ok();
        let rules = fixed(id).or_else(known)?;
        Some(Self { name: id.to_owned(), rules })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the night of a time, Unix ms; `None` outside the calendar.
    pub fn night_of(&self, at: i64) -> Option<Night> {
        let local = self.rules.to_datetime(Timestamp::from_millisecond(at).ok()?);
        let date = local.date();
        let date = if local.hour() < NOON { date.yesterday().ok()? } else { date };
        Some(Night {
            number: days_since_epoch(date),
            weekday: date.weekday(),
            starts: self.unix_ms(date, NOON)?,
            decides: self.unix_ms(date, DECISION)?,
            ends: self.unix_ms(date.checked_add(1.day()).ok()?, NOON)?,
        })
    }

    fn unix_ms(&self, date: Date, hour: i8) -> Option<i64> {
        Some(self.rules.to_timestamp(date.at(hour, 0, 0, 0)).ok()?.as_millisecond())
    }
}

/// Reads a distance from UTC as Java writes it: `GMT+2`, `GMT-03:30`, `UTC+0530`.
fn fixed(id: &str) -> Option<TimeZone> {
    let distance = id.strip_prefix("GMT").or_else(|| id.strip_prefix("UTC"))?;
    let sign = match distance.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits = &distance[1..];
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
        None => (digits, "0"),
    };
    let number = |text: &str| {
        text.parse::<i32>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok().map(TimeZone::fixed)
}

fn days_since_epoch(date: Date) -> i32 {
    let epoch = Date::constant(1970, 1, 1);
    // A calendar of 20,000 years fits.
    date.duration_since(epoch).as_hours().try_into().map_or(0, |hours: i32| hours / 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn night_is_from_noon_to_noon_local_time() {
        let zone = Zone::named("America/New_York").unwrap();
        let night = zone.night_of(ms("2026-03-07T16:59:59Z")).unwrap();
        let next = zone.night_of(ms("2026-03-07T17:00:00Z")).unwrap();
        assert_eq!((next.number - night.number, next.weekday), (1, Weekday::Saturday));
        assert_eq!(
            (next.starts, night.ends),
            (ms("2026-03-07T17:00:00Z"), ms("2026-03-07T17:00:00Z"))
        );
        assert_eq!(next.decides, ms("2026-03-07T19:00:00Z"));
        // The clocks go forward: an hour less.
        assert_eq!(next.ends, ms("2026-03-08T16:00:00Z"));
        assert_eq!(zone.night_of(next.ends).unwrap().number, next.number + 1);
        assert_eq!(Zone::utc().night_of(0).unwrap().number, -1);
        assert_eq!(Zone::utc().night_of(43_200_000).unwrap().number, 0);
    }

    #[test]
    fn zone_is_found_by_id_or_distance() {
        for (id, at_utc) in [
            ("Europe/Paris", "2026-01-01T11:00:00Z"),
            ("Asia/Calcutta", "2026-01-01T06:30:00Z"),
            ("GMT+05:30", "2026-01-01T06:30:00Z"),
            ("UTC-0330", "2026-01-01T15:30:00Z"),
            ("GMT+2", "2026-01-01T10:00:00Z"),
            (" UTC ", "2026-01-01T12:00:00Z"),
            ("GMT", "2026-01-01T12:00:00Z"),
        ] {
            let zone = Zone::named(id).unwrap();
            assert_eq!(zone.night_of(ms(at_utc)).unwrap().starts, ms(at_utc), "{id}");
            assert_eq!(zone.name(), id.trim());
        }
        for id in [
            "",
            "Mars/Olympus",
            "GMT+",
            "GMT+24",
            "GMT+5:60",
            "GMT+ 5",
            "UTC+é",
            "GMT+-5",
            "../etc/passwd",
        ] {
            assert_eq!(Zone::named(id), None, "{id:?}");
        }
    }

    #[test]
    fn time_outside_the_calendar_has_no_night() {
        let zone = Zone::named("Asia/Tokyo").unwrap();
        for at in [i64::MIN, i64::MAX] {
            assert_eq!(zone.night_of(at), None);
        }
    }
}
