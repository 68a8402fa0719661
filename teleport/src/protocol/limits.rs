//! [`Limits`].

use super::EncodeError;

/// Sizes above which the other side is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one packet, lengths and header included. The check is the seed's: header length + 4 before the header is
    /// read, the whole before the body is read, and a packet without a body passes with its header alone. Default: 64 MiB,
    /// enough for what is usual, and survivable for a process if a few peers mean harm.
    pub packet: usize,
    /// Bytes that one compressed body may become. Default: 64 MiB.
    pub inflated: usize,
    /// Bytes of one packet that this side sends. What is larger is not sent: a pull or a push fails, and a reply becomes
    /// status 500; the session goes on. Default: 4 GiB, which is what the format can tell.
    pub sent: usize,
}

impl Limits {
    /// Says no to a packet of this size.
    pub(crate) fn check_sent(&self, size: usize) -> Result<(), EncodeError> {
        if size <= self.sent {
            return Ok(());
        }
        Err(EncodeError::over_limit(size, self.sent))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet: 64 * 1024 * 1024,
            inflated: 64 * 1024 * 1024,
            sent: u32::MAX as usize,
        }
    }
}
