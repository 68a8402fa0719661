//! The keys: their names, and the fields that they stand for.

use std::iter;

use super::{
    PeerConfig,
    node::{Mistake, Node, Value},
    read,
};

/// A setting.
pub(super) struct Key {
    /// As the field is called.
    pub(super) name: &'static str,
    /// As Go teleport calls it.
    pub(super) seed: Option<&'static str>,
    put: fn(&mut PeerConfig, &Node) -> Result<(), Mistake>,
}

/// All settings, in the order of the fields. A new field is a line here and one in `keys.md`; a rule for it stands in
/// `PeerConfig::mistakes`.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("listen", Some("listen_addrs"), |to, node| put(&mut to.listen, read::addresses(node))),
    key("read_timeout", Some("default_read_timeout"), |to, node| put(&mut to.read_timeout, read::time_limit(node))),
    key("packet_timeout", None, |to, node| put(&mut to.packet_timeout, read::time_limit(node))),
    key("write_timeout", Some("default_write_timeout"), |to, node| put(&mut to.write_timeout, read::time_limit(node))),
    key("dial_timeout", Some("default_dial_timeout"), |to, node| put(&mut to.dial_timeout, read::time_limit(node))),
    key("accept_timeout", None, |to, node| put(&mut to.accept_timeout, read::time_limit(node))),
    key("shutdown_timeout", None, |to, node| put(&mut to.shutdown_timeout, read::time(node))),
    key("header_codec", Some("default_header_codec"), |to, node| put(&mut to.header_codec, read::header_codec(node))),
    key("body_codec", Some("default_body_codec"), |to, node| put(&mut to.body_codec, read::body_codec(node))),
    key("gzip", Some("default_body_gzip_level"), |to, node| put(&mut to.gzip, read::whole_number(node))),
    key("limits.packet", None, |to, node| put(&mut to.limits.packet, read::size(node))),
    key("limits.inflated", None, |to, node| put(&mut to.limits.inflated, read::size(node))),
    key("limits.sent", None, |to, node| put(&mut to.limits.sent, read::size(node))),
    key("write_buffer", None, |to, node| put(&mut to.write_buffer, read::size(node))),
    key("max_handlers", None, |to, node| put(&mut to.max_handlers, read::whole_number(node))),
    key("session_memory", None, |to, node| put(&mut to.session_memory, read::size(node))),
    key("peer_memory", None, |to, node| put(&mut to.peer_memory, read::size(node))),
    key("announce", None, |to, node| put(&mut to.announce, read::flag(node))),
    key("slow_threshold", Some("slow_comet_duration"), |to, node| put(&mut to.slow_threshold, read::time_limit(node))),
    key("print_bodies", Some("print_body"), |to, node| switch(&mut to.print_bodies, read::flag(node))),
    key("print_bodies.most", None, |to, node| put(&mut to.print_bodies.get_or_insert_default().most, read::size(node))),
    key("print_bodies.hidden", None, |to, node| put(&mut to.print_bodies.get_or_insert_default().hidden, read::texts(node))),
    key("tls_cert_file", Some("tls_cert_file"), |to, node| put(&mut to.tls_cert_file, read::file(node))),
    key("tls_key_file", Some("tls_key_file"), |to, node| put(&mut to.tls_key_file, read::file(node))),
    key("tls_client_ca_file", None, |to, node| put(&mut to.tls_client_ca_file, read::file(node))),
    key("tls_ca_file", None, |to, node| put(&mut to.tls_ca_file, read::file(node))),
];

const fn key(
    name: &'static str,
    seed: Option<&'static str>,
    put: fn(&mut PeerConfig, &Node) -> Result<(), Mistake>,
) -> Key {
    Key { name, seed, put }
}

fn put<T>(field: &mut T, value: Result<T, Mistake>) -> Result<(), Mistake> {
    *field = value?;
    Ok(())
}

/// Turns on what may be on already, with details that are kept.
fn switch<T: Default>(field: &mut Option<T>, on: Result<bool, Mistake>) -> Result<(), Mistake> {
    match on? {
        true => {
            field.get_or_insert_default();
        }
        false => *field = None,
    }
    Ok(())
}

impl Key {
    /// Both names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        iter::once(self.name).chain(self.seed)
    }
}

/// More at once is no help.
const MOST_MISTAKES: usize = 10;

