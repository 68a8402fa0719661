//! The future of an implementation must be sendable.

use teleport::pull_controller;

#[pull_controller]
trait Arith {
    async fn mul(&self, a: i32, b: i32) -> i32;
}

struct Mine;

impl Arith for Mine {
    async fn mul(&self, a: i32, b: i32) -> i32 {
        let shared = std::rc::Rc::new(a);
        std::future::ready(()).await;
        *shared * b
    }
}

fn main() {}
