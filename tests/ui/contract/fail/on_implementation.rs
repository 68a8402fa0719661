//! The macro on an implementation of a contract.

use teleport::pull_controller;

#[pull_controller]
trait Arith {
    async fn mul(&self, a: i32, b: i32) -> i32;
}

struct Mine;

#[pull_controller]
impl Arith for Mine {
    async fn mul(&self, a: i32, b: i32) -> i32 {
        a * b
    }
}

fn main() {
    let _ = Arith::into_router(Mine);
}
