//! What survives a restart: the state directory, and journals in it (docs/adr/0011-state.md). Knows
//! nothing of what is kept.

mod aside;
mod journal;

pub use aside::set_aside;
pub use journal::{Header, Journal, Loaded, OpenError};
