//! YAML to a tree. Only what a configuration needs: one document of maps, lists and scalars, no anchors, aliases or tags.

use std::{borrow::Cow, collections::HashSet};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::node::{Entry, Mistake, Node, Value, shown};

/// Maps and lists in each other. Two are of use; the bound keeps the recursion below small.
const DEEPEST: usize = 16;

pub(super) fn parse(text: &str) -> Result<Vec<Entry>, Mistake> {
    let options = granit_parser::options! {
        block_nesting_limit: DEEPEST,
        emit_comments: false,
        flow_nesting_limit: DEEPEST,
    };
    let mut events = Events(Parser::new_from_str_with_options(text, options));
    let mut root = None;
    loop {
        let (event, at) = events.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            _ if root.is_some() => {
                let text = "a second document begins; keep one".to_owned();
                return Err(Mistake { at, text });
            }
            event => root = Some(events.node(event, at)?),
        }
    }
    match root.map(|node| (node.value, node.at)) {
        None | Some((Value::Empty, _)) => Ok(Vec::new()),
        Some((Value::Table(entries), _)) => Ok(entries),
        Some((value, at)) => Err(Mistake {
            at,
            text: format!("the document is {value}; it must be a map of keys"),
        }),
    }
}

struct Events<'a>(Parser<'a, StrInput<'a>>);

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Mistake> {
        match self.0.next() {
            Some(Ok((event, Span { start, .. }))) => Ok((event, start.byte_offset().unwrap_or(0))),
            Some(Err(error)) => Err(mistake(&error)),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    /// The node that begins with `event`.
    fn node(&mut self, event: Event<'a>, at: usize) -> Result<Node, Mistake> {
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                plain_only(at, anchor, tag)?;
                scalar(text, style)
            }
            Event::SequenceStart(_, anchor, tag) => {
                plain_only(at, anchor, tag)?;
                Value::List(self.list()?)
            }
            Event::MappingStart(_, anchor, tag) => {
                plain_only(at, anchor, tag)?;
                Value::Table(self.map()?)
            }
            _ => return Err(not_read(at)),
        };
        Ok(Node { value, at })
    }

    fn list(&mut self) -> Result<Vec<Node>, Mistake> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(nodes),
                (event, at) => nodes.push(self.node(event, at)?),
            }
        }
    }

    fn map(&mut self) -> Result<Vec<Entry>, Mistake> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (key, at) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(text, _, anchor, tag), at) => {
                    plain_only(at, anchor, tag)?;
                    (text.into_owned(), at)
                }
                (event, at) => {
                    let value = self.node(event, at)?.value;
                    let text = format!("a key is {value}; it must be a word");
                    return Err(Mistake { at, text });
                }
            };
            if !seen.insert(key.clone()) {
                let text = format!("`{}` is given twice; keep one of them", shown(&key));
                return Err(Mistake { at, text });
            }
            let (event, value_at) = self.next()?;
            let node = self.node(event, value_at)?;
            entries.push(Entry { key, at, node });
        }
    }
}

fn plain_only(at: usize, anchor: usize, tag: Option<Cow<'_, Tag>>) -> Result<(), Mistake> {
    if anchor != 0 || tag.is_some() {
        return Err(not_read(at));
    }
    Ok(())
}

fn not_read(at: usize) -> Mistake {
    let text = "anchors, aliases and tags are not read; write the value itself".to_owned();
    Mistake { at, text }
}

/// What the core schema makes of a scalar.
fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.into_owned());
    }
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Empty,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = match text.split_at_checked(2) {
        Some(("0x", digits)) => i64::from_str_radix(digits, 16),
        Some(("0o", digits)) => i64::from_str_radix(digits, 8),
        _ => text.parse(),
    };
    match number {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::Text(text.into_owned()),
    }
}

fn mistake(error: &ScanError) -> Mistake {
    Mistake {
        at: error.marker().byte_offset().unwrap_or(0),
        text: format!("not valid YAML: {}", error.info()),
    }
}
