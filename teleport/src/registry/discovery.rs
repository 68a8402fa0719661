//! [`Discovery`]: where a pool learns who is there.

use std::future::Future;

use super::Member;

/// Says who is there, again and again. [`MemberList`](super::MemberList) has one that the program itself feeds; with the
/// feature `etcd`, [`Etcd`](super::Etcd) has one that follows etcd.
pub trait Discovery: Send + 'static {
    /// All members: at once the first time, from then on when they have changed. `None` if they will not change any more;
    /// then it is not called again. Of several members with one address the last counts.
    ///
    /// It does not fail: a source that cannot be reached is tried again in here, and the pool goes on with what it knows.
    ///
    /// # Cancel safety
    /// None is needed: the pool drops the future only together with the source.
    fn next(&mut self) -> impl Future<Output = Option<Vec<Member>>> + Send;
}
