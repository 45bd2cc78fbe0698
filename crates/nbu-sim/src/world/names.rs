//! The names of a world: clients, policies, storage units, kept once and referred to by index.

use std::sync::Arc;

use super::storage::StorageUnit;
use crate::model::{SCHEDULES, WORLD_POLICY_TYPES};
use crate::settings::Settings;

/// A policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: Arc<str>,
    pub(crate) policy_type: &'static str,
}

/// Names by index.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) clients: Vec<Arc<str>>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) units: Vec<StorageUnit>,
    pub(crate) schedules: Vec<Arc<str>>,
    pub(crate) empty: Arc<str>,
    /// The server's own name.
    pub(crate) server: Arc<str>,
    /// Media servers.
    pub(crate) media: Vec<Arc<str>>,
}

impl Names {
    pub(crate) fn new(settings: &Settings) -> Self {
        let types: Vec<&'static str> = WORLD_POLICY_TYPES
            .iter()
            .filter(|(_, since)| *since <= settings.release)
            .map(|(name, _)| *name)
            .collect();
        let policies = (0..settings.policies.clamp(1, usize::from(u16::MAX)))
            .map(|index| {
                let policy_type = types[index % types.len()];
                Policy { name: format!("{policy_type}-{:02}", index + 1).into(), policy_type }
            })
            .collect();
        let clients = (0..settings.clients.clamp(1, u32::MAX as usize))
            .map(|index| format!("client{:04}.example.com", index + 1).into())
            .collect();
        Self {
            clients,
            policies,
            units: StorageUnit::all(settings),
            schedules: SCHEDULES.iter().map(|(name, _)| Arc::from(*name)).collect(),
            empty: Arc::from(""),
            server: Arc::from(settings.name.as_str()),
            media: (1..=4).map(|n| format!("media{n}.example.com").into()).collect(),
        }
    }

    pub(crate) fn clients(&self) -> u32 {
        u32::try_from(self.clients.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn policies(&self) -> u16 {
        u16::try_from(self.policies.len()).unwrap_or(u16::MAX)
    }

    /// Number of units, at least 1: jobs draw one even where the server has none.
    pub(crate) fn units(&self) -> u16 {
        u16::try_from(self.units.len()).unwrap_or(u16::MAX).max(1)
    }
}
