//! API versions of NetBackup (docs/netbackup-api.md#versions).

use std::fmt;
use std::str::FromStr;

/// A version of the REST API, such as `13.0`; it is the `version` of the media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    pub major: u16,
    pub minor: u16,
}

impl ApiVersion {
    /// Versions that this agent supports, newest first: NetBackup 11.2, 11.0, 10.5, 10.4 and 10.3.
    pub const KNOWN: [Self; 5] =
        [Self::new(14, 0), Self::new(13, 0), Self::new(12, 0), Self::new(11, 0), Self::new(10, 0)];

    pub const NEWEST: Self = Self::KNOWN[0];

    /// The oldest version that this agent speaks, NetBackup 10.3's. The jobs list has its present
    /// form from 9.0 on, but nothing older than 10.0 was checked against the vendor's documentation.
    pub const OLDEST: Self = Self::KNOWN[Self::KNOWN.len() - 1];

    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an API version (expected MAJOR or MAJOR.MINOR)")]
pub struct NotAVersion;

impl FromStr for ApiVersion {
    type Err = NotAVersion;

    /// Reads `13.0` and the bare `4` that old servers send.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let text = text.trim();
        let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
        // The standard library would accept a plus sign.
        let number = |digits: &str| match digits.parse() {
            Ok(number) if !digits.starts_with('+') => Ok(number),
            _ => Err(NotAVersion),
        };
        Ok(Self::new(number(major)?, number(minor)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_with_and_without_minor() {
        assert_eq!("13.0".parse(), Ok(ApiVersion::new(13, 0)));
        assert_eq!(" 4 ".parse(), Ok(ApiVersion::new(4, 0)));
        for bad in ["", ".", "13.", "x", "13.0.1", "-1", "+3", "99999999"] {
            assert_eq!(bad.parse::<ApiVersion>(), Err(NotAVersion), "{bad}");
        }
    }
}
