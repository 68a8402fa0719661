//! A contract is served by many threads.

use teleport::pull_controller;

#[pull_controller]
trait Counter {
    async fn count(&self) -> i32;
}

struct Mine {
    count: std::cell::Cell<i32>,
}

impl Counter for Mine {
    async fn count(&self) -> i32 {
        self.count.get()
    }
}

fn main() {}
