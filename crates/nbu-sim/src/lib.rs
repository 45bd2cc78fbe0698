//! A NetBackup primary server simulator: its REST API over real HTTP, on a world of jobs and storage
//! units that lives with time and is the same for the same seed.
//!
//! ```
//! # async fn example() -> std::io::Result<()> {
//! use nbu_sim::{Clock, Fault, Settings, Simulator};
//! use std::time::Duration;
//!
//! let clock = Clock::manual(1_790_000_000_000);
//! let sim = Simulator::start(Settings { clock, ..Settings::default() }).await?;
//! let url = format!("{}/admin/jobs", sim.base_url());
//! sim.clock().advance(Duration::from_secs(3600));
//! let truth = sim.truth();
//! let ended = truth.jobs_ended(truth.server_time() - 3_600_000, truth.server_time()).count();
//! sim.faults().add(Fault::on("/admin/jobs").status(503).times(2));
//! sim.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! In the order in which a request goes: `http` (connections, negotiation), `faults`, `resources` (one file
//! each, and the table of routes), `filter`, and the `world` that they read. [`Truth`] reads the world
//! past all of these, for tests to compare with.

mod clock;
mod faults;
mod filter;
mod http;
mod model;
mod pool_script;
mod resources;
mod rows;
mod server;
mod settings;
mod shared;
mod status;
mod truth;
mod world;
mod zone;

pub use clock::Clock;
pub use faults::parse::{Denial, FAULT_KINDS};
pub use faults::{ErrorBody, Fault, Faults};
pub use http::log::{Authorization, LOG_CAPACITY, RequestLog};
pub use http::tls::TlsMaterial;
pub use model::JobState;
pub use pool_script::{PoolScript, PoolSizes};
pub use resources::fixture::{Fixture, Paging};
pub use resources::fixtures;
pub use resources::offset::Envelope;
pub use resources::views::*;
pub use rows::{RowCount, Rows};
pub use server::Simulator;
pub use settings::{API_KEY, Release, Settings};
pub use shared::Permissions;
pub use status::Cause;
pub use truth::{Completion, JobView, StorageUnitView, Truth};
pub use world::batch::Batch;
pub use world::job::FalseGreen;
pub use zone::ServerZone;
