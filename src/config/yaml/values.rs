//! Text to values. Each parser says what it expected and never what it found.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::diagnostics::nearest;

/// A value, or what was expected instead.
pub(crate) type Parsed<T> = Result<T, Cow<'static, str>>;

/// Parses text that is not empty; space around it does not count.
pub(crate) fn text(text: &str) -> Parsed<String> {
    match text.trim() {
        "" => Err("must not be empty".into()),
        text => Ok(text.to_owned()),
    }
}

pub(crate) fn boolean(text: &str) -> Parsed<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

pub(crate) fn port(text: &str) -> Parsed<u16> {
    match digits(text.trim()) {
        Some(port @ 1..) => Ok(port),
        _ => Err("expected a port from 1 to 65535".into()),
    }
}

pub(crate) fn number(text: &str, min: usize, max: usize) -> Parsed<usize> {
    let number = digits(text.trim()).filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {min} to {max}").into())
}

pub(crate) fn ratio(text: &str) -> Parsed<f64> {
    match text.trim().parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0.0 to 1.0".into()),
    }
}

/// Parses one of these words, whatever its case.
pub(crate) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Parsed<T> {
    let text = text.trim();
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names = || choices.iter().map(|(name, _)| *name);
        let all = names().collect::<Vec<_>>().join(", ");
        match nearest(text, names()) {
            Some(near) => format!("expected one of {all}; did you mean \"{near}\"?").into(),
            None => format!("expected one of {all}").into(),
        }
    })
}

/// Parses a name or an address; IPv6 with or without brackets, returned without.
pub(crate) fn host(text: &str) -> Parsed<String> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let is_name = || {
        text.len() <= 253
            && !text.is_empty()
            && text.split('.').all(|label| !label.is_empty() || text.ends_with('.'))
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
            // What consists of digits and dots is an address or a slip.
            && (text.parse::<Ipv4Addr>().is_ok()
                || text.chars().any(|c| !c.is_ascii_digit() && c != '.'))
    };
    if Ipv6Addr::from_str(bare.unwrap_or(text)).is_ok() {
        Ok(bare.unwrap_or(text).to_owned())
    } else if bare.is_none() && is_name() {
        Ok(text.to_owned())
    } else {
        Err("expected a host name or an IP address, without a scheme or a port".into())
    }
}

/// Parses text fit for an HTTP header, and secret.
pub(crate) fn header_secret(text: &str) -> Parsed<SecretString> {
    let text = text.trim();
    if text.is_empty() {
        Err("must not be empty".into())
    } else if text.chars().any(|c| !(c.is_ascii_graphic() || c == ' ')) {
        Err("has characters that no HTTP header can carry (line breaks, non-ASCII)".into())
    } else {
        Ok(SecretString::from(text))
    }
}

/// The longest duration: what adds up to more is a slip, and would overflow clocks.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Parses a Go duration of at least a millisecond.
pub(crate) fn duration(text: &str) -> Parsed<Duration> {
    let text = text.trim();
    if text.parse::<f64>().is_ok_and(|number| number != 0.0) {
        return Err("expected a duration with a unit, such as 90s or 1h30m; add a unit".into());
    }
    match go_duration(text) {
        None => Err("expected a duration such as 90s, 5m or 1h30m".into()),
        Some(duration) if duration < Duration::from_millis(1) => {
            Err("expected a duration above 0 (at least 1ms)".into())
        }
        Some(duration) if duration > LONGEST => {
            Err("expected a duration of at most 366 days (8784h)".into())
        }
        Some(duration) => Ok(duration),
    }
}

/// The shortest time between two rounds of work. What is shorter is a slip, and would do nothing else.
pub(crate) const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
pub(crate) const TOO_SHORT: &str = "too short; expected a duration of at least 10ms, such as 60s";

pub(crate) fn interval(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        short if short < SHORTEST_INTERVAL => Err(TOO_SHORT.into()),
        interval => Ok(interval),
    }
}

