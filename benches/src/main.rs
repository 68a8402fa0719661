//! Benchmarks of teleport beside what a user would pick instead: see the README of this package.

#![allow(
    clippy::print_stdout,
    reason = "results and progress go to standard output"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "a program: nothing of it is public"
)]

mod alloc;
mod contender;
mod frame;
mod load;
mod machine;
mod message;
mod process;
mod recorder;
mod report;
mod run;
mod task;
mod usage;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::contender::Contender;
use crate::load::Load;
use crate::process::{Served, Setup, Times};

/// Benchmarks of teleport, tarpc, tonic and two floors written by hand.
#[derive(Parser)]
enum Command {
    /// Measures everything and writes the report.
    Run {
        #[command(flatten)]
        options: run::Options,
        /// Where the report goes.
        #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
        out: PathBuf,
    },
    /// Writes the report anew from its `results.json`.
    Report {
        #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/results"))]
        folder: PathBuf,
    },
    /// The server of a contender; prints its addresses as JSON.
    Serve {
        contender: Contender,
        /// Routes beside those that are called.
        #[arg(long, default_value_t = 0)]
        routes: usize,
        /// The most calls in flight on one session that are to be expected.
        #[arg(long, default_value_t = 1)]
        in_flight: usize,
        #[command(flatten)]
        setup: Setup,
    },
    /// The client of a contender; prints its result as JSON.
    Drive {
        contender: Contender,
        #[command(flatten)]
        load: Load,
        #[arg(long)]
        addr: SocketAddr,
        #[arg(long)]
        control: SocketAddr,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        setup: Setup,
    },
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Run { options, out } => report::write(&run::run(&options)?, &out),
        Command::Report { folder } => {
            let results = serde_json::from_slice(&std::fs::read(folder.join("results.json"))?)?;
            report::write(&results, &folder)
        }
        Command::Serve {
            contender,
            routes,
            in_flight,
            setup,
        } => process::serve(contender, routes, in_flight, setup),
        Command::Drive {
            contender,
            load,
            addr,
            control,
            times,
            setup,
        } => process::drive(contender, &load, Served { addr, control }, times, setup),
    }
}
