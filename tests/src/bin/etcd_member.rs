//! A server that registers itself in etcd, for tests that kill it: `etcd_member ENDPOINT SERVICE NAME`.
//!
//! It writes its address when it is registered, and ends in an orderly way when it is asked to.

use std::{
    error::Error,
    io::{self, Write},
    time::Duration,
};

use teleport::{
    Peer,
    registry::{Etcd, Member},
};
use teleport_tests::named::Named;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().ok_or("ENDPOINT SERVICE NAME");
    let (endpoint, service, name) = (argument()?, argument()?, argument()?);

    let etcd = Etcd::connect([endpoint]).await?;
    let registration = etcd.ttl(Duration::from_secs(2)).registration(&service);
    let peer = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Named::routes(&name))
        .plugin(registration.clone())
        .build()?;
    let listening = peer.listen().await?;
    registration.announce(&Member::new(listening.address()).routes_of(&peer));
    registration.registered().await;
    writeln!(io::stdout(), "{}", listening.address())?;

    listening.until(teleport::signal::shutdown()).await;
    Ok(())
}
