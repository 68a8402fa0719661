//! teleport: typed clients (protobuf and JSON bodies) and the untyped call, all with the default configuration.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context as _, Result};
use teleport::{
    CodecId, ConnOptions, Peer, PeerConfig, Protobuf, PullController, PullCtx, PushController,
    Router, Session, Status, pull_controller, push_controller,
};
use tokio::sync::OnceCell;

use crate::contender::Client;
use crate::message::{Blob, Pair};
use crate::task::Task;
use crate::usage::NOTES;

struct Bench;

#[pull_controller]
impl Bench {
    async fn add(&self, args: Pair) -> Pair {
        args.answer()
    }

    async fn echo(&self, blob: Blob) -> Blob {
        blob
    }

    async fn perform(&self, ctx: &PullCtx, args: Pair) -> Result<Pair, Status> {
        let answer = match Task::of(args) {
            Ok(Task::Nested) => nested(ctx, args).await,
            Ok(task) => task.perform(args).await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| Status::new(500, error.to_string()))
    }
}

/// Over a session of the server with itself, as the other contenders have to do it.
async fn nested(ctx: &PullCtx, args: Pair) -> Result<Pair> {
    static SELF: OnceCell<TypedProtobuf> = OnceCell::const_new();
    let addr = ctx.session().local_addr().to_string().parse()?;
    SELF.get_or_try_init(|| TypedProtobuf::connect(addr))
        .await?
        .add(args)
        .await
}

struct Notes;

#[push_controller(name = "bench")]
impl Notes {
    async fn note(&self, _note: Pair) {
        NOTES.fetch_add(1, Relaxed);
    }
}

/// Listens; `routes` more routes stand beside those that are called.
pub async fn serve(routes: usize) -> Result<SocketAddr> {
    let mut router = Router::new()
        .merge(Bench.into_router())
        .merge(Notes.into_router());
    for number in 0..routes {
        router = router.nest(&format!("/other/{number}"), Notes.into_router());
    }
    let peer = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(router)
        .build()?;
    let listening = peer.listen().await?;
    Ok(listening.address().parse()?)
}

/// A session of the one peer of this process. Each needs an id of its own, or it would replace the one before.
async fn dial(addr: SocketAddr, body_codec: CodecId) -> Result<Session> {
    static PEER: OnceCell<Peer> = OnceCell::const_new();
    static SESSIONS: AtomicU64 = AtomicU64::new(0);
    let config = PeerConfig {
        body_codec,
        ..PeerConfig::default()
    };
    let peer = PEER
        .get_or_try_init(async || Peer::builder().config(config).build())
        .await?;
    let id = format!("{}", SESSIONS.fetch_add(1, Relaxed));
    peer.dial_with(&addr.to_string(), ConnOptions::new().id(id))
        .await
        .context("dialing")
}

/// The generated client.
#[derive(Clone)]
struct Typed {
    bench: BenchClient,
    notes: NotesPushClient,
}

impl Typed {
    async fn connect(addr: SocketAddr, codec: CodecId) -> Result<(Self, Session)> {
        let session = dial(addr, codec).await?;
        let typed = Self {
            bench: BenchClient::new(&session),
            notes: NotesPushClient::new(&session),
        };
        Ok((typed, session))
    }
}

/// The generated client with protobuf bodies.
#[derive(Clone)]
pub struct TypedProtobuf {
    typed: Typed,
    session: Session,
}

impl Client for TypedProtobuf {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        let (typed, session) = Typed::connect(addr, CodecId::PROTOBUF).await?;
        Ok(Self { typed, session })
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        Ok(self.typed.bench.add(args).await?)
    }

    async fn echo(&self, blob: Blob, gzip: bool) -> Result<Blob> {
        if gzip {
            let pull = self
                .session
                .pull::<_, Protobuf<Blob>>("/bench/echo", Protobuf(blob));
            return Ok(pull.gzip(6).await?.0);
        }
        Ok(self.typed.bench.echo(blob).await?)
    }

    async fn note(&self, note: Pair) -> Result<()> {
        Ok(self.typed.notes.note(note).await?)
    }

    async fn perform(&self, task: Pair) -> Result<Pair> {
        Ok(self.typed.bench.perform(task).await?)
    }
}

/// The generated client with JSON bodies.
#[derive(Clone)]
pub struct TypedJson(Typed);

impl Client for TypedJson {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        Ok(Self(Typed::connect(addr, CodecId::JSON).await?.0))
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        Ok(self.0.bench.add(args).await?)
    }

    async fn note(&self, note: Pair) -> Result<()> {
        Ok(self.0.notes.note(note).await?)
    }
}

/// Calls by uri, without the macros, with protobuf bodies.
#[derive(Clone)]
pub struct Untyped(Session);

impl Client for Untyped {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        Ok(Self(dial(addr, CodecId::PROTOBUF).await?))
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        Ok(self
            .0
            .pull::<_, Protobuf<Pair>>("/bench/add", Protobuf(args))
            .await?
            .0)
    }
}
