//! ISO 8601 in UTC with milliseconds, as the API writes times (contract, section 4).

use std::io::Write as _;

use jiff::{Timestamp, tz::Offset};

/// Appends `2020-05-06T11:41:45.000Z` for a time in unix milliseconds.
pub(crate) fn write_ms(out: &mut Vec<u8>, ms: i64) {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let t = Offset::UTC.to_datetime(time);
    let _ = write!(
        out,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        t.year(),
        t.month(),
        t.day(),
        t.hour(),
        t.minute(),
        t.second(),
        t.millisecond()
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_as_the_api_does() {
        let iso = |ms| {
            let mut out = Vec::new();
            super::write_ms(&mut out, ms);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_704_067_200_407), "2024-01-01T00:00:00.407Z");
    }
}
