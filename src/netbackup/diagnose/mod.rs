//! Diagnosis of failures: their kind, and what to check.

pub(crate) mod classify;
pub(crate) mod hints;
mod probe;
