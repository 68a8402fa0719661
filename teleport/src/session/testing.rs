//! A session for tests, whose stream nobody drives.

use std::sync::{Arc, Weak};

use super::{
    Env, Runner, Session, Shared,
    dispatch::{BoxFuture, Dispatch, Outbound},
    log::CallLog,
    observer::Observer,
};
use crate::{
    codec::{CodecId, Codecs},
    protocol::{HeaderCodec, Limits, Packet, Standard},
    socket::transport::Addr,
    status::Status,
};

/// One on which nothing arrives.
pub(crate) fn session() -> Session {
    with(Nobody, 1024)
}

/// `write_buffer`: bytes that may wait to be written.
pub(super) fn with(dispatch: impl Dispatch, write_buffer: usize) -> Session {
    let host: Weak<()> = Weak::new();
    let env = Env {
        protocol: Arc::new(Standard),
        codecs: Codecs::default(),
        limits: Limits::default(),
        header_codec: HeaderCodec::Protobuf,
        body_codec: CodecId::JSON,
        gzip: 0,
        read_timeout: None,
        packet_timeout: None,
        write_timeout: None,
        write_buffer,
        max_handlers: 100,
        session_memory: usize::MAX,
        pool: Arc::default(),
        announce: false,
        log: CallLog::new(None, None),
        dispatch: Arc::new(dispatch),
        hooked: false,
        observed: false,
        host,
    };
    let addr = Addr::Named("test".into());
    let shared = Shared::new("test".into(), Arc::new(env), addr.clone(), addr, None);
    Session::new(Arc::new(shared))
}

struct Nobody;

impl Dispatch for Nobody {
    fn inbound<'a>(&'a self, _: &Session, _: &mut Packet, _: &mut Runner<'a>) {}

    fn outbound(&self) -> Option<&dyn Outbound> {
        None
    }

    fn observer(&self) -> Option<&dyn Observer> {
        None
    }

    fn before_header(&self, _: &Session) -> Option<BoxFuture<'static, Result<(), Status>>> {
        None
    }

    fn ended<'a>(&'a self, _: &'a Session) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
