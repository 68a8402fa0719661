//! Other names for routes: aliases, paths in any case, and a plugin that renames by a rule of its own.
//!
//! `cargo run --example alias`

use std::error::Error as _;

use teleport::{
    Error, Hooks, Peer, Plugin, PullController, PullCtx, Router, Status, pull_controller,
};

struct Math;

#[pull_controller]
impl Math {
    async fn add(&self, ctx: &PullCtx, a: i32, b: i32) -> String {
        format!("{} = {}", ctx.uri(), a + b)
    }
}

/// What a table of names cannot say: all that begins with a version goes to the routes without.
struct Versions;

impl Plugin for Versions {
    fn name(&self) -> &str {
        "versions"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_READ_PULL_HEADER
    }

    async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        let uri = ctx.uri().strip_prefix("/v1").map(str::to_owned);
        if let Some(uri) = uri {
            ctx.header_mut().uri = uri.into();
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    // Resolved when the peer is built: a call by an alias costs what any call costs.
    let routes = Math.into_router().alias("/sum", "/math/add").ignore_case();
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(Versions)
        .routes(routes)
        .build()?;
    let address = server.listen().await?.address();
    let session = Peer::builder().build()?.dial(&address).await?;
    for uri in [
        "/math/add",
        "/sum?who=ann",
        "/Math/ADD",
        "/SUM",
        "/v1/math/add",
    ] {
        println!("{}", session.pull::<_, String>(uri, (1, 2)).await?);
    }

    // Mistakes are found when the peer is built.
    let routes: [fn() -> Router; 3] = [
        || Math.into_router().alias("/sum", "/math/ad"),
        || {
            let router = Math.into_router().alias("/a", "/b");
            router.alias("/b", "/a")
        },
        || {
            Math.into_router()
                .alias("/math/ADD", "/math/add")
                .ignore_case()
        },
    ];
    for routes in routes {
        let error = Peer::builder().routes(routes()).build().unwrap_err();
        let cause = error.source().map(ToString::to_string);
        println!("expected: {}", cause.unwrap_or_default());
    }
    Ok(())
}
