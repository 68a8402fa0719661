//! Pulls and pushes that a peer in the middle passes on.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use teleport::{
    CodecId, Peer, PeerConfig, PullController, PullCtx, PushController, PushCtx, Raw, Router,
    Session, Status, UnknownPull,
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
    pull_controller, push_controller,
};
use teleport_tests::pair::{connect, peer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

struct Shop(mpsc::UnboundedSender<String>);

#[pull_controller]
impl Shop {
    async fn price(&self, item: String) -> Result<u32, Status> {
        match &*item {
            "tea" => Ok(3),
            other => Err(Status::new(1001, "sold out").with_details(&[other])),
        }
    }

    /// What the handler knows about its call.
    async fn about(&self, ctx: &PullCtx) -> (String, Option<String>, Option<Duration>) {
        let tenant = ctx.meta("tenant").map(str::to_owned);
        (ctx.uri().to_owned(), tenant, ctx.time_left())
    }

    async fn compressed(&self, ctx: &PullCtx) -> String {
        ctx.set_reply_gzip(9);
        "x".repeat(10_000)
    }

    async fn echo(&self, body: Raw) -> Raw {
        body
    }

    #[pull(cancel)]
    async fn wait(&self) {
        struct Dropped(mpsc::UnboundedSender<String>);

        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.send("stopped".into()).ok();
            }
        }

        let _dropped = Dropped(self.0.clone());
        self.0.send("started".into()).ok();
        std::future::pending().await
    }
}

struct Door(mpsc::UnboundedSender<String>);

#[push_controller]
impl Door {
    async fn knock(&self, ctx: &PushCtx, who: String) {
        let text = format!("{who} {} {:?}", ctx.uri(), ctx.meta("tenant"));
        self.0.send(text).ok();
    }
}

/// A backend, what it tells, and a session to the peer in front of it.
struct Chain {
    backend: Session,
    front: Session,
    told: mpsc::UnboundedReceiver<String>,
}

async fn chain() -> Chain {
    let (sender, told) = mpsc::unbounded_channel();
    let routes = Shop(sender.clone())
        .into_router()
        .merge(Door(sender).into_router());
    let plain = |router| peer(PeerConfig::default(), router);
    let backend = connect(plain(routes), plain(Router::new())).await.session;
    let proxy = plain(Router::new().proxy_to(&backend));
    let front = connect(proxy, plain(Router::new())).await.session;
    Chain {
        backend,
        front,
        told,
    }
}

#[tokio::test]
async fn a_pull_and_its_reply_pass_with_their_codec() {
    let Chain { front, .. } = chain().await;
    assert_eq!(
        front.pull::<_, u32>("/shop/price", "tea").await.expect("3"),
        3
    );
    let text = front
        .pull::<_, String>("/shop/price", "tea")
        .codec(CodecId::STRING);
    let error = text.await.expect_err("a number is no text");
    assert!(error.is_remote() && error.code() == 415, "{error}");
}

#[tokio::test]
async fn a_status_passes_with_its_text_and_its_details_compressed_or_not() {
    let Chain { front, .. } = chain().await;
    for level in [0, 5] {
        let pull = front.pull::<_, u32>("/shop/price", "coffee").gzip(level);
        let error = pull.await.expect_err("sold out");
        let status = error.status().expect("a status");
        assert_eq!(status.to_string(), "1001 sold out");
        assert_eq!(
            status.details::<Vec<String>>().expect("details"),
            ["coffee"]
        );
    }
    let missing = front.pull::<_, ()>("/nowhere", ()).await;
    assert_eq!(
        missing.expect_err("nobody").to_string(),
        "pull /nowhere at stream: answered 404 Not Found"
    );
}

#[tokio::test]
async fn uri_values_and_time_limit_pass() {
    let Chain { front, .. } = chain().await;
    let pull =
        front.pull::<_, (String, Option<String>, Option<Duration>)>("/shop/about?a=%20b", ());
    let pull = pull.meta("tenant", "blue").timeout(Duration::from_secs(60));
    let (uri, tenant, left) = pull.await.expect("answered");
    assert_eq!(
        (&*uri, tenant.as_deref()),
        ("/shop/about?a=%20b", Some("blue"))
    );
    let left = left.expect("a limit");
    assert!(
        left <= Duration::from_secs(60) && left > Duration::from_secs(30),
        "{left:?}"
    );
}

#[tokio::test]
async fn a_push_passes() {
    let Chain {
        front, mut told, ..
    } = chain().await;
    let push = front.push("/door/knock?x=1", "ann").meta("tenant", "blue");
    push.await.expect("sent");
    assert_eq!(
        told.recv().await.as_deref(),
        Some("ann /door/knock?x=1 Some(\"blue\")")
    );
}

#[tokio::test]
async fn a_pull_that_its_caller_cancels_is_stopped_behind_the_proxy() {
    let Chain {
        front, mut told, ..
    } = chain().await;
    let call = tokio::spawn(async move { front.pull::<_, ()>("/shop/wait", ()).cancel().await });
    assert_eq!(told.recv().await.as_deref(), Some("started"));
    call.abort();
    assert_eq!(told.recv().await.as_deref(), Some("stopped"));
}

