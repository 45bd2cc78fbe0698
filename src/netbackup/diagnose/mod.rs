//! Diagnosis of failed requests: the kind of the failure, and what an administrator should check.

pub(super) mod classify;
pub(super) mod hints;
mod probe;
mod tls;
