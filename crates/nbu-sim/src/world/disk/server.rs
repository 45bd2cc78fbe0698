//! Storage servers: the hosts and services behind the disk pools.

use std::sync::Arc;

use fastrand::Rng;

/// A storage server.
#[derive(Clone, Debug)]
pub(crate) struct StorageServer {
    pub(crate) name: Arc<str>,
    pub(crate) category: &'static str,
    pub(crate) server_type: &'static str,
    pub(crate) state: &'static str,
    /// nbuHostVersion, where the host has NetBackup.
    pub(crate) version: Option<&'static str>,
    pub(crate) status_code: Option<i64>,
    /// Files in the catalogue of an MSDP server.
    pub(crate) files: i64,
}

impl StorageServer {
    /// Draws a server. An appliance and the cloud have no NetBackup on them.
    pub(super) fn new(
        rng: &mut Rng,
        name: String,
        category: &'static str,
        server_type: &'static str,
    ) -> Self {
        let has_netbackup = matches!(category, "MSDP" | "ADVANCED_DISK");
        let version = ["10.3", "10.5.0.1", "11.0"][rng.usize(0..3)];
        Self {
            name: name.into(),
            category,
            server_type,
            state: if rng.u32(0..12) == 0 { "DOWN" } else { "UP" },
            version: has_netbackup.then_some(version),
            status_code: has_netbackup.then(|| if rng.u32(0..8) == 0 { 2106 } else { 0 }),
            files: rng.i64(1_000..50_000_000),
        }
    }

    /// sType:name.
    pub(crate) fn id(&self) -> String {
        format!("{}:{}", self.server_type, self.name)
    }
}
