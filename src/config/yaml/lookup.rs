//! The value of a setting, and what to make of it: a default, an error, a variable of the environment.

use std::time::Duration;

use super::context::{Context, Level};
use super::diagnostics::Position;
use super::values::{Parsed, format_duration};
use crate::config::entries::Value;

/// A setting as it was read.
#[derive(Clone)]
#[must_use]
pub(crate) struct Setting<'c, T> {
    pub(crate) source: Source<'c>,
    pub(crate) found: Lookup<T>,
    /// The default of the schema.
    pub(crate) default: Option<T>,
    pub(crate) show: fn(&T) -> Value,
}

/// Origin of a value, for messages about it.
#[derive(Clone)]
pub(crate) struct Source<'c> {
    pub(crate) context: &'c Context<'c>,
    pub(crate) path: String,
    /// Of the value, or of the section where the key is absent.
    pub(crate) at: Position,
    /// Of the section that the key is in.
    pub(crate) section: Position,
    /// The variable that stands in for the key.
    pub(crate) variable: Option<String>,
    pub(crate) slot: usize,
}

impl Source<'_> {
    pub(crate) fn error(&self, message: &str) {
        self.report(Level::Error, message);
    }

    /// Reports a value that is right and cannot be used now.
    pub(crate) fn unavailable(&self, message: &str) {
        self.report(Level::Unavailable, message);
    }

    pub(crate) fn warn(&self, message: &str) {
        self.report(Level::Warning, message);
    }

    fn report(&self, level: Level, message: &str) {
        match &self.variable {
            Some(name) => self.context.report_variable(level, name, message),
            None => self.context.report(level, self.at, &self.path, message),
        }
    }

    /// Reports an error of the key together with others of its section.
    pub(crate) fn section_error(&self, message: &str) {
        self.context.error(self.section, &self.path, message);
    }
}

/// Result of looking a key up.
#[derive(Clone)]
pub(crate) enum Lookup<T> {
    /// Not there, `null` or empty.
    Absent,
    /// There and wrong, which is reported already.
    Invalid,
    /// There and valid.
    Valid(T),
}

impl<T> Setting<'_, T> {
    /// Returns the value where there is a valid one; the default does not count.
    pub(crate) fn given(self) -> Option<T> {
        match self.found {
            Lookup::Valid(value) => Some(value),
            Lookup::Absent | Lookup::Invalid => None,
        }
    }

    /// Returns the valid value or the default of the schema.
    pub(crate) fn given_or_default(mut self) -> Option<T> {
        let default = self.default.take();
        self.given().or(default)
    }

    /// Returns the value where there is a valid one, and shows it as the one in force.
    pub(crate) fn option(self) -> Option<T> {
        let (context, slot, show) = (self.source.context, self.source.slot, self.show);
        let value = self.given();
        if let Some(value) = &value {
            context.show(slot, show(value));
        }
        value
    }

    /// Returns the value or this default, and shows it as the one in force.
    pub(crate) fn or(self, default: T) -> T {
        let (context, slot, show) = (self.source.context, self.source.slot, self.show);
        // With a wrong value it does not matter: nothing will use the configuration.
        let value = self.given().unwrap_or(default);
        context.show(slot, show(&value));
        value
    }

    /// Returns the value or the default of the schema, and shows it as the one in force. It is an error to
    /// have neither.
    pub(crate) fn value(mut self) -> Option<T> {
        match self.default.take() {
            Some(default) => return Some(self.or(default)),
            None if self.is_absent() => self.source.error("required, but missing or empty"),
            None => {}
        }
        self.option()
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self.found, Lookup::Absent)
    }

    /// Falls back to another key.
    pub(crate) fn or_setting(self, other: &Self) -> Self
    where
        T: Clone,
    {
        if self.is_absent() { other.clone() } else { self }
    }

    /// Falls back to the first of these variables that is set, if those count.
    pub(crate) fn or_variables(
        self,
        counts: bool,
        names: &[String],
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Self {
        names.iter().fold(self, |setting, name| setting.or_variable(counts, name, &parse))
    }

    /// Falls back to a variable of the environment, if those count.
    pub(crate) fn or_variable(
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
                Ok(value) => Lookup::Valid(value),
                Err(message) => {
                    self.source.error(&message);
                    Lookup::Invalid
                }
            };
        }
        self
    }
}

impl Setting<'_, Duration> {
    /// Warns of a time below a second: mostly it is a number of seconds where milliseconds are read.
    pub(crate) fn warn_below_a_second(self) -> Self {
        match &self.found {
            Lookup::Valid(time) if *time < Duration::from_secs(1) => {
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
