//! [`Hooks`], a set of hook points.

use std::{fmt, ops::BitOr};

/// Which hooks a plugin overrides; see [`Plugin::hooks`](super::Plugin::hooks).
///
/// ```
/// use teleport::Hooks;
///
/// let hooks = Hooks::POST_DIAL | Hooks::POST_ACCEPT;
/// assert!(hooks.contains(Hooks::POST_DIAL) && !hooks.contains(Hooks::PRE_WRITE_PULL));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Hooks(u32);

macro_rules! hooks {
    ($($bit:literal $name:ident $method:literal,)*) => {
        impl Hooks {
            $(
                #[doc = concat!("[`", $method, "`](super::Plugin::", $method, ").")]
                pub const $name: Self = Self(1 << $bit);
            )*
            /// Every hook there is.
            pub const ALL: Self = Self(u32::MAX);
        }

        impl fmt::Debug for Hooks {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut out = f.debug_set();
                $( if self.contains(Self::$name) { out.entry(&format_args!($method)); } )*
                out.finish()
            }
        }
    };
}

hooks! {
    0 POST_DIAL "post_dial",
    1 POST_ACCEPT "post_accept",
    2 POST_DISCONNECT "post_disconnect",
    3 PRE_WRITE_PULL "pre_write_pull",
    4 POST_WRITE_PULL "post_write_pull",
    5 POST_READ_REPLY_HEADER "post_read_reply_header",
    6 PRE_READ_REPLY_BODY "pre_read_reply_body",
    7 POST_READ_REPLY_BODY "post_read_reply_body",
    8 PRE_WRITE_PUSH "pre_write_push",
    9 POST_WRITE_PUSH "post_write_push",
    10 POST_READ_PULL_HEADER "post_read_pull_header",
    11 PRE_READ_PULL_BODY "pre_read_pull_body",
    12 POST_READ_PULL_BODY "post_read_pull_body",
    13 PRE_WRITE_REPLY "pre_write_reply",
    14 POST_WRITE_REPLY "post_write_reply",
    15 POST_READ_PUSH_HEADER "post_read_push_header",
    16 PRE_READ_PUSH_BODY "pre_read_push_body",
    17 POST_READ_PUSH_BODY "post_read_push_body",
    18 PRE_READ_HEADER "pre_read_header",
    19 PRE_CLOSE "pre_close",
    20 PRE_CALL "pre_call",
    21 POST_CALL "post_call",
}

impl Hooks {
    /// No hook.
    pub const NONE: Self = Self(0);

    pub(crate) const CALL: Self = Self(0b11_0000_0000_0000_0000_0000);
    pub(crate) const OUTBOUND: Self = Self(0b11_1111_1000);
    pub(crate) const PULL: Self = Self(0b111_1100_0000_0000);
    pub(crate) const PUSH: Self = Self(0b11_1000_0000_0000_0000);

    /// All of `other` are in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Some of `other` are in this set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Hooks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_are_made_of_the_hooks_on_their_path() {
        let outbound = Hooks::PRE_WRITE_PULL
            | Hooks::POST_WRITE_PULL
            | Hooks::POST_READ_REPLY_HEADER
            | Hooks::PRE_READ_REPLY_BODY
            | Hooks::POST_READ_REPLY_BODY
            | Hooks::PRE_WRITE_PUSH
            | Hooks::POST_WRITE_PUSH;
        assert_eq!(Hooks::OUTBOUND, outbound);
        let pull = Hooks::POST_READ_PULL_HEADER
            | Hooks::PRE_READ_PULL_BODY
            | Hooks::POST_READ_PULL_BODY
            | Hooks::PRE_WRITE_REPLY
            | Hooks::POST_WRITE_REPLY;
        assert_eq!(Hooks::PULL, pull);
        let push =
            Hooks::POST_READ_PUSH_HEADER | Hooks::PRE_READ_PUSH_BODY | Hooks::POST_READ_PUSH_BODY;
        assert_eq!(Hooks::PUSH, push);
        assert_eq!(Hooks::CALL, Hooks::PRE_CALL | Hooks::POST_CALL);
    }
}
