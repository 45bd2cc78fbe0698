//! Times as NetBackup writes them, to Unix milliseconds (docs/netbackup-api.md#times).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// Reads an ISO 8601 date-time to Unix milliseconds. Returns `None` for anything
/// else, and for the epoch and times before it, which stand for "not set".
pub(super) fn parse(text: &str) -> Option<i64> {
    parse_fixed(text.as_bytes()).or_else(|| parse_any(text)).filter(|ms| *ms > 0)
}

/// Reads the form that the server uses for nearly everything, `YYYY-MM-DDTHH:MM:SS[.mmm]Z`; anything
/// else is left to [`parse_any`].
fn parse_fixed(text: &[u8]) -> Option<i64> {
    let (text, fraction) = match text {
        [head @ .., b'.', a, b, c, b'Z'] => {
            (head, i32::from(digit(*a)?) * 100 + i32::from(two(*b, *c)?))
        }
        [head @ .., b'Z'] => (head, 0),
        _ => return None,
    };
    let [c1, c2, y1, y2, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2] =
        text
    else {
        return None;
    };
    let year = i16::from(two(*c1, *c2)?) * 100 + i16::from(two(*y1, *y2)?);
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    let (hour, minute, second) = (two(*h1, *h2)?, two(*i1, *i2)?, two(*s1, *s2)?);
    let nanoseconds = fraction * 1_000_000;
    in_utc(DateTime::new(year, month, day, hour, minute, second, nanoseconds).ok()?)
}

/// Reads any other ISO 8601 form; without an offset it is UTC.
fn parse_any(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.as_millisecond());
    }
    in_utc(text.parse().ok()?)
}

fn in_utc(time: DateTime) -> Option<i64> {
    Some(Offset::UTC.to_timestamp(time).ok()?.as_millisecond())
}

fn digit(byte: u8) -> Option<i8> {
    byte.is_ascii_digit().then(|| (byte - b'0').cast_signed())
}

fn two(tens: u8, ones: u8) -> Option<i8> {
    Some(digit(tens)? * 10 + digit(ones)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn iso_8601_forms_are_read() {
        for (text, expected) in [
            ("2018-06-25T19:00:38.407Z", Some(1_529_953_238_407)),
            ("2018-06-25T19:00:38Z", Some(1_529_953_238_000)),
            ("2018-06-25T21:00:38+02:00", Some(1_529_953_238_000)),
            ("2018-06-25T19:00:38", Some(1_529_953_238_000)),
            ("2018-06-25T19:00:38.4071234Z", Some(1_529_953_238_407)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_799_000)),
            ("1970-01-01T00:00:00.000Z", None),
            ("1969-12-31T23:59:59.000Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("-", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn fast_path_agrees_with_jiff(
            year in 0..=9999_i64, month in 0..=13_i64, day in 0..=32_i64,
            hour in 0..=24_i64, minute in 0..=60_i64, second in 0..=59_i64,
            fraction in proptest::option::of(0..=999_i64),
        ) {
            let fraction = fraction.map_or(String::new(), |ms| format!(".{ms:03}"));
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
            );
            let slow = text.parse::<Timestamp>().ok().map(jiff::Timestamp::as_millisecond);
            // jiff takes some forms (hour 24) that the fast path leaves to it; never the reverse.
            let fast = parse_fixed(text.as_bytes());
            prop_assert!(fast.is_none() || fast == slow, "{text}: {fast:?} {slow:?}");
            if hour < 24 && minute < 60 {
                prop_assert_eq!(fast, slow, "{}", text);
            }
        }

        #[test]
        fn any_text_never_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
