//! Packets before the session starts: how plugins let the two sides get to know each other.

use std::{future::poll_fn, pin::Pin, time::Duration};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{Session, heartbeat::Heartbeat};
use crate::{
    codec::{Choice, CodecId, Decode, Encode, encode_body},
    error::Error,
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Parts},
    socket::inbox::Inbox,
    status::{Status, code},
};

/// A byte stream of either kind.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection before its session starts: nothing is routed yet, and packets go only where a plugin sends them.
///
/// Given to a plugin's hooks after dial and after accept. The packets exchanged here do not touch the session's sequence
/// numbers.
pub struct Handshake<'a> {
    session: Session,
    io: &'a mut dyn Io,
    inbox: &'a mut Inbox,
    has_sent: bool,
}

impl<'a> Handshake<'a> {
    pub(crate) fn new(session: Session, io: &'a mut dyn Io, inbox: &'a mut Inbox) -> Self {
        Self {
            session,
            io,
            inbox,
            has_sent: false,
        }
    }

    /// The other side has got a packet, which may say why it is turned away.
    pub(crate) fn has_sent(&self) -> bool {
        self.has_sent
    }

    /// The session that is about to start. Its values can be set; pulls and pushes wait until it has started.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Sends one packet: this header, with `args` in `codec` as its body.
    ///
    /// # Errors
    /// `args` cannot be encoded so, or the connection broke.
    ///
    /// # Cancel safety
    /// Dropping the future may leave half a packet written; give the connection up then.
    pub async fn send<A: Encode>(
        &mut self,
        header: &Header,
        header_codec: HeaderCodec,
        codec: Option<CodecId>,
        args: A,
    ) -> Result<(), Error> {
        let env = &self.session.shared().env;
        let choice = Choice {
            explicit: codec,
            default: env.body_codec,
            nil: codec,
        };
        let mut frame = Parts::new();
        let mut body = |out: &mut Parts| encode_body(&args, choice, header.gzip, &env.codecs, out);
        env.protocol
            .encode_parts(header.as_ref(), header_codec, &mut body, &mut frame)
            .map_err(|error| self.error(&header.uri, Error::encode("handshake", error)))?;
        drop(args);
        self.has_sent = true;
        let written = self.io.write_all(&frame.into_vec()).await;
        match written {
            Ok(()) => self.io.flush().await,
            error => error,
        }
        .map_err(|error| self.error(&header.uri, Error::write("handshake", error)))
    }

    /// Answers a pull that was received: 200 without a body, or a status.
    ///
    /// # Errors
    /// The connection broke.
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn reply(
        &mut self,
        pull: &Packet,
        outcome: Result<(), &Status>,
    ) -> Result<(), Error> {
        let (seq, uri) = (pull.header.seq, pull.header.uri.clone());
        let mut header = Header::new(PacketKind::Reply, seq, uri);
        (header.status_code, header.status) = match outcome {
            Ok(()) => (code::OK, "OK".into()),
            Err(status) => (status.code(), status.message().into()),
        };
        self.send(&header, pull.header_codec, None, ()).await
    }

    /// Receives one packet, of whatever type.
    ///
    /// # Errors
    /// The connection ended or broke, or what came is not a packet.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Result<Packet, Error> {
        let limits = self.session.shared().env.limits.clone();
        self.recv_within(&limits).await
    }

    /// As [`recv`](Self::recv), for a packet of at most `most` bytes on the wire: strangers need not be heard out.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), or the packet is larger.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv_at_most(&mut self, most: usize) -> Result<Packet, Error> {
        let mut limits = self.session.shared().env.limits.clone();
        limits.packet = limits.packet.min(most);
        self.recv_within(&limits).await
    }

    async fn recv_within(&mut self, limits: &Limits) -> Result<Packet, Error> {
        loop {
            let env = &self.session.shared().env;
            match self.inbox.next(env.protocol.as_ref(), limits) {
                Ok(Decoded::Packet(packet)) => return Ok(packet),
                Ok(Decoded::NeedMore { .. }) => {}
                Err(error) => return Err(self.error("", Error::decode("handshake", error))),
            }
            let (inbox, io) = (&mut *self.inbox, &mut *self.io);
            let read = poll_fn(|cx| inbox.poll_read(cx, &mut Pin::new(&mut *io))).await;
            match read {
                Ok(0) => {
                    let cause = self.inbox.foreign().map(Into::into);
                    return Err(self.error("", Error::closed("handshake", cause)));
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(self.error("", Error::closed("handshake", Some(error.into()))));
                }
            }
        }
    }

    /// Makes the session ask the other side for a sign of life when for `interval` nothing has come from it or gone there, and
    /// end when for `timeout` after that nothing at all has come; as [`Heartbeat`](crate::plugins::Heartbeat) does for all
    /// sessions of a peer. Both are brought between a millisecond and 30 days. The first call for a session counts.
    pub fn set_heartbeat(&mut self, interval: Duration, timeout: Duration) {
        let heartbeat = Heartbeat::new(interval, timeout);
        // Set already: that one counts.
        let _ = self.session.shared().heartbeat.set(heartbeat);
    }

    /// Puts packets back that were not for this plugin: they are received again, in this order and before any other, by the
    /// next plugin or by the session.
    pub fn put_back(&mut self, packets: Vec<Packet>) {
        self.inbox.put_back(packets);
    }

    /// Reads a received packet's body.
    ///
    /// # Errors
    /// The body is not a `T`.
    pub fn decode<T: Decode>(&self, packet: &Packet) -> Result<T, Error> {
        let env = &self.session.shared().env;
        T::decode(&packet.body(), &env.codecs, env.limits.inflated)
            .map_err(|error| self.error(&packet.header.uri, Error::decode("handshake", error)))
    }

    fn error(&self, uri: &str, error: Error) -> Error {
        error.at(uri, &self.session.peer_addr().to_string())
    }
}

impl std::fmt::Debug for Handshake<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake")
            .field("peer", self.session.peer_addr())
            .finish_non_exhaustive()
    }
}
