//! One handler, callers in three codecs: what a type can be written in is found out at compile time, and what a caller
//! chose at run time.
//!
//! `cargo run --example bodies`

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use teleport::{
    CallOptions, CodecId, Error, Peer, Protobuf, PullController, Raw, Session, pull_controller,
};

/// serde's traits make it JSON, prost's make it protobuf: here both.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Point {
    #[prost(int32, tag = "1")]
    x: i32,
    #[prost(int32, tag = "2")]
    y: i32,
}

struct Plane;

#[pull_controller]
impl Plane {
    async fn mirror(&self, point: Point) -> Point {
        Point {
            x: point.y,
            y: point.x,
        }
    }

    async fn shout(&self, text: String) -> String {
        text.to_uppercase()
    }

    /// Bytes as they come, codec id first.
    async fn raw(&self, body: Raw) -> Raw {
        body
    }
}

async fn session() -> Result<Session, Error> {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Plane.into_router())
        .build()?;
    let address = server.listen().await?.address();
    Peer::builder().build()?.dial(&address).await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let session = session().await?;
    let point = Point { x: 1, y: 2 };

    let plane = PlaneClient::new(&session);
    println!("JSON      {:?}", plane.mirror(point.clone()).await?);
    let protobuf = CallOptions::new().codec(CodecId::PROTOBUF);
    let in_protobuf = plane.clone().options(protobuf);
    println!("protobuf  {:?}", in_protobuf.mirror(point.clone()).await?);
    let Protobuf(untyped): Protobuf<Point> = session.pull("/plane/mirror", Protobuf(point)).await?;
    println!("untyped   {untyped:?}");

    let text = plane.options(CallOptions::new().codec(CodecId::STRING));
    println!("string    {}", text.shout("hello".to_owned()).await?);
    let zipped = session.pull::<_, String>("/plane/shout", "a".repeat(1000));
    println!("gzip      {} letters", zipped.gzip(9).await?.len());
    let Raw(bytes) = session
        .pull("/plane/raw", Raw(Bytes::from_static(b"?anything")))
        .await?;
    println!("raw bytes {bytes:?}");

    let json = session.pull::<_, Point>("/plane/mirror", "no point").await;
    println!("expected  {}", json.unwrap_err());
    let error = session.pull::<_, Raw>("/plane/shout", Raw(Bytes::from_static(b"p\x08\x01")));
    println!("expected  {}", error.await.unwrap_err());
    Ok(())
}
