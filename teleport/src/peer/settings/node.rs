//! [`Node`]: a value as a file or a variable holds it, whatever the format.

use std::fmt;

/// A value and where it begins, in bytes from the start of the text.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Bool(bool),
    /// A key without a value, which YAML allows.
    Empty,
    Integer(i64),
    List(Vec<Node>),
    /// What no setting takes, as it was written: fractions, dates, numbers beyond all bounds.
    Other(String),
    Table(Vec<Entry>),
    Text(String),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) node: Node,
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) at: usize,
    pub(super) text: String,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Says what stands here, and what should.
    pub(super) fn mistake(&self, rule: &str) -> Mistake {
        Mistake {
            at: self.at,
            text: format!("is {}; {rule}", self.value),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Empty => f.write_str("empty"),
            Self::Integer(value) => value.fmt(f),
            Self::List(_) => f.write_str("a list"),
            Self::Other(text) => f.write_str(&shown(text)),
            Self::Table(_) => f.write_str("a table"),
            Self::Text(text) => write!(f, "\"{}\"", shown(text)),
        }
    }
}

/// A text out of a file, fit for one line of a message.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(LONGEST).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown.escape_debug().to_string().replace("\\'", "'")
}
