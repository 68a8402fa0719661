//! Fair shares: how many connections are accepted, how many calls run at once, and how many come in what time.
//!
//! `cargo run --example limiter`

use std::time::Duration;

use teleport::{
    Error, Peer, PullController,
    plugins::{CallLimit, ConnectionLimit, Rate},
    pull_controller,
};

/// Cheap.
struct Echo;

#[pull_controller]
impl Echo {
    async fn number(&self, number: u32) -> u32 {
        number
    }
}

/// Costly.
struct Report;

#[pull_controller]
impl Report {
    async fn make(&self) -> String {
        tokio::time::sleep(Duration::from_millis(100)).await;
        "a report".to_owned()
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(ConnectionLimit::new().total(100).per_ip(2))
        // For all calls of a session, whatever they are.
        .plugin(CallLimit::new().rate_per_session(Rate::per_second(20)))
        // Around some routes.
        .routes(Report.into_router().plugin(CallLimit::new().at_once(2)))
        .routes(Echo.into_router())
        .build()?;
    let address = server.listen().await?.address();

    let first = Peer::builder().build()?.dial(&address).await?;
    let second = Peer::builder().build()?.dial(&address).await?;
    // A connection counts from when the server has got round to it: it has if it answers.
    for session in [&first, &second] {
        EchoClient::new(session).number(0).await?;
    }
    let third = Peer::builder().build()?.dial(&address).await?;
    let error = EchoClient::new(&third).number(1).await.unwrap_err();
    println!("a third connection, expected: {error}");

    let report = ReportClient::new(&first);
    let calls = tokio::join!(report.make(), report.make(), report.make());
    for outcome in [calls.0, calls.1, calls.2] {
        match outcome {
            Ok(text) => println!("{text}"),
            Err(error) => println!("a third report at once, expected: {error}"),
        }
    }
    println!("and when they are done: {}", report.make().await?);

    let echo = EchoClient::new(&second);
    let mut passed = 0;
    let error = loop {
        match echo.number(passed).await {
            Ok(_) => passed += 1,
            Err(error) => break error,
        }
    };
    println!("at least 20 calls passed: {}", passed >= 20);
    println!("too quick, expected: {error}");
    Ok(())
}
