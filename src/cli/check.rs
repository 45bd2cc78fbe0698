//! `check`: the configuration in force, or every error of it.

use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Config, ProcessEnvironment};

pub(super) fn run(path: &Path) -> ExitCode {
    match load(path) {
        Some(config) => super::output::print(&config::effective(&config)),
        None => ExitCode::FAILURE,
    }
}

/// Loads a configuration, and prints its warnings, or every error of it.
pub(super) fn load(path: &Path) -> Option<Config> {
    match config::load(path, &ProcessEnvironment) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                super::output::print_error(&format!("warning: {warning}\n"));
            }
            Some(loaded.config)
        }
        Err(errors) => {
            super::output::print_error(&format!("{errors}\n"));
            None
        }
    }
}
