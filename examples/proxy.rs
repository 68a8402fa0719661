//! A reverse proxy: a peer that passes on what it does not answer itself, without a look into the bodies.

use teleport::{Error, Peer, PullController, Router, Status, pull_controller};

struct Shop;

#[pull_controller]
impl Shop {
    async fn price(&self, item: String) -> Result<u32, Status> {
        match &*item {
            "tea" => Ok(3),
            _ => Err(Status::new(1001, "sold out")),
        }
    }
}

struct Gate;

#[pull_controller]
impl Gate {
    async fn health(&self) -> String {
        "the gate is well".into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let backend = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Shop.into_router())
        .build()?;
    let address = backend.listen().await?.address();

    let gate = Peer::builder().build()?.dial(&address).await?;
    let gate = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Gate.into_router())
        .routes(Router::new().proxy_to(&gate))
        .build()?;
    let front = gate.listen().await?.address();

    let session = Peer::builder().build()?.dial(&front).await?;
    println!(
        "the gate itself: {}",
        GateClient::new(&session).health().await?
    );
    let shop = ShopClient::new(&session);
    println!("behind it: tea is {}", shop.price("tea".into()).await?);
    println!(
        "behind it, an error: {}",
        shop.price("coffee".into()).await.unwrap_err()
    );

    backend.close().await;
    println!(
        "backend closed: {}",
        shop.price("tea".into()).await.unwrap_err()
    );
    gate.close().await;
    Ok(())
}
