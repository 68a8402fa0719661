//! The macro on an enum.

use teleport::pull_controller;

#[pull_controller(group = "/v1")]
enum Home {
    One,
}

fn main() {
    let _ = Home::One;
}
