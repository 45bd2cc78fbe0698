//! Sites shared out over agents that have one configuration: each site belongs to one shard.
//!
//! Rendezvous hashing: a site belongs to the shard whose weight for its name is the highest. With one shard more, only
//! the sites whose highest weight is the new one's move, and with one less only its own.

use sha2::{Digest as _, Sha256};

/// The part of the sites that this agent polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// From 0. One that is not below `shards` polls nothing.
    pub shard: u32,
    pub shards: u32,
}

impl Config {
    /// Returns whether the site belongs to this shard.
    pub fn has(&self, site: &str) -> bool {
        owner(site, self.shards) == self.shard
    }
}

/// Returns the shard of a site among so many. It must be the same in each release: agents of two releases share the
/// sites during an upgrade.
pub fn owner(site: &str, shards: u32) -> u32 {
    (0..shards).max_by_key(|shard| (weight(site, *shard), *shard)).unwrap_or_default()
}

/// Returns the first eight bytes of the SHA-256 of the shard (four bytes, big-endian) and the name.
fn weight(site: &str, shard: u32) -> u64 {
    let digest = Sha256::new().chain_update(shard.to_be_bytes()).chain_update(site).finalize();
    digest.iter().take(8).fold(0, |weight, byte| weight << 8 | u64::from(*byte))
}

/// Returns the number at the end of a name such as that of a pod of a StatefulSet, `agent-2`.
pub fn ordinal(name: &str) -> Option<u32> {
    // A host name may be a qualified one.
    let (_, number) = name.split('.').next()?.rsplit_once('-')?;
    let is_plain = number == "0" || !number.starts_with('0');
    let is_digits = number.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain && is_digits { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn change_of_count_moves_what_it_must(site in ".{0,40}", shards in 1..200_u32) {
            let (before, after) = (owner(&site, shards), owner(&site, shards + 1));
            prop_assert!(before < shards);
            prop_assert!(after == before || after == shards, "{before} of {shards} became {after}");
        }

        #[test]
        fn ordinal_is_that_of_the_name(name in "[a-z][a-z0-9-]{0,20}", number in any::<u32>()) {
            prop_assert_eq!(ordinal(&format!("{name}-{number}")), Some(number));
            prop_assert_eq!(ordinal(&format!("{name}-{number}.service.example")), Some(number));
        }
    }

    #[test]
    fn sites_are_spread_evenly() {
        for shards in [1, 2, 3, 7, 30] {
            let mut counts = vec![0_u32; shards as usize];
            for site in 0..30_000 {
                counts[owner(&format!("site-{site}"), shards) as usize] += 1;
            }
            let fair = 30_000 / shards;
            assert!(counts.iter().all(|count| count.abs_diff(fair) < fair / 5), "{counts:?}");
        }
    }

    /// Agents of different releases must agree.
    #[test]
    fn owners_are_the_same_in_each_release() {
        let owners = ["paris", "london", "new york", "", "東京"].map(|site| owner(site, 5));
        assert_eq!(owners, [0, 4, 3, 0, 3]);
    }

    #[test]
    fn name_without_number_has_no_ordinal() {
        for name in [
            "",
            "-",
            "agent",
            "agent-",
            "agent-x",
            "agent-01",
            "agent--1x",
            "2",
            "agent-99999999999",
        ] {
            assert_eq!(ordinal(name), None, "{name}");
        }
        assert_eq!(ordinal("agent--1"), Some(1));
    }
}
