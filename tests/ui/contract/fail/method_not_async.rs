//! A method of a contract without `async`; its implementations are no mistake.

use teleport::{Session, pull_controller};

#[pull_controller]
trait Arith {
    fn mul(&self, a: i32, b: i32) -> i32;

    async fn add(&self, a: i32, b: i32) -> i32;
}

struct Mine;

impl Arith for Mine {
    fn mul(&self, a: i32, b: i32) -> i32 {
        a * b
    }

    async fn add(&self, a: i32, b: i32) -> i32 {
        a + b
    }
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<i32, teleport::Error> {
    let arith = ArithClient::new(session);
    arith.add(1, 2).await?;
    arith.mul(1, 2).await
}

fn main() {
    let _ = Mine.into_router();
}
