//! `nbu-otel-agent`: an OpenTelemetry metrics agent for NetBackup.
//!
//! The modules, in the order in which data flows through them:
//!
//! 1. [`config`] reads and validates the file: every error at once, each with its line.
//! 2. [`netbackup`] is the REST client of one primary server.
//! 3. [`jobs`] reads the job lists and folds them into the window's numbers.
//! 4. [`collectors`] is the table of resources: a fetch and a pure fold for each.
//! 5. [`metric`] holds what a metric is: its declaration, and the samples of one fold.
//! 6. [`snapshot`] keeps what each server looked like, immutable, one writer a site.
//! 7. [`poller`] drives one server: schedule, collect, publish.
//! 8. [`telemetry`] feeds observable instruments from the snapshots; Prometheus and OTLP read them.
//! 9. [`http`] serves bytes that were rendered before the request came.
//! 10. [`supervisor`] owns the lives of all of these; boot is its first reload.
//!
//! [`net`] is the ground floor of what goes over the network: TLS material, proxies, retries, redaction.
//! [`process`] sets up the process: panics in the log, room for files.
//! [`reload`] has the requests to reload the configuration, and their verdicts.
//!
//! [`forecast`] says whether the coming night fits into a disk pool, and [`night`] when a night is.
//!
//! [`state`] is what outlives the process, where the configuration names a directory for it.
//!
//! [`election`] lets one of several agents poll and export, and [`tenure`] says for how long; [`sharding`] shares sites out.
//!
//! ARCHITECTURE.md says which module may use which, and why.

pub mod catalog;
pub mod cli;
pub mod collectors;
pub mod config;
pub mod election;
pub mod forecast;
#[cfg(fuzzing)]
pub mod fuzz;
#[cfg(all(test, not(fuzzing)))]
mod fuzz;
pub mod http;
pub mod jobs;
pub mod log;
pub mod metric;
pub mod net;
pub mod netbackup;
pub mod night;
pub mod poller;
pub mod process;
pub mod reload;
pub mod sharding;
pub mod slp;
pub mod snapshot;
pub mod state;
pub mod supervisor;
pub mod telemetry;
pub mod tenure;
