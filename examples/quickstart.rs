//! The main job in one go: a server and a client that ask and tell each other, on one connection.
//!
//! `cargo run --example quickstart`

use serde::{Deserialize, Serialize};
use teleport::{
    Error, Peer, PullController, PullCtx, PushController, PushCtx, Status, pull_controller,
    push_controller,
};
use tokio::sync::mpsc;

#[derive(Debug, Serialize, Deserialize)]
struct Greeting {
    text: String,
    visitor: u32,
}

/// What the server answers. The routes come from the names: `/home/greet`, `/home/divide`.
struct Home;

#[pull_controller]
impl Home {
    /// Greets, and tells the visitor some news over the same connection first.
    async fn greet(&self, ctx: &PullCtx, name: String) -> Result<Greeting, Status> {
        println!("server: {name} came from {}", ctx.peer_addr());
        NewsPushClient::new(ctx.session())
            .headline(format!("{name} is here"))
            .await?;
        let text = format!("hello, {name}");
        Ok(Greeting { text, visitor: 1 })
    }

    /// Several arguments travel as a tuple; an error reaches the caller with its code and its text.
    async fn divide(&self, dividend: i32, divisor: i32) -> Result<i32, Status> {
        dividend
            .checked_div(divisor)
            .ok_or_else(|| Status::bad_request("division by zero"))
    }
}

/// What the server takes without answering.
struct Log;

#[push_controller]
impl Log {
    async fn line(&self, ctx: &PushCtx, text: String) {
        println!("server: {} logs: {text}", ctx.peer_addr());
    }
}

/// What the client takes: both ends are peers, and a server may call its clients.
struct News(mpsc::UnboundedSender<String>);

#[push_controller]
impl News {
    async fn headline(&self, text: String) {
        self.0.send(text).ok();
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Home.into_router())
        .routes(Log.into_router())
        .build()?;
    let listening = server.listen().await?;
    println!("server: listening at {}", listening.address());
    for route in server.routes() {
        println!("server: {} {}", route.kind, route.uri);
    }

    let (sender, mut headlines) = mpsc::unbounded_channel();
    let client = Peer::builder().routes(News(sender).into_router()).build()?;
    let session = client.dial(&listening.address()).await?;

    // Typed: the client struct was written by the macro, next to the controller.
    let home = HomeClient::new(&session);
    let greeting = home.greet("ann".to_owned()).await?;
    println!("client: typed pull: {greeting:?}");
    if let Some(text) = headlines.recv().await {
        println!("client: the server pushed: {text}");
    }

    // Untyped: any uri, any type that serde knows.
    let three: serde_json::Value = session.pull("/home/divide", [7, 2]).await?;
    println!("client: untyped pull: 7 / 2 = {three}");

    // Errors are the handler's own, or the framework's with a code of HTTP.
    for result in [
        home.divide(1, 0).await,
        session.pull("/no/such/route", ()).await,
    ] {
        match result {
            Ok(number) => println!("client: {number}"),
            Err(error) => println!("client: expected: {error}"),
        }
    }

    LogPushClient::new(&session)
        .line("that is all".to_owned())
        .await?;
    // Closing waits for what is under way.
    session.close().await;
    server.close().await;
    println!("both are closed");
    Ok(())
}
