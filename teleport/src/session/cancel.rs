//! Telling the other side that a call's result is no longer wanted.
//!
//! It is a push, to a uri that no controller can have: a peer that does not know it drops it, as it drops every push
//! without a route. It is sent only for calls that ask for it.

use super::{Session, shared::Shared};
use crate::{
    protocol::{HeaderRef, Meta, PacketKind, Parts},
    socket::scratch::with_scratch,
};

/// Where cancellations go, with the pull's sequence number behind it.
const URI: &str = "/~teleport/cancel?seq=";

/// Says that the pull `seq` of this side is given up.
pub(super) fn send(session: &Session, seq: u64) {
    let shared = session.shared();
    let uri = format!("{URI}{seq}");
    let header = HeaderRef {
        seq: shared.next_push(),
        kind: PacketKind::Push,
        uri: &uri,
        gzip: 0,
        status_code: 0,
        status: "",
        timeout_ms: 0,
        meta: Meta::EMPTY,
    };
    with_scratch(|frame| {
        let mut no_body = |_: &mut Parts| Ok(());
        let env = &shared.env;
        if env
            .protocol
            .encode_parts(header, env.header_codec, &mut no_body, frame)
            .is_ok()
        {
            shared.enqueue_at_any_rate(frame);
        }
    });
}

/// Takes a push that is a cancellation. `false` if it is any other.
pub(crate) fn receive(shared: &Shared, uri: &str) -> bool {
    let Some(seq) = uri.strip_prefix(URI) else {
        return false;
    };
    if let Ok(seq) = seq.parse() {
        shared.cancel_handler(seq);
    }
    true
}
