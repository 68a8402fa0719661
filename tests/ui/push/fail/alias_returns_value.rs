//! A push has no reply, whatever it is called.

use teleport::{Status, push_controller};

type CountResult = Result<i32, Status>;

struct Home;

#[push_controller]
impl Home {
    async fn fallible(&self) -> CountResult {
        Ok(1)
    }
}

fn main() {}
