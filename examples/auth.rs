//! Authentication: who dials shows a token before anything is routed, and handlers know who calls.
//!
//! `cargo run --example auth`

use std::sync::Mutex;

use teleport::{
    Error, Peer, PullController, PullCtx, Status,
    plugins::{Auth, Credentials},
    pull_controller,
};

/// Who a session belongs to.
#[derive(Clone)]
struct User {
    name: &'static str,
    may_write: bool,
}

fn user(ctx: &PullCtx) -> Result<User, Status> {
    let user = ctx.session().values().get::<User>();
    user.ok_or_else(Status::unauthorized)
}

struct Notes(Mutex<Vec<String>>);

#[pull_controller]
impl Notes {
    async fn add(&self, ctx: &PullCtx, text: String) -> Result<usize, Status> {
        let user = user(ctx)?;
        if !user.may_write {
            return Err(Status::new(1403, format!("{} may only read", user.name)));
        }
        let mut notes = self.0.lock().map_err(|_| Status::internal("poisoned"))?;
        notes.push(format!("{}: {text}", user.name));
        Ok(notes.len())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // A fixed list. For anything else, signed tokens or a database, there is `Auth::verify`.
    let writer = User {
        name: "ann",
        may_write: true,
    };
    let reader = User {
        name: "bob",
        may_write: false,
    };
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(Auth::tokens([("sesame", writer), ("poppy", reader)]))
        .routes(Notes(Mutex::default()).into_router())
        .build()?;
    let address = server.listen().await?.address();

    let peer = |token: &str| Peer::builder().plugin(Credentials::token(token)).build();
    let ann = NotesClient::new(&peer("sesame")?.dial(&address).await?);
    println!("ann adds note {}", ann.add("milk".into()).await?);
    let bob = NotesClient::new(&peer("poppy")?.dial(&address).await?);
    let refused = bob.add("cheese".into()).await.unwrap_err();
    println!("bob, expected: {refused}");

    // The dial itself fails with a wrong token, and says why.
    let error = peer("barley")?.dial(&address).await.unwrap_err();
    println!("a stranger, expected: {} {error}", error.code());

    // Who brings no credentials at all is answered with its first call.
    let nobody = Peer::builder().build()?.dial(&address).await?;
    let error = NotesClient::new(&nobody).add("bread".into()).await;
    println!("nobody, expected: {}", error.unwrap_err());

    // Tokens that run out: a new one is asked for at each dial.
    let credentials = Credentials::from_fn(|_session| async { Ok("sesame".to_owned()) });
    let renewing = Peer::builder().plugin(credentials).build()?;
    let ann = NotesClient::new(&renewing.dial(&address).await?);
    println!("ann adds note {}", ann.add("honey".into()).await?);
    Ok(())
}
