//! Details of a [`Status`]: a value that travels with an error.

use serde::{Serialize, de::DeserializeOwned};

use super::{Body, CodecError, CodecId, Codecs, Decode, gzip, json};
use crate::status::{Received, Status, StatusBody};

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
            Ok(()) => self.with_body(StatusBody {
                bytes: body.into(),
                received: None,
            }),
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
        let details = self.body();
        if details.bytes.is_empty() {
            return Err(CodecError::decode("the status has no details"));
        }
        let (gzip, limit) = match details.received {
            Some(received) => (received.gzip, received.limit),
            None => (0, usize::MAX),
        };
        T::decode(&Body::new(&details.bytes, gzip), &Codecs::new(), limit)
    }

    /// The gzip level that goes into the header of a reply with this status, where its request has asked for `level`.
    pub(crate) fn body_level(&self, level: i32) -> i32 {
        self.body().received.map_or(level, |received| received.gzip)
    }

    /// Appends the body that travels with this status: as it came, if it did come, else compressed at `level`. Where the caller
    /// has asked for a level that nobody has, it is left out: the status matters more.
    pub(crate) fn append_body(&self, level: i32, out: &mut Vec<u8>) {
        let start = out.len();
        let body = self.body();
        out.extend_from_slice(&body.bytes);
        if level == 0 || body.bytes.len() <= 1 || body.received.is_some() {
            return;
        }
        if let Err(error) = gzip::deflate_tail(out, start + 1, level) {
            tracing::debug!(status = %self, %error, "details of a status are left out");
            out.truncate(start);
        }
    }

    /// Keeps the body of a reply that is not success, as it came.
    pub(crate) fn with_reply_body(self, body: &Body<'_>, limit: usize) -> Self {
        self.with_body(StatusBody {
            bytes: body.to_bytes(),
            received: Some(Received {
                gzip: body.gzip(),
                limit,
            }),
        })
    }
}
