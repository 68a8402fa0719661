//! A push cannot be cancelled.

use teleport::push_controller;

struct Home;

#[push_controller]
impl Home {
    #[push(cancel)]
    async fn test(&self) {}
}

fn main() {}
