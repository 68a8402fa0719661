//! Arguments that own nothing.

use teleport::{Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn text(&self, text: &str) {
        let _ = text;
    }

    async fn bytes(&self, bytes: &[u8]) {
        let _ = bytes;
    }

    async fn nested(&self, texts: Vec<&str>, pair: (i32, &i32)) {
        let _ = (texts, pair);
    }
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<(), teleport::Error> {
    let home = HomeClient::new(session);
    home.text("text").await?;
    home.bytes(&[1]).await?;
    home.nested(vec!["x"], (1, &1)).await
}

fn main() {}
