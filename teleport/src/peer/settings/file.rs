//! A whole file: from its text to a configuration.

use std::{
    error::Error as StdError,
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{
    PeerConfig,
    keys::{Filling, KEYS, nearest},
    node::{Entry, Mistake, Node, Value, shown},
    toml, yaml,
};

/// Bytes that a file may have. Every setting with a page of comments is far below.
const LARGEST: usize = 1024 * 1024;

#[derive(Clone, Copy)]
pub(super) enum Format {
    Toml,
    Yaml,
}

pub(super) fn open(path: &Path) -> Result<PeerConfig, Box<dyn StdError + Send + Sync>> {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let format = match ending.map(str::to_ascii_lowercase).as_deref() {
        Some("toml") => Format::Toml,
        Some("yaml" | "yml") => Format::Yaml,
        _ => return Err("its name must end in .toml, .yaml or .yml".into()),
    };
    let mut bytes = Vec::new();
    // One byte more than is allowed, for `parse` to see.
    let most = LARGEST as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // What was cut off may have been the rest of a character.
        Err(error) if error.as_bytes().len() > LARGEST => return Err(too_large().into()),
        Err(error) => {
            return Err(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()).into());
        }
    };
    Ok(parse(format, &text)?)
}

/// Every mistake is a line of the error.
pub(super) fn parse(format: Format, text: &str) -> Result<PeerConfig, String> {
    if text.len() > LARGEST {
        return Err(too_large());
    }
    let entries = match format {
        Format::Toml => toml::parse(text),
        Format::Yaml => yaml::parse(text),
    };
    let mistakes = match entries {
        Ok(entries) => {
            let mut filling = Filling::new(PeerConfig::default());
            fill(&mut filling, "", entries);
            match filling.finish() {
                Ok(config) => return Ok(config),
                Err(mistakes) => mistakes,
            }
        }
        Err(mistake) => vec![mistake],
    };
    let lines = mistakes.iter().map(|Mistake { at, text: what }| {
        let (line, column) = place(text, *at);
        format!("line {line}, column {column}: {what}")
    });
    Err(lines.collect::<Vec<_>>().join("\n"))
}

fn fill(filling: &mut Filling, section: &str, entries: Vec<Entry>) {
    for Entry { key, at, node } in entries {
        if filling.is_hopeless() {
            return;
        }
        let name = format!("{section}{key}");
        let inner = format!("{name}.");
        let is_section = KEYS.iter().any(|key| key.name.starts_with(&inner));
        let mut keys = KEYS.iter();
        let known = keys.find(|key| key.names().any(|known| known == name));
        match (node.value, known) {
            (Value::Table(entries), _) if is_section => fill(filling, &inner, entries),
            (value, Some(key)) => filling.set(key, &name, at, &Node { value, at: node.at }),
            (value, None) if is_section => {
                filling.wrong(node.at, format!("`{name}` is {value}; it must be a table"));
            }
            (_, None) => filling.wrong(at, unknown(&name)),
        }
    }
}

fn unknown(name: &str) -> String {
    let names = KEYS.iter().flat_map(|key| key.names()).map(str::to_owned);
    let advice = match nearest(name, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            format!("known are {}", names.join(", "))
        }
    };
    format!("unknown key `{}`; {advice}", shown(name))
}

fn too_large() -> String {
    "it has more than 1 MiB, which no configuration needs".to_owned()
}

/// Line and column, counted from 1, of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|char| *char != '\n')
        .count()
        + 1;
    (line, column)
}
