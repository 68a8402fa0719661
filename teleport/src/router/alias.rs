//! Further names of routes.

use std::{fmt, panic::Location};

/// A further name of a route, as it was asked for.
pub(crate) struct Alias {
    pub(crate) uri: String,
    /// The uri of the route.
    pub(crate) origin: String,
    /// Where it was asked for.
    pub(crate) location: &'static Location<'static>,
}

impl Alias {
    /// For errors about its name.
    pub(super) fn describe(&self) -> String {
        format!("the alias of {} set at {}", self.origin, self.location)
    }
}

/// An alias that leads to no route. The source of the error that building a peer gives.
#[derive(Debug)]
pub(crate) struct AliasError {
    uri: String,
    origin: String,
    location: &'static Location<'static>,
    /// What the alias that it leads to leads to.
    next: Option<String>,
}

/// Every alias leads to a route, and to no other alias.
pub(super) fn check(
    aliases: &[Alias],
    is_route: impl Fn(&str) -> bool,
) -> Result<(), Box<AliasError>> {
    let astray = aliases.iter().find(|alias| !is_route(&alias.origin));
    let Some(alias) = astray else { return Ok(()) };
    let next = aliases.iter().find(|next| next.uri == alias.origin);
    Err(Box::new(AliasError {
        uri: alias.uri.clone(),
        origin: alias.origin.clone(),
        location: alias.location,
        next: next.map(|next| next.origin.clone()),
    }))
}

impl fmt::Display for AliasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            uri,
            origin,
            location,
            next,
        } = self;
        write!(f, "the alias {uri} set at {location} leads to {origin}, ")?;
        match next {
            Some(next) => write!(f, "which is an alias of {next}; let it lead to a route"),
            None => f.write_str("which is no route"),
        }
    }
}

impl std::error::Error for AliasError {}
