//! Diagnosis of failed requests: the kind of the failure, and what an administrator should check.

pub(crate) mod classify;
pub(crate) mod hints;
mod probe;
mod response;
mod tls;
