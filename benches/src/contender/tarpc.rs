//! tarpc over its TCP transport with bincode, every request in a task of its own, as in its examples.

use std::net::SocketAddr;

use anyhow::Result;
use futures::StreamExt as _;
use tarpc::client::Config as ClientConfig;
use tarpc::context;
use tarpc::server::{BaseChannel, Channel as _, Config as ServerConfig};
use tarpc::tokio_serde::formats::Bincode;
use tokio::net::TcpListener;

use crate::contender::Client;
use crate::message::{Blob, Pair};

/// The largest body of the benchmark, with room for its envelope; the default is 8 MiB.
const FRAME_MAX: usize = 32 * 1024 * 1024;

/// Its default of 1,000 would cut the work with 10,000 calls in flight short.
const IN_FLIGHT_MAX: usize = 20_000;

#[tarpc::service]
trait Bench {
    async fn add(args: Pair) -> Pair;
    async fn echo(blob: Blob) -> Blob;
}

#[derive(Clone)]
struct Handlers;

impl Bench for Handlers {
    async fn add(self, _: context::Context, args: Pair) -> Pair {
        args.answer()
    }

    async fn echo(self, _: context::Context, blob: Blob) -> Blob {
        blob
    }
}

/// Accepts for ever.
pub async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut framing = tarpc::tokio_util::codec::length_delimited::Builder::new();
        let framed = framing.max_frame_length(FRAME_MAX).new_framed(stream);
        let transport = tarpc::serde_transport::new(framed, Bincode::default());
        let config = ServerConfig { pending_response_buffer: pending(), ..ServerConfig::default() };
        let channel = BaseChannel::new(config, transport);
        tokio::spawn(channel.execute(Handlers.serve()).for_each(|response| async {
            tokio::spawn(response);
        }));
    }
}
fn pending() -> usize { std::env::var("TARPC_PENDING").ok().and_then(|s| s.parse().ok()).unwrap_or(20_000) }

/// A session with the tarpc server.
#[derive(Clone)]
pub struct TarpcClient(BenchClient);

impl Client for TarpcClient {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        let mut connecting = tarpc::serde_transport::tcp::connect(addr, Bincode::default);
        connecting.config_mut().max_frame_length(FRAME_MAX);
        let transport = connecting.await?;
        transport.get_ref().set_nodelay(true)?;
        let mut config = ClientConfig::default();
        config.max_in_flight_requests = IN_FLIGHT_MAX;
        config.pending_request_buffer = pending();
        Ok(Self(BenchClient::new(config, transport).spawn()))
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        Ok(self.0.add(context::current(), args).await?)
    }

    async fn echo(&self, blob: Blob, _gzip: bool) -> Result<Blob> {
        Ok(self.0.echo(context::current(), blob).await?)
    }
}
