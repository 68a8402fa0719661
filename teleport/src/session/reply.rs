//! How replies are made and handed to the connection.

use super::{
    Session,
    shared::{Frame, Refused},
    turn,
};
use crate::{
    codec::{Choice, CodecId, Encode, encode_body},
    protocol::{EncodeError, HeaderCodec, HeaderRef, PacketKind},
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
        }
    }
}

/// A reply that is encoded; `None` if there was room and it is on its way.
pub(crate) type Leftover = Option<Vec<u8>>;

/// Encodes the reply `value` and hands it over. A value that cannot be encoded becomes an error status, so the
/// caller always hears something. Without room, the frame comes back for [`send_when_there_is_room`].
pub(crate) fn send_value(
    session: &Session,
    head: ReplyHead<'_>,
    value: &impl Encode,
    choice: Choice,
) -> Leftover {
    let shared = session.shared();
    let env = &shared.env;
    let encode = |frame: &mut Vec<u8>| {
        let mut body =
            |out: &mut Vec<u8>| encode_body(value, choice, head.gzip, &env.codecs, out).map(drop);
        let header = head.header(code::OK, "OK");
        env.protocol
            .encode(header, head.header_codec, &mut body, frame)
    };
    let failed = |error: EncodeError| {
        tracing::warn!(uri = head.uri, peer = %session.peer_addr(), %error, "a reply cannot be encoded");
        send_status(session, head, &encode_failure(&error))
    };
    send(session, encode, failed)
}

fn encode_failure(error: &EncodeError) -> Status {
    if error.is_unsupported_codec() {
        Status::unsupported_codec(error.to_string())
    } else {
        Status::new(code::INTERNAL, error.to_string())
    }
}

/// Answers with a status that is not success.
pub(crate) fn send_status(session: &Session, head: ReplyHead<'_>, status: &Status) -> Leftover {
    let shared = session.shared();
    let encode = |frame: &mut Vec<u8>| {
        let mut body = |out: &mut Vec<u8>| {
            status.append_body(head.gzip, out);
            Ok(())
        };
        let header = head.header(status.code(), status.message());
        let protocol = &shared.env.protocol;
        protocol.encode(header, head.header_codec, &mut body, frame)
    };
    let failed = |error: EncodeError| {
        tracing::error!(uri = head.uri, %status, %error, "a status cannot be encoded");
        None
    };
    send(session, encode, failed)
}

/// Encodes a reply where replies gather, or else in a buffer of its own.
fn send(
    session: &Session,
    encode: impl Fn(&mut Vec<u8>) -> Result<(), EncodeError>,
    failed: impl Fn(EncodeError) -> Leftover,
) -> Leftover {
    match turn::append(session.shared(), &encode) {
        Some(Ok(())) => None,
        Some(Err(error)) => failed(error),
        None => with_scratch(|frame| match encode(frame) {
            Ok(()) => hand_over(session, frame),
            Err(error) => failed(error),
        }),
    }
}

/// As [`send_status`], for one-off answers that must not wait: takes the room it needs.
pub(crate) fn send_status_now(session: &Session, head: ReplyHead<'_>, status: &Status) {
    if let Some(mut frame) = send_status(session, head, status) {
        session.shared().enqueue_at_any_rate(&mut frame);
    }
}

/// Waits for room, then hands the frame over. A session that has ended takes none, and nobody misses it.
pub(crate) async fn send_when_there_is_room(session: &Session, mut frame: Vec<u8>) {
    loop {
        session.shared().wait_for_room().await;
        match session.shared().enqueue(Frame::Reply, &mut frame) {
            Err(Refused::Full) => {}
            Ok(()) | Err(Refused::Closed(_)) => return,
        }
    }
}

fn hand_over(session: &Session, frame: &mut Vec<u8>) -> Leftover {
    match session.shared().enqueue(Frame::Reply, frame) {
        Ok(()) => None,
        Err(Refused::Full) => Some(std::mem::take(frame)),
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
