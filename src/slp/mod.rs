//! The backlog of storage lifecycle policies (SLP): copies of images that wait or run, how large they are, and for how
//! long (docs/adr/0022-slp-backlog.md). Pure: images in, samples out; the collectors fetch.

mod backlog;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod image_id;
mod import;
mod metrics;
mod names;
mod replication;
mod saved;
mod shared;
mod sizes;

pub(crate) use backlog::{Copy, Image, Round};
pub use exchange::Exchange;
pub(crate) use image_id::ImageId;
pub(crate) use import::Import;
pub(crate) use metrics::{definitions, replication_samples, samples};
pub(crate) use replication::Seat;
pub(crate) use saved::{from_bytes, to_bytes};
pub use shared::{Links, SharedSizes};

#[cfg(test)]
mod tests;
