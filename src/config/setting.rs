//! What a key holds, and what to make of it: a default, an error, a variable of the environment.

use std::time::Duration;

use super::context::Context;
use super::diagnostics::Position;
use super::values::{Parsed, format_duration};

/// The answer to a question for a key.
#[derive(Clone)]
#[must_use]
pub(super) struct Setting<'c, T> {
    pub(super) source: Source<'c>,
    pub(super) found: Found<T>,
}

/// Where a value comes from: whom to complain about.
#[derive(Clone)]
pub(super) struct Source<'c> {
    pub(super) context: &'c Context<'c>,
    pub(super) path: String,
    /// Of the value, or of the section where the key is absent.
    pub(super) at: Position,
    /// The variable that stands in for the key.
    pub(super) variable: Option<String>,
}

impl Source<'_> {
    pub(super) fn error(&self, message: &str) {
        match &self.variable {
            Some(name) => self.context.variable_error(name, message),
            None => self.context.error(self.at, &self.path, message),
        }
    }

    /// Reports what is right and cannot be had now.
    pub(super) fn unavailable(&self, message: &str) {
        match &self.variable {
            Some(name) => self.context.variable_unavailable(name, message),
            None => self.context.unavailable(self.at, &self.path, message),
        }
    }

    pub(super) fn warn(&self, message: &str) {
        match &self.variable {
            Some(name) => self.context.variable_warning(name, message),
            None => self.context.warn(self.at, &self.path, message),
        }
    }
}

/// What a key holds.
#[derive(Clone)]
pub(super) enum Found<T> {
    /// Not there, `null` or empty.
    Absent,
    /// There and wrong, which is reported already.
    Wrong,
    /// There and valid.
    Given(T),
}

impl<T> Setting<'_, T> {
    /// The value, if there is a valid one.
    pub(super) fn option(self) -> Option<T> {
        match self.found {
            Found::Given(value) => Some(value),
            Found::Absent | Found::Wrong => None,
        }
    }

    /// The value or its default. With a wrong value it does not matter: nothing will use it.
    pub(super) fn or(self, default: T) -> T {
        self.option().unwrap_or(default)
    }

    /// The value; its absence is an error.
    pub(super) fn required(self) -> Option<T> {
        if self.is_absent() {
            self.source.error("required, but missing or empty");
        }
        self.option()
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self.found, Found::Absent)
    }

    /// Takes what is absent from another key.
    pub(super) fn or_setting(self, other: &Self) -> Self
    where
        T: Clone,
    {
        if self.is_absent() { other.clone() } else { self }
    }

    /// Takes what is absent from the first of these variables that is set, if those count.
    pub(super) fn or_variables(
        self,
        counts: bool,
        names: &[String],
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Self {
        names.iter().fold(self, |setting, name| setting.or_variable(counts, name, &parse))
    }

    /// Takes what is absent from a variable of the environment, if those count.
    pub(super) fn or_variable(
        mut self,
        counts: bool,
        name: &str,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> Self {
        if !counts || !self.is_absent() {
            return self;
        }
        if let Some(text) = self.source.context.variable(name) {
            self.source.variable = Some(name.to_owned());
            self.found = match parse(text.trim()) {
                Ok(value) => Found::Given(value),
                Err(message) => {
                    self.source.error(&message);
                    Found::Wrong
                }
            };
        }
        self
    }
}

impl Setting<'_, Duration> {
    /// Warns of a time below a second: mostly it is a number of seconds where milliseconds are read.
    pub(super) fn warn_below_a_second(self) -> Self {
        match &self.found {
            Found::Given(time) if *time < Duration::from_secs(1) => {
                let unit = if self.source.variable.is_some() {
                    "the variable counts milliseconds"
                } else {
                    "units are ms, s, m and h"
                };
                let time = format_duration(*time);
                self.source.warn(&format!("{time} is below a second; were seconds meant? {unit}"));
            }
            _ => {}
        }
        self
    }
}
