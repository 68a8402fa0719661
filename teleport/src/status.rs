//! [`Status`], the answer of a handler that did not succeed, and its [codes](code).

use std::{error::Error as StdError, fmt, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;

/// The status codes of the seed's wire format, as they stand in a reply's header.
///
/// Codes are plain numbers: an application may use any others, customarily from 1000 on.
pub mod code {
    /// Local, never on the wire: the packet could not be sent.
    pub const WRITE_FAILED: i32 = 100;
    /// Local, never on the wire: the connection ended before the reply.
    pub const CONNECTION_CLOSED: i32 = 101;
    /// Local, never on the wire: the caller's own time limit passed before the reply.
    pub const TIMED_OUT: i32 = 102;
    /// Local, never on the wire: a reply came, but not in a form that the caller can read.
    pub const UNREADABLE_REPLY: i32 = 103;
    /// Local, never on the wire: the caller gave the call up before its reply. For logs.
    pub const CANCELLED: i32 = 104;
    /// The only code that means success.
    pub const OK: i32 = 200;
    /// The uri, or the body, cannot be read.
    pub const BAD_REQUEST: i32 = 400;
    /// The caller has not said who it is.
    pub const UNAUTHORIZED: i32 = 401;
    /// No handler has this uri.
    pub const NOT_FOUND: i32 = 404;
    /// The request contradicts the present state.
    pub const CONFLICT: i32 = 409;
    /// The body's codec cannot carry what the route takes or gives.
    pub const UNSUPPORTED_CODEC: i32 = 415;
    /// Too many calls in too short a time. Not one of the seed's.
    pub const TOO_MANY_REQUESTS: i32 = 429;
    /// The handler failed in a way that is not the caller's business.
    pub const INTERNAL: i32 = 500;
    /// The handler exists, its work does not yet.
    pub const NOT_IMPLEMENTED: i32 = 501;
    /// A peer further on gave an unusable answer.
    pub const BAD_GATEWAY: i32 = 502;
    /// Too much to do, or about to stop.
    pub const UNAVAILABLE: i32 = 503;
    /// A peer further on gave no answer in time.
    pub const GATEWAY_TIMEOUT: i32 = 504;
}

/// What a handler answers instead of a value: a code, a text for the caller, and optional details.
///
/// It travels in the reply's header (code and text) and body (details). The *cause* does not travel: it is
/// for this side's log. Any error type that converts `Into<Status>` can be returned by a handler, so
/// implement `From<MyError> for Status` to use `?` on your own errors:
///
/// ```
/// use teleport::Status;
///
/// #[derive(Debug)]
/// enum ShopError { SoldOut }
///
/// impl From<ShopError> for Status {
///     fn from(error: ShopError) -> Self {
///         match error {
///             ShopError::SoldOut => Status::new(1001, "sold out"),
///         }
///     }
/// }
/// # assert_eq!(Status::from(ShopError::SoldOut).code(), 1001);
/// ```
///
/// `Status` is not a `std::error::Error`; on the caller's side it arrives inside [`Error`](crate::Error),
/// which is one.
#[derive(Clone)]
pub struct Status(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: i32,
    message: ByteString,
    body: StatusBody,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The body that travels with a status.
#[derive(Clone, Default)]
pub(crate) struct StatusBody {
    /// Codec id included; empty if there are no details.
    pub(crate) bytes: Bytes,
    /// It came with a reply.
    pub(crate) received: Option<Received>,
}

/// How a body came.
#[derive(Clone, Copy)]
pub(crate) struct Received {
    /// The header's field.
    pub(crate) gzip: i32,
    /// Bytes that it may become when inflated.
    pub(crate) limit: usize,
}

impl Status {
    /// A status with a code of your own and a text that the caller may see.
    pub fn new(code: i32, message: impl Into<ByteString>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            body: StatusBody::default(),
            cause: None,
        }))
    }

    /// 400: the caller sent something that cannot be read; say what is wrong with it.
    pub fn bad_request(message: impl Into<ByteString>) -> Self {
        Self::new(code::BAD_REQUEST, message)
    }

    /// 401 `Unauthorized`.
    pub fn unauthorized() -> Self {
        Self::new(code::UNAUTHORIZED, ByteString::from_static("Unauthorized"))
    }

    /// 404 `Not Found`: what a missing route is answered with.
    pub fn not_found() -> Self {
        Self::new(code::NOT_FOUND, ByteString::from_static("Not Found"))
    }

    /// 409: the request contradicts the present state; say how.
    pub fn conflict(message: impl Into<ByteString>) -> Self {
        Self::new(code::CONFLICT, message)
    }

    /// 415: the body's codec does not fit what the route takes or gives.
    pub fn unsupported_codec(message: impl Into<ByteString>) -> Self {
        Self::new(code::UNSUPPORTED_CODEC, message)
    }

    /// 429: more calls have come than may; say how many may.
    pub fn too_many_requests(message: impl Into<ByteString>) -> Self {
        Self::new(code::TOO_MANY_REQUESTS, message)
    }

    /// 500 `Internal Server Error`. The cause is kept for this side's log and never sent.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(
            code::INTERNAL,
            ByteString::from_static("Internal Server Error"),
        )
        .with_cause(cause)
    }

    /// 503: this side has too much to do, or is about to stop.
    pub fn unavailable(message: impl Into<ByteString>) -> Self {
        Self::new(code::UNAVAILABLE, message)
    }

    /// Keeps the error behind this status for this side's log; it is never sent.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(Arc::from(cause.into()));
        self
    }

    /// The code; see [`code`].
    #[must_use]
    pub fn code(&self) -> i32 {
        self.0.code
    }

    /// The text that the caller sees.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The local error behind this status, if there is one. Never there on a status that came over the wire.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    pub(crate) fn body(&self) -> &StatusBody {
        &self.0.body
    }

    #[must_use]
    pub(crate) fn with_body(mut self, body: StatusBody) -> Self {
        self.0.body = body;
        self
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Status");
        out.field("code", &self.0.code)
            .field("message", &self.0.message);
        if !self.0.body.bytes.is_empty() {
            out.field("details", &self.0.body.bytes);
        }
        if let Some(cause) = &self.0.cause {
            out.field("cause", cause);
        }
        out.finish()
    }
}

