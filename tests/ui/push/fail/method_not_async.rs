//! A handler without `async`.

use teleport::push_controller;

struct Home;

#[push_controller]
impl Home {
    fn test(&self, text: String) {
        drop(text);
    }
}

fn main() {}
