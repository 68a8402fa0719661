//! An error that does not turn into a status.

use teleport::pull_controller;

struct Failure;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> Result<i32, Failure> {
        Err(Failure)
    }
}

fn main() {}
