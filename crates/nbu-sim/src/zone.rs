//! The server's time zone, and how `/security/servertime` tells of it.

use std::str::FromStr;

use jiff::tz::TimeZone;

/// (id, name, rule) of the zones that a server may be in. The rules are told here: a host need not have a
/// database of time zones.
const ZONES: [(&str, &str, &str); 9] = [
    ("UTC", "Coordinated Universal Time", "UTC0"),
    ("Europe/London", "Greenwich Mean Time", "GMT0BST,M3.5.0/1,M10.5.0"),
    ("Europe/Berlin", "Central European Standard Time", "CET-1CEST,M3.5.0,M10.5.0/3"),
    ("America/New_York", "Eastern Standard Time", "EST5EDT,M3.2.0,M11.1.0"),
    ("America/Los_Angeles", "Pacific Standard Time", "PST8PDT,M3.2.0,M11.1.0"),
    ("America/Sao_Paulo", "Brasilia Time", "<-03>3"),
    ("Asia/Kolkata", "India Standard Time", "IST-5:30"),
    ("Asia/Tokyo", "Japan Standard Time", "JST-9"),
    ("Australia/Sydney", "Australian Eastern Standard Time", "AEST-10AEDT,M10.1.0,M4.1.0/3"),
];

/// Answer of the server about its zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Its id.
    Right,
    /// Another text in place of the id.
    As(String),
    /// The time alone.
    Nothing,
    /// 404.
    NoPath,
}

/// A time zone of a server (docs/netbackup-api.md#servertime). Nights of the world follow it, whatever the server
/// says of it.
///
/// ```
/// use nbu_sim::ServerZone;
/// let berlin: ServerZone = "Europe/Berlin".parse()?;
/// let odd = berlin.clone().told_as("Mars/Olympus");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerZone {
    index: usize,
    pub(crate) told: Told,
}

impl ServerZone {
    /// Coordinated universal time.
    pub const UTC: Self = Self { index: 0, told: Told::Right };

    /// Returns the ids of the zones that there are.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        ZONES.iter().map(|(id, ..)| *id)
    }

    /// The IANA id.
    pub fn id(&self) -> &'static str {
        ZONES[self.index].0
    }

    /// Lets the server say this in place of the id, such as one that nobody knows.
    #[must_use]
    pub fn told_as(self, id: &str) -> Self {
        Self { told: Told::As(id.to_owned()), ..self }
    }

    /// Lets the server tell the time without a zone.
    #[must_use]
    pub fn untold(self) -> Self {
        Self { told: Told::Nothing, ..self }
    }

    /// Lets the server answer 404 in place of its time.
    #[must_use]
    pub fn without_path(self) -> Self {
        Self { told: Told::NoPath, ..self }
    }

    /// timeZoneName.
    pub(crate) fn name(&self) -> &'static str {
        ZONES[self.index].1
    }

    pub(crate) fn rules(&self) -> TimeZone {
        TimeZone::posix(ZONES[self.index].2).unwrap_or(TimeZone::UTC)
    }
}

impl Default for ServerZone {
    fn default() -> Self {
        Self::UTC
    }
}

impl FromStr for ServerZone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let index = ZONES.iter().position(|(id, ..)| *id == text);
        let known = || Self::ids().collect::<Vec<_>>().join(", ");
        let index = index.ok_or_else(|| format!("no time zone {text:?}: {}", known()))?;
        Ok(Self { index, told: Told::Right })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_has_rules() {
        for id in ServerZone::ids() {
            let zone: ServerZone = id.parse().unwrap();
            assert_eq!(zone.id(), id);
            assert!(TimeZone::posix(ZONES[zone.index].2).is_ok(), "{id}");
        }
        assert!("Mars/Olympus".parse::<ServerZone>().unwrap_err().contains("Asia/Tokyo"));
    }
}
