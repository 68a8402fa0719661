//! All mistakes are reported in one build, each once.

use teleport::{PullController, Session, pull_controller};

struct Home;

#[pull_controller(group = "v1", colour = "red")]
impl Home {
    fn one(&self) {}

    async fn two(&mut self, text: &str) {
        let _ = text;
    }

    #[pull(uri = "a b")]
    async fn three(&self, (a, b): (i32, i32)) -> i32 {
        a + b
    }

    async fn four(&self) {}
}

#[allow(dead_code)]
async fn calls(session: &Session) -> Result<i32, teleport::Error> {
    let home = HomeClient::new(session).prefix("/v1");
    home.one().await?;
    home.two("x").await?;
    home.four().await?;
    home.three((1, 2)).await
}

fn main() {
    let _ = Home.into_router();
}
