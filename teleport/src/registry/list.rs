//! [`MemberList`]: members that the program itself knows.

use tokio::sync::watch;

use super::{Discovery, Member};

/// A list of members that the program itself keeps: fixed, from a file, or from a registry of another kind.
///
/// ```
/// use teleport::registry::{Discovery, Member, MemberList};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let list = MemberList::new([Member::new("10.0.0.7:9090")]);
/// let mut source = list.discover();
/// assert_eq!(source.next().await.unwrap().len(), 1);
///
/// list.set([]);
/// assert_eq!(source.next().await.unwrap().len(), 0);
/// # }
/// ```
#[derive(Debug)]
pub struct MemberList(watch::Sender<Vec<Member>>);

impl MemberList {
    /// A list of these. If it never changes it may be dropped once it is [followed](Self::discover).
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        Self(watch::Sender::new(members.into_iter().collect()))
    }

    /// Replaces the whole list.
    pub fn set(&self, members: impl IntoIterator<Item = Member>) {
        let members = members.into_iter().collect();
        self.0.send_if_modified(|known| {
            let changed = *known != members;
            *known = members;
            changed
        });
    }

    /// What a [`Pool`](super::Pool) follows.
    #[must_use]
    pub fn discover(&self) -> ListDiscovery {
        let mut source = self.0.subscribe();
        source.mark_changed();
        ListDiscovery(source)
    }
}

/// Follows a [`MemberList`]. Made by [`MemberList::discover`].
#[derive(Clone, Debug)]
pub struct ListDiscovery(watch::Receiver<Vec<Member>>);

impl Discovery for ListDiscovery {
    async fn next(&mut self) -> Option<Vec<Member>> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_that_is_dropped_is_still_told_once() {
        let mut source = MemberList::new([Member::new("a:1")]).discover();
        assert_eq!(source.next().await, Some(vec![Member::new("a:1")]));
        assert_eq!(source.next().await, None);
    }
}
