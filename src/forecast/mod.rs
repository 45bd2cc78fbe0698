//! The forecast of a disk pool: its nights, what the coming one takes, and the trend of its free space
//! (docs/adr/0021-storage.md). Job bytes are counted before deduplication and say nothing about space, so the
//! forecast is made of the pool's own used bytes alone.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod nights;
mod pools;
mod trend;

pub use nights::{Forecast, History, Reading};
pub use pools::{Pools, RestoreError};
