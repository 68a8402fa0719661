//! Books of calls: how often the handler of each has begun, beside what its caller was told.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What the end of a call says about its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may have begun, once.
    AtMostOnce,
    /// It has not begun and never will.
    Never,
    /// It has begun, once.
    Once,
}

/// The books. Clones mean the same ones.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    last: u64,
    calls: HashMap<u64, Entry>,
    violations: Vec<String>,
    violated: usize,
}

#[derive(Debug, Default)]
struct Entry {
    begun: u32,
    /// What the caller was told, and when.
    ended: Option<(Verdict, Instant)>,
}

/// Of more violations only the number is kept.
const KEPT: usize = 20;

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a call that is about to be made.
    #[must_use]
    pub fn open(&self) -> u64 {
        let mut books = self.books();
        books.last += 1;
        let id = books.last;
        books.calls.insert(id, Entry::default());
        id
    }

    /// Its handler begins.
    pub fn begins(&self, id: u64) {
        let mut books = self.books();
        let Some(entry) = books.calls.get_mut(&id) else {
            return books.note(format_args!(
                "call {id}: unknown, or over long ago, and begins"
            ));
        };
        entry.begun += 1;
        let (begun, ended) = (entry.begun, entry.ended);
        if begun > 1 {
            books.note(format_args!("call {id}: begun {begun} times"));
        }
        if let Some((verdict @ (Verdict::Never | Verdict::Once), _)) = ended {
            books.note(format_args!(
                "call {id}: begins, and its end said {verdict:?}"
            ));
        }
    }

    /// Its caller knows how it has ended. `what` it was told is for people.
    pub fn ends(&self, id: u64, verdict: Verdict, what: impl fmt::Debug) {
        let mut books = self.books();
        let Some(entry) = books.calls.get_mut(&id) else {
            return;
        };
        let (begun, ended) = (entry.begun, entry.ended);
        entry.ended = Some((verdict, Instant::now()));
        if ended.is_some() {
            books.note(format_args!("call {id}: has ended twice"));
        }
        match (verdict, begun) {
            (Verdict::Once, 1) | (Verdict::Never, 0) | (Verdict::AtMostOnce, _) => {}
            _ => books.note(format_args!(
                "call {id}: {verdict:?}, but begun {begun} times: {what:?}"
            )),
        }
    }

    /// Something else is wrong.
    pub fn violation(&self, what: impl fmt::Display) {
        self.books().note(format_args!("{what}"));
    }

    /// How many violations there were, and the first of them.
    #[must_use]
    pub fn violations(&self) -> (usize, Vec<String>) {
        let books = self.books();
        (books.violated, books.violations.clone())
    }

    /// Calls that have not ended.
    #[must_use]
    pub fn under_way(&self) -> usize {
        let books = self.books();
        let ended = books.calls.values().filter(|entry| entry.ended.is_some());
        books.calls.len() - ended.count()
    }

    /// Forgets the calls that ended so long ago, and gives how many are still known.
    pub fn forget(&self, age: Duration) -> usize {
        let mut books = self.books();
        let is_young = |entry: &Entry| entry.ended.is_none_or(|(_, end)| end.elapsed() < age);
        books.calls.retain(|_, entry| is_young(entry));
        books.calls.shrink_to_fit();
        books.calls.len()
    }
}

impl Books {
    fn note(&mut self, what: fmt::Arguments<'_>) {
        self.violated += 1;
        if self.violations.len() < KEPT {
            self.violations.push(what.to_string());
        }
    }
}
