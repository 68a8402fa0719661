//! Which names are taken, and by whom.

use std::{collections::HashMap, fmt};

use crate::route::RouteKind;

/// The names of routes of one kind.
pub(super) struct Names {
    kind: RouteKind,
    taken: HashMap<String, Name>,
}

struct Name {
    by: String,
    ignore_case: bool,
}

impl Names {
    pub(super) fn new(kind: RouteKind) -> Self {
        Self {
            kind,
            taken: HashMap::new(),
        }
    }

    /// Takes a name.
    pub(super) fn take(
        &mut self,
        uri: &str,
        by: String,
        ignore_case: bool,
    ) -> Result<(), RouteConflict> {
        if let Some(first) = self.taken.get(uri) {
            return Err(RouteConflict {
                kind: self.kind,
                uri: uri.to_owned(),
                first: first.by.clone(),
                second: by,
            });
        }
        let name = Name { by, ignore_case };
        self.taken.insert(uri.to_owned(), name);
        Ok(())
    }

    /// Gives the names that stand for all their spellings, in lower case, each with the one that was given. No other name may
    /// be such a spelling.
    pub(super) fn folded(&self) -> Result<Vec<(String, &str)>, RouteConflict> {
        let mut spellings: HashMap<String, Vec<(&str, &Name)>> = HashMap::new();
        for (uri, name) in &self.taken {
            let folded = spellings.entry(uri.to_ascii_lowercase()).or_default();
            folded.push((uri, name));
        }
        spellings.retain(|_, names| names.iter().any(|(_, name)| name.ignore_case));
        let mut folded = Vec::with_capacity(spellings.len());
        for (lower, mut names) in spellings {
            names.sort_by_key(|(uri, _)| *uri);
            match *names {
                [(uri, _)] => folded.push((lower, uri)),
                [(one, first), (other, second), ..] => {
                    return Err(RouteConflict {
                        kind: self.kind,
                        uri: format!("{one} and {other}, which are one where case is ignored"),
                        first: first.by.clone(),
                        second: second.by.clone(),
                    });
                }
                [] => {}
            }
        }
        Ok(folded)
    }
}

/// Two handlers for the same uri. The source of the error that building a peer gives.
#[derive(Clone, Debug)]
pub struct RouteConflict {
    pub(super) kind: RouteKind,
    pub(super) uri: String,
    pub(super) first: String,
    pub(super) second: String,
}

impl fmt::Display for RouteConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            uri,
            first,
            second,
        } = self;
        write!(
            f,
            "two {kind} handlers for {uri}: {first}, and {second}; nest one of them, or give it another uri"
        )
    }
}

impl std::error::Error for RouteConflict {}