/// A configuration that is being filled, and what was wrong so far.
pub(super) struct Filling {
    config: PeerConfig,
    mistakes: Vec<Mistake>,
    /// The keys that were set, and by which names.
    seen: Vec<(&'static str, String)>,
}

impl Filling {
    pub(super) fn new(config: PeerConfig) -> Self {
        Self {
            config,
            mistakes: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Enough is known to be wrong.
    pub(super) fn is_hopeless(&self) -> bool {
        self.mistakes.len() >= MOST_MISTAKES
    }

    pub(super) fn finish(self) -> Result<PeerConfig, Vec<Mistake>> {
        match self.mistakes.is_empty() {
            true => Ok(self.config),
            false => Err(self.mistakes),
        }
    }

    /// Sets `key`, which is called `name` where it stands.
    pub(super) fn set(&mut self, key: &'static Key, name: &str, at: usize, node: &Node) {
        if let Some((_, other)) = self.seen.iter().find(|(seen, _)| *seen == key.name) {
            let text = if other == name {
                format!("`{name}` is given twice; keep one of them")
            } else {
                format!("`{other}` and `{name}` are the same setting; keep one of them")
            };
            return self.mistakes.push(Mistake { at, text });
        }
        self.seen.push((key.name, name.to_owned()));
        // The seed writes every key into its files, and leaves what was not set empty.
        let unset = match &node.value {
            Value::Empty => true,
            Value::Text(text) => text.is_empty(),
            _ => false,
        };
        if unset && key.seed == Some(name) {
            return;
        }
        let done = (key.put)(&mut self.config, node).and_then(|()| {
            let mut mistakes = self.config.mistakes().into_iter();
            match mistakes.find(|(field, _)| *field == key.name) {
                Some((_, text)) => Err(Mistake { at: node.at, text }),
                None => Ok(()),
            }
        });
        if let Err(Mistake { at, text }) = done {
            let text = format!("`{name}` {text}");
            self.mistakes.push(Mistake { at, text });
        }
    }

    pub(super) fn wrong(&mut self, at: usize, text: String) {
        self.mistakes.push(Mistake { at, text });
    }
}

/// The one of `names` that `given` was probably meant to be.
pub(super) fn nearest(given: &str, names: impl Iterator<Item = String>) -> Option<String> {
    // One slip in three letters is still the same word.
    let allowed = given.len().div_ceil(3).min(3);
    let given: Vec<char> = given.to_lowercase().chars().collect();
    if given.len() > 40 {
        return None;
    }
    names
        .map(|name| (distance(&given, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters to insert, delete or replace to make `right` of `left`.
fn distance(left: &[char], right: &str) -> usize {
    let mut row: Vec<usize> = (0..=left.len()).collect();
    for (down, right) in right.chars().enumerate() {
        let mut diagonal = down;
        let mut beside = down + 1;
        let Some((first, rest)) = row.split_first_mut() else {
            return 0;
        };
        *first = beside;
        for (above, left) in rest.iter_mut().zip(left) {
            let replaced = diagonal + usize::from(*left != right);
            diagonal = *above;
            beside = replaced.min(diagonal + 1).min(beside + 1);
            *above = beside;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_docs_have_a_row_for_every_key_in_the_order_of_the_keys() {
        let rows = KEYS.iter().map(|key| match key.seed {
            Some(seed) => format!("| `{}` | `{seed}` |", key.name),
            None => format!("| `{}` | |", key.name),
        });
        let written = include_str!("keys.md").lines();
        let written: Vec<_> = written.filter(|line| line.starts_with("| `")).collect();
        assert_eq!(written.len(), KEYS.len());
        for (written, row) in written.iter().zip(rows) {
            assert!(written.starts_with(&row), "{written} is not {row}");
        }
    }

    #[test]
    fn every_field_of_the_configuration_has_a_key() {
        let shown = format!("{:#?}", PeerConfig::default());
        let fields = shown.lines().filter_map(|line| {
            let field = line.strip_prefix("    ")?.split_once(':')?.0;
            (!field.starts_with(' ')).then_some(field)
        });
        let fields: Vec<_> = fields.collect();
        assert!(
            fields.contains(&"listen"),
            "the fields are seen: {fields:?}"
        );
        for field in fields {
            let section = format!("{field}.");
            let mut keys = KEYS.iter();
            let has = keys.any(|key| key.name == field || key.name.starts_with(&section));
            assert!(has, "`{field}` needs its line in `KEYS`");
        }
    }

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let near = |given| nearest(given, KEYS.iter().map(|key| key.name.to_owned()));
        for slip in ["gzp", "gzip_", "GZIP", "zip"] {
            assert_eq!(near(slip).as_deref(), Some("gzip"), "{slip}");
        }
        assert_eq!(near("ReadTimeout").as_deref(), Some("read_timeout"));
        for other in ["", "port", "colour", "timeout", "é"] {
            assert_eq!(near(other), None, "{other}");
        }
    }
}
