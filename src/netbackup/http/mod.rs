//! One request and its answer: the connection, attempts, retries and the version to speak.

pub(crate) mod attempt;
pub(crate) mod connection;
pub(crate) mod negotiate;
pub(crate) mod request;
pub(crate) mod response;
mod transport;
