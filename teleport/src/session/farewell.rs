//! How a side that closes a session says which pulls it has not taken.
//!
//! Without it a caller whose pull crosses the closing could not tell a call that never began from one whose reply was lost.
//! It is a reply with status 503 and a uri of its own. With the number of a pull: this one was refused. With [`ALL`]: the
//! pulls that have no reply yet were not read, and nothing more comes. A peer that does not know it takes the first for the 503
//! that it is, and drops the second, as every reply that nobody waits for; still it is told only if it has shown that it
//! understands, by an extension in a header of its own (see [`Meta`]).

use super::{
    Session, Shared,
    reply::{self, ReplyHead},
};
use crate::{
    protocol::{Header, HeaderRef, Meta, PacketKind},
    socket::scratch::with_scratch,
    status::{Status, code},
};

/// No controller has such a route.
const URI: &str = "/~teleport/closing";
/// The number that stands for all pulls. Sessions do not live to give it out.
const ALL: u64 = u64::MAX;
pub(crate) const TEXT: &str = "this side is closing the session";

/// Answers a pull that came when this side had begun to close. Gives the size.
pub(crate) fn refuse(session: &Session, head: ReplyHead<'_>, status: &Status) -> usize {
    let uri = if is_understood(session.shared()) {
        URI
    } else {
        head.uri
    };
    reply::send_status_now(session, ReplyHead { uri, ..head }, status)
}

fn is_understood(shared: &Shared) -> bool {
    shared.is_extended() && shared.env.protocol.has_farewell()
}

/// Refuses all pulls that have no reply. `false` if the other side would not understand.
pub(super) fn refuse_all(shared: &Shared) -> bool {
    let env = &shared.env;
    if !is_understood(shared) {
        return false;
    }
    let header = HeaderRef {
        seq: ALL,
        kind: PacketKind::Reply,
        uri: URI,
        gzip: 0,
        status_code: code::UNAVAILABLE,
        status: TEXT,
        timeout_ms: 0,
        meta: Meta::EMPTY,
    };
    with_scratch(|frame| {
        let encoded = env
            .protocol
            .encode_parts(header, env.header_codec, &mut |_| Ok(()), frame);
        shared.enqueue_at_any_rate(frame);
        encoded.is_ok()
    })
}

/// What a reply says about the session that it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// No reply will come any more.
    All,
    /// The pull was not taken, and no later one will be.
    One,
}

/// Whether a reply is one of these.
#[inline]
pub(super) fn find(header: &Header) -> Option<Farewell> {
    (header.uri == URI).then_some(match header.seq {
        ALL => Farewell::All,
        _ => Farewell::One,
    })
}
