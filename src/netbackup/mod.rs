//! The REST client of one NetBackup primary server, and nothing else.
//!
//! [`Client`] holds what lives as long as the server stays the same: the negotiated version, the
//! statistics, and the [`Connection`] in force (key, TLS, proxy, limits), which can be replaced while
//! it is used. A [`Session`] is the client under a deadline; it makes requests and
//! walks. Lists are walked page by page ([`CursorWalk`], [`OffsetWalk`]); their rows borrow from the
//! page's bytes, and a row that cannot be read is counted and skipped.
//!
//! ```no_run
//! # async fn example(client: nbu_otel_agent::netbackup::Client) -> Result<(), nbu_otel_agent::netbackup::Error> {
//! use nbu_otel_agent::netbackup::{Query, wire::jobs};
//!
//! let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
//! let session = client.with_deadline(deadline);
//! let mut walk = session.cursor_walk(&jobs::JOBS, &Query::filtered("state ne 'DONE'"));
//! while let Some(page) = walk.next_page::<jobs::JobRow<'_>>().await? {
//!     for row in &page.rows {
//!         let _ = (row.job_id, row.state.as_deref());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod call;
mod classify;
pub mod client;
pub mod config;
mod connection;
mod cursor;
pub mod error;
pub mod lenient;
mod link;
mod negotiate;
mod offset;
pub mod ping;
mod probe;
mod reply;
pub mod resource;
mod route;
pub mod session;
pub mod stats;
mod timestamp;
mod transport;
mod unreadable;
pub mod version;
mod walk;
pub mod wire;

pub use client::{Client, ClientBuilder};
pub use config::Config;
pub use connection::Connection;
pub use cursor::{Cursor, CursorWalk};
pub use error::{BuildError, Error, ErrorKind};
pub use offset::OffsetWalk;
pub use ping::Ping;
pub use reply::Body;
pub use resource::{Query, Resource};
pub use session::Session;
pub use stats::{Outcome, RequestObserver, RequestRecord, StatsSnapshot};
pub use version::ApiVersion;
pub use wire::Page;

pub use crate::net::retry::RetryPolicy;
