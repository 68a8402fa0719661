//! Sessions as a chat server uses them: a name for each, values kept with them, a message to all.
//!
//! `cargo run --example sessions`

use teleport::{
    Error, Peer, PullController, PullCtx, PushController, Status, pull_controller, push_controller,
};
use tokio::sync::mpsc;

/// Kept with a session once its user has logged in.
#[derive(Clone, Debug)]
struct User {
    name: String,
}

struct Chat;

#[pull_controller]
impl Chat {
    /// From here on the session is found under the user's name.
    async fn login(&self, ctx: &PullCtx, name: String) -> Result<(), Status> {
        ctx.session().rename(&name)?;
        ctx.session().values().insert(User { name });
        Ok(())
    }

    /// To all but the sender; gives the number of those who were reached.
    async fn say(&self, ctx: &PullCtx, text: String) -> Result<usize, Status> {
        let user = ctx.session().values().get::<User>();
        let user = user.ok_or_else(Status::unauthorized)?;
        let peer = ctx.peer().ok_or_else(Status::not_found)?;
        let mut reached = 0;
        for session in peer.sessions() {
            if session.id() != ctx.session().id() {
                let message = format!("{}: {text}", user.name);
                ScreenPushClient::new(&session).show(message).await?;
                reached += 1;
            }
        }
        Ok(reached)
    }
}

/// On each client.
struct Screen {
    owner: &'static str,
    shown: mpsc::UnboundedSender<()>,
}

#[push_controller]
impl Screen {
    async fn show(&self, line: String) {
        println!("on {}'s screen: {line}", self.owner);
        self.shown.send(()).ok();
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Chat.into_router())
        .build()?;
    let address = server.listen().await?.address();
    let (shown, mut screens) = mpsc::unbounded_channel();

    let mut sessions = Vec::new();
    for owner in ["ann", "bob", "cay"] {
        let shown = shown.clone();
        let peer = Peer::builder()
            .routes(Screen { owner, shown }.into_router())
            .build()?;
        let session = peer.dial(&address).await?;
        let chat = ChatClient::new(&session);
        if owner == "cay" {
            let error = chat.say("hello?".to_owned()).await.unwrap_err();
            println!("expected: {error}");
        }
        chat.login(owner.to_owned()).await?;
        sessions.push(session);
    }
    let reached = ChatClient::new(&sessions[0])
        .say("good morning".to_owned())
        .await?;
    println!("{reached} heard it");
    for _ in 0..reached {
        screens.recv().await;
    }
    if let Some(bob) = server.session("bob") {
        println!("bob's session: {:?}", bob.values().get::<User>());
        bob.close().await;
    }
    println!("{} are left", server.session_count());
    Ok(())
}
