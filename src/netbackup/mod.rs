//! The REST client of one NetBackup primary server, and nothing else.
//!
//! A [`Client`] holds the state that lasts as long as the server stays the same (the negotiated API
//! version, statistics), and the [`Connection`] in force (key, TLS, proxy, limits), which a reload
//! replaces while it is used. A [`Session`] is the client under a deadline; it makes requests. Pagers
//! ([`CursorPager`], [`OffsetPager`]) read lists page by page; rows borrow from the bytes of their
//! page, and a row that cannot be decoded is counted and skipped.
//!
//! ```no_run
//! # async fn example(client: nbu_otel_agent::netbackup::Client) -> Result<(), nbu_otel_agent::netbackup::Error> {
//! use nbu_otel_agent::netbackup::{CursorPager, Query, wire::jobs};
//!
//! let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
//! let session = client.with_deadline(deadline);
//! let mut pager = CursorPager::new(&session, &jobs::JOBS, &Query::filtered("state ne 'DONE'"));
//! while let Some(page) = pager.next_page::<jobs::JobRow<'_>>().await? {
//!     for row in &page.rows {
//!         let _ = (row.job_id, row.state.as_deref());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod client;
pub(crate) mod config;
mod diagnose;
mod error;
mod http;
mod key_tag;
mod paging;
mod ping;
mod resource;
mod server_time;
mod session;
pub(crate) mod stats;
mod unreadable;
pub(crate) mod version;
pub mod wire;

pub use client::{Client, ClientBuilder};
pub use config::Config;
pub use error::{BuildError, Error, ErrorKind};
pub use http::body::Body;
pub use http::connection::Connection;
pub use paging::cursor::{Cursor, CursorPager};
#[cfg(any(test, fuzzing))]
pub(crate) use paging::fuzz::paging as fuzz_paging;
pub use paging::offset::OffsetPager;
pub use ping::Ping;
pub use resource::{Permission, Query, Resource};
pub use server_time::ServerTime;
pub use session::Session;
pub use stats::{Outcome, RequestObserver, RequestRecord, StatsSnapshot};
pub use version::ApiVersion;
pub use wire::Page;
pub(crate) use wire::lenient;

pub use crate::net::retry::RetryPolicy;
