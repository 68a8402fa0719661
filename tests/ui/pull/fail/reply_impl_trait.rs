//! A reply of a type without a name.

use teleport::{Session, Status, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn plain(&self) -> impl ToString {
        1
    }

    async fn within(&self) -> Result<Vec<impl ToString>, Status> {
        Ok(vec![1])
    }
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<(), teleport::Error> {
    let home = HomeClient::new(session);
    let _ = home.plain().await?;
    let _ = home.within().await?;
    Ok(())
}

fn main() {}
