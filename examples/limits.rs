//! Limits and timeouts: what one peer may take of another, and what happens beyond.
//!
//! `cargo run --example limits`

use std::time::{Duration, Instant};

use teleport::{Error, Peer, PeerConfig, PullController, protocol::Limits, pull_controller};

struct Store;

#[pull_controller]
impl Store {
    async fn len(&self, text: String) -> usize {
        text.len()
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let limits = Limits {
        packet: 10_000,
        inflated: 20_000,
        ..Limits::default()
    };
    let config = PeerConfig {
        listen: vec!["127.0.0.1:0".into()],
        limits,
        max_handlers: 2,
        read_timeout: Some(Duration::from_secs(1)),
        ..PeerConfig::default()
    };
    let server = Peer::builder()
        .config(config)
        .routes(Store.into_router())
        .build()?;
    let address = server.listen().await?.address();
    let client = Peer::builder().build()?;
    let session = client.dial(&address).await?;
    let store = StoreClient::new(&session);
    println!("fits: {}", store.len("x".repeat(9_000)).await?);

    // Small on the wire, large when inflated: an error for this call alone.
    let bomb = "x".repeat(1_000_000);
    let pull = session.pull::<_, usize>("/store/len", bomb).gzip(9);
    println!("expected: {}", pull.await.unwrap_err());

    // More handlers at once than the server allows: the third is told so.
    let calls = tokio::join!(store.wait(), store.wait(), store.wait());
    for error in [calls.0, calls.1, calls.2]
        .into_iter()
        .filter_map(Result::err)
    {
        println!("expected: {error}");
    }

    // A packet over the limit closes the connection, before its body is read.
    let error = store.len("x".repeat(11_000)).await.unwrap_err();
    println!("expected: {error}");

    // So does silence for longer than the read timeout.
    let session = client.dial(&address).await?;
    let start = Instant::now();
    session.closed().await;
    let waited = start.elapsed() >= Duration::from_millis(900);
    println!("closed after the read timeout: {waited}");
    Ok(())
}
