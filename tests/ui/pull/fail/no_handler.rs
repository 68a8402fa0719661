//! Nothing to call.

use teleport::{PullController, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    const LIMIT: usize = 1;

    #[pull(skip)]
    fn helper(&self) {}
}

fn main() {
    Home.helper();
    let _ = (Home::LIMIT, Home.into_router());
}
