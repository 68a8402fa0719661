//! A controller that stays on its thread; one error for all its handlers.

use teleport::{PullController, pull_controller};

struct Home {
    count: std::cell::Cell<i32>,
}

#[pull_controller]
impl Home {
    async fn one(&self) -> i32 {
        self.count.get()
    }

    async fn two(&self) -> i32 {
        self.count.get()
    }
}

fn main() {
    let home = Home {
        count: std::cell::Cell::new(1),
    };
    let _ = home.into_router();
}
