//! Qualifiers that a handler cannot have.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    const fn constant(&self) {}

    async unsafe fn dangerous(&self) {}

    async extern "C" fn foreign(&self) {}
}

fn main() {}
