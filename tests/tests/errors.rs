//! What callers and handlers learn when something goes wrong.

use std::{error::Error as _, fmt, io};

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use teleport::{
    CodecId, PeerConfig, PullController, PullCtx, PushController, RoutePlugin, Router, Status,
    UnknownPull, UnknownPush,
    codec::{Codecs, append_body},
    protocol::{Decoded, Header, HeaderCodec, Limits, PacketKind, Protocol, Standard},
    pull_controller, push_controller,
};
use teleport_tests::pair::{Pair, pair, peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An application's own error.
#[derive(Debug)]
enum ShopError {
    SoldOut { left: u32 },
    Disk(io::Error),
}

impl fmt::Display for ShopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SoldOut { left } => write!(f, "only {left} left"),
            Self::Disk(error) => write!(f, "the stock cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ShopError {}

impl From<io::Error> for ShopError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Left {
    left: u32,
}

impl From<ShopError> for Status {
    fn from(error: ShopError) -> Self {
        let text = error.to_string();
        match error {
            ShopError::SoldOut { left } => Self::new(1001, text).with_details(&Left { left }),
            ShopError::Disk(error) => Self::internal(error),
        }
    }
}

type ShopResult<T> = Result<T, ShopError>;

fn read_stock(item: &str) -> io::Result<u32> {
    match item {
        "tea" => Ok(3),
        _ => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "/secret/path is gone",
        )),
    }
}

struct Shop;

#[pull_controller]
impl Shop {
    async fn buy(&self, item: String, count: u32) -> ShopResult<u32> {
        let left = read_stock(&item)?;
        match left.checked_sub(count) {
            Some(left) => Ok(left),
            None => Err(ShopError::SoldOut { left }),
        }
    }

    async fn panics(&self) -> u32 {
        panic!("on purpose")
    }

    async fn waits_and_panics(&self) -> u32 {
        tokio::task::yield_now().await;
        panic!("on purpose")
    }

    async fn forward(&self, ctx: &PullCtx) -> Result<u32, Status> {
        Ok(ctx.session().pull("/nobody", ()).await?)
    }
}

#[tokio::test]
async fn a_handlers_own_error_reaches_the_caller_with_code_text_and_details() {
    let Pair { session, .. } = pair(Shop.into_router(), Router::new()).await;
    let shop = ShopClient::new(&session);
    assert_eq!(shop.buy("tea".into(), 1).await.expect("2"), 2);
    let error = shop.buy("tea".into(), 5).await.expect_err("sold out");
    assert!(error.is_remote() && !error.is_closed() && !error.is_timeout());
    assert_eq!(error.code(), 1001);
    let status = error.status().expect("the handler's");
    assert_eq!(status.message(), "only 3 left");
    assert_eq!(status.details::<Left>().expect("details"), Left { left: 3 });
}

