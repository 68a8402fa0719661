//! Parameters that the wire does not tell.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn typed<T: Send>(&self, item: T) {
        drop(item);
    }

    async fn sized<const N: usize>(&self, items: [u8; N]) {
        let _ = items;
    }

    async fn hidden(&self, item: impl Send) {
        drop(item);
    }
}

fn main() {}
