//! Media types and versions (docs/netbackup-api.md#version-negotiation).

use crate::settings::Release;

/// Text of a 406, with which codes and texts of real servers are not documented.
pub(crate) const NOT_ACCEPTABLE: &str =
    "Invalid Accept type. Make sure your Accept header matches what this API produces.";

const JSON: &str = "application/vnd.netbackup+json";
const PLAIN: &str = "text/vnd.netbackup+plain";

/// The media type of a version.
pub(crate) fn media_type(version: &str) -> String {
    format!("{JSON};version={version}")
}

/// The newest version that the header asks for and the server has; `None` is a 406 (or a 415).
pub(crate) fn version(header: Option<&str>, server: Release) -> Option<String> {
    let newest = parse(server.api_version())?;
    let wanted = header?.split(',').filter_map(|range| version_of(range, JSON));
    let known = wanted.filter(|version| parse(version).is_some_and(|version| version <= newest));
    known.max_by_key(|version| parse(version)).map(str::to_owned)
}

/// The release whose shape a version has: the newest one that is not newer.
pub(crate) fn release_of(version: &str) -> Release {
    let version = parse(version);
    let known = Release::ALL.into_iter().rev().find(|r| parse(r.api_version()) <= version);
    known.unwrap_or(Release::R10_3)
}

/// Returns true if `/ping` may answer: there is no header, or it admits anything, any text, or the
/// type of `/ping`.
pub(crate) fn accepts_ping(header: Option<&str>, server: &str) -> bool {
    let Some(header) = header else { return true };
    header.split(',').any(|range| {
        let kind = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "*/*" | "text/*" | "text/plain" => true,
            PLAIN => match version_of(range, PLAIN) {
                Some(version) => {
                    parse(version).is_some_and(|version| Some(version) <= parse(server))
                }
                _ => true,
            },
            _ => false,
        }
    })
}

/// The version parameter of a media range of this kind; `None` for another kind, and without one.
fn version_of<'a>(range: &'a str, kind: &str) -> Option<&'a str> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(kind) {
        return None;
    }
    let version = parts.find_map(|part| part.strip_prefix("version="));
    version.map(|version| version.trim_matches('"'))
}

/// MAJOR.MINOR.
fn parse(version: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    let (major, minor) = version.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_up_to_the_servers_own_are_served() {
        let served = |header: &str| version(Some(header), Release::R10_5);
        assert_eq!(served("application/vnd.netbackup+json;version=12.0").as_deref(), Some("12.0"));
        assert_eq!(served("application/vnd.netbackup+json; version=4.0").as_deref(), Some("4.0"));
        let two = "application/vnd.netbackup+json;version=13.0, application/vnd.netbackup+json;version=10.0";
        assert_eq!(served(two).as_deref(), Some("10.0"));
        for header in [
            "application/vnd.netbackup+json;version=13.0",
            "application/vnd.netbackup+json;version=12",
            "application/vnd.netbackup+json;version=+1.0",
            "application/vnd.netbackup+json",
            "application/json",
            "*/*",
            "",
        ] {
            assert_eq!(served(header), None, "{header}");
        }
        assert_eq!(version(None, Release::R10_5), None);
    }

    #[test]
    fn ping_is_text() {
        for header in ["*/*", "text/*", "text/plain", "text/vnd.netbackup+plain;version=12.0, */*"]
        {
            assert!(accepts_ping(Some(header), "12.0"), "{header}");
        }
        assert!(accepts_ping(None, "12.0"));
        for header in ["application/json", "text/vnd.netbackup+plain;version=13.0"] {
            assert!(!accepts_ping(Some(header), "12.0"), "{header}");
        }
    }

    #[test]
    fn older_version_has_the_shape_of_its_release() {
        assert_eq!(release_of("11.0"), Release::R10_3);
        assert_eq!(release_of("12.0"), Release::R10_5);
        assert_eq!(release_of("6.0"), Release::R10_3);
    }
}