#[tokio::test]
async fn the_cause_of_an_internal_error_stays_on_the_servers_side() {
    let Pair { session, .. } = pair(Shop.into_router(), Router::new()).await;
    let error = ShopClient::new(&session).buy("coffee".into(), 1).await;
    let error = error.expect_err("no stock");
    assert_eq!(error.code(), 500);
    assert!(
        !format!("{error:?} {error}").contains("secret"),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_text_names_uri_and_peer() {
    let Pair { session, .. } = pair(Shop.into_router(), Router::new()).await;
    let error = ShopClient::new(&session).buy("tea".into(), 9).await;
    let text = error.expect_err("sold out").to_string();
    for part in ["/shop/buy", "stream", "1001", "only 3 left"] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
}

#[tokio::test]
async fn a_panic_is_500_for_its_caller_and_nothing_for_others() {
    let Pair { session, .. } = pair(Shop.into_router(), Router::new()).await;
    let shop = ShopClient::new(&session);
    for _ in 0..2 {
        assert_eq!(shop.panics().await.expect_err("500").code(), 500);
        assert_eq!(shop.waits_and_panics().await.expect_err("500").code(), 500);
    }
    assert_eq!(shop.buy("tea".into(), 1).await.expect("2"), 2);
}

#[tokio::test]
async fn a_value_that_cannot_be_encoded_is_an_error_and_the_framing_stays_whole() {
    /// JSON has no keys like this.
    #[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Hash)]
    struct Key(Vec<u8>);

    struct Odd;

    #[pull_controller]
    impl Odd {
        async fn map(&self) -> std::collections::HashMap<Key, u8> {
            [(Key(vec![1]), 1)].into()
        }

        async fn one(&self) -> u8 {
            1
        }
    }

    let Pair { session, .. } = pair(Odd.into_router(), Router::new()).await;
    let odd = OddClient::new(&session);
    let error = odd.map().await.err().expect("an error");
    assert!(error.is_remote() && error.code() == 500, "{error}");
    let map: std::collections::HashMap<Key, u8> = [(Key(vec![1]), 1)].into();
    let error = session.pull::<_, u8>("/odd/one", map).await;
    let error = error.expect_err("cannot be written");
    assert!(error.is_encode() && error.code() == 100, "{error}");
    assert!(error.source().is_some());
    assert_eq!(odd.one().await.expect("1"), 1);
}

#[tokio::test]
async fn a_reply_whose_encoding_panics_is_500_and_leaves_the_others_whole() {
    #[derive(Deserialize)]
    struct Mine;

    impl Serialize for Mine {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeSeq;

            let mut seq = serializer.serialize_seq(None)?;
            seq.serialize_element("half of it")?;
            panic!("on purpose")
        }
    }

    struct Field;

    #[pull_controller]
    impl Field {
        async fn mine(&self) -> Mine {
            Mine
        }

        async fn waits(&self) -> Mine {
            tokio::task::yield_now().await;
            Mine
        }

        async fn safe(&self) -> u8 {
            1
        }
    }

    let Pair { session, .. } = pair(Field.into_router(), Router::new()).await;
    let field = FieldClient::new(&session);
    let all = tokio::join!(
        field.safe(),
        field.mine(),
        field.safe(),
        field.waits(),
        field.safe()
    );
    for safe in [all.0, all.2, all.4] {
        assert_eq!(safe.expect("1"), 1);
    }
    for mine in [all.1, all.3] {
        assert_eq!(mine.err().expect("a panic").code(), 500);
    }
}

#[tokio::test]
async fn arguments_whose_decoding_panics_are_500_and_leave_the_others_whole() {
    #[derive(Serialize)]
    struct Mine;

    impl<'de> Deserialize<'de> for Mine {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            serde::de::IgnoredAny::deserialize(deserializer)?;
            panic!("on purpose")
        }
    }

    struct Field;

    #[pull_controller]
    impl Field {
        async fn mine(&self, _mine: Mine) -> u8 {
            0
        }

        async fn safe(&self) -> u8 {
            1
        }
    }

    #[push_controller]
    impl Field {
        async fn told(&self, _mine: Mine) {}
    }

    struct Looks;

    impl RoutePlugin for Looks {
        fn name(&self) -> &str {
            "looks"
        }
    }

    let router = || PullController::into_router(Field).merge(PushController::into_router(Field));
    for router in [router(), router().plugin(Looks)] {
        let router = router.unknown_pull(|pull: UnknownPull| async move {
            pull.bind::<Mine>()?;
            Ok::<_, Status>(0)
        });
        let Pair { session, .. } = pair(router, Router::new()).await;
        let field = FieldClient::new(&session);
        let told = FieldPushClient::new(&session);
        let all = tokio::join!(
            field.safe(),
            field.mine(Mine),
            told.told(Mine),
            session.pull::<_, u8>("/unknown", 1),
            field.safe()
        );
        assert_eq!((all.0.expect("1"), all.4.expect("1")), (1, 1));
        all.2.expect("sent");
        for failed in [all.1, all.3] {
            assert_eq!(failed.expect_err("a panic").code(), 500);
        }
    }
}

#[tokio::test]
async fn an_unknown_handler_that_panics_before_its_first_await_is_500() {
    fn handler(pull: UnknownPull) -> std::future::Ready<Result<u8, Status>> {
        panic!("no future for {}", pull.uri())
    }

    fn told(push: UnknownPush) -> std::future::Ready<Result<(), Status>> {
        panic!("no future for {}", push.uri())
    }

    let router = Router::new().unknown_pull(handler).unknown_push(told);
    let Pair { session, .. } = pair(router, Router::new()).await;
    session.push("/anything", ()).await.expect("sent");
    for _ in 0..2 {
        let error = session.pull::<_, u8>("/anything", ()).await;
        assert_eq!(error.expect_err("a panic").code(), 500);
    }
}

#[tokio::test]
async fn a_status_with_details_reaches_a_caller_whose_gzip_level_nobody_has() {
    let server = peer(PeerConfig::default(), Shop.into_router());
    let (mut wire, stream) = tokio::io::duplex(4096);
    server.serve_conn(stream).await.expect("a session");
    let mut header = Header::new(PacketKind::Pull, 0, "/shop/buy");
    header.gzip = 99;
    let mut frame = Vec::new();
    let mut body = |out: &mut Vec<u8>| {
        // Compressed, for the reader takes any level.
        append_body(&("tea", 9), Some(CodecId::JSON), 1, &Codecs::new(), out)
    };
    let protocol = Standard;
    protocol
        .encode(header.as_ref(), HeaderCodec::Json, &mut body, &mut frame)
        .expect("a frame");
    wire.write_all(&frame).await.expect("written");
    let mut read = BytesMut::new();
    let reply = loop {
        match protocol
            .decode(&mut read, &Limits::default())
            .expect("a packet")
        {
            Decoded::Packet(packet) => break packet,
            Decoded::NeedMore { .. } => {
                assert_ne!(wire.read_buf(&mut read).await.expect("more"), 0)
            }
        }
    };
    assert_eq!((reply.header.status_code, reply.header.gzip), (1001, 99));
    assert!(reply.body.is_empty(), "no such level to write it in");
}

#[tokio::test]
async fn a_status_from_further_away_passes_through_a_handlers_question_mark() {
    let Pair { session, .. } = pair(Shop.into_router(), Router::new()).await;
    let error = ShopClient::new(&session).forward().await;
    assert_eq!(error.expect_err("404").code(), 404);
}
