//! The backlog of storage lifecycle policies (SLP): copies of images that wait or run, how large they are, and for how
//! long (docs/adr/0022-slp-backlog.md). Pure: images in, samples out; the collectors fetch.

mod backlog;
mod image_id;
mod metrics;
mod names;
mod saved;
mod shared;
mod sizes;

pub(crate) use backlog::{Copy, Image, Round};
pub(crate) use image_id::ImageId;
pub(crate) use metrics::{definitions, samples};
pub(crate) use saved::{from_bytes, to_bytes};
pub use shared::SharedSizes;

#[cfg(test)]
mod tests;
