//! A long load with faults: peers in one process, over TCP, TLS and Unix sockets, through proxies that delay, stall, cut and
//! forget. Links dial again, sessions come and go, calls of all kinds go both ways.
//!
//! It runs in rounds. During a round each call is checked (`ledger.rs` and `work.rs` of the tests say for what). After it all is
//! closed but the server, and what is left must be what was there before: tasks, threads and descriptors to the last one,
//! counted bytes and resident memory within a margin. What is wrong is told, and the exit code is 1.
//!
//! ```console
//! $ cargo run --release -p teleport-tests --bin soak -- --minutes 20 --seed 7
//! ```
#![allow(clippy::print_stdout, reason = "it is a program")]

mod load;
mod proxy;
mod watch;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use peak_alloc::PeakAlloc;
use teleport::{
    Peer, PeerConfig,
    plugins::{Heartbeat, Statistics},
};
use teleport_tests::{authority::Authority, dice::Dice, ledger::Ledger, work::Work};

use self::{
    load::{Counts, Load},
    proxy::Proxy,
    watch::{Left, Watch},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The longest round.
const ROUND: Duration = Duration::from_secs(30);

/// What was asked for.
struct Options {
    length: Duration,
    seed: u64,
}

fn options() -> Result<Options, String> {
    let usage = "usage: soak [--minutes NUMBER] [--seed NUMBER]";
    let mut options = Options {
        length: Duration::from_secs(60),
        seed: std::process::id().into(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args.next().ok_or(usage)?;
        let wrong = |_| format!("{name} {value}: not a number; {usage}");
        match &*name {
            "--minutes" => {
                let minutes: f64 = value.parse().map_err(|_| wrong(()))?;
                options.length =
                    Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| wrong(()))?;
            }
            "--seed" => options.seed = value.parse().map_err(|_| wrong(()))?,
            _ => return Err(usage.to_owned()),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(text) => {
            println!("{text}");
            return ExitCode::from(2);
        }
    };
    // Threads that handlers have computed in end soon, and what they keep with them: what is left does not depend on their number.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_millis(100))
        .build()
        .expect("a runtime");
    let sound = runtime.block_on(run(&options));
    match sound {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn run(options: &Options) -> bool {
    let mut dice = Dice::new(options.seed);
    let ledger = Ledger::default();
    let authority = Authority::new();
    let server = server(&ledger, &authority);
    let listening = server.listen().await.expect("free ports");
    let mut proxies = Vec::new();
    for address in listening.addrs() {
        proxies.push(Proxy::start(address, &authority.path("proxy"), dice.split()).await);
    }
    let addresses = proxies.iter().map(Proxy::address).collect();
    let counts = Arc::new(Counts::default());
    let load = Load::new(
        ledger.clone(),
        Arc::clone(&counts),
        authority.file(),
        addresses,
        server.clone(),
    );

    let round = ROUND.min(options.length / 4);
    println!(
        "seed {}, {:?} in rounds of {round:?}",
        options.seed, options.length
    );
    let start = Instant::now();
    let before = Left::now(&server);
    let mut watch = Watch::new(before);
    while start.elapsed() < options.length {
        let calm = async {
            if let Err(text) = load.round(round, dice.split()).await {
                ledger.violation(text);
            }
        };
        let mut calm = std::pin::pin!(calm);
        loop {
            // Told every few seconds, and at once when the round is over.
            let told = tokio::time::timeout(Duration::from_secs(5), calm.as_mut()).await;
            let line = counts.line(start.elapsed());
            println!(
                "{line}; {} sessions; {}",
                server.session_count(),
                Left::now(&server)
            );
            if told.is_ok() {
                break;
            }
        }
        ledger.forget(Duration::ZERO);
        let left = watch.settled(&server).await;
        println!(
            "-- all closed: {left}; by the proxies: {}",
            Proxy::told(&proxies)
        );
        let (violated, _) = ledger.violations();
        if violated > 0 {
            break;
        }
    }
    report(&watch, &ledger, &counts, start.elapsed())
}

fn server(ledger: &Ledger, authority: &Authority) -> Peer {
    let identity = authority.issue("server");
    let unix = authority.path("server.socket");
    let config = PeerConfig {
        listen: vec![
            "tcp://127.0.0.1:0".into(),
            "tls://127.0.0.1:0".into(),
            format!("unix://{}", unix.display()),
        ],
        tls_cert_file: Some(identity.cert),
        tls_key_file: Some(identity.key),
        write_buffer: 64 * 1024,
        write_timeout: Some(Duration::from_secs(5)),
        accept_timeout: Some(Duration::from_secs(3)),
        ..PeerConfig::default()
    };
    let builder = Peer::builder()
        .config(config)
        .plugin(Heartbeat::every(Duration::from_secs(1)))
        .plugin(Statistics::new())
        .routes(Work::new(ledger).routes());
    builder.build().expect("a peer")
}

fn report(watch: &Watch, ledger: &Ledger, counts: &Counts, time: Duration) -> bool {
    println!("\n{}", counts.line(time));
    println!(
        "each call ended once, with its own reply or an error that tells the truth about its handler, unless told below"
    );
    println!("{watch}");
    let (count, first) = ledger.violations();
    for text in &first {
        println!("VIOLATION: {text}");
    }
    let leaks = watch.leaks();
    for text in &leaks {
        println!("LEFT BEHIND: {text}");
    }
    let sound = count == 0 && leaks.is_empty();
    println!("{}", if sound { "sound" } else { "NOT SOUND" });
    sound
}
