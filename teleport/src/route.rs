//! [`RouteInfo`]: what is known about a route besides its handler.

use std::{fmt, time::Duration};

/// What is known about a route besides its handler.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The whole uri, e.g. `/group/home/test`.
    pub uri: String,
    /// Pull or push.
    pub kind: RouteKind,
    /// The controller and method, e.g. `Home::test`.
    pub handler: &'static str,
    /// Where the handler is written: the file.
    pub file: &'static str,
    /// Where the handler is written: the line.
    pub line: u32,
    /// The handler's doc comment.
    pub docs: &'static str,
    /// The type of the arguments, as written.
    pub args: &'static str,
    /// The type of the reply, as written; `()` for a push.
    pub reply: &'static str,
    /// Its handler is stopped when the caller gives up or the caller's time is over.
    pub cancel: bool,
    /// A call that takes longer is worth a warning; `None` is what the peer says.
    pub slow_threshold: Option<Duration>,
}

/// Whether a route answers pulls or takes pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RouteKind {
    /// Answers.
    Pull,
    /// Takes messages.
    Push,
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull",
            Self::Push => "push",
        })
    }
}
