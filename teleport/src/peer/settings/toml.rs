//! TOML to a tree. The parser bounds how deep a text may nest.

use toml::{
    Spanned,
    de::{DeTable, DeValue, Error},
};

use super::node::{Entry, Mistake, Node, Value, shown};

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Mistake> {
    let table = DeTable::parse(text).map_err(|error| mistake(text, &error))?;
    Ok(entries(table.into_inner()))
}

/// The parser sorts by key, a reader goes from top to bottom.
fn entries(table: DeTable<'_>) -> Vec<Entry> {
    let entries = table.into_iter().map(|(key, value)| Entry {
        at: key.span().start,
        key: key.into_inner().into_owned(),
        node: node(value),
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|entry| entry.at);
    entries
}

fn node(value: Spanned<DeValue<'_>>) -> Node {
    let at = value.span().start;
    let value = match value.into_inner() {
        DeValue::Array(values) => Value::List(values.into_iter().map(node).collect()),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(value) => Value::Other(value.to_string()),
        DeValue::Float(value) => Value::Other(value.to_string()),
        DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(value.to_string()),
        },
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Table(table) => Value::Table(entries(table)),
    };
    Node { value, at }
}

fn mistake(text: &str, error: &Error) -> Mistake {
    let span = error.span().unwrap_or_default();
    let at = span.start;
    let text = match (error.message(), text.get(span)) {
        ("duplicate key", Some(key)) => {
            format!("`{}` is given twice; keep one of them", shown(key))
        }
        (message, _) => format!("not valid TOML: {message}"),
    };
    Mistake { at, text }
}
