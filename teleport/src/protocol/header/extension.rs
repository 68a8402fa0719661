//! A member of a JSON header that the seed does not know: ours if it looks like it, somebody else's and skipped if not.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::super::Meta;

/// The value of an extension, of which nothing is kept that we would not use.
pub(super) enum Extension {
    Meta(Meta),
    Number(u64),
    Other,
    Text(String),
}

impl Extension {
    pub(super) fn into_number(self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn into_meta(self) -> Option<Meta> {
        match self {
            Self::Meta(meta) => Some(meta),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Extension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtensionVisitor { depth: 0 })
    }
}

/// Below the first level there is nothing of ours.
struct ExtensionVisitor {
    depth: u8,
}

impl<'de> serde::de::DeserializeSeed<'de> for ExtensionVisitor {
    type Value = Extension;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Extension, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ExtensionVisitor {
    type Value = Extension;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Extension, E> {
        Ok(Extension::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Extension, E> {
        Ok(Extension::Other)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Extension, E> {
        Ok(Extension::Number(value))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Extension, E> {
        Ok(Extension::Other)
    }

    fn visit_str<E>(self, value: &str) -> Result<Extension, E> {
        Ok(Extension::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Extension, E> {
        Ok(Extension::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Extension, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Extension::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extension, A::Error> {
        if self.depth > 0 {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Extension::Other);
        }
        let mut meta = Meta::new();
        while let Some(name) = map.next_key::<String>()? {
            if let Extension::Text(value) = map.next_value_seed(Self { depth: 1 })? {
                meta.insert(name, value);
            }
        }
        Ok(Extension::Meta(meta))
    }
}