#[tokio::test]
async fn a_backend_that_is_gone_is_502() {
    let Chain { front, backend, .. } = chain().await;
    backend.close().await;
    let error = front
        .pull::<_, u32>("/shop/price", "tea")
        .await
        .expect_err("gone");
    assert!(error.is_remote() && error.code() == 502, "{error}");
    front.push("/door/knock", "ann").await.expect("handed over");
    assert!(front.is_open());
}

/// The proxy's two ends as bytes.
async fn wires() -> (DuplexStream, DuplexStream, Peer) {
    let (backend, stream) = tokio::io::duplex(1 << 20);
    let dialler = peer(PeerConfig::default(), Router::new());
    let session = dialler.serve_conn(stream).await.expect("a session");
    let proxy = peer(PeerConfig::default(), Router::new().proxy_to(&session));
    let (front, stream) = tokio::io::duplex(1 << 20);
    proxy.serve_conn(stream).await.expect("a session");
    (front, backend, proxy)
}

async fn send(wire: &mut DuplexStream, header: &Header, body: &[u8]) {
    let mut bytes = Vec::new();
    let mut append = |out: &mut Vec<u8>| {
        out.extend_from_slice(body);
        Ok(())
    };
    let codec = HeaderCodec::Json;
    Standard
        .encode(header.as_ref(), codec, &mut append, &mut bytes)
        .expect("it fits");
    wire.write_all(&bytes).await.expect("written");
}

async fn recv(wire: &mut DuplexStream) -> Packet {
    let mut read = BytesMut::new();
    loop {
        match Standard
            .decode(&mut read, &Limits::default())
            .expect("a packet")
        {
            Decoded::Packet(packet) => return packet,
            Decoded::NeedMore { .. } => {
                assert!(wire.read_buf(&mut read).await.expect("not cut") > 0);
            }
        }
    }
}

#[tokio::test]
async fn bodies_pass_to_the_byte_whatever_they_are_and_whatever_their_header_says() {
    // A codec that the proxy does not know, bytes that are not what the header says, levels that there are not, no body at all.
    let bodies: [&[u8]; 5] = [b"xunknown codec", b"jnot json", b"p\xff\xff", b"s", b""];
    for (body, levels) in bodies
        .into_iter()
        .zip([(0, 5), (9, 0), (99, -2), (1, 1), (7, 3)])
    {
        let (mut front, mut backend, _proxy) = wires().await;
        for (code, text) in [(200, "OK"), (1001, "custom")] {
            let mut header = Header::new(PacketKind::Pull, 7, "/any?q=1");
            header.gzip = levels.0;
            send(&mut front, &header, body).await;
            let asked = recv(&mut backend).await;
            assert_eq!(
                (&*asked.header.uri, asked.header.gzip, &asked.body[..]),
                ("/any?q=1", levels.0, body)
            );

            let mut reply = Header::new(PacketKind::Reply, asked.header.seq, "/any?q=1");
            (reply.status_code, reply.status) = (code, text.into());
            reply.gzip = levels.1;
            send(&mut backend, &reply, body).await;
            let got = recv(&mut front).await;
            assert_eq!((got.header.seq, got.header.status_code), (7, code));
            assert_eq!(
                (&*got.header.status, got.header.gzip, &got.body[..]),
                (text, levels.1, body)
            );
            assert_eq!(got.header_codec, HeaderCodec::Json);
        }
    }
}

#[tokio::test]
async fn a_reply_keeps_its_own_gzip_level() {
    let Chain { front, .. } = chain().await;
    let text: String = front.pull("/shop/compressed", ()).await.expect("inflated");
    assert_eq!(text.len(), 10_000);
}

#[tokio::test]
async fn a_large_body_passes_whole() {
    let Chain { front, .. } = chain().await;
    let body = Raw(Bytes::from(vec![b'x'; 3 << 20]));
    let echo: Raw = front
        .pull("/shop/echo", body.clone())
        .await
        .expect("echoed");
    assert!(echo == body);
}

#[tokio::test]
async fn a_proxy_below_a_prefix_leaves_the_rest_alone_and_may_change_the_uri() {
    let Chain { backend, .. } = chain().await;
    let renamed = backend.clone();
    let router = Router::new()
        .nest("/shop", Router::new().proxy_to(&backend))
        .nest(
            "/legacy",
            Router::new().unknown_pull(move |pull: UnknownPull| {
                let backend = renamed.clone();
                async move {
                    let uri = pull.uri().trim_start_matches("/legacy");
                    pull.forward(&backend, uri).await
                }
            }),
        );
    let proxy = peer(PeerConfig::default(), router);
    let front = connect(proxy, peer(PeerConfig::default(), Router::new()))
        .await
        .session;
    for uri in ["/shop/price", "/legacy/shop/price"] {
        assert_eq!(
            front.pull::<_, u32>(uri, "tea").await.expect("3"),
            3,
            "{uri}"
        );
    }
    let error = front
        .pull::<_, u32>("/door/price", "tea")
        .await
        .expect_err("not proxied");
    assert_eq!(error.code(), 404);
}
