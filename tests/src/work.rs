//! Calls of all kinds, made by chance, whose outcome is checked whatever happens to their connection.

use std::{future::Future, time::Duration};

use teleport::{
    CallOptions, Connection, Error, PullController, PullCtx, PushController, Router, Status,
    pull_controller, push_controller, status::code,
};
use tokio::time::{sleep, timeout};

use crate::{
    dice::Dice,
    ledger::{Ledger, Verdict},
};

/// Handlers that keep books.
#[derive(Clone, Debug)]
pub struct Work(Ledger);

#[pull_controller]
impl Work {
    /// Gives back what it got, at once.
    pub async fn echo(&self, id: u64, text: String) -> (u64, String) {
        self.0.begins(id);
        (id, text)
    }

    /// Gives it back later.
    pub async fn later(&self, id: u64, text: String, millis: u64) -> (u64, String) {
        self.0.begins(id);
        sleep(Duration::from_millis(millis)).await;
        (id, text)
    }

    /// Lets its caller echo first.
    pub async fn back(
        &self,
        ctx: &PullCtx,
        id: u64,
        text: String,
    ) -> Result<(u64, String), Status> {
        self.0.begins(id);
        let inner = self.0.open();
        let client = WorkClient::new(ctx.session());
        let pull = client.echo(inner, written(inner, text.len()));
        let call = Guarded::new(&self.0, inner, text.len(), Kind::Plain);
        call.ends(pull.await)?;
        Ok((id, text))
    }

    /// As `later`, and can be stopped.
    #[pull(cancel)]
    pub async fn stoppable(&self, id: u64, text: String, millis: u64) -> (u64, String) {
        self.0.begins(id);
        sleep(Duration::from_millis(millis)).await;
        (id, text)
    }
}

#[push_controller]
impl Work {
    /// Takes note.
    pub async fn note(&self, id: u64, text: String) {
        self.0.begins(id);
        if text != written(id, text.len()) {
            self.0
                .violation(format_args!("push {id}: another text came"));
        }
    }
}

impl Work {
    /// Handlers that keep these books.
    #[must_use]
    pub fn new(ledger: &Ledger) -> Self {
        Self(ledger.clone())
    }

    /// Both kinds of routes.
    pub fn routes(&self) -> Router {
        PullController::into_router(self.clone()).merge(PushController::into_router(self.clone()))
    }
}

/// The text that goes with a call: its own, of so many bytes, and half of it hard to compress.
fn written(id: u64, len: usize) -> String {
    let mut dice = Dice::new(id);
    let mut text = String::with_capacity(len + 32);
    while text.len() < len {
        text.push_str(&format!("{:016x} call {id:08}, ", dice.roll()));
    }
    text.truncate(len);
    text
}

/// What a handler may answer besides its echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Whatever the call that it makes itself fails with.
    Back,
    Plain,
}

/// A call in the books, which ends at the latest when it is dropped: it was given up, or is a push on its way.
struct Guarded<'a> {
    ledger: &'a Ledger,
    id: u64,
    len: usize,
    kind: Kind,
    ended: bool,
}

impl<'a> Guarded<'a> {
    fn new(ledger: &'a Ledger, id: u64, len: usize, kind: Kind) -> Self {
        Self {
            ledger,
            id,
            len,
            kind,
            ended: false,
        }
    }

    /// The pull has ended. Gives its error.
    fn ends(mut self, result: Result<(u64, String), Error>) -> Result<(), Error> {
        let error = match result {
            Ok((id, text)) => {
                if id != self.id || text != written(self.id, self.len) {
                    let what = format_args!("call {}: the reply of {id} came", self.id);
                    self.ledger.violation(what);
                }
                self.ended = true;
                self.ledger.ends(self.id, Verdict::Once, "answered");
                return Ok(());
            }
            Err(error) => error,
        };
        self.fails(&error);
        Err(error)
    }

    /// What the error says about the handler has to be true. Gives its code.
    fn fails(mut self, error: &Error) -> i32 {
        self.ended = true;
        let verdict = match (error.code(), self.kind) {
            (code::WRITE_FAILED, _) | (code::UNAVAILABLE, Kind::Plain) => Verdict::Never,
            (code::CONNECTION_CLOSED | code::TIMED_OUT | code::GATEWAY_TIMEOUT, _)
            | (code::UNAVAILABLE | code::BAD_GATEWAY | code::INTERNAL, Kind::Back) => {
                Verdict::AtMostOnce
            }
            _ => {
                let what = format_args!("call {}: it failed with {error:?}", self.id);
                self.ledger.violation(what);
                Verdict::AtMostOnce
            }
        };
        self.ledger.ends(self.id, verdict, error);
        error.code()
    }
}

impl Drop for Guarded<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.ledger.ends(self.id, Verdict::AtMostOnce, "nothing");
        }
    }
}

/// How large bodies are, and how long things take.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Most bytes of one in four bodies.
    pub large: u64,
    /// Most bytes of the others.
    pub small: u64,
    /// Milliseconds that a handler or a caller waits at most.
    pub patience: u64,
}

/// Makes one call of a kind that the dice choose, and enters how it ends. Gives the code with which it did: 200, that of the error,
/// or 104 if it was given up.
pub async fn call<C: Connection>(
    connection: &C,
    ledger: &Ledger,
    mut dice: Dice,
    scale: Scale,
) -> i32 {
    let mut options = CallOptions::new();
    if dice.percent(20) {
        options = options.gzip(dice.pick(&[1, 6, 9, -1]));
    }
    let len = match dice.percent(25) {
        true => dice.within(0..scale.large),
        false => dice.within(0..scale.small),
    } as usize;
    let wait = dice.within(0..scale.patience);
    let id = ledger.open();
    let kind = dice.within(0..10);
    if kind == 0 {
        let client = WorkPushClient::new(connection).options(options);
        let call = Guarded::new(ledger, id, len, Kind::Plain);
        return match client.note(id, written(id, len)).await {
            Ok(()) => code::OK,
            Err(error) => call.fails(&error),
        };
    }
    if dice.percent(20) {
        options = options.timeout(dice.millis(1..scale.patience));
    }
    if dice.percent(20) {
        options = options.cancel();
    }
    let text = written(id, len);
    let client = WorkClient::new(connection).options(options);
    let guarded = |kind| Guarded::new(ledger, id, len, kind);
    let give_up = dice.percent(15).then(|| dice.millis(0..scale.patience));
    match kind {
        1..=4 => finish(guarded(Kind::Plain), client.echo(id, text), give_up).await,
        5 | 6 => finish(guarded(Kind::Plain), client.later(id, text, wait), give_up).await,
        7 => {
            finish(
                guarded(Kind::Plain),
                client.stoppable(id, text, wait),
                give_up,
            )
            .await
        }
        _ => finish(guarded(Kind::Back), client.back(id, text), give_up).await,
    }
}

async fn finish(
    call: Guarded<'_>,
    pull: impl Future<Output = Result<(u64, String), Error>>,
    give_up: Option<Duration>,
) -> i32 {
    let result = match give_up {
        None => pull.await,
        Some(after) => match timeout(after, pull).await {
            Ok(result) => result,
            Err(_) => {
                drop(call);
                return code::CANCELLED;
            }
        },
    };
    match call.ends(result) {
        Ok(()) => code::OK,
        Err(error) => error.code(),
    }
}
