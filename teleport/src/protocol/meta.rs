//! [`Meta`].

use std::fmt;

use super::Text;

/// Values by name that travel in a packet's header: a trace context, a tenant, whatever the two sides agree on.
///
/// Names are compared as they are. Of two values with one name the last counts. Without values it takes no memory.
///
/// # On the wire
///
/// An extension of the seed's header, in fields that a peer without it skips:
///
/// | | protobuf | JSON |
/// |---|---|---|
/// | the time limit, [`Header::timeout_ms`](super::Header::timeout_ms) | field 1001, `uint64` | `"timeout_ms"`, a number |
/// | these values | field 1002, `map<string, string>` | `"meta"`, an object of texts |
///
/// What does not look like this is skipped: another peer may use the same fields for something else.
///
/// ```
/// use teleport::protocol::Meta;
///
/// let mut meta = Meta::new();
/// meta.insert("tenant", "blue");
/// assert_eq!(meta.get("tenant"), Some("blue"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[allow(clippy::box_collection)] // One pointer in every header, which is moved about; nearly always it is empty.
pub struct Meta(Option<Box<Vec<(Text, Text)>>>);

impl Meta {
    /// More values than this are not read: each takes more memory than bytes on the wire.
    pub const MOST: usize = 64;

    /// No values; for fields that borrow one.
    pub(crate) const EMPTY: &'static Self = &Self(None);

    /// No values.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Sets a value. [`MOST`](Self::MOST) values are sent and read; those beyond it are not.
    pub fn insert(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        let (name, value) = (name.into(), value.into());
        let pairs = self.0.get_or_insert_default();
        if let Some((_, known)) = pairs.iter_mut().find(|(known, _)| *known == name) {
            *known = value;
        } else if pairs.len() < Self::MOST {
            pairs.push((name, value));
        }
    }

    /// The value with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }

    /// All values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.as_deref().into_iter().flatten();
        pairs.map(|(name, value)| (&**name, &**value))
    }

    /// The same values, which share no memory with anything.
    pub(super) fn detached(&self) -> Self {
        let pairs = self.0.as_deref().filter(|pairs| !pairs.is_empty());
        Self(pairs.map(|pairs| {
            let copies = pairs
                .iter()
                .map(|(name, value)| (name.detached(), value.detached()));
            Box::new(copies.collect())
        }))
    }

    /// There are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|pairs| pairs.is_empty())
    }
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_one_pointer_and_holds_no_more_than_it_may() {
        assert_eq!(size_of::<Meta>(), size_of::<usize>());
        let mut meta = Meta::new();
        for number in 0..Meta::MOST + 10 {
            meta.insert(number.to_string(), "x");
        }
        assert_eq!(meta.iter().count(), Meta::MOST);
        meta.insert("0", "again");
        assert_eq!(meta.get("0"), Some("again"));
    }
}
