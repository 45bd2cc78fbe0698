//! Storage lifecycle policies (SLP), and the images that they manage: those of a backlog that is there at the start,
//! those of the world's backups, and replicas of other servers.

mod backlog;
mod copies;
mod image;
mod images;
mod policy;

pub(crate) use backlog::{BACKLOG, SlpWorld};
pub(crate) use image::{SlpCopy, SlpImage};
pub(crate) use policy::{IMPORT_SLP, Operation, REPLICATE, SLPS, Slp};
