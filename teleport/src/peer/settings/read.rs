//! From a [`Node`] to the value of a field. Whether the value is in bounds is `PeerConfig::mistakes`' business.

use std::{path::PathBuf, time::Duration};

use super::node::{Mistake, Node, Value, shown};
use crate::{codec::CodecId, protocol::HeaderCodec, socket::transport};

/// Checked here too, and not only with the whole: an address of a list has a line of its own.
pub(super) fn addresses(node: &Node) -> Result<Vec<String>, Mistake> {
    let rule = r#"write a list of addresses, such as ["0.0.0.0:9090"]"#;
    list(node, rule, |node, text| match transport::check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(Mistake {
            at: node.at,
            text: format!("has \"{}\"; {error}", shown(text)),
        }),
    })
}

pub(super) fn texts(node: &Node) -> Result<Vec<String>, Mistake> {
    let rule = r#"write a list of texts, such as ["password"]"#;
    list(node, rule, |_, text| Ok(text.to_owned()))
}

pub(super) fn flag(node: &Node) -> Result<bool, Mistake> {
    match (&node.value, node.text()) {
        (Value::Bool(flag), _) => Ok(*flag),
        (_, Some("true")) => Ok(true),
        (_, Some("false")) => Ok(false),
        _ => Err(node.mistake("it must be true or false")),
    }
}

/// A time, or `none`. Zero is none too: the seed writes it so, and no other meaning is of use.
pub(super) fn time_limit(node: &Node) -> Result<Option<Duration>, Mistake> {
    if matches!(node.text(), Some("none" | "off")) {
        return Ok(None);
    }
    let rule = r#"write a time such as "500ms", "3m" or "1h 30m", or "none""#;
    let time = parse_time(node).ok_or_else(|| node.mistake(rule))?;
    Ok(Some(time).filter(|time| !time.is_zero()))
}

pub(super) fn time(node: &Node) -> Result<Duration, Mistake> {
    let rule = r#"write a time such as "500ms", "3m" or "1h 30m""#;
    parse_time(node).ok_or_else(|| node.mistake(rule))
}

/// A path, or nothing.
pub(super) fn file(node: &Node) -> Result<Option<PathBuf>, Mistake> {
    let path = node
        .text()
        .ok_or_else(|| node.mistake("write the path of a file"))?;
    Ok(Some(PathBuf::from(path)).filter(|_| !path.is_empty()))
}

pub(super) fn header_codec(node: &Node) -> Result<HeaderCodec, Mistake> {
    match node.text() {
        Some("json") => Ok(HeaderCodec::Json),
        Some("protobuf") => Ok(HeaderCodec::Protobuf),
        _ => Err(node.mistake(r#"it must be "json" or "protobuf""#)),
    }
}

/// A built-in codec by name, or one of the application's own by the byte that is its id.
pub(super) fn body_codec(node: &Node) -> Result<CodecId, Mistake> {
    let rule =
        r#"it must be "json", "protobuf", "string" or the one-byte id of a codec of your own"#;
    let id = match node.text() {
        Some("json") => Some(CodecId::JSON),
        Some("protobuf") => Some(CodecId::PROTOBUF),
        Some("string") => Some(CodecId::STRING),
        Some(text) => match text.as_bytes() {
            [byte] => CodecId::new(*byte),
            _ => None,
        },
        None => None,
    };
    id.ok_or_else(|| node.mistake(rule))
}

pub(super) fn whole_number<T: TryFrom<i64>>(node: &Node) -> Result<T, Mistake> {
    let number = match &node.value {
        Value::Integer(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| node.mistake("write a whole number"))
}

/// Bytes: a number, with a unit or without.
pub(super) fn size(node: &Node) -> Result<usize, Mistake> {
    let size = match &node.value {
        Value::Integer(number) => usize::try_from(*number).ok(),
        Value::Text(text) => parse_size(text),
        _ => None,
    };
    let rule = r#"write a size such as "64 MiB", "1 MB" or a number of bytes"#;
    size.ok_or_else(|| node.mistake(rule))
}

/// A list of texts, or one text with commas between them.
fn list(
    node: &Node,
    rule: &str,
    read: fn(&Node, &str) -> Result<String, Mistake>,
) -> Result<Vec<String>, Mistake> {
    match &node.value {
        Value::List(nodes) => {
            let text = |node: &Node| match node.text() {
                Some(text) => read(node, text.trim()),
                None => Err(Mistake {
                    at: node.at,
                    text: format!("has {}; {rule}", node.value),
                }),
            };
            nodes.iter().map(text).collect()
        }
        Value::Text(text) => text
            .split(',')
            .map(|text| read(node, text.trim()))
            .collect(),
        _ => Err(node.mistake(rule)),
    }
}

fn parse_time(node: &Node) -> Option<Duration> {
    /// More digits are beyond every limit, and the parser is not safe against the very last numbers.
    const MOST_DIGITS: usize = 12;
    match &node.value {
        Value::Integer(0) => Some(Duration::ZERO),
        Value::Text(text) => {
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let sane = digits <= MOST_DIGITS;
            sane.then(|| humantime::parse_duration(text).ok())?
        }
        _ => None,
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let end_of_number = text.find(|char: char| !char.is_ascii_digit());
    let (number, unit) = text.split_at(end_of_number.unwrap_or(text.len()));
    let unit: usize = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node {
            value: Value::Text(text.to_owned()),
            at: 0,
        }
    }

    #[test]
    fn a_size_is_a_number_with_or_without_a_unit() {
        let sizes = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("12B", Some(12)),
            ("1 kB", Some(1_000)),
            ("3KiB", Some(3 * 1024)),
            ("1 MB", Some(1_000_000)),
            ("64 MiB", Some(64 * 1024 * 1024)),
            ("2GB", Some(2_000_000_000)),
            ("1GiB", Some(1024 * 1024 * 1024)),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.5 MiB", None),
            ("1 mb", None),
            ("1 MiB 2", None),
            ("99999999999999999999", None),
            ("18446744073709551615 GiB", None),
        ];
        for (given, size) in sizes {
            assert_eq!(parse_size(given), size, "{given}");
        }
    }

    #[test]
    fn a_time_has_a_unit() {
        let times = [
            ("0", Some(Duration::ZERO)),
            ("0s", Some(Duration::ZERO)),
            ("500ms", Some(Duration::from_millis(500))),
            ("3m", Some(Duration::from_secs(180))),
            ("1h 30m", Some(Duration::from_secs(5400))),
            // As Go writes them.
            ("3m0s", Some(Duration::from_secs(180))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("7µs", Some(Duration::from_micros(7))),
            ("180", None),
            ("3 x", None),
            ("-3s", None),
            ("", None),
            ("soon", None),
        ];
        for (given, time) in times {
            assert_eq!(parse_time(&text(given)), time, "{given}");
        }
    }

    #[test]
    fn a_time_at_the_very_end_of_the_range_is_refused_and_does_not_panic() {
        assert_eq!(parse_time(&text("18446744073709551615s 1000ms")), None);
        assert_eq!(parse_time(&text("18446744073709551615s")), None);
    }
}
