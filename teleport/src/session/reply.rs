//! How replies are made and handed to the connection.

use std::{cell::Cell, mem};

use bytestring::ByteString;

use super::{
    Session,
    shared::{Frame, Refused},
    turn,
};
use crate::{
    codec::{Body, Choice, CodecId, Encode, encode_body},
    protocol::{EncodeError, HeaderCodec, HeaderRef, Meta, PacketKind, Parts},
    socket::scratch::with_scratch,
    status::{Status, code},
};

/// What a reply takes over from its pull: all that the answering side needs to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyHead<'a> {
    pub(crate) seq: u64,
    pub(crate) uri: &'a str,
    pub(crate) gzip: i32,
    pub(crate) header_codec: HeaderCodec,
}

impl<'a> ReplyHead<'a> {
    fn header(&self, status_code: i32, status: &'a str) -> HeaderRef<'a> {
        HeaderRef {
            seq: self.seq,
            kind: PacketKind::Reply,
            uri: self.uri,
            gzip: self.gzip,
            status_code,
            status,
            timeout_ms: 0,
            meta: Meta::EMPTY,
        }
    }
}

/// A reply that was encoded and handed over, or could not be handed over yet.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// There was no room; for [`send_when_there_is_room`].
    pub(crate) leftover: Option<Parts>,
    /// Bytes of the packet.
    pub(crate) size: usize,
    /// What was sent instead of the value, which could not be.
    pub(crate) failure: Option<Status>,
    /// The body for people, if that was asked for.
    pub(crate) text: Option<String>,
}

/// Encodes the reply `value` behind the others of this turn, and gives the size of its packet. `None` if this is not the session's
/// own turn, or there is no room: then nothing was done.
#[inline]
pub(crate) fn append_value(
    session: &Session,
    head: ReplyHead<'_>,
    value: &impl Encode,
    choice: Choice,
) -> Option<Result<usize, EncodeError>> {
    let env = &session.shared().env;
    let mut body = |out: &mut Parts| encode_body(value, choice, head.gzip, &env.codecs, out);
    let encode = |frame: &mut Parts| {
        let header = head.header(code::OK, "OK");
        env.protocol
            .encode_parts(header, head.header_codec, &mut body, frame)
    };
    turn::append(session.shared(), |frame| checked(session, frame, encode))
}

/// Encodes a packet that is no larger than may be sent, and gives its size.
#[inline]
fn checked(
    session: &Session,
    frame: &mut Parts,
    encode: impl FnOnce(&mut Parts) -> Result<(), EncodeError>,
) -> Result<usize, EncodeError> {
    let (start, before) = (frame.mark(), frame.len());
    encode(frame)?;
    let size = frame.len() - before;
    let limits = &session.shared().env.limits;
    limits
        .check_sent(size)
        .inspect_err(|_| frame.truncate(start))?;
    Ok(size)
}

/// Encodes the reply `value` and hands it over. A value that cannot be encoded becomes an error status, so the
/// caller always hears something. `show`: the log wants to see the body.
pub(crate) fn send_value(
    session: &Session,
    head: ReplyHead<'_>,
    value: &impl Encode,
    choice: Choice,
    show: bool,
) -> Sent {
    let env = &session.shared().env;
    let text = Cell::new(None);
    let encode = |frame: &mut Parts| {
        let mut body = |out: &mut Parts| {
            let start = out.mark();
            encode_body(value, choice, head.gzip, &env.codecs, out)?;
            if show {
                let body = out.since(start);
                text.set(env.log.text(&Body::borrowed(&body, head.gzip)));
            }
            Ok(())
        };
        let header = head.header(code::OK, "OK");
        env.protocol
            .encode_parts(header, head.header_codec, &mut body, frame)
    };
    match send(session, encode) {
        Ok(sent) => Sent {
            text: text.take(),
            ..sent
        },
        Err(error) => send_failure(session, head, &error),
    }
}

/// Answers that the value cannot be encoded.
#[cold]
pub(crate) fn send_failure(session: &Session, head: ReplyHead<'_>, error: &EncodeError) -> Sent {
    let uri = session.shared().env.log.shown(head.uri);
    tracing::warn!(uri = &*uri, peer = %session.peer_addr(), %error, "a reply cannot be encoded");
    let status = encode_failure(error);
    let sent = send_status(session, head, &status);
    Sent {
        failure: Some(status),
        ..sent
    }
}

