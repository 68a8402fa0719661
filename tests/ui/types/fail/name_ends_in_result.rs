//! A plain value whose name looks like an alias of `Result`.

use teleport::pull_controller;

#[derive(serde::Serialize, serde::Deserialize)]
struct SearchResult;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> SearchResult {
        SearchResult
    }
}

fn main() {}
