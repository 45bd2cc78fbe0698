//! Storage lifecycle policies (SLP): the backlog of their images, and their configuration (docs/netbackup-api.md#slp-images;
//! docs/adr/0022-slp-backlog.md). `walk` reads the images that are not complete, `catalog` the sizes that no job told,
//! and `disk` keeps the sizes.

mod catalog;
mod configuration;
mod disk;
mod images;
mod lookup;
mod replication;
mod rows;
mod walk;

use super::collector::Row;

pub(super) const IMAGES_ROW: Row = images::ROW;
pub(super) const CONFIGURATION_ROW: Row = configuration::ROW;
