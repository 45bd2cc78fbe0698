//! The filter language of the lists, a part of OData (docs/netbackup-api.md#filters): `eq ne lt gt
//! le ge`, `and`, `or`, `not`, parentheses, and the functions `contains`, `startswith`, `endswith`.
//! Datetimes and numbers are bare, strings and enums are in single quotes.
//!
//! Each resource has a table of the attributes that a filter may use, with their kinds and
//! operators. Everything else is an error, as on a real server.

mod lexer;
mod parser;
#[cfg(test)]
mod properties;

use std::borrow::Cow;
use std::cmp::Ordering;

pub(crate) use parser::parse;

/// A set of operators, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ops(u8);

impl Ops {
    const COMPARE: u8 = 1;
    const BOUND: u8 = 16;
    const EQUAL: u8 = 2;
    const UNEQUAL: u8 = 4;
    const SUBSTRING: u8 = 8;
    /// No filter on this attribute.
    pub(crate) const NONE: Self = Self(0);
    /// `eq` only.
    pub(crate) const EQ: Self = Self(Self::EQUAL);
    /// `eq ne`.
    pub(crate) const EQ_NE: Self = Self(Self::EQUAL | Self::UNEQUAL);
    /// `le ge`.
    pub(crate) const RANGE: Self = Self(Self::BOUND);
    /// `eq ne lt gt le ge`.
    pub(crate) const ORDER: Self = Self(Self::EQUAL | Self::UNEQUAL | Self::COMPARE | Self::BOUND);
    /// `eq ne contains startswith endswith`.
    pub(crate) const TEXT: Self = Self(Self::EQUAL | Self::UNEQUAL | Self::SUBSTRING);
    /// `contains startswith endswith`.
    pub(crate) const PART: Self = Self(Self::SUBSTRING);

    pub(crate) fn allows(self, op: Op) -> bool {
        let bit = match op {
            Op::Eq => Self::EQUAL,
            Op::Ne => Self::UNEQUAL,
            Op::Lt | Op::Gt => Self::COMPARE,
            Op::Le | Op::Ge => Self::BOUND,
            Op::Contains | Op::StartsWith | Op::EndsWith => Self::SUBSTRING,
        };
        self.0 & bit != 0
    }
}

/// An operator or a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
    Contains,
    StartsWith,
    EndsWith,
}

impl Op {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "lt" => Self::Lt,
            "gt" => Self::Gt,
            "le" => Self::Le,
            "ge" => Self::Ge,
            "contains" => Self::Contains,
            "startswith" => Self::StartsWith,
            "endswith" => Self::EndsWith,
            _ => return None,
        })
    }

    fn is_function(self) -> bool {
        matches!(self, Self::Contains | Self::StartsWith | Self::EndsWith)
    }
}

/// Form of an attribute's literals.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Integer,
    Float,
    /// Bare ISO 8601; compared in milliseconds.
    DateTime,
    /// ISO 8601 duration, bare or quoted; compared in milliseconds.
    Duration,
    Text,
    /// Quoted name out of this list.
    Enum(Vec<&'static str>),
}

/// Attribute that a filter may use.
#[derive(Clone, Debug)]
pub(crate) struct Spec<A> {
    pub(crate) attribute: A,
    pub(crate) ops: Ops,
    pub(crate) kind: Kind,
}

/// A value of a row or of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Integers, datetimes and durations in milliseconds.
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// The order of two values of one kind; numbers of both kinds compare as numbers.
    pub(crate) fn order(&self, other: &Value<'_>) -> Ordering {
        match (self, other) {
            (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
            (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
            (Value::Integer(a), Value::Float(b)) => (*a as f64).total_cmp(b),
            (Value::Float(a), Value::Integer(b)) => a.total_cmp(&(*b as f64)),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Text(_), _) => Ordering::Greater,
            (_, Value::Text(_)) => Ordering::Less,
        }
    }
}

/// A filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr<A> {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Test(A, Op, Value<'static>),
}

impl<A: Copy> Expr<A> {
    /// Returns true if a row matches; `value` gives the row's value of an attribute.
    pub(crate) fn matches<'r>(&self, value: &impl Fn(A) -> Value<'r>) -> bool {
        match self {
            Self::And(a, b) => a.matches(value) && b.matches(value),
            Self::Or(a, b) => a.matches(value) || b.matches(value),
            Self::Not(a) => !a.matches(value),
            Self::Test(attribute, op, wanted) => test(&value(*attribute), *op, wanted),
        }
    }

    /// Calls `visit` with every test that all matching rows fulfil.
    pub(crate) fn conjuncts(&self, visit: &mut impl FnMut(A, Op, &Value<'static>)) {
        match self {
            Self::And(a, b) => {
                a.conjuncts(visit);
                b.conjuncts(visit);
            }
            Self::Test(attribute, op, wanted) => visit(*attribute, *op, wanted),
            Self::Or(..) | Self::Not(_) => {}
        }
    }
}

fn test(value: &Value<'_>, op: Op, wanted: &Value<'_>) -> bool {
    let order = || value.order(wanted);
    match op {
        Op::Eq => order().is_eq(),
        Op::Ne => order().is_ne(),
        Op::Lt => order().is_lt(),
        Op::Gt => order().is_gt(),
        Op::Le => order().is_le(),
        Op::Ge => order().is_ge(),
        Op::Contains | Op::StartsWith | Op::EndsWith => match (value, wanted) {
            (Value::Text(value), Value::Text(part)) => match op {
                Op::Contains => value.contains(part.as_ref()),
                Op::StartsWith => value.starts_with(part.as_ref()),
                _ => value.ends_with(part.as_ref()),
            },
            _ => false,
        },
    }
}

/// Why a filter is refused: what goes into errorDetails.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FilterError(pub(crate) String);
