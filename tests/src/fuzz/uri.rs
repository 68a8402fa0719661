//! Uris: a path and the pairs of a query that are escaped come back, what is read is no longer than what was there, and no text
//! brings the error out of its form.

use std::fmt::Write;

use teleport::uri::{Uri, join};

use super::input::Input;

/// Any text; its bytes are also taken as a path, and as names and values of a query.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    parse(&text);
    escaped(&text, Input::new(bytes));
    joined(&text);
}

fn parse(text: &str) {
    let uri = match Uri::parse(text) {
        Ok(uri) => uri,
        Err(error) => {
            let error = error.to_string();
            assert!(error.starts_with("parse \""), "{error}");
            assert!(!error.chars().any(char::is_control), "{error:?}");
            return;
        }
    };
    let main = text.split('#').next().unwrap_or_default();
    assert!(main.ends_with(uri.raw_query()));
    assert!(uri.path().chars().count() <= main.chars().count());
    for (name, value) in uri.query() {
        assert!(uri.query_value(&name).is_some());
        assert!(name.chars().count() + value.chars().count() <= uri.raw_query().chars().count());
    }
    // A fragment belongs to nobody.
    let with_fragment = format!("{main}#fragment");
    assert_eq!(Uri::parse(&with_fragment).as_ref(), Ok(&uri));
    // What was decoded once is a path again if it is escaped.
    let path = uri.path();
    let again = format!("/{}", escape(&path));
    let again = Uri::parse(&again).expect("all is escaped");
    assert_eq!(again.path().strip_prefix('/'), Some(&*path));
}

fn escaped(path: &str, mut input: Input<'_>) {
    let mut pairs = Vec::new();
    while !input.is_empty() && pairs.len() < 8 {
        let (name, value) = (input.below(16), input.below(16));
        let mut text = |len| String::from_utf8_lossy(input.take(len)).into_owned();
        pairs.push((text(name), text(value)));
    }
    let mut uri = format!("/{}?", escape(path));
    for (name, value) in &pairs {
        let _ = write!(uri, "{}={}&", escape(name), escape(value));
    }
    let uri = Uri::parse(&uri).expect("all is escaped");
    assert_eq!(uri.path().strip_prefix('/'), Some(path));
    let read: Vec<_> = uri
        .query()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    assert_eq!(read, pairs);
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn joined(text: &str) {
    let (prefix, route) = text.split_once('\n').unwrap_or((text, ""));
    let joined = join(prefix, route);
    assert!(joined.is_empty() || joined.starts_with('/'), "{joined:?}");
    assert_eq!(join("", &joined), joined, "once is enough");
}
