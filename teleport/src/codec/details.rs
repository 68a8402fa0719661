//! Details of a [`Status`]: a value that travels with an error.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{Body, CodecError, CodecId, Codecs, Decode, gzip, json};
use crate::status::Status;

impl Status {
    /// Adds a value for programs to read, beside the text for people. It is sent as JSON, whatever the request's codec.
    /// A value that JSON cannot write is left out.
    ///
    /// ```
    /// use teleport::Status;
    ///
    /// let status = Status::new(1001, "sold out").with_details(&["red", "blue"]);
    /// assert_eq!(status.details::<Vec<String>>()?, ["red", "blue"]);
    /// # Ok::<(), teleport::codec::CodecError>(())
    /// ```
    #[must_use]
    pub fn with_details<T: Serialize + ?Sized>(self, details: &T) -> Self {
        let mut body = vec![CodecId::JSON.as_byte()];
        match json::write(details, &mut body) {
            Ok(()) => self.with_body(body.into()),
            Err(error) => {
                tracing::warn!(status = %self, %error, "details of a status cannot be written");
                self
            }
        }
    }

    /// Reads the details.
    ///
    /// # Errors
    /// There are none, or they are not a `T`.
    pub fn details<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        if self.body().is_empty() {
            return Err(CodecError::decode("the status has no details"));
        }
        T::decode(&Body::new(self.body(), 0), &Codecs::new(), usize::MAX)
    }

    /// Appends the body that travels with this status. Where the caller has asked for a gzip level that nobody has, it is left
    /// out: the status matters more.
    pub(crate) fn append_body(&self, level: i32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.body());
        if level == 0 || self.body().len() <= 1 {
            return;
        }
        if let Err(error) = gzip::deflate_tail(out, start + 1, level) {
            tracing::debug!(status = %self, %error, "details of a status are left out");
            out.truncate(start);
        }
    }

    /// Keeps the body of a reply that is not success. One that cannot be inflated is left out: the status matters more.
    pub(crate) fn with_reply_body(self, body: &Body<'_>, limit: usize) -> Self {
        let (Some(codec), Ok(payload)) = (body.codec(), body.inflate(limit)) else {
            return self;
        };
        let mut bytes = Vec::with_capacity(payload.len() + 1);
        bytes.push(codec.as_byte());
        bytes.extend_from_slice(&payload);
        self.with_body(Bytes::from(bytes))
    }
}
