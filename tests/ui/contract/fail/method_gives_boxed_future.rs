//! What `#[async_trait]` leaves behind if it runs first.

use std::pin::Pin;

use teleport::pull_controller;

#[pull_controller]
trait Arith {
    fn add<'a>(&'a self, a: i32, b: i32) -> Pin<Box<dyn Future<Output = i32> + Send + 'a>>;
}

fn main() {}
