//! Errors: a handler's own with `?`, and how a caller tells them from failures on the way.
//!
//! `cargo run --example errors`

use std::{fmt, num::ParseIntError, time::Duration};

use serde::{Deserialize, Serialize};
use teleport::{Error, Peer, PullController, Status, pull_controller};

/// An application's own error, as `thiserror` would write it.
#[derive(Debug)]
enum OrderError {
    NotANumber(ParseIntError),
    SoldOut { left: u32 },
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber(error) => write!(f, "the count is no number: {error}"),
            Self::SoldOut { left } => write!(f, "only {left} left"),
        }
    }
}

impl From<ParseIntError> for OrderError {
    fn from(error: ParseIntError) -> Self {
        Self::NotANumber(error)
    }
}

/// What a caller can read besides code and text.
#[derive(Debug, Serialize, Deserialize)]
struct Stock {
    left: u32,
}

/// This is all that the framework asks of an error type.
impl From<OrderError> for Status {
    fn from(error: OrderError) -> Self {
        match &error {
            OrderError::NotANumber(_) => Status::bad_request(error.to_string()),
            OrderError::SoldOut { left } => {
                Status::new(1001, error.to_string()).with_details(&Stock { left: *left })
            }
        }
    }
}

struct Shop;

#[pull_controller]
impl Shop {
    async fn order(&self, count: String) -> Result<u32, OrderError> {
        let count: u32 = count.parse()?;
        10_u32
            .checked_sub(count)
            .ok_or(OrderError::SoldOut { left: 10 })
    }

    async fn panic(&self) -> u32 {
        panic!("a bug in the handler")
    }

    async fn sleep(&self) {
        std::future::pending().await
    }
}

fn explain(error: &Error) {
    let kind = match error {
        error if error.is_remote() => "the handler said no",
        error if error.is_timeout() => "no answer in time",
        error if error.is_closed() => "the connection is gone",
        error if error.is_encode() || error.is_decode() => "a body does not fit",
        _ => "something else",
    };
    println!("{kind}, code {}: {error}", error.code());
    if let Some(stock) = error
        .status()
        .and_then(|status| status.details::<Stock>().ok())
    {
        println!("    details: {stock:?}");
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Shop.into_router())
        .build()?;
    let address = server.listen().await?.address();
    let session = Peer::builder().build()?.dial(&address).await?;
    let shop = ShopClient::new(&session);

    println!("{} left", shop.order("3".to_owned()).await?);
    for count in ["99", "many"] {
        explain(&shop.order(count.to_owned()).await.unwrap_err());
    }
    // A panic ends its own call and nothing else.
    explain(&shop.panic().await.unwrap_err());
    let limit = Duration::from_millis(50);
    let late = session.pull::<_, ()>("/shop/sleep", ()).timeout(limit);
    explain(&late.await.unwrap_err());
    let text = session.pull::<_, String>("/shop/order", "1").await;
    explain(&text.unwrap_err());
    // Pulls in flight fail at once when the connection ends.
    let waiting = tokio::spawn(async move { shop.sleep().await });
    while session.pulls_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    session.abort();
    if let Ok(Err(error)) = waiting.await {
        explain(&error);
    }
    Ok(())
}
