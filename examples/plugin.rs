//! Plugins: a handshake that lets in only who knows the password, and a clock around the routes of a group.
//!
//! `cargo run --example plugin`

use std::time::Instant;

use teleport::{
    CodecId, Error, Handshake, Hooks, Peer, Plugin, PullController, PullCtx, RoutePlugin, Status,
    protocol::{Header, HeaderCodec, PacketKind},
    pull_controller,
};

/// On the server: exchanges packets before anything is routed.
struct Door {
    password: &'static str,
}

impl Plugin for Door {
    fn name(&self) -> &str {
        "door"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let request = handshake.recv().await?;
        let password: String = handshake.decode(&request)?;
        let known = password == self.password;
        let outcome = known.then_some(()).ok_or_else(Status::unauthorized);
        handshake.reply(&request, outcome.as_ref().copied()).await?;
        outcome
    }
}

/// On the client: the other half.
struct Key(&'static str);

impl Plugin for Key {
    fn name(&self) -> &str {
        "key"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let header = Header::new(PacketKind::Pull, 0, "/auth");
        handshake
            .send(
                &header,
                HeaderCodec::Protobuf,
                Some(CodecId::STRING),
                self.0,
            )
            .await?;
        match handshake.recv().await?.header.status_code {
            200 => Ok(()),
            _ => Err(Status::unauthorized()),
        }
    }
}

/// Around the routes of one group: values travel with the call.
struct Clock;

impl RoutePlugin for Clock {
    fn name(&self) -> &str {
        "clock"
    }

    fn hooks(&self) -> Hooks {
        Hooks::PRE_READ_PULL_BODY | Hooks::POST_WRITE_REPLY
    }

    async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        ctx.values().insert(Instant::now());
        Ok(())
    }

    async fn post_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: Result<(), &Status>,
    ) -> Result<(), Status> {
        if let Some(start) = ctx.values().get::<Instant>() {
            let quick = start.elapsed().as_secs() < 1;
            println!("server: {} quick: {quick}, {outcome:?}", ctx.path());
        }
        Ok(())
    }
}

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, number: i32) -> i32 {
        number
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(Door { password: "sesame" })
        .routes(Home.into_router().plugin(Clock))
        .build()?;
    let address = server.listen().await?.address();

    let friend = Peer::builder().plugin(Key("sesame")).build()?;
    let session = friend.dial(&address).await?;
    println!("client: {}", HomeClient::new(&session).test(7).await?);

    let stranger = Peer::builder().plugin(Key("open!")).build()?;
    let error = stranger.dial(&address).await.unwrap_err();
    println!("client: expected: {error}");
    session.close().await;
    server.close().await;
    Ok(())
}
