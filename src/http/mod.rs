//! The HTTP endpoint: bytes that were rendered before the request came.

mod config;
mod connection;
mod connections;
mod encoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod listener;
mod origin;
mod reload;
mod routes;
mod scrapes;
mod serve;
mod state;
mod status_page;

pub use config::{Config, RESERVED_PATHS, Settings, display};
pub use listener::{BindError, Bound, Listening, Server};
pub use state::State;
