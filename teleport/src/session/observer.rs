//! [`CallInfo`] and [`CallEnd`]: a call as those see it who only watch.

use std::time::Duration;

use super::Session;
use crate::{protocol::Header, route::RouteInfo};

/// A pull or a push, made by either side, when it begins or ends. For [`Plugin::pre_call`](crate::Plugin::pre_call) and
/// [`Plugin::post_call`](crate::Plugin::post_call).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallInfo<'a> {
    /// The session that it goes over.
    pub session: &'a Session,
    /// Its header, as plugins have changed it up to now.
    pub header: &'a Header,
    /// This side makes the call. If not, the other side does, and this one serves it.
    pub outgoing: bool,
    /// The route that serves it. `None` for a call of this side, for one that an unknown handler serves or nobody, and as
    /// long as it has not been looked up.
    pub route: Option<&'a RouteInfo>,
}

/// How a call ended, for [`Plugin::post_call`](crate::Plugin::post_call).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CallEnd<'a> {
    /// 200; or the code of the reply; or a [local one](crate::status::code), also for what was dropped or given up (104).
    pub code: i32,
    /// The text to the code.
    pub reason: &'a str,
    /// Bytes of the pull or push on the wire; 0 if it was never written, or the protocol does not say.
    pub request_size: usize,
    /// Bytes of the reply on the wire; 0 if there was none, or the protocol does not say.
    pub reply_size: usize,
    /// Time from the first poll, or from the reading of the header, to the end.
    pub cost: Duration,
}

/// Sees calls begin and end. Implemented by the plugins.
pub(crate) trait Observer: Send + Sync {
    /// Each call once.
    fn begins(&self, call: &CallInfo<'_>);

    /// Each call once, also if its future was dropped: must not panic.
    fn ended(&self, call: &CallInfo<'_>, end: &CallEnd<'_>);
}
