//! A server that is replaced by a new process while it is called: no connection is refused and no call is lost.
//!
//! `cargo run --example restart` starts the server, calls it all the time, asks it to restart (SIGUSR2), and stops the new
//! process at the end (SIGTERM). Unix only.

#[cfg(unix)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => unix::serve().await,
        _ => unix::call().await,
    }
}

#[cfg(not(unix))]
fn main() {
    println!("restarts work on Unix only");
}

#[cfg(unix)]
mod unix {
    use std::{
        error::Error,
        io::{BufRead, BufReader},
        process::{Command, Stdio, id},
        time::Duration,
    };

    use teleport::{ConnOptions, Peer, PeerConfig, PullController, Session, pull_controller};

    struct Clock;

    #[pull_controller]
    impl Clock {
        /// The process that answers. Takes a while, so that a restart finds calls under way.
        async fn who(&self) -> u32 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            id()
        }
    }

    /// All that a server has to do for it is the last line but one.
    pub(super) async fn serve() -> Result<(), Box<dyn Error>> {
        let peer = Peer::builder()
            .listen_at("127.0.0.1:0")
            .routes(Clock.into_router())
            .build()?;
        let listening = peer.listen().await?;
        println!("{} process {} listens", listening.address(), id());
        let report = teleport::restart::serve(listening).await;
        println!("process {} ends: {report}", id());
        Ok(())
    }

    pub(super) async fn call() -> Result<(), Box<dyn Error>> {
        let mut server = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()?;
        let output = server.stdout.take().ok_or("a pipe")?;
        let mut lines = BufReader::new(output).lines();
        let line = lines.next().ok_or("an address")??;
        println!("{line}");
        let address = line.split(' ').next().unwrap_or_default().to_owned();
        // The new process writes to the same pipe, with the same port: 0 means what it meant to the old one.
        let reading = tokio::task::spawn_blocking(|| {
            lines.for_each(|line| println!("{}", line.unwrap_or_default()))
        });

        let mut caller = Caller::new(address)?;
        let first = caller.call().await?;
        println!("process {first} answers; it is asked to restart");
        signal("-USR2", first)?;
        let mut answered = 1;
        let second = loop {
            let who = caller.call().await?;
            answered += 1;
            if who != first {
                break who;
            }
        };
        println!("process {second} answers");
        println!(
            "{answered} calls, all answered; {} of them over another connection",
            caller.again
        );
        println!("the old process has ended: {}", server.wait()?);

        signal("-TERM", second)?;
        reading.await?;
        Ok(())
    }

    /// Calls over one connection as long as it lasts.
    struct Caller {
        peer: Peer,
        address: String,
        session: Option<Session>,
        dialled: u32,
        again: u32,
    }

    impl Caller {
        fn new(address: String) -> Result<Self, teleport::Error> {
            let config = PeerConfig {
                // A server that closes then says which calls it has not taken, and they can be repeated.
                announce: true,
                ..PeerConfig::default()
            };
            Ok(Self {
                peer: Peer::builder().config(config).build()?,
                address,
                session: None,
                dialled: 0,
                again: 0,
            })
        }

        async fn call(&mut self) -> Result<u32, teleport::Error> {
            loop {
                let session = match self.session.take() {
                    Some(session) => session,
                    None => {
                        self.dialled += 1;
                        let options = ConnOptions::new().id(format!("connection {}", self.dialled));
                        self.peer.dial_with(&self.address, options).await?
                    }
                };
                match ClockClient::new(&session).who().await {
                    Ok(who) => {
                        self.session = Some(session);
                        return Ok(who);
                    }
                    // Not taken, because this server leaves.
                    Err(error) if error.is_closed() && error.code() == 100 => self.again += 1,
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn signal(kind: &str, process: u32) -> Result<(), Box<dyn Error>> {
        let sent = Command::new("kill")
            .args([kind, &process.to_string()])
            .status()?;
        sent.success()
            .then_some(())
            .ok_or_else(|| "no such process".into())
    }
}