fn encode_failure(error: &EncodeError) -> Status {
    if error.is_unsupported_codec() {
        Status::unsupported_codec(error.to_string())
    } else {
        Status::new(code::INTERNAL, error.to_string())
    }
}

/// Answers with a status that is not success.
pub(crate) fn send_status(session: &Session, head: ReplyHead<'_>, status: &Status) -> Sent {
    let protocol = &session.shared().env.protocol;
    let head = ReplyHead {
        gzip: status.body_level(head.gzip),
        ..head
    };
    let encode = |frame: &mut Parts| {
        let mut body = |out: &mut Parts| {
            status.append_body(head.gzip, out.copied());
            Ok(())
        };
        let header = head.header(status.code(), status.message());
        protocol.encode_parts(header, head.header_codec, &mut body, frame)
    };
    send(session, encode).unwrap_or_else(|error| {
        tracing::error!(uri = &*session.shared().env.log.shown(head.uri), %status, %error, "a status cannot be encoded");
        Sent::default()
    })
}

/// Encodes a reply where replies gather, or else in a buffer of its own.
fn send(
    session: &Session,
    encode: impl Fn(&mut Parts) -> Result<(), EncodeError>,
) -> Result<Sent, EncodeError> {
    let encode = |frame: &mut Parts| checked(session, frame, &encode);
    let sent = |size, leftover| Sent {
        size,
        leftover,
        ..Sent::default()
    };
    match turn::append(session.shared(), encode) {
        Some(size) => Ok(sent(size?, None)),
        None => with_scratch(|frame| {
            let size = encode(frame)?;
            Ok(sent(size, hand_over(session, frame)))
        }),
    }
}

/// As [`send_status`], for one-off answers that must not wait: takes the room it needs. Gives the size.
pub(crate) fn send_status_now(session: &Session, head: ReplyHead<'_>, status: &Status) -> usize {
    let mut sent = send_status(session, head, status);
    if let Some(frame) = &mut sent.leftover {
        session.shared().enqueue_at_any_rate(frame);
    }
    sent.size
}

/// A reply that would have to wait for room becomes status 500 instead if too much is held already: who reads none of them
/// could ask for more and more.
#[cold]
pub(crate) fn or_give_up(session: &Session, head: ReplyHead<'_>, sent: &mut Sent) {
    if sent.leftover.is_none() || session.shared().memory.has_room() {
        return;
    }
    let text = "the reply was dropped: too much waits on this session to be read";
    let status = Status::new(code::INTERNAL, ByteString::from_static(text));
    tracing::warn!(uri = &*session.shared().env.log.shown(head.uri), peer = %session.peer_addr(), "{text}");
    sent.leftover = None;
    sent.size = send_status_now(session, head, &status);
    sent.failure = Some(status);
}

/// Waits for room, then hands the frame over. A session that has ended takes none, and nobody misses it.
pub(crate) async fn send_when_there_is_room(session: &Session, mut frame: Parts) {
    let spare = frame.copied().capacity() - frame.copied().len();
    let _held = session.shared().memory.hold(frame.len() + spare);
    loop {
        session.shared().wait_for_room().await;
        match session.shared().enqueue(Frame::Reply, &mut frame) {
            Err(Refused::Full) => {}
            Ok(()) | Err(Refused::Closed(_)) => return,
        }
    }
}

fn hand_over(session: &Session, frame: &mut Parts) -> Option<Parts> {
    match session.shared().enqueue(Frame::Reply, frame) {
        Ok(()) => None,
        Err(Refused::Full) => {
            let mut kept = mem::take(frame);
            let copied = kept.copied();
            // A buffer much larger than what is in it would be kept for it.
            if copied.capacity() / 2 > copied.len() {
                let exact = copied.as_slice().to_vec();
                *frame = Parts::from(mem::replace(copied, exact));
                frame.clear();
            }
            Some(kept)
        }
        Err(Refused::Closed(_)) => {
            frame.clear();
            None
        }
    }
}

/// The codec of a reply: the handler's choice, else the request's, else JSON or what the value can be written in.
pub(crate) fn reply_choice(set: Option<CodecId>, request: Option<CodecId>) -> Choice {
    Choice {
        explicit: set.or(request),
        default: CodecId::JSON,
        nil: set,
    }
}
