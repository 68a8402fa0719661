//! Time limits travel: a handler knows how long its caller waits, what it calls itself waits no longer, and a handler whose
//! caller has gone away is stopped, where its route says so. Values travel too.

use std::time::Duration;

use teleport::{Error, Peer, PullController, PullCtx, Session, Status, pull_controller};

/// Behind the shop.
struct Stock;

#[pull_controller]
impl Stock {
    /// Takes for ever, and may be stopped at any time.
    #[pull(cancel)]
    async fn count(&self, ctx: &PullCtx, item: String) -> u32 {
        struct Stopped;

        impl Drop for Stopped {
            fn drop(&mut self) {
                println!("stock: stopped");
            }
        }

        let (left, tenant) = (ctx.time_left(), ctx.meta("tenant"));
        let known = left.map_or("no limit", |_| "a limit");
        println!("stock: counting {item} for {tenant:?}, with {known}");
        let _stopped = Stopped;
        std::future::pending().await
    }
}

/// Asks the stock.
struct Shop {
    stock: Session,
}

#[pull_controller]
impl Shop {
    async fn available(&self, ctx: &PullCtx, item: String) -> Result<bool, Status> {
        // No time limit here: what is left of the caller's counts.
        let pull = self.stock.pull("/stock/count", item).cancel();
        let tenant = ctx.meta("tenant").unwrap_or_default();
        let count: u32 = pull.meta("tenant", tenant.to_owned()).await?;
        Ok(count > 0)
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let stock = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Stock.into_router())
        .build()?;
    let address = stock.listen().await?.address();

    let shop = Peer::builder().listen_at("127.0.0.1:0");
    let client = Peer::builder().build()?;
    let session = client.dial(&address).await?;
    let shop = shop.routes(Shop { stock: session }.into_router()).build()?;
    let session = client.dial(&shop.listen().await?.address()).await?;

    let limit = Duration::from_millis(300);
    let pull = session.pull::<_, bool>("/shop/available", "tea");
    let error = pull
        .timeout(limit)
        .meta("tenant", "blue")
        .await
        .unwrap_err();
    println!("client: {error}");

    client.close().await;
    shop.close().await;
    stock.close().await;
    Ok(())
}
