//! The names of a world: clients, policies, storage, kept once and referred to by index.

use std::sync::Arc;

use super::disk::Disk;
use super::storage::StorageUnit;
use crate::model::{SCHEDULES, WORLD_POLICY_TYPES, Workload};
use crate::settings::Settings;

/// A policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: Arc<str>,
    /// policyType.
    pub(crate) spelling: &'static str,
    pub(crate) workload: Workload,
}

/// Names by index.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) clients: Vec<Arc<str>>,
    /// The virtual machine that goes with each client.
    pub(crate) machines: Vec<Arc<str>>,
    pub(crate) policies: Vec<Policy>,
    /// Indices of the policies of shares and clouds, whose snapshots are jobs that stand alone.
    pub(crate) snapshot_policies: Vec<u16>,
    /// Indices of the policies of the catalogue.
    pub(crate) catalog_policies: Vec<u16>,
    pub(crate) disk: Disk,
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
        let types: Vec<_> =
            WORLD_POLICY_TYPES.iter().filter(|(_, since, _)| *since <= settings.release).collect();
        let policies: Vec<Policy> = (0..settings.policies.clamp(1, usize::from(u16::MAX)))
            .map(|index| {
                let (policy_type, _, workload) = *types[index % types.len()];
                let name = format!("{policy_type}-{:02}", index + 1).into();
                let is_catalog = workload == Workload::Catalog;
                let spelled = settings.catalog_policy_type.filter(|_| is_catalog);
                Policy { name, spelling: spelled.unwrap_or(policy_type), workload }
            })
            .collect();
        let of = |wanted: &[Workload]| {
            let numbered = (0..).zip(&policies);
            let kept = numbered.filter(|(_, policy)| wanted.contains(&policy.workload));
            kept.map(|(index, _)| index).collect::<Vec<u16>>()
        };
        let clients: Vec<Arc<str>> = (0..settings.clients.clamp(1, u32::MAX as usize))
            .map(|index| format!("client{:04}.example.com", index + 1).into())
            .collect();
        let disk = Disk::new(settings, StorageUnit::pools_needed(settings.storage_units));
        Self {
            machines: (1..=clients.len()).map(|n| format!("vm-client{n:04}").into()).collect(),
            clients,
            snapshot_policies: of(&[Workload::Shares, Workload::Cloud]),
            catalog_policies: of(&[Workload::Catalog]),
            policies,
            units: StorageUnit::all(settings, &disk),
            disk,
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
