//! The kinds of names that have last results.

use std::borrow::Cow;

use crate::jobs::completion::Completion;

/// The kind of a name. The numbers are those on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Clients are hosts: their names have no case.
    Client = 0,
    Policy = 1,
    /// The machine or the like that a job protects: by its display name, else the client. Without case.
    Workload = 2,
}

impl Subject {
    /// Returns the subject with this number on disk.
    pub(super) fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Client, Self::Policy, Self::Workload];
        all.into_iter().find(|subject| *subject as u8 == number)
    }

    /// Returns the label that holds the name.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Policy => "policy",
            Self::Workload => "workload",
        }
    }

    /// Returns the name in a completion.
    pub(super) const fn of<'a>(self, job: &Completion<'a>) -> &'a str {
        match self {
            Self::Client => job.client,
            Self::Policy => job.policy,
            Self::Workload => job.workload,
        }
    }

    /// Returns the form in which names are compared.
    pub(super) fn key(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Client | Self::Workload if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                name.to_ascii_lowercase().into()
            }
            _ => name.into(),
        }
    }
}
