//! The server of the seed document, section 6. Start it, then start the `client` example in another terminal.
//!
//! `cargo run --example server`, and Ctrl-C to stop it.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use teleport::{
    Error, Peer, PeerConfig, PullController, PullCtx, Router, Status, UnknownPull, pull_controller,
};

/// Answers `/group/home/test`.
struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, ctx: &PullCtx, args: Value) -> Result<Value, Status> {
        println!("pull {} with {args}", ctx.uri());
        let push = json!({"your_id": ctx.query("peer_id"), "a": 1});
        ctx.session()
            .push("/push/test?tag=from home-test", push)
            .await?;
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Ok(json!({"your_args": args, "server_time": since.as_secs()}))
    }
}

/// Answers every pull without a route.
async fn unknown(pull: UnknownPull) -> Result<[&'static str; 3], Status> {
    let args: Value = pull.bind()?;
    println!("unknown pull {} with {args}", pull.uri());
    Ok(["a", "aa", "aaa"])
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = PeerConfig {
        listen: vec!["127.0.0.1:9090".into(), "127.0.0.1:9091".into()],
        read_timeout: Some(Duration::from_secs(180)),
        write_timeout: Some(Duration::from_secs(180)),
        shutdown_timeout: Duration::from_secs(20),
        gzip: 5,
        ..PeerConfig::default()
    };
    let routes = Router::new()
        .nest("/group", Home.into_router())
        .unknown_pull(unknown);
    let peer = Peer::builder().config(config).routes(routes).build()?;
    let listening = peer.listen().await?;
    for address in listening.addrs() {
        println!("listening at {address}");
    }
    listening.until(teleport::signal::shutdown()).await;
    println!("stopped");
    Ok(())
}
