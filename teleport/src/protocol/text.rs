//! [`Text`].

use std::{
    borrow::Borrow,
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
};

use arrayvec::ArrayString;
use bytes::Bytes;
use bytestring::ByteString;

/// Bytes up to which a text is short.
const SHORT: usize = 32;

/// A text of a header: its uri, or its status.
///
/// A text of up to 32 bytes is kept in place, a longer one shares the memory of the packet that it came in. So nearly all
/// headers are read, moved and dropped without a counter that others share.
///
/// ```
/// use teleport::protocol::Text;
///
/// let uri = Text::from("/group/home/test");
/// assert_eq!(uri, "/group/home/test");
/// assert!(uri.starts_with("/group/"));
/// ```
#[derive(Clone)]
pub struct Text(Kind);

#[derive(Clone)]
enum Kind {
    Short(ArrayString<SHORT>),
    Long(ByteString),
}

impl Text {
    /// The empty text.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self(Kind::Short(ArrayString::new_const()))
    }

    /// The text itself.
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Short(text) => text,
            Kind::Long(text) => text,
        }
    }

    /// A text which is `part` of `whole`. Bytes that are not UTF-8 become U+FFFD.
    pub(super) fn slice(part: &[u8], whole: &Bytes) -> Self {
        let mut text = Self::new();
        text.set(part, whole);
        text
    }

    /// Becomes `part` of `whole`, in its place: to be moved just after it was written makes a short text wait for its own bytes.
    #[inline]
    pub(super) fn set(&mut self, part: &[u8], whole: &Bytes) {
        // The next packet has the same one as often as not.
        if let Kind::Short(short) = &self.0
            && short.as_bytes() == part
        {
            return;
        }
        if !self.set_short(part) {
            *self = Self::long(part, whole);
        }
    }

    #[inline]
    fn set_short(&mut self, part: &[u8]) -> bool {
        if part.len() > SHORT {
            return false;
        }
        let Ok(text) = str::from_utf8(part) else {
            return false;
        };
        match &mut self.0 {
            Kind::Short(short) => {
                short.clear();
                short.try_push_str(text).is_ok()
            }
            Kind::Long(_) => {
                *self = text.into();
                true
            }
        }
    }

    #[cold]
    fn long(part: &[u8], whole: &Bytes) -> Self {
        match ByteString::try_from(whole.slice_ref(part)) {
            Ok(text) => Self(Kind::Long(text)),
            Err(_) => String::from_utf8_lossy(part).into_owned().into(),
        }
    }

    /// Becomes what `from` is, which may keep it.
    #[inline]
    pub(super) fn take_over(&mut self, from: &mut Self) {
        match (&self.0, &from.0) {
            (Kind::Short(old), Kind::Short(new)) if old == new => {}
            (_, Kind::Short(new)) => self.0 = Kind::Short(*new),
            (_, Kind::Long(_)) => *self = std::mem::take(from),
        }
    }

    /// A long one becomes empty.
    #[inline]
    pub(super) fn let_go(&mut self) {
        if let Kind::Long(_) = self.0 {
            *self = Self::new();
        }
    }

    /// The same text, which shares no memory with anything.
    pub(super) fn detached(&self) -> Self {
        self.as_str().into()
    }
}

impl Default for Text {
    /// The empty text.
    #[inline]
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Text {
    #[inline]
    fn from(text: &str) -> Self {
        Self(match ArrayString::from(text) {
            Ok(short) => Kind::Short(short),
            Err(_) => Kind::Long(text.into()),
        })
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(ByteString::from(text))
    }
}

impl From<ByteString> for Text {
    fn from(text: ByteString) -> Self {
        Self(match ArrayString::from(&text) {
            Ok(short) => Kind::Short(short),
            Err(_) => Kind::Long(text),
        })
    }
}

impl From<Text> for ByteString {
    fn from(text: Text) -> Self {
        match text.0 {
            Kind::Short(text) => Self::from(text.as_str()),
            Kind::Long(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other)
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_shares_nothing_with_its_packet_and_a_long_one_does() {
        for (len, shares) in [(0, false), (SHORT, false), (SHORT + 1, true)] {
            let whole = Bytes::from(vec![b'x'; len + 1]);
            let text = Text::slice(&whole[..len], &whole);
            assert_eq!(text, "x".repeat(len).as_str());
            assert_eq!(!whole.is_unique(), shares, "{len}");
            let detached = text.detached();
            drop(text);
            assert!(whole.is_unique());
            assert_eq!(detached.len(), len);
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced_whatever_its_length() {
        for len in [0, 40] {
            let whole = Bytes::from([vec![b'x'; len], vec![0xff]].concat());
            let expected = "x".repeat(len) + "\u{fffd}";
            assert_eq!(Text::slice(&whole, &whole), expected.as_str());
        }
    }

    #[test]
    fn texts_are_compared_as_texts() {
        let long = "x".repeat(SHORT + 1);
        for text in ["", "/a", &long] {
            let made = [
                Text::from(text),
                Text::from(text.to_owned()),
                Text::from(ByteString::from(text)),
            ];
            for made in &made {
                assert_eq!(*made, text);
                assert_eq!(ByteString::from(made.clone()), text);
                assert_eq!(made.to_string(), text);
                assert_eq!(format!("{made:?}"), format!("{text:?}"));
            }
        }
    }

    #[test]
    fn it_is_as_small_as_its_parts_allow() {
        assert!(size_of::<Text>() <= 40, "{}", size_of::<Text>());
    }
}
