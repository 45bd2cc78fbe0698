//! The HTTP side that all resources share: requests and replies, version negotiation, connections, TLS.

pub(crate) mod accept;
pub(crate) mod log;
pub(crate) mod negotiate;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod tls;
