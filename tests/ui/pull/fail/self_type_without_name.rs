//! An impl block for a type without a name.

use teleport::pull_controller;

trait Named {}

#[pull_controller]
impl dyn Named {
    async fn test(&self) {}
}

fn main() {}
