//! A packet format of your own: here one line of text for each packet, so that a person can speak it with `nc`.
//!
//! `cargo run --example custom_protocol`

use bytes::{Buf, BytesMut};
use teleport::{
    ConnOptions, Peer, PullController,
    codec::CodecError,
    protocol::{
        Decoded, EncodeError, Header, HeaderCodec, HeaderRef, Limits, Packet, PacketKind, Protocol,
        ProtocolError,
    },
    pull_controller,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// `<kind> <number> <uri> <code> <body>`; the body must be text without line ends.
struct Lines;

impl Protocol for Lines {
    fn decode(&self, src: &mut BytesMut, limits: &Limits) -> Result<Decoded, ProtocolError> {
        let Some(end) = src.iter().position(|byte| *byte == b'\n') else {
            if src.len() > limits.packet {
                let size = src.len() as u64;
                return Err(ProtocolError::over_limit(size, limits.packet));
            }
            return Ok(Decoded::NeedMore { bytes: 1 });
        };
        let line = src.split_to(end);
        src.advance(1);
        let line = String::from_utf8_lossy(&line);
        let parts: Vec<_> = line.splitn(5, ' ').collect();
        let [kind, seq, uri, code, body] = parts[..] else {
            return Err(ProtocolError::malformed("five words make a packet"));
        };
        let number = |text: &str| ProtocolError::malformed(format!("`{text}` is no number"));
        let kind = match kind {
            "pull" => PacketKind::Pull,
            "reply" => PacketKind::Reply,
            "push" => PacketKind::Push,
            other => return Err(ProtocolError::malformed(format!("no kind `{other}`"))),
        };
        let seq = seq.parse().map_err(|_| number(seq))?;
        let mut header = Header::new(kind, seq, uri);
        header.status_code = code.parse().map_err(|_| number(code))?;
        let body = body.as_bytes().to_vec().into();
        Ok(Decoded::Packet(Packet::new(
            header,
            HeaderCodec::Json,
            body,
        )))
    }

    fn encode(
        &self,
        header: HeaderRef<'_>,
        _: HeaderCodec,
        body: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), CodecError>,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let kind = match header.kind {
            PacketKind::Pull => "pull",
            PacketKind::Reply => "reply",
            _ => "push",
        };
        let (seq, uri, code) = (header.seq, header.uri, header.status_code);
        let start = dst.len();
        dst.extend_from_slice(format!("{kind} {seq} {uri} {code} ").as_bytes());
        if let Err(error) = body(dst) {
            dst.truncate(start);
            return Err(error.into());
        }
        dst.push(b'\n');
        Ok(())
    }
}

struct Home;

#[pull_controller]
impl Home {
    async fn greet(&self, name: String) -> String {
        format!("hello, {name}")
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Peer::builder()
        .protocol(Lines)
        .routes(Home.into_router())
        .build()?;

    // By hand, as a person would.
    let (mut person, stream) = tokio::io::duplex(1024);
    server.serve_conn(stream).await?;
    person.write_all(b"pull 1 /home/greet 0 sann\n").await?;
    let mut answer = vec![0; 100];
    let count = person.read(&mut answer).await?;
    print!("on the wire: {}", String::from_utf8_lossy(&answer[..count]));

    // By a peer that speaks it on this one connection.
    let (left, right) = tokio::io::duplex(1024);
    server.serve_conn(left).await?;
    let client = Peer::builder().build()?;
    let options = ConnOptions::new().protocol(Lines);
    let session = client.serve_conn_with(right, options).await?;
    let answer = HomeClient::new(&session).greet("bob".to_owned()).await?;
    println!("typed: {answer}");
    Ok(())
}
