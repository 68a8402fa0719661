//! The client of the seed document, section 6. The `server` example must be running.
//!
//! `cargo run --example client`

use serde_json::{Value, json};
use teleport::{Error, Peer, PeerConfig, PushController, PushCtx, push_controller};
use tokio::sync::mpsc;

/// Takes what the server pushes to `/push/test`.
struct Push(mpsc::UnboundedSender<()>);

#[push_controller]
impl Push {
    async fn test(&self, ctx: &PushCtx, args: Value) {
        let query: Vec<_> = ctx.query_pairs().collect();
        println!("push from {}: {args}, query {query:?}", ctx.peer_addr());
        self.0.send(()).ok();
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (sender, mut pushed) = mpsc::unbounded_channel();
    let config = PeerConfig {
        gzip: 5,
        ..PeerConfig::default()
    };
    let peer = Peer::builder()
        .config(config)
        .routes(Push(sender).into_router())
        .build()?;

    let session = peer.dial("127.0.0.1:9090").await?;
    let reply: Value = session
        .pull(
            "/group/home/test?peer_id=client9090",
            json!({"conn_port": 9090}),
        )
        .await?;
    println!("reply from 9090: {reply}");

    let session = peer.dial("127.0.0.1:9091").await?;
    let reply: Value = session
        .pull(
            "/group/home/test_unknown?peer_id=client9091",
            json!({"conn_port": 9091}),
        )
        .await?;
    println!("reply from 9091: {reply}");

    pushed.recv().await;
    peer.close().await;
    Ok(())
}