/// Parses milliseconds, as the OpenTelemetry variables count.
pub(crate) fn milliseconds(text: &str) -> Parsed<Duration> {
    match digits::<u64>(text.trim()).map(Duration::from_millis) {
        Some(duration) if !duration.is_zero() && duration <= LONGEST => Ok(duration),
        _ => Err("expected milliseconds, a whole number above 0".into()),
    }
}

/// Parses as `time.ParseDuration` of Go does: any number of decimal numbers, each with a unit. jiff's friendly
/// format is no superset: it wants units in order, once each, and a fraction only in the last.
/// A negative duration is given as zero; both are out of bounds here.
fn go_duration(text: &str) -> Option<Duration> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanoseconds += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    let duration = Duration::try_from_secs_f64(nanoseconds / 1e9).unwrap_or(Duration::MAX);
    Some(if negative { Duration::ZERO } else { duration })
}

/// Returns a duration as Go would write it, without the zero parts.
pub(crate) fn format_duration(duration: Duration) -> String {
    if duration.subsec_nanos() != 0 {
        return match duration.as_nanos() {
            n if n % 1_000_000 == 0 => format!("{}ms", n / 1_000_000),
            n => format!("{n}ns"),
        };
    }
    let seconds = duration.as_secs();
    let parts = [(seconds / 3600, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0);
    let parts: Vec<_> = parts.map(|(n, unit)| format!("{n}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.concat() }
}

/// Parses digits only: no sign, no underscore, no hexadecimal.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("1h30m", ms(5_400_000)),
            ("90s", ms(90_000)),
            ("1.5h", ms(5_400_000)),
            (".5s", ms(500)),
            ("500ms", ms(500)),
            ("1m0s", ms(60_000)),
            ("1h0m0s", ms(3_600_000)),
            ("1500µs", Duration::from_micros(1500)),
            ("1500us", Duration::from_micros(1500)),
            ("1s1h", ms(3_601_000)),
            ("1.5h30m", ms(7_200_000)),
            (" 5m ", ms(300_000)),
            ("+5m", ms(300_000)),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
            assert_eq!(duration(&format_duration(expected)), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_durations_are_refused_in_words() {
        for (text, part) in [
            ("300", "add a unit"),
            ("1.5", "add a unit"),
            ("0", "above 0"),
            ("0s", "above 0"),
            ("-5m", "above 0"),
            ("10ns", "above 0"),
            ("", "such as"),
            ("5 m", "such as"),
            ("1d", "such as"),
            ("h", "such as"),
            ("..s", "such as"),
            ("5m3", "such as"),
            ("nan", "add a unit"),
            ("99999999999999999999h", "at most"),
            ("9000h", "at most"),
        ] {
            let message = duration(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn interval_below_ten_milliseconds_is_refused() {
        assert_eq!(interval("10ms"), Ok(Duration::from_millis(10)));
        for message in [interval("1ms"), interval("9999us")] {
            assert!(message.unwrap_err().contains("too short"));
        }
        assert!(interval("5").unwrap_err().contains("add a unit"));
    }

    #[test]
    fn hosts_are_names_and_addresses() {
        for (text, expected) in [
            ("primary.example.com", "primary.example.com"),
            ("primary_1", "primary_1"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
            ("[fe80::1]", "fe80::1"),
            ("host.", "host."),
        ] {
            assert_eq!(host(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "a b", "http://a", "a:1556", "[a]", "1.2.3", "a..b", "a/b", "u@h", "[::1"]
        {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        assert_eq!(port("9440"), Ok(9440));
        for text in ["0", "65536", "-1", "", "9440.0", "0x10", "1_000", "+1"] {
            assert!(port(text).is_err(), "{text}");
        }
        assert_eq!(ratio("0.25"), Ok(0.25));
        for text in ["1.1", "-0.1", "NaN", "inf", ""] {
            assert!(ratio(text).is_err(), "{text}");
        }
    }
}
