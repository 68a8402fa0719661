//! The macro on something else.

use teleport::pull_controller;

#[pull_controller]
use std::fmt::Debug;

fn main() {
    let _: &dyn Debug = &1;
}
