//! Heartbeats: a quiet session stays open, and a peer that has vanished is noticed.
//!
//! `cargo run --example heartbeat`

use std::{
    error::Error as _,
    time::{Duration, Instant},
};

use teleport::{Error, Peer, PeerConfig, plugins::Heartbeat};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let heartbeat = Heartbeat::every(Duration::from_millis(100));
    let client = Peer::builder().plugin(heartbeat).build()?;

    // This server closes sessions on which nothing comes, and knows nothing of heartbeats.
    let config = PeerConfig {
        listen: vec!["127.0.0.1:0".into()],
        read_timeout: Some(Duration::from_millis(300)),
        ..PeerConfig::default()
    };
    let server = Peer::builder().config(config).build()?;
    let address = server.listen().await?.address();
    let plain = Peer::builder().build()?.dial(&address).await?;
    let beating = client.dial(&address).await?;
    plain.closed().await;
    println!("without heartbeats: closed");
    tokio::time::sleep(Duration::from_millis(300)).await;
    println!("with heartbeats: open = {}", beating.is_open());

    // Here nobody answers: as if the other machine had lost its power.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let session = client.dial(&address).await?;
    let start = Instant::now();
    let error = session.pull::<_, ()>("/anything", ()).await.unwrap_err();
    let noticed = start.elapsed() < Duration::from_secs(2);
    println!("expected: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        println!("  because: {error}");
        cause = error.source();
    }
    println!("noticed soon: {noticed}");
    Ok(())
}
