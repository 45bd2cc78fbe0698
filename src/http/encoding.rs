//! Accept-Encoding (RFC 9110, section 12.5.3).

use axum::http::{HeaderMap, header};

/// Returns whether a response is compressed: gzip is accepted, and identity not preferred. A client that
/// accepts neither gets identity: the numbers matter more than the form.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for field in headers.get_all(header::ACCEPT_ENCODING) {
        for item in field.to_str().unwrap_or_default().split(',') {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let slot = match coding.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "*" => &mut any,
                "identity" => &mut identity,
                _ => continue,
            };
            let weight = weight(parameters);
            // Of a coding that is named twice, the lower weight counts.
            *slot = Some(slot.map_or(weight, |before: u16| before.min(weight)));
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// Returns the weight in thousandths: 1 if there is none, 0 if it is invalid.
fn weight(parameters: &str) -> u16 {
    let mut pairs = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let weight = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.map_or(1_000, |(_, value)| thousandths(value.trim()).unwrap_or(0))
}

/// Parses `0` or `1` with up to three decimals.
fn thousandths(value: &str) -> Option<u16> {
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_if_accepted() {
        let cases = [
            ("gzip", true),
            ("GZip", true),
            ("x-gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;Q=0.001", true),
            ("gzip ; q=1.000", true),
            ("gzip;level=9;q=1", true),
            ("gzip;q=0.", false),
            ("*", true),
            ("*;q=0.1", true),
            ("gzip, *;q=0", true),
            ("identity;q=0, *", true),
            ("identity;q=0.5, gzip", true),
            ("identity, gzip", true),
            ("gzip;q=0", false),
            ("gzip;Q=0", false),
            ("gzip;q=0.000", false),
            ("gzip ; q = 0", false),
            ("gzip;level=9;q=0", false),
            ("x-gzip;q=0, *", false),
            ("gzip;q=0.0, *", false),
            ("gzip, gzip;q=0", false),
            ("identity, gzip;q=0.5", false),
            ("*;q=0", false),
            ("identity;q=0", false),
            ("identity", false),
            ("", false),
        ];
        for (value, expected) in cases {
            assert_eq!(accepts_gzip(&headers(&[value])), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn invalid_weights_refuse_gzip() {
        for weight in ["x", "", "-1", "2", "1.001", "0.0001", "inf", "nan", "1e0", "+1", "\"1\""] {
            assert!(!accepts_gzip(&headers(&[&format!("gzip;q={weight}")])), "{weight}");
        }
    }

    #[test]
    fn repeated_accept_encoding_fields_are_one_list() {
        assert!(accepts_gzip(&headers(&["deflate", "gzip"])));
        assert!(!accepts_gzip(&headers(&["*", "gzip;q=0"])));
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::ACCEPT_ENCODING, value.parse().unwrap())).collect()
    }
}
