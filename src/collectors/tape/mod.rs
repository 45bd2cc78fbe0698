//! Tape: drives, media, robots and volume pools, a collector each.

mod drive_health;
pub(super) mod drives;
mod inventory;
pub(super) mod media;
pub(super) mod pools;
pub(super) mod robots;
mod scratch;
