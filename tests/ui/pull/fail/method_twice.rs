//! Two handlers of one name: the compiler says so, once.
#![allow(unused_variables)]

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) {}

    async fn test(&self, number: i32) {}
}

fn main() {}
