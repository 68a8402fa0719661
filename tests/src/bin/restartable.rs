//! A server that can be restarted, for `tests/restart.rs`, which starts it, sends it signals and reads what it says.
//!
//! `restartable [--fail | --hold CONTROL] ADDRESS... [-- ADDRESS...]...`: a peer for each group of addresses. `--fail` ends after
//! listening and before it is ready; `--hold` waits there until the test sends a byte over the control connection. What `tls://`
//! addresses need is in the variables `CERT_FILE` and `KEY_FILE`.

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
#[tokio::main]
async fn main() -> std::process::ExitCode {
    unix::run().await
}

#[cfg(unix)]
mod unix {
    use std::{
        env, fs,
        io::Write,
        process::{self, Command, ExitCode},
    };

    use teleport::{Closing, Hooks, Peer, PeerConfig, Plugin, PullController, pull_controller};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    pub(super) async fn run() -> ExitCode {
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(std::io::stdout)
            .init();
        let mut args: Vec<_> = env::args().skip(1).collect();
        let fail = args.first().is_some_and(|arg| arg == "--fail");
        let hold = args.first().is_some_and(|arg| arg == "--hold");
        args.drain(..usize::from(fail));
        let control: Vec<_> = args.drain(..2 * usize::from(hold)).collect();

        let mut listening = Vec::new();
        for addresses in args.split(|arg| arg == "--") {
            let tls = addresses
                .iter()
                .any(|address| address.starts_with("tls://"));
            let file = |name| env::var_os(name).filter(|_| tls).map(Into::into);
            let config = PeerConfig {
                listen: addresses.to_vec(),
                tls_cert_file: file("CERT_FILE"),
                tls_key_file: file("KEY_FILE"),
                // Nothing of what is tested ends by it.
                shutdown_timeout: std::time::Duration::from_secs(600),
                ..PeerConfig::default()
            };
            let peer = Peer::builder()
                .config(config)
                .plugin(Teller)
                .routes(Probe.into_router())
                .build()
                .expect("a peer");
            match peer.listen().await {
                Ok(open) => listening.push(open),
                Err(error) => {
                    say(&format!("cannot listen: {error:?}"));
                    return ExitCode::FAILURE;
                }
            }
        }
        let addresses: Vec<_> = listening.iter().flat_map(|open| open.addrs()).collect();
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        say(&format!("listens at {}", addresses.join(" ")));
        if fail {
            return ExitCode::from(3);
        }
        if let [_, control] = &control[..] {
            let mut control = tokio::net::TcpStream::connect(control)
                .await
                .expect("a test");
            control.write_all(b"h").await.expect("a test");
            control.read_u8().await.expect("a test");
        }
        let report = teleport::restart::serve(listening).await;
        say(&format!("ends: {report}"));
        ExitCode::SUCCESS
    }

    fn say(text: &str) {
        let mut out = std::io::stdout().lock();
        writeln!(out, "[{}] {text}", process::id()).expect("the test reads");
    }

    struct Teller;

    impl Plugin for Teller {
        fn name(&self) -> &str {
            "teller"
        }

        fn hooks(&self) -> Hooks {
            Hooks::PRE_CLOSE
        }

        async fn pre_close(&self, closing: Closing) {
            say(&format!("closes: {closing:?}"));
        }
    }

    struct Probe;

    #[pull_controller]
    impl Probe {
        /// The process that answers, and what was asked.
        async fn echo(&self, number: u64) -> (u32, u64) {
            (process::id(), number)
        }

        /// The same, later.
        async fn slow(&self, number: u64) -> (u32, u64) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            (process::id(), number)
        }

        async fn endless(&self) {
            say("waits for ever");
            std::future::pending().await
        }

        /// What a child of this process inherits: its open files by name, and its environment.
        async fn child(&self) -> (Vec<String>, Vec<String>) {
            // `ls` shows the links of its own process.
            let files = Command::new("ls").args(["-l", "/proc/self/fd"]).output();
            let variables = Command::new("env").output();
            let lines = |output: std::io::Result<process::Output>| {
                let output = output.expect("a child").stdout;
                let text = String::from_utf8_lossy(&output).into_owned();
                text.lines().map(ToOwned::to_owned).collect()
            };
            (lines(files), lines(variables))
        }

        /// The same of this process: what its standard input is.
        async fn input(&self) -> String {
            let link = fs::read_link("/proc/self/fd/0").expect("Linux");
            link.display().to_string()
        }
    }
}
