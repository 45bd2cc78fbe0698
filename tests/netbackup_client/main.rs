//! How the client of one server behaves against servers that behave and servers that do not. Real
//! sockets throughout; waits are made short by the client's retry policy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails; clippy's own allowance misses helpers"
)]

mod bodies;
mod hints;
mod keys;
mod limits;
mod negotiation;
mod observation;
mod paging;
mod proxies;
mod replacing;
mod retries;
mod server;
mod tls;
