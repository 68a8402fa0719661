//! Handlers that do not answer at once.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, oneshot};

use crate::message::Pair;

/// What a slow handler takes.
const SLOW: Duration = Duration::from_millis(10);

/// What the handler of `perform` does before it answers. It travels as the first integer of the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Task {
    /// Lets other tasks run once.
    Yield = 1,
    /// Asks a task of the server through a channel.
    Channel = 2,
    /// Calls `add` of its own server, over a session of its own. Done by the contender.
    Nested = 3,
    /// Sleeps 10 ms.
    Sleep = 4,
    /// Computes 10 ms without a pause.
    Compute = 5,
}

impl Task {
    /// The task that `args` ask for.
    pub fn of(args: Pair) -> Result<Self> {
        [
            Self::Yield,
            Self::Channel,
            Self::Nested,
            Self::Sleep,
            Self::Compute,
        ]
        .into_iter()
        .find(|&task| task as i32 == args.a)
        .context("no such task")
    }

    /// Does what does not need the contender, and answers like `add`.
    pub async fn perform(self, args: Pair) -> Result<Pair> {
        match self {
            Self::Yield => tokio::task::yield_now().await,
            Self::Channel => return ask(args).await,
            Self::Nested => {}
            Self::Sleep => tokio::time::sleep(SLOW).await,
            Self::Compute => {
                let start = Instant::now();
                while start.elapsed() < SLOW {
                    std::hint::spin_loop();
                }
            }
        }
        Ok(args.answer())
    }
}

type Question = (Pair, oneshot::Sender<Pair>);

/// Lets one task of this process work out the answer.
async fn ask(args: Pair) -> Result<Pair> {
    static ADDER: OnceLock<mpsc::Sender<Question>> = OnceLock::new();
    let adder = ADDER.get_or_init(|| {
        let (sender, mut questions) = mpsc::channel::<Question>(1024);
        tokio::spawn(async move {
            while let Some((args, reply)) = questions.recv().await {
                // A caller that has gone away needs no answer.
                reply.send(args.answer()).ok();
            }
        });
        sender
    });
    let (reply, answer) = oneshot::channel();
    adder
        .send((args, reply))
        .await
        .context("the adder has ended")?;
    Ok(answer.await?)
}
