//! Any other `self` than `&self`.

use std::sync::Arc;

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn exclusive(&mut self) {}

    async fn by_value(self) {}

    async fn mutable(mut self) {}

    async fn arc(self: Arc<Self>) {}
}

fn main() {}
