//! tarpc over its TCP transport with bincode, every request in a task of its own, as in its examples.

use std::net::SocketAddr;

use anyhow::Result;
use futures::StreamExt as _;
use tarpc::client::Config as ClientConfig;
use tarpc::context;
use tarpc::server::{BaseChannel, Channel as _, Config as ServerConfig};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::length_delimited::Builder as Framing;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;

use crate::contender::Client;
use crate::message::{Blob, Pair};
use crate::task::Task;

/// The largest body of the benchmark, with room for its envelope; the default is 8 MiB.
const FRAME_MAX: usize = 32 * 1024 * 1024;

/// The default limit of 1,000 requests would hold back the work with 10,000 in flight, and so do its channels, which
/// have 100 places by default.
const IN_FLIGHT_MAX: usize = 20_000;

#[tarpc::service]
trait Bench {
    async fn add(args: Pair) -> Pair;
    async fn echo(blob: Blob) -> Blob;
    async fn perform(task: Pair) -> Result<Pair, String>;
}

#[derive(Clone)]
struct Handlers {
    addr: SocketAddr,
}

impl Handlers {
    async fn nested(&self, args: Pair) -> Result<Pair> {
        static SELF: OnceCell<TarpcClient> = OnceCell::const_new();
        SELF.get_or_try_init(|| TarpcClient::connect(self.addr))
            .await?
            .add(args)
            .await
    }
}

impl Bench for Handlers {
    async fn add(self, _: context::Context, args: Pair) -> Pair {
        args.answer()
    }

    async fn echo(self, _: context::Context, blob: Blob) -> Blob {
        blob
    }

    async fn perform(self, _: context::Context, args: Pair) -> Result<Pair, String> {
        let answer = match Task::of(args) {
            Ok(Task::Nested) => self.nested(args).await,
            Ok(task) => task.perform(args).await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| error.to_string())
    }
}

/// Accepts for ever.
pub async fn serve(listener: TcpListener) -> Result<()> {
    let handlers = Handlers {
        addr: listener.local_addr()?,
    };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let framed = Framing::new()
            .max_frame_length(FRAME_MAX)
            .new_framed(stream);
        let transport = tarpc::serde_transport::new(framed, Bincode::default());
        let config = ServerConfig {
            pending_response_buffer: IN_FLIGHT_MAX,
        };
        let channel = BaseChannel::new(config, transport);
        let requests = channel.execute(handlers.clone().serve());
        tokio::spawn(requests.for_each(|response| async {
            tokio::spawn(response);
        }));
    }
}

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
        config.pending_request_buffer = IN_FLIGHT_MAX;
        Ok(Self(BenchClient::new(config, transport).spawn()))
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        Ok(self.0.add(context::current(), args).await?)
    }

    async fn echo(&self, blob: Blob, _gzip: bool) -> Result<Blob> {
        Ok(self.0.echo(context::current(), blob).await?)
    }

    async fn perform(&self, task: Pair) -> Result<Pair> {
        self.0
            .perform(context::current(), task)
            .await?
            .map_err(anyhow::Error::msg)
    }
}
