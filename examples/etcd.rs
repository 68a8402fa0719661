//! Servers that register themselves in etcd, and a client that follows them.
//!
//! `cargo run --example etcd --features etcd`, with etcd at `http://127.0.0.1:2379` or where the first argument says. To build
//! it takes `protoc` (Debian: `protobuf-compiler`).

use std::time::Duration;

use teleport::{
    Error, Listening, Peer, PullController, pull_controller,
    registry::{Etcd, Link, Member, Pool},
};

struct Shop(&'static str);

#[pull_controller]
impl Shop {
    async fn name(&self) -> String {
        self.0.to_owned()
    }
}

async fn start(name: &'static str, etcd: &Etcd) -> Result<Listening, Error> {
    let registration = etcd.registration("shops");
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Shop(name).into_router())
        .plugin(registration.clone())
        .build()?;
    let listening = server.listen().await?;
    // What it is known by may differ from what it listens at.
    let member = Member::new(listening.address()).routes_of(&server);
    registration.announce(&member.metadata("name", name));
    registration.registered().await;
    println!("{name} is registered");
    Ok(listening)
}

fn names(links: &[Link]) -> Vec<&str> {
    let names = links
        .iter()
        .filter_map(|link| link.member.metadata.get("name"));
    names.map(String::as_str).collect()
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let endpoint = std::env::args().nth(1);
    let endpoint = endpoint.unwrap_or_else(|| "http://127.0.0.1:2379".to_owned());
    let etcd = Etcd::connect([&endpoint])
        .await?
        .ttl(Duration::from_secs(5));
    println!("etcd at {endpoint}");

    let pool = Pool::new(&Peer::builder().build()?, etcd.discover("shops"));
    let red = start("red", &etcd).await?;
    let blue = start("blue", &etcd).await?;
    let connected = |count| {
        move |links: &[Link]| {
            links.iter().filter(|link| link.session.is_some()).count() == count
                && links.len() == count
        }
    };
    let links = pool.wait_for(connected(2)).await;
    println!("the client sees {:?}", names(&links));
    let shop = ShopClient::new(&pool);
    for _ in 0..4 {
        println!("  answered by {}", shop.name().await?);
    }

    // First it leaves the registry, then it goes down.
    red.until(std::future::ready(())).await;
    let links = pool.wait_for(connected(1)).await;
    println!("red has gone; the client sees {:?}", names(&links));
    for _ in 0..2 {
        println!("  answered by {}", shop.name().await?);
    }
    blue.until(std::future::ready(())).await;
    Ok(())
}
