//! A link: a session that is dialled again whenever it is lost. And the opposite, a session for one call.
//!
//! `cargo run --example reconnect`

use std::time::Duration;

use teleport::{
    Backoff, Connection, Error, LinkOptions, LinkState, Peer, PullController, pull_controller,
};
use tokio::{task::JoinSet, time::sleep};

struct Shop(&'static str);

#[pull_controller]
impl Shop {
    /// Takes its time.
    async fn order(&self, number: u32) -> String {
        sleep(Duration::from_millis(20)).await;
        format!("{number} from {}", self.0)
    }
}

async fn open(name: &'static str, address: &str) -> Result<(Peer, String), Error> {
    let server = Peer::builder()
        .listen_at(address)
        .routes(Shop(name).into_router())
        .build()?;
    let address = server.listen().await?.address();
    println!("the {name} server listens");
    Ok((server, address))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (server, address) = open("first", "127.0.0.1:0").await?;

    let client = Peer::builder().build()?;
    let pauses = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
    let link = client.link_with(&address, LinkOptions::new().backoff(pauses));
    let shop = ShopClient::new(&link); // stays valid
    let mut states = link.states();
    let watch = tokio::spawn(async move {
        while let Some(state) = states.next().await {
            match state {
                LinkState::Down { reason, .. } => println!("    link: down ({reason})"),
                LinkState::Up(_) => println!("    link: up"),
                other => println!("    link: {other}"),
            }
        }
    });
    println!("{}", shop.order(1).await?);

    println!("\nthe server restarts in good order, under load");
    sleep(Duration::from_secs(1)).await; // the session has proved itself by now, so it is dialled at once
    let mut calls = JoinSet::new();
    for number in 0..300 {
        let shop = shop.clone();
        calls.spawn(async move {
            sleep(Duration::from_millis(number.into())).await;
            shop.order(number).await
        });
    }
    sleep(Duration::from_millis(100)).await;
    server.close().await;
    println!("the first server is closed");
    let (server, _) = open("second", &address).await?;
    let (mut first, mut second) = (0, 0);
    while let Some(Ok(answer)) = calls.join_next().await {
        match answer?.ends_with("first") {
            true => first += 1,
            false => second += 1,
        }
    }
    println!("no call is lost: {first} were answered by the first, {second} by the second");

    println!("\nthe server breaks down: what it may have served is not repeated");
    let call = tokio::spawn({
        let shop = shop.clone();
        async move { shop.order(2).await }
    });
    sleep(Duration::from_millis(10)).await;
    server.shutdown(Duration::ZERO).await;
    if let Ok(Err(error)) = call.await {
        println!("expected: {error}");
    }
    let waiting = tokio::spawn(async move { shop.order(3).await });
    sleep(Duration::from_millis(100)).await;
    println!("a call waits");
    let (server, _) = open("third", &address).await?;
    if let Ok(answer) = waiting.await {
        println!("{}", answer?);
    }

    println!("\nclosed by hand, it stays closed");
    link.close().await;
    watch.await.ok();
    let refused = link.pull::<_, String>("/shop/order", 4).await;
    println!("expected: {}", refused.unwrap_err());

    println!("\na session for one call");
    let answer: String = client.short(&address).pull("/shop/order", 5).await?;
    println!("{answer}");
    while client.session_count() > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    println!("and none is left");
    server.close().await;
    Ok(())
}
