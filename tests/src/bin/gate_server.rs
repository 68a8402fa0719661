//! A server process for tests that kill one: listens at the address that is its argument, says on its standard output where
//! that is, and ends at the latest with its standard input.

use std::io::{self, Write};

use teleport::Peer;
use teleport_tests::gate::Gate;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("the address is missing")?;
    let server = Peer::builder()
        .listen_at(address)
        .routes(Gate::default().routes())
        .build()?;
    let listening = server.listen().await?;
    writeln!(io::stdout(), "{}", listening.address())?;
    let end = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    listening.until(end).await;
    Ok(())
}
