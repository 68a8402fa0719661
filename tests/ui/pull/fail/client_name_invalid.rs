//! Clients that cannot be called so.

use teleport::pull_controller;

struct Home;

#[pull_controller(client = api::Caller)]
impl Home {
    async fn test(&self) {}
}

fn main() {}

struct Other;

#[pull_controller(client = struct)]
impl Other {
    async fn test(&self) {}
}

struct Third;

#[pull_controller(client = Third)]
impl Third {
    async fn test(&self) {}
}
