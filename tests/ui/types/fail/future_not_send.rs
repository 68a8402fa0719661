//! A future that stays on its thread.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) {
        let shared = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(shared);
    }
}

fn main() {}
