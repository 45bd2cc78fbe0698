//! How the client of one server behaves against servers that behave and servers that do not. Real
//! sockets throughout; waits are made short by the client's retry policy.

mod bodies;
mod keys;
mod limits;
mod negotiation;
mod observation;
mod paging;
mod retries;
mod server;
mod tls;
