//! The sessions of one peer, by id.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::session::Session;

/// One session for each id.
#[derive(Default)]
pub(crate) struct Hub(Mutex<Sessions>);

#[derive(Default)]
struct Sessions {
    by_id: HashMap<Arc<str>, Session>,
    /// Those whose id another one has taken. They are on their way out.
    replaced: Vec<Session>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a session, and gives the one that had its id before.
    pub(crate) fn insert(&self, session: &Session) -> Option<Session> {
        let mut sessions = self.lock();
        let older = sessions.by_id.insert(session.id(), session.clone());
        sessions.replaced.extend(older.clone());
        older
    }

    /// Takes a session out, unless another one has its id by now.
    pub(crate) fn remove(&self, session: &Session) {
        let mut sessions = self.lock();
        let id = session.id();
        if sessions
            .by_id
            .get(&id)
            .is_some_and(|known| known.is(session))
        {
            sessions.by_id.remove(&id);
        }
        sessions.replaced.retain(|replaced| !replaced.is(session));
    }

    /// Gives a session another id, if that one is free.
    pub(crate) fn rename(&self, session: &Session, id: &str) -> Result<(), IdTaken> {
        let sessions = &mut self.lock().by_id;
        let before = session.id();
        if &*before == id {
            return Ok(());
        }
        if sessions.contains_key(id) {
            return Err(IdTaken(id.to_owned()));
        }
        session.set_id(id.into());
        if sessions.get(&before).is_some_and(|known| known.is(session)) {
            sessions.remove(&before);
            sessions.insert(session.id(), session.clone());
        }
        Ok(())
    }

    pub(crate) fn get(&self, id: &str) -> Option<Session> {
        self.lock().by_id.get(id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Session> {
        self.lock().by_id.values().cloned().collect()
    }

    /// Those that are replaced among them.
    pub(crate) fn everyone(&self) -> Vec<Session> {
        let sessions = self.lock();
        let replaced = sessions.replaced.iter();
        sessions.by_id.values().chain(replaced).cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().by_id.len()
    }
}

/// Another session has this id already.
#[derive(Debug)]
pub(crate) struct IdTaken(String);

impl fmt::Display for IdTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "another session has the id `{}`", self.0)
    }
}

impl std::error::Error for IdTaken {}
