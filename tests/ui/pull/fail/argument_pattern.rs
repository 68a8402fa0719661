//! Arguments without a name.

use teleport::{Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn add(&self, (a, b): (i32, i32)) -> i32 {
        a + b
    }

    async fn whole(&self, all @ [_, _]: [i32; 2]) -> i32 {
        all[0]
    }

    async fn borrowed(&self, ref text: String) -> usize {
        text.len()
    }
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<i32, teleport::Error> {
    HomeClient::new(session).add((1, 2)).await
}

fn main() {}
