//! The HTTP endpoint: bytes that were rendered before the request came.

mod access;
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
mod target;
mod web;

pub use config::{Address, Config, Probe, RESERVED_PATHS, Settings, display};
pub use listener::{BindError, Bound, Listening, Server};
pub use state::State;
pub(crate) use web::REFUSALS;
pub(crate) use web::{
    ClientPolicy, ClientRoots, GROUPS, Material, Rate, Tls, TlsPart, Token, Users, Version,
    cipher_suites,
};
pub use web::{Guard, Web};
