//! Sessions over other streams than TCP: a Unix socket, and a pipe in memory, which is how tests are written.
//!
//! `cargo run --example streams`

use teleport::{Error, Peer, PullController, PullCtx, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn from(&self, ctx: &PullCtx) -> String {
        ctx.peer_addr().to_string()
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Anything that is AsyncRead + AsyncWrite carries a session. Both ends serve: there is no client and no server here.
    let (left, right) = tokio::io::duplex(64 * 1024);
    let alice = Peer::builder().routes(Home.into_router()).build()?;
    let bob = Peer::builder().routes(Home.into_router()).build()?;
    let to_bob = alice.serve_conn(left).await?;
    let to_alice = bob.serve_conn(right).await?;
    println!("pipe: {}", HomeClient::new(&to_bob).from().await?);
    println!("pipe: {}", HomeClient::new(&to_alice).from().await?);

    #[cfg(unix)]
    {
        let path = std::env::temp_dir().join(format!("teleport-{}.sock", std::process::id()));
        let address = format!("unix://{}", path.display());
        let server = Peer::builder()
            .listen_at(&address)
            .routes(Home.into_router())
            .build()?;
        server.listen().await?;
        let session = alice.dial(&address).await?;
        println!("unix socket: {}", HomeClient::new(&session).from().await?);
        session.close().await;
        server.close().await;
    }
    Ok(())
}
