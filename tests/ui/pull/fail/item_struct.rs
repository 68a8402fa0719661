//! The macro on a struct.

use teleport::pull_controller;

#[pull_controller]
pub struct Home;

impl Home {
    /// Left as it is.
    pub async fn test(&self) {}
}

fn main() {
    drop(Home.test());
}
