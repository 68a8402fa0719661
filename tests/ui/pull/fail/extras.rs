//! The keys of a method with values that they do not take.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    #[pull(cancel = true)]
    async fn a(&self) {}

    #[pull(slow_ms = "500ms")]
    async fn b(&self) {}

    #[pull(slow_ms)]
    async fn c(&self) {}

    #[pull(skip, cancel)]
    async fn d(&self) {}
}

fn main() {}
