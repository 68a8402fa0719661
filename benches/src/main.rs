//! Benchmarks of teleport beside what a user would pick instead: see the README of this package.

#![allow(clippy::print_stdout, reason = "results and progress go to standard output")]
#![allow(missing_docs, unreachable_pub, reason = "a program: nothing of it is public")]

mod alloc;
mod contender;
mod frame;
mod load;
mod message;
mod process;
mod recorder;
mod task;
mod usage;

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;

use crate::contender::Contender;
use crate::load::Load;
use crate::process::{Served, Setup, Times};

/// Benchmarks of teleport, tarpc, tonic and two floors written by hand.
#[derive(Parser)]
enum Command {
    /// The server of a contender; prints its addresses as JSON.
    Serve {
        contender: Contender,
        /// Routes beside those that are called.
        #[arg(long, default_value_t = 0)]
        routes: usize,
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
        Command::Serve { contender, routes, setup } => process::serve(contender, routes, setup),
        Command::Drive { contender, load, addr, control, times, setup } => {
            process::drive(contender, &load, Served { addr, control }, times, setup)
        }
    }
}
