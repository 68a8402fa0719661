//! Routes that no caller could name.

use teleport::pull_controller;

struct Home;

#[pull_controller(name = "")]
impl Home {
    #[pull(uri = "")]
    async fn empty(&self) {}

    #[pull(uri = "/")]
    async fn root(&self) {}

    #[pull(uri = "with blank")]
    async fn blank(&self) {}

    #[pull(uri = "tab\t")]
    async fn control(&self) {}

    #[pull(uri = "/x?y=z")]
    async fn query(&self) {}

    #[pull(uri = "/x#y")]
    async fn fragment(&self) {}

    #[pull(uri = "/x%20y")]
    async fn escaped(&self) {}

    #[pull(uri = "/x//y")]
    async fn double(&self) {}

    #[pull(uri = "/x/")]
    async fn open(&self) {}
}

fn main() {}
