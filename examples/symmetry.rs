//! A server that calls its clients: three workers dial in, and the server gives each of them work through the same kind of
//! typed client that they would use.
//!
//! `cargo run --example symmetry`

use teleport::{Error, Peer, PullController, PullCtx, Session, Status, pull_controller};
use tokio::sync::mpsc;

/// On the server: where workers report.
struct Office(mpsc::UnboundedSender<(String, Session)>);

#[pull_controller]
impl Office {
    async fn report(&self, ctx: &PullCtx, name: String) -> Result<(), Status> {
        let worker = (name, ctx.session().clone());
        self.0
            .send(worker)
            .map_err(|_| Status::unavailable("the office is closed"))
    }
}

/// On the worker: what it can do.
struct Worker {
    factor: u64,
}

#[pull_controller]
impl Worker {
    async fn work(&self, number: u64) -> u64 {
        number * self.factor
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (sender, mut workers) = mpsc::unbounded_channel();
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Office(sender).into_router())
        .build()?;
    let address = server.listen().await?.address();

    for factor in 1..=3 {
        let worker = Peer::builder()
            .routes(Worker { factor }.into_router())
            .build()?;
        let session = worker.dial(&address).await?;
        OfficeClient::new(&session)
            .report(format!("times {factor}"))
            .await?;
    }
    for _ in 0..3 {
        let Some((name, session)) = workers.recv().await else {
            break;
        };
        let product = WorkerClient::new(&session).work(14).await?;
        println!("server asked the worker `{name}`: {product}");
    }
    Ok(())
}
