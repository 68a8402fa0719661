//! Replies that own nothing.

use std::borrow::Cow;

use teleport::{Status, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn text(&self) -> &str {
        "text"
    }

    async fn lasting(&self) -> Result<&'static str, Status> {
        Ok("text")
    }

    async fn nested<'a>(&'a self) -> Option<Cow<'a, str>> {
        None
    }
}

fn main() {}
