//! A tree of YAML that knows where each key and value stands.
//!
//! Scalars stay text, exactly as the file spells them: `13.0` is a version here and not the number
//! 13. Which type a value has is the business of whoever asks for it.

use super::diagnostics::Position;

/// A value and its place. No `Debug`: it may hold secrets.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) position: Position,
}

impl Node {
    /// Returns true if there is nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Returns true if it counts as absent. Empty text does: Go took it for the default, templates write
    /// it, and what is required still complains.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text { text, .. } => text.trim().is_empty(),
            Value::Unresolved | Value::List(_) | Value::Map(_) => false,
        }
    }

    /// Calls `note` with the position of each text below that is spelt out in the file and not empty.
    pub(crate) fn literals(&self, note: &mut impl FnMut(Position)) {
        match &self.value {
            Value::Text { literal: true, .. } if !self.is_empty() => note(self.position),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.value.literals(note)),
            _ => {}
        }
    }
}

/// The value of a node.
#[derive(Clone)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`: as if the key were absent.
    Null,
    /// A scalar whose expansion failed, which is reported already.
    Unresolved,
    Text {
        text: String,
        /// Spelt out in the file: no variable was inserted.
        literal: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Value {
    /// Names the kind of the value.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Unresolved | Self::Text { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// A key with its value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) position: Position,
    pub(crate) value: Node,
}