impl PartialEq for Status {
    /// Two statuses are equal if a caller could not tell them apart: same code, text and details.
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
            && self.0.message == other.0.message
            && self.0.body.bytes == other.0.body.bytes
    }
}

impl From<crate::Error> for Status {
    /// What the caller of a handler sees when a pull inside that handler failed and `?` was used on it.
    ///
    /// A status that the further peer returned is passed on as it is. A failure on this side becomes 504 (time
    /// limit), 502 (the further peer is gone or unreadable) or 500, with the error as the cause.
    fn from(error: crate::Error) -> Self {
        if let Some(status) = error.status() {
            return status.clone();
        }
        let (code, text) = if error.is_timeout() {
            (code::GATEWAY_TIMEOUT, "Gateway Timeout")
        } else if error.is_closed() || error.is_decode() {
            (code::BAD_GATEWAY, "Bad Gateway")
        } else {
            (code::INTERNAL, "Internal Server Error")
        };
        Self::new(code, ByteString::from_static(text)).with_cause(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_pointer_wide() {
        assert_eq!(size_of::<Result<(), Status>>(), size_of::<usize>());
    }

    #[test]
    fn the_cause_is_not_part_of_what_a_caller_sees() {
        let plain = Status::new(500, "Internal Server Error");
        let caused = Status::internal("disk full");
        assert_eq!(plain, caused);
        assert_eq!(caused.to_string(), "500 Internal Server Error");
        assert_eq!(
            caused.cause().map(ToString::to_string).as_deref(),
            Some("disk full")
        );
    }
}
