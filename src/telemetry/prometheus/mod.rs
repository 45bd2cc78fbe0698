//! The Prometheus endpoint's page: rendered off the request path, compressed once.

pub mod encode;
pub mod gzip;
mod page;
pub mod renderer;
mod site_pages;
mod texts;
