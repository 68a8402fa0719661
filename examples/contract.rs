//! A contract: a trait that two programs share. One implements it, the other calls it, and neither knows the other's code.
//!
//! `cargo run --example contract`

use teleport::{Error, Peer, Status};

/// Would be a crate of its own, which server and client depend on.
mod contract {
    use teleport::{PullCtx, Status, pull_controller};

    /// A bank account for everybody.
    #[pull_controller(group = "/v1")]
    pub trait Account {
        /// Puts money in and gives the new balance.
        async fn deposit(&self, ctx: &PullCtx, cents: u64) -> Result<u64, Status>;

        /// Takes money out; status 1001 if there is not enough.
        async fn withdraw(&self, cents: u64) -> Result<u64, Status>;
    }
}

/// Would be the server's crate.
mod server {
    use std::sync::{Mutex, PoisonError};

    use teleport::{PullCtx, Status};

    use crate::contract::Account;

    #[derive(Default)]
    pub struct Memory(Mutex<u64>);

    impl Memory {
        fn change(&self, change: impl FnOnce(u64) -> Option<u64>) -> Result<u64, Status> {
            let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = change(*balance);
            *balance = changed.ok_or_else(|| Status::new(1001, "not enough money"))?;
            Ok(*balance)
        }
    }

    impl Account for Memory {
        async fn deposit(&self, ctx: &PullCtx, cents: u64) -> Result<u64, Status> {
            println!("server: {} brings {cents}", ctx.peer_addr());
            self.change(|balance| balance.checked_add(cents))
        }

        async fn withdraw(&self, cents: u64) -> Result<u64, Status> {
            self.change(|balance| balance.checked_sub(cents))
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    use contract::{Account, AccountClient};

    let peer = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(server::Memory::default().into_router())
        .build()?;
    let address = peer.listen().await?.address();

    let session = Peer::builder().build()?.dial(&address).await?;
    let account = AccountClient::new(&session);
    println!("client: {} cents", account.deposit(500).await?);
    println!("client: {} cents", account.withdraw(120).await?);
    let error = account.withdraw(1000).await.err();
    let status = error.as_ref().and_then(Error::status);
    println!("client: expected: {}", status.map_or("", Status::message));
    Ok(())
}
