//! tonic with prost messages over its own HTTP/2 transport. It has no one-way calls: a client stream carries the notes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

use self::generated::bench_client::BenchClient;
use self::generated::bench_server::{Bench, BenchServer};
use crate::contender::Client;
use crate::message::{Blob, Pair};
use crate::task::Task;
use crate::usage::NOTES;

/// Written by `build.rs`.
#[allow(missing_docs, unreachable_pub)]
mod generated {
    tonic::include_proto!("bench.Bench");
}

/// The largest body of the benchmark, with room for its envelope; the default is 4 MiB.
const MESSAGE_MAX: usize = 32 * 1024 * 1024;

/// Notes that wait for the stream of a session.
const NOTES_WAITING: usize = 1024;

struct Handlers;

#[tonic::async_trait]
impl Bench for Handlers {
    async fn add(&self, request: Request<Pair>) -> Result<Response<Pair>, Status> {
        Ok(Response::new(request.into_inner().answer()))
    }

    async fn echo(&self, request: Request<Blob>) -> Result<Response<Blob>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn perform(&self, request: Request<Pair>) -> Result<Response<Pair>, Status> {
        let args = request.into_inner();
        let answer = async { Task::of(args)?.perform(args).await }.await;
        answer
            .map(Response::new)
            .map_err(|error| Status::internal(error.to_string()))
    }

    async fn notes(&self, request: Request<Streaming<Pair>>) -> Result<Response<Pair>, Status> {
        let mut notes = request.into_inner();
        while notes.message().await?.is_some() {
            NOTES.fetch_add(1, Relaxed);
        }
        Ok(Response::new(Pair::default()))
    }
}

/// With more calls in flight than this, a server that does not limit its streams from the start closes the connection.
const UNLIMITED_STREAMS: usize = 2000;

/// The limit then, found by trying: 200, 1,000 and 20,000 were compared, and this was the fastest.
const STREAMS_MAX: u32 = 200;

/// Accepts for ever. Replies are compressed where the client says it takes that.
pub async fn serve(listener: TcpListener, in_flight: usize) -> Result<()> {
    let service = BenchServer::new(Handlers)
        .accept_compressed(Gzip)
        .send_compressed(Gzip)
        .max_decoding_message_size(MESSAGE_MAX);
    // The server's own `tcp_nodelay` only holds for listeners that it opens itself.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let limit = (in_flight > UNLIMITED_STREAMS).then_some(STREAMS_MAX);
    let mut server = Server::builder().max_concurrent_streams(limit);
    Ok(server
        .add_service(service)
        .serve_with_incoming(incoming)
        .await?)
}

/// A session with the tonic server.
#[derive(Clone)]
pub struct TonicClient {
    plain: BenchClient<Channel>,
    gzip: BenchClient<Channel>,
    notes: Arc<OnceCell<mpsc::Sender<Pair>>>,
}

impl TonicClient {
    fn start_notes(&self) -> mpsc::Sender<Pair> {
        let (sender, notes) = mpsc::channel(NOTES_WAITING);
        let mut client = self.plain.clone();
        // When it fails, the channel closes, and that the senders see.
        tokio::spawn(async move { client.notes(ReceiverStream::new(notes)).await.ok() });
        sender
    }
}

impl Client for TonicClient {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        let endpoint = Channel::from_shared(format!("http://{addr}"))?.tcp_nodelay(true);
        let plain =
            BenchClient::new(endpoint.connect().await?).max_decoding_message_size(MESSAGE_MAX);
        let gzip = plain.clone().send_compressed(Gzip).accept_compressed(Gzip);
        Ok(Self {
            plain,
            gzip,
            notes: Arc::default(),
        })
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        Ok(self.plain.clone().add(args).await?.into_inner())
    }

    async fn echo(&self, blob: Blob, gzip: bool) -> Result<Blob> {
        let client = if gzip { &self.gzip } else { &self.plain };
        Ok(client.clone().echo(blob).await?.into_inner())
    }

    async fn note(&self, note: Pair) -> Result<()> {
        let notes = self.notes.get_or_init(async || self.start_notes()).await;
        notes
            .send(note)
            .await
            .context("the stream of notes has ended")
    }

    async fn perform(&self, task: Pair) -> Result<Pair> {
        Ok(self.plain.clone().perform(task).await?.into_inner())
    }
}
