//! A controller that does not live long enough.

use teleport::{PullController, Router, pull_controller};

struct Home<'a> {
    name: &'a str,
}

#[pull_controller]
impl<'a> Home<'a> {
    async fn test(&self) -> usize {
        self.name.len()
    }
}

#[allow(dead_code)]
fn router(name: String) -> Router {
    Home { name: &name }.into_router()
}

fn main() {}
