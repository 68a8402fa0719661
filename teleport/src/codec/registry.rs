//! [`Codecs`], the codecs that a peer knows, and [`Codec`], one that a user adds.

use std::{fmt, sync::Arc};

use super::{CodecError, CodecId};

/// A body codec of your own, for every value that serde can serialize or deserialize.
///
/// Register it with [`PeerBuilder::codec`](crate::PeerBuilder::codec); both sides need it. It sees exactly one
/// payload: the codec id, compression and limits are not its business.
///
/// ```
/// use teleport::{CodecId, codec::{Codec, CodecError, erased_serde}};
///
/// /// JSON with line breaks, for people who read packets.
/// struct Pretty;
///
/// impl Codec for Pretty {
///     fn id(&self) -> CodecId {
///         CodecId::new(b'J').expect("not 0")
///     }
///
///     fn name(&self) -> &str {
///         "pretty-json"
///     }
///
///     fn encode(&self, value: &dyn erased_serde::Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         serde_json::to_writer_pretty(out, value).map_err(CodecError::encode)
///     }
///
///     fn decode(
///         &self,
///         payload: &[u8],
///         visit: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
///     ) -> Result<(), CodecError> {
///         let mut json = serde_json::Deserializer::from_slice(payload);
///         visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json)).map_err(CodecError::decode)?;
///         json.end().map_err(CodecError::decode)
///     }
/// }
///
/// let peer = teleport::Peer::builder().codec(Pretty).build()?;
/// # let _ = peer;
/// # Ok::<(), teleport::Error>(())
/// ```
pub trait Codec: Send + Sync + 'static {
    /// The byte on the wire. Must not be one of the built-in ones (`j`, `p`, `s`).
    fn id(&self) -> CodecId;

    /// The name in logs and configuration.
    fn name(&self) -> &str;

    /// Appends the encoded value to `out`.
    ///
    /// # Errors
    /// The value does not fit the format; what was appended by then is thrown away.
    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError>;

    /// Makes a deserializer over `payload` and calls `visit` with it once; `visit` keeps the value.
    ///
    /// # Errors
    /// The payload is malformed, or has bytes left over, or `visit` failed.
    fn decode(
        &self,
        payload: &[u8],
        visit: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError>;
}

/// The codecs that a peer knows: JSON, protobuf and text, and those that were registered.
#[derive(Clone, Default)]
pub struct Codecs {
    /// Few: a search is faster than a map.
    custom: Vec<Arc<dyn Codec>>,
}

const BUILT_IN: [(CodecId, &str); 3] = [
    (CodecId::JSON, "json"),
    (CodecId::PROTOBUF, "protobuf"),
    (CodecId::STRING, "string"),
];

impl Codecs {
    /// The built-in ones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a codec.
    ///
    /// # Errors
    /// Its id or its name is taken.
    pub fn register(&mut self, codec: impl Codec) -> Result<(), CodecConflict> {
        let (id, name) = (codec.id(), codec.name());
        let holder = match self.name(id) {
            Some(holder) => Some(holder.to_owned()),
            None => self.by_name(name).map(|_| name.to_owned()),
        };
        if let Some(holder) = holder {
            return Err(CodecConflict {
                id,
                name: name.to_owned(),
                holder,
            });
        }
        self.custom.push(Arc::new(codec));
        Ok(())
    }

    /// The id of the codec with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<CodecId> {
        let built_in = BUILT_IN.iter().find(|(_, known)| *known == name);
        built_in.map(|(id, _)| *id).or_else(|| {
            let custom = self.custom.iter().find(|codec| codec.name() == name);
            custom.map(|codec| codec.id())
        })
    }

    /// The name of the codec with this id; `None` if it is unknown.
    #[must_use]
    pub fn name(&self, id: CodecId) -> Option<&str> {
        let built_in = BUILT_IN.iter().find(|(known, _)| *known == id);
        built_in
            .map(|(_, name)| *name)
            .or_else(|| self.custom(id).map(Codec::name))
    }

    /// Whether it has a [`name`](Self::name). Asked for each call.
    #[inline]
    pub(crate) fn knows(&self, id: CodecId) -> bool {
        matches!(id, CodecId::JSON | CodecId::PROTOBUF | CodecId::STRING) || self.has_custom(id)
    }

    #[cold]
    fn has_custom(&self, id: CodecId) -> bool {
        self.custom(id).is_some()
    }

    pub(super) fn custom(&self, id: CodecId) -> Option<&dyn Codec> {
        let custom = self.custom.iter().find(|codec| codec.id() == id);
        custom.map(AsRef::as_ref)
    }
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let custom = self.custom.iter().map(|codec| (codec.id(), codec.name()));
        f.debug_map().entries(BUILT_IN).entries(custom).finish()
    }
}

/// Two codecs want the same id or name.
#[derive(Clone, Debug)]
pub struct CodecConflict {
    id: CodecId,
    name: String,
    holder: String,
}

impl fmt::Display for CodecConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, holder } = self;
        write!(
            f,
            "codec `{name}` with id {id} conflicts with codec `{holder}`; ids and names must be unique"
        )
    }
}

impl std::error::Error for CodecConflict {}
