//! The contenders: the same work, each written as its documentation advises.

use std::future::Future;
use std::net::SocketAddr;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::message::{Blob, Pair};

pub mod echo;
pub mod raw;
pub mod tarpc;

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contender {
    /// The floor: the same bytes, copied and not looked at.
    Echo,
    /// The bar: the same frames, by hand.
    Raw,
    Tarpc,
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
