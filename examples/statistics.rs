//! Statistics: what a peer has done, read by the program itself and by Prometheus.
//!
//! `cargo run --example statistics`

use std::time::Duration;

use teleport::{
    Error, Peer, PullController, Status,
    plugins::{PrometheusPage, Statistics, statistics::RouteCalls},
    pull_controller,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

struct Shop;

#[pull_controller]
impl Shop {
    async fn price(&self, article: u32) -> Result<u32, Status> {
        match article {
            0..100 => Ok(article * 10),
            _ => Err(Status::new(1001, "no such article")),
        }
    }

    async fn order(&self, article: u32) -> u32 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        article
    }

    #[pull(cancel)]
    async fn wait_for_delivery(&self) {
        std::future::pending().await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // One page for the whole program; in earnest at a port that Prometheus knows.
    let page = PrometheusPage::new();
    page.install()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let page_address = listener.local_addr()?;
    tokio::spawn(async move { page.serve(listener).await });

    let statistics = Statistics::new();
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(statistics.clone())
        .routes(Shop.into_router())
        .build()?;
    let address = server.listen().await?.address();
    load(&address).await?;

    let snapshot = statistics.snapshot();
    println!(
        "{:?}, {} pulls being served",
        snapshot.sessions, snapshot.serving
    );
    snapshot.served.iter().for_each(print);

    println!("\nwhat Prometheus sees at http://{page_address}/metrics, without the buckets:\n");
    let mut scraper = TcpStream::connect(page_address).await?;
    scraper.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await?;
    let mut response = String::new();
    scraper.read_to_string(&mut response).await?;
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    for line in body.lines().filter(|line| !line.contains("_bucket{")) {
        println!("{line}");
    }
    server.close().await;
    Ok(())
}

/// A little of everything.
async fn load(address: &str) -> Result<(), Error> {
    let session = Peer::builder().build()?.dial(address).await?;
    let mut calls = JoinSet::new();
    for article in 0..110 {
        let shop = ShopClient::new(&session);
        calls.spawn(async move {
            if shop.price(article).await.is_ok() {
                shop.order(article).await.ok();
            }
        });
    }
    calls.join_all().await;
    session.pull::<_, ()>("/no/such/route?a=b", ()).await.ok();
    let shop = ShopClient::new(&session);
    let impatient = tokio::time::timeout(Duration::from_millis(20), shop.wait_for_delivery());
    impatient.await.ok();
    // An orderly end: all that was under way has been counted.
    session.close().await;
    Ok(())
}

fn print(route: &RouteCalls) {
    let RouteCalls {
        kind,
        route: uri,
        calls,
        errors,
        bytes_in,
        bytes_out,
        latency,
        ..
    } = route;
    let (median, slow) = (latency.quantile(0.5), latency.quantile(0.99));
    println!(
        "{kind} {uri}: {calls} calls, errors {errors:?}, {bytes_in} bytes in, {bytes_out} out, median {median:?}, 99 % within {slow:?}"
    );
}
