//! An argument that stays on its thread.

use teleport::pull_controller;

#[derive(serde::Serialize, serde::Deserialize)]
struct Args {
    #[serde(skip)]
    shared: std::rc::Rc<i32>,
}

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, args: Args) {
        let _ = args;
    }
}

fn main() {}
