//! Configuration: defaults, changed by a file, changed by the environment.
//!
//! `cargo run --example config`, and `TELEPORT_READ_TIMEOUT=3 cargo run --example config` to see a mistake reported

use std::{env, error::Error as _, process::Command};

use teleport::{Error, Peer, PeerConfig, PullController, pull_controller};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/teleport.toml");

struct Math;

#[pull_controller]
impl Math {
    async fn add(&self, a: i32, b: i32) -> i32 {
        a + b
    }
}

fn main() -> Result<(), Error> {
    if env::var_os("TELEPORT_LISTEN").is_some() {
        return serve();
    }
    // A file with three mistakes, all of which are found.
    let wrong = "listen = \"0.0.0.0\"\nreed_timeout = \"3m\"\ngzip = 12";
    let error = PeerConfig::from_toml(wrong).unwrap_err();
    println!("expected: {error}");
    println!(
        "{}\n",
        error.source().map(ToString::to_string).unwrap_or_default()
    );

    // The environment is given by whoever starts the program: a shell, a service manager, here the program itself.
    let status = env::current_exe().and_then(|this| {
        let mut command = Command::new(this);
        command.env("TELEPORT_LISTEN", "127.0.0.1:0,127.0.0.1:0");
        command.env("TELEPORT_WRITE_TIMEOUT", "1m 30s");
        command.status()
    });
    println!("ended: {}", status.is_ok_and(|status| status.success()));
    Ok(())
}

#[tokio::main]
async fn serve() -> Result<(), Error> {
    let config = PeerConfig::load(FILE)?;
    println!("in force: {config:#?}");
    let server = Peer::builder()
        .config(config)
        .routes(Math.into_router())
        .build()?;
    let listening = server.listen().await?;
    println!("listening at {} addresses", listening.addrs().len());

    let session = Peer::builder().build()?.dial(&listening.address()).await?;
    println!("1 + 2 = {}", MathClient::new(&session).add(1, 2).await?);
    server.close().await;
    Ok(())
}
