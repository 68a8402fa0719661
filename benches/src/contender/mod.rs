//! The contenders: the same work, each written as its documentation advises.

use std::future::Future;
use std::net::SocketAddr;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::load::{Load, Op};
use crate::message::{Blob, Pair};

pub mod echo;
pub mod raw;
pub mod tarpc;
pub mod teleport;
pub mod tonic;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// The floor: the same bytes, copied and not looked at.
    Echo,
    /// The bar: the same frames, by hand.
    Raw,
    /// teleport's typed client with protobuf bodies.
    Teleport,
    /// teleport's typed client with JSON bodies.
    TeleportJson,
    /// teleport's call by uri with protobuf bodies.
    TeleportUntyped,
    Tarpc,
    Tonic,
}

impl Contender {
    /// The name on the command line and in the reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Raw => "raw",
            Self::Teleport => "teleport",
            Self::TeleportJson => "teleport-json",
            Self::TeleportUntyped => "teleport-untyped",
            Self::Tarpc => "tarpc",
            Self::Tonic => "tonic",
        }
    }

    /// Whether it can do this work at all.
    pub fn can(self, load: &Load) -> bool {
        let slow_neighbour = load.neighbour.is_some();
        match self {
            Self::Echo => matches!(load.op, Op::Add | Op::Echo) && !load.gzip && !slow_neighbour,
            Self::Raw => {
                matches!(load.op, Op::Add | Op::Echo | Op::Push | Op::Idle)
                    && !load.gzip
                    && !slow_neighbour
            }
            Self::Teleport => true,
            Self::TeleportJson => matches!(load.op, Op::Add | Op::Push) && !slow_neighbour,
            Self::TeleportUntyped => load.op == Op::Add && !slow_neighbour,
            Self::Tarpc => load.op != Op::Push && !load.gzip,
            Self::Tonic => load.op != Op::Nested,
        }
    }

    /// Starts the server in a task; gives its address. `routes` only matters to teleport, the calls `in_flight` to be
    /// expected on one session only to tonic.
    pub async fn serve(self, routes: usize, in_flight: usize) -> Result<SocketAddr> {
        if matches!(
            self,
            Self::Teleport | Self::TeleportJson | Self::TeleportUntyped
        ) {
            return teleport::serve(routes).await;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        match self {
            Self::Echo => drop(tokio::spawn(echo::serve(listener))),
            Self::Raw => drop(tokio::spawn(raw::serve(listener))),
            Self::Tarpc => drop(tokio::spawn(tarpc::serve(listener))),
            _ => drop(tokio::spawn(tonic::serve(listener, in_flight))),
        }
        Ok(addr)
    }
}

/// One session of a contender with its server. A clone is another handle of the same session.
pub trait Client: Clone + Send + Sync + 'static {
    /// Opens a session.
    fn connect(addr: SocketAddr) -> impl Future<Output = Result<Self>> + Send;

    /// The small call.
    fn add(&self, args: Pair) -> impl Future<Output = Result<Pair>> + Send;

    /// A payload there and back.
    fn echo(&self, blob: Blob, _gzip: bool) -> impl Future<Output = Result<Blob>> + Send {
        async move { bail!("no echo of {} bytes here", blob.data.len()) }
    }

    /// A one-way message; ready when it is on its way, with back-pressure.
    fn note(&self, _note: Pair) -> impl Future<Output = Result<()>> + Send {
        async { bail!("no one-way messages here") }
    }

    /// A call whose handler does what the [`Task`](crate::task::Task) in `a` says.
    fn perform(&self, _task: Pair) -> impl Future<Output = Result<Pair>> + Send {
        async { bail!("no handlers that wait here") }
    }
}
