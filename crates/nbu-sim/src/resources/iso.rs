//! ISO 8601 in UTC with milliseconds, as the API writes times (docs/netbackup-api.md#times).

use jiff::{Timestamp, tz::Offset};

/// `2020-05-06T11:41:45.000Z` for a time in unix milliseconds.
pub(crate) fn text(ms: i64) -> String {
    let mut out = Vec::with_capacity(24);
    write_ms(&mut out, ms);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends `2020-05-06T11:41:45.000Z` for a time in unix milliseconds.
pub(crate) fn write_ms(out: &mut Vec<u8>, ms: i64) {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let t = Offset::UTC.to_datetime(time);
    digits(out, t.year().unsigned_abs(), 4, b'-');
    digits(out, t.month().unsigned_abs().into(), 2, b'-');
    digits(out, t.day().unsigned_abs().into(), 2, b'T');
    digits(out, t.hour().unsigned_abs().into(), 2, b':');
    digits(out, t.minute().unsigned_abs().into(), 2, b':');
    digits(out, t.second().unsigned_abs().into(), 2, b'.');
    digits(out, t.millisecond().unsigned_abs(), 3, b'Z');
}

/// A number with leading zeros, and what follows it. By hand: a page has four hundred times.
fn digits(out: &mut Vec<u8>, number: u16, width: u32, then: u8) {
    for place in (0..width).rev() {
        let digit = number / 10_u16.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
    out.push(then);
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
