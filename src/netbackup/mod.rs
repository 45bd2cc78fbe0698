//! The REST client of one NetBackup primary server, and nothing else.

pub mod config;
pub mod version;

pub use config::Config;
pub use version::ApiVersion;
