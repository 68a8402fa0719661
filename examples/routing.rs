//! Routes: groups, nesting, overrides, queries, and handlers for what has no route.
//!
//! `cargo run --example routing`

use serde_json::{Value, json};
use teleport::{
    Error, Peer, PullController, PullCtx, Router, Status, UnknownPull, UnknownPush, pull_controller,
};
use tokio::sync::mpsc;

struct UserHome;

/// `UserHome::get_name` would be `/user_home/get_name`; the attribute and the nesting below change that.
#[pull_controller(group = "/v1", name = "users")]
impl UserHome {
    /// `/api/v1/users/get_name`
    async fn get_name(&self, ctx: &PullCtx) -> Result<String, Status> {
        let id = ctx
            .query("id")
            .ok_or_else(|| Status::bad_request("no id"))?;
        Ok(format!("user {id}"))
    }

    /// `/api/v1/users/search/all`
    #[pull(uri = "search/all")]
    async fn search(&self, ctx: &PullCtx) -> Value {
        let pairs: Vec<_> = ctx.query_pairs().collect();
        json!({"path": ctx.path(), "raw": ctx.raw_query(), "pairs": pairs})
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (sender, mut unknown_pushes) = mpsc::unbounded_channel();
    let routes = Router::new()
        .nest("/api", UserHome.into_router())
        .unknown_pull(|pull: UnknownPull| async move {
            let args: Value = pull.bind()?;
            Ok::<_, Status>(json!({"nobody at": pull.path(), "got": args}))
        })
        .unknown_push(move |push: UnknownPush| {
            let sender = sender.clone();
            async move {
                sender.send(push.path().into_owned()).ok();
                Ok(())
            }
        });
    for route in routes.routes() {
        let (args, reply) = (route.args, route.reply);
        println!(
            "{} {} is {}({args}) -> {reply} {}",
            route.kind, route.uri, route.handler, route.docs
        );
    }
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(routes)
        .build()?;
    let address = server.listen().await?.address();
    let session = Peer::builder().build()?.dial(&address).await?;

    let uri = "/api/v1/users/get_name?id=7";
    println!("{}", session.pull::<_, String>(uri, ()).await?);
    let uri = "/api/v1/users/search/all?q=a%20b&q=c";
    println!("{}", session.pull::<_, Value>(uri, ()).await?);
    // The typed client knows its controller's routes; where they are nested, only the program does.
    let users = UserHomeClient::new(&session).prefix("/api");
    println!("expected: {}", users.get_name().await.unwrap_err());
    println!("{}", session.pull::<_, Value>("/no/such", 5).await?);
    session.push("/nor/this", ()).await?;
    println!("unknown push: {:?}", unknown_pushes.recv().await);

    // Two handlers for one route are an error that names both.
    let twice = UserHome.into_router().merge(UserHome.into_router());
    let error = Peer::builder().routes(twice).build().unwrap_err();
    let cause = std::error::Error::source(&error);
    println!(
        "expected: {}",
        cause.map(ToString::to_string).unwrap_or_default()
    );
    Ok(())
}
