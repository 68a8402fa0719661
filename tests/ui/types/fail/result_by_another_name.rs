//! An alias that the macro cannot know to be a `Result`.

use teleport::{Status, pull_controller};

type Answer<T> = Result<T, Status>;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> Answer<i32> {
        Ok(1)
    }
}

fn main() {}
