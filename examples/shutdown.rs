//! An orderly end: no new calls, but those under way are answered, up to a time limit.
//!
//! `cargo run --example shutdown`

use std::time::Duration;

use teleport::{Error, Peer, PullController, pull_controller};
use tokio::sync::Notify;

struct Work(std::sync::Arc<Notify>);

#[pull_controller]
impl Work {
    async fn slow(&self) -> String {
        self.0.notify_one();
        tokio::time::sleep(Duration::from_millis(200)).await;
        "done".to_owned()
    }

    async fn endless(&self) {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    for endless in [false, true] {
        let started = std::sync::Arc::new(Notify::new());
        let server = Peer::builder()
            .listen_at("127.0.0.1:0")
            .routes(Work(started.clone()).into_router())
            .build()?;
        let address = server.listen().await?.address();
        let session = Peer::builder().build()?.dial(&address).await?;
        let work = WorkClient::new(&session);

        let call = tokio::spawn(async move {
            match endless {
                false => work.slow().await,
                true => work.endless().await.map(|()| String::new()),
            }
        });
        started.notified().await;
        let report = server.shutdown(Duration::from_secs(1)).await;
        println!("shut down: {report}");
        match call.await {
            Ok(Ok(answer)) => println!("the call under way was answered: {answer}"),
            Ok(Err(error)) => println!("expected: {error}"),
            Err(error) => println!("{error}"),
        }
        let refused = session.pull::<_, String>("/work/slow", ()).await;
        println!("expected: {}", refused.unwrap_err());
    }
    Ok(())
}
