//! The rules about those who ask: TLS, certificates of clients, passwords, tokens, a limit of requests, and the header fields
//! of every response.

mod guard;
mod limit;
mod passwords;
mod rules;
mod tls;
mod turns;

pub use guard::Guard;
pub(crate) use guard::REFUSALS;
pub(super) use guard::{Client, Refusal, Session};
pub(crate) use limit::Rate;
pub(crate) use passwords::{Token, Users};
pub use rules::Web;
pub(crate) use tls::{ClientPolicy, GROUPS, Material, Tls, TlsPart, Version, cipher_suites};
