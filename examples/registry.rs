//! Several servers of one service: calls go to all of them, and go on when one goes.
//!
//! `cargo run --example registry`. The list of members is the program's own here; `etcd` does the same with a real registry.

use std::time::Duration;

use teleport::{
    Error, Peer, PullController, pull_controller,
    registry::{Member, MemberList, Pool},
};
use tokio::task::JoinSet;

struct Shop(&'static str);

#[pull_controller]
impl Shop {
    async fn name(&self) -> String {
        self.0.to_owned()
    }

    /// Takes its time.
    async fn pack(&self) -> String {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.0.to_owned()
    }
}

async fn start(name: &'static str) -> Result<(Peer, Member), Error> {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Shop(name).into_router())
        .build()?;
    let address = server.listen().await?.address();
    let member = Member::new(address).routes_of(&server);
    Ok((server, member))
}

async fn by_key(pool: &Pool) -> Result<(), Error> {
    print!("by key:");
    for user in 1..=6 {
        let shop = ShopClient::new(&pool.by_key(format!("user-{user}")));
        print!(" {user} -> {},", shop.name().await?);
    }
    println!();
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (_red_server, red) = start("red").await?;
    let (blue_server, blue) = start("blue").await?;
    let (_large_server, large) = start("large").await?;

    let list = MemberList::new([red.clone(), blue, large.clone().weight(2)]);
    let pool = Pool::new(&Peer::builder().build()?, list.discover());
    pool.wait_for(|links| links.iter().all(|link| link.session.is_some()))
        .await;

    let shop = ShopClient::new(&pool);
    print!("in turn, by weight:");
    for _ in 0..8 {
        print!(" {}", shop.name().await?);
    }
    println!();
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let shop = ShopClient::new(&pool.least_in_flight());
        calls.spawn(async move { shop.pack().await });
    }
    let mut names: Vec<_> = calls.join_all().await.into_iter().flatten().collect();
    names.sort();
    println!("eight at once, to the least in flight: {}", names.join(" "));
    by_key(&pool).await?;

    println!("blue closes; the list does not say so, yet no call fails, and only blue's keys move");
    blue_server.close().await;
    by_key(&pool).await?;

    list.set([red, large]);
    pool.wait_for(|links| links.len() == 2).await;
    println!("the list is two members now");
    list.set([]);
    println!(
        "the list is empty now, and the pool keeps what it has: {}",
        shop.name().await?
    );
    Ok(())
}
