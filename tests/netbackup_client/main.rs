//! The client against healthy and faulty servers, over real sockets. Its retry policy makes waits short.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails; clippy's own allowance misses helpers"
)]

mod bodies;
mod hints;
mod hostile;
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
