//! Our peer as the client of a recorded conversation.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde_json::{Value, json};
use teleport::{
    CallOptions, CodecId, Error, Handshake, Peer, PeerConfig, Plugin, Protobuf, Raw, Session,
    Status,
    codec::{Body, CodecError, Codecs, Decode},
    protocol::{Header, HeaderCodec, Packet, PacketKind},
};
use teleport_tests::{
    recording::{Direction, Event, Transcript, packet, payload},
    standard::{self, PbTest},
    wire::Wire,
};
use tokio::task::JoinHandle;

use super::compare::same;

type Outcome = Result<Value, Error>;

/// A call in flight, with the uri that it went to.
struct Call {
    uri: String,
    nil_reply: bool,
    outcome: JoinHandle<Outcome>,
}

pub(crate) async fn play(transcript: &Transcript) {
    let name = &*transcript.name;
    if name == "plugin_accept_handshake" {
        return play_handshake(transcript).await;
    }
    let mut builder = Peer::builder()
        .config(PeerConfig::default())
        .routes(standard::client());
    if name == "plugin_client_rejects" {
        builder = builder.plugin(standard::Rejecting);
    }
    let peer = builder.build().expect("a peer");
    let (mut wire, stream) = Wire::new();
    let session = peer.serve_conn(stream).await.expect("a session");
    before(name, &session).await;

    let mut calls = Vec::new();
    let mut closing = None;
    for event in &transcript.events {
        if event.unframed.is_some() && event.dir == Direction::C2s {
            // The ruin that `request_not_encodable` leaves behind; ours leaves none.
            continue;
        }
        match (event.dir, &event.hex) {
            (Direction::C2s, Some(_)) => {
                wire.at(event.t_ms).await;
                let theirs = packet(&event.bytes()).expect("a packet");
                start(&session, &theirs, &mut calls, name);
                let ours = wire
                    .packet()
                    .await
                    .unwrap_or_else(|| panic!("{name}: nothing was sent"));
                if name == "request_not_encodable" {
                    assert_eq!(
                        &ours.0.body[..],
                        b"j[3,4]",
                        "{name}: a whole packet, nothing stale in front of it"
                    );
                    break;
                }
                if name == "gzip_codec_switch_defect" && theirs.header.seq == 2 {
                    assert_eq!(payload(&ours.0), b"[3,4]", "{name}: ours keeps its body");
                    break;
                }
                same(name, &ours, &theirs, &event.bytes());
                if name == "client_close_with_pull_outstanding" {
                    let session = session.clone();
                    closing = Some(tokio::spawn(async move { session.close().await }));
                }
            }
            (Direction::C2s, None) if name == "client_close_idle" => {
                let closing = session.close();
                let closed = async {
                    assert!(wire.is_closed().await, "{name}");
                    wire.finish().await;
                };
                tokio::join!(closing, closed);
                let error = session
                    .pull::<_, i64>("/math/calc/add", [3, 4])
                    .await
                    .expect_err("closed");
                assert_eq!(error.code(), 100, "{name}");
            }
            (Direction::C2s, None) if name == "client_gets_type_9" => {
                assert!(wire.is_closed().await, "{name}")
            }
            (Direction::C2s, None) => {}
            (Direction::S2c, Some(_)) if name == "reply_not_encodable" => break,
            (Direction::S2c, Some(_)) => {
                wire.at(event.t_ms).await;
                wire.send(&event.bytes()).await;
                note_nil_reply(event, &mut calls);
            }
            (Direction::S2c, None) => wire.finish().await,
            (Direction::Net, _) => break,
        }
    }
    if let Some(closing) = closing {
        closing.await.expect("close returns");
    }
    // One conversation ends here on our side, and one ends with a pull that nobody answers.
    let cut = matches!(name, "client_close_with_pull_outstanding" | "handler_panic");
    let stays_open = transcript.connection.starts_with("stays open") && !cut;
    let given_up_by_go = matches!(name, "reply_decode_failure_on_client");
    if stays_open || given_up_by_go {
        check(transcript, calls).await;
        assert!(session.is_open(), "{name}");
    } else {
        drop(wire);
        check(transcript, calls).await;
        session.closed().await;
        let push = session.push("/log/msg/write", 1).await.expect_err("closed");
        assert_eq!(push.code(), 100, "{name}");
        assert!(push.is_closed(), "{name}");
    }
}

/// Calls that the recording has no packets of: they fail before anything is sent.
async fn before(name: &str, session: &Session) {
    match name {
        "plugin_client_rejects" => {
            let pull = session
                .pull::<_, i64>("/math/calc/add?reject=pre_write_pull", [3, 4])
                .await;
            let error = pull.expect_err("refused");
            assert_eq!(error.code(), 100);
            let source = std::error::Error::source(&error).expect("a source");
            assert_eq!(
                source.to_string(),
                r#"{"code":1405,"text":"rejected at pre_write_pull"}"#
            );
            let push = session
                .push("/log/msg/write?reject=pre_write_push", 1)
                .await;
            assert_eq!(push.expect_err("refused").code(), 1406);
        }
        "unsupported_codec_names_on_send" => {
            // Header codecs are an enum here, so what cannot be sent is a body in an unknown codec.
            let unknown = CodecId::new(b'?').expect("not 0");
            let pull = session
                .pull::<_, i64>("/math/calc/add", [3, 4])
                .codec(unknown)
                .await;
            let error = pull.expect_err("unknown codec");
            assert_eq!((error.code(), error.is_encode()), (100, true));
        }
        "request_not_encodable" => {
            let map = json!({"a": 1});
            let pull = session
                .pull::<_, i64>("/math/calc/add", map)
                .codec(CodecId::PROTOBUF)
                .await;
            assert_eq!(pull.expect_err("no message").code(), 100);
        }
        _ => {}
    }
}

/// What the Go client sent, to be sent again.
struct Sent {
    uri: String,
    body: Bytes,
    gzip: i32,
    options: CallOptions,
}

impl Sent {
    fn new(packet: &Packet) -> Self {
        let options = CallOptions::new()
            .gzip(packet.header.gzip)
            .header_codec(packet.header_codec);
        Self {
            uri: packet.header.uri.to_string(),
            body: packet.body.clone(),
            gzip: packet.header.gzip,
            options: match packet.body_codec() {
                Some(codec) => options.codec(codec),
                None => options,
            },
        }
    }

    /// The body as the value that it was made from; `None` if it was raw bytes.
    fn args(&self) -> Option<Args> {
        let body = Body::new(&self.body, self.gzip);
        let codecs = Codecs::new();
        match body.codec()? {
            CodecId::JSON if body.is_nil() => Some(Args::Nil),
            CodecId::JSON => Value::decode(&body, &codecs, usize::MAX)
                .ok()
                .map(Args::Json),
            CodecId::STRING => String::decode(&body, &codecs, usize::MAX)
                .ok()
                .map(Args::Text),
            CodecId::PROTOBUF => Protobuf::decode(&body, &codecs, usize::MAX)
                .ok()
                .map(Args::Message),
            _ => None,
        }
    }

    async fn pull<R: Decode + Send + 'static>(self, session: &Session) -> Result<R, Error> {
        let (uri, options) = (&*self.uri, self.options);
        match self.args() {
            Some(Args::Nil) => session.pull(uri, ()).options(options).await,
            Some(Args::Json(value)) => session.pull(uri, value).options(options).await,
            Some(Args::Text(text)) => session.pull(uri, text).options(options).await,
            Some(Args::Message(message)) => session.pull(uri, message).options(options).await,
            None => session.pull(uri, Raw(self.body)).options(options).await,
        }
    }

    async fn push(self, session: &Session) -> Result<(), Error> {
        let (uri, options) = (&*self.uri, self.options);
        match self.args() {
            Some(Args::Json(value)) => session.push(uri, value).options(options).await,
            Some(Args::Text(text)) => session.push(uri, text).options(options).await,
            Some(Args::Message(message)) => session.push(uri, message).options(options).await,
            Some(Args::Nil) | None => session.push(uri, Raw(self.body)).options(options).await,
        }
    }

    /// Reads the reply into what the Go client's variable was.
    async fn pull_as_recorded(self, session: Session) -> Outcome {
        let uri = self.uri.clone();
        let path = uri.split('?').next().unwrap_or_default();
        match path {
            "/str/echo/bytes" => {
                let raw = session
                    .pull::<_, Raw>(&uri, Raw(self.body))
                    .options(self.options)
                    .await?;
                Ok(json!({"base64": BASE64.encode(raw.0)}))
            }
            "/str/echo/any" if self.body.starts_with(b"j\"text, not") => {
                self.pull::<i64>(&session).await.map(Value::from)
            }
            "/str/echo/upper" | "/x/ret/as_string" => {
                self.pull::<String>(&session).await.map(Value::from)
            }
            _ if path.starts_with("/math/") => self.pull::<i64>(&session).await.map(Value::from),
            _ if path.starts_with("/pb/") => self.pull::<Pb>(&session).await.map(|Pb(value)| value),
            _ => self.pull::<Value>(&session).await,
        }
    }
}

enum Args {
    Nil,
    Json(Value),
    Text(String),
    Message(Protobuf<PbTest>),
}

/// Makes the call that the Go client made.
fn start(session: &Session, theirs: &Packet, calls: &mut Vec<Call>, name: &str) {
    let session = session.clone();
    let mut sent = Sent::new(theirs);
    if name == "request_not_encodable" {
        // Recorded is the header that the call before had left in the buffer; this is what was meant.
        sent.body = Bytes::from_static(b"j[3,4]");
        sent.options = sent.options.codec(CodecId::JSON);
    }
    if name == "gzip_codec_switch_defect" && theirs.header.seq == 2 {
        // Recorded is an empty body, lost in the Go client.
        sent.body = Bytes::from_static(b"j[3,4]");
        sent.gzip = 0;
    }
    match theirs.header.kind {
        PacketKind::Pull => calls.push(Call {
            uri: sent.uri.clone(),
            nil_reply: false,
            outcome: tokio::spawn(sent.pull_as_recorded(session)),
        }),
        PacketKind::Push => {
            tokio::spawn(async move { sent.push(&session).await.expect("pushed") });
        }
        // The reply of our own handler comes by itself.
        _ => {}
    }
}

/// A message that may come in either codec, as the recorded client printed it.
struct Pb(Value);

impl Decode for Pb {
    fn decode(body: &Body<'_>, codecs: &Codecs, limit: usize) -> Result<Self, CodecError> {
        let message = if body.codec() == Some(CodecId::JSON) {
            <PbTest as Decode>::decode(body, codecs, limit)?
        } else {
            Protobuf::<PbTest>::decode(body, codecs, limit)?.0
        };
        Ok(Self(json!(message)))
    }

    fn zero() -> Result<Self, CodecError> {
        Ok(Self(json!({})))
    }
}

/// A reply without a value leaves a Go variable as it was; here there is no variable, and the result is zero.
fn note_nil_reply(event: &Event, calls: &mut [Call]) {
    let Some(reply) = packet(&event.bytes()) else {
        return;
    };
    let call = usize::try_from(reply.header.seq)
        .ok()
        .and_then(|seq| calls.get_mut(seq));
    if let Some(call) = call.filter(|_| reply.header.kind == PacketKind::Reply) {
        call.nil_reply = reply.body.len() <= 1;
    }
}

/// Compares what the calls gave with what the Go client's application saw.
async fn check(transcript: &Transcript, calls: Vec<Call>) {
    let name = &*transcript.name;
    let mut recorded: Vec<&Value> = transcript
        .client_results
        .iter()
        .filter(|result| !result["call"].is_null())
        .collect();
    for call in calls {
        let outcome = call.outcome.await.expect("no panic");
        let label = format!("pull {}", call.uri);
        let by_label = |result: &&Value| {
            let text = result["call"].as_str().unwrap_or_default();
            match name {
                "concurrent_pulls_out_of_order" => outcome
                    .as_ref()
                    .is_ok_and(|value| *value == result["reply"]),
                "request_not_encodable" => result["error"]["code"] == 101,
                "unsupported_codec_names_on_send" => result["error"].is_null(),
                _ => text.strip_suffix(" (raw)").unwrap_or(text) == label,
            }
        };
        let result = recorded
            .iter()
            .position(by_label)
            .map(|at| recorded.remove(at));
        match (name, &outcome, result) {
            // Better: every pull is told, not one of three.
            ("connection_cut_with_three_pulls_outstanding", Err(error), _) => {
                assert_eq!(error.code(), 101, "{name}")
            }
            // Better: this pull fails and says why; the session goes on.
            ("reply_decode_failure_on_client", Err(error), _) => {
                assert!(error.is_decode(), "{name}: {error}")
            }
            // Better: the reply is delivered, then the session closes.
            ("client_close_with_pull_outstanding", Ok(value), _) => {
                assert_eq!(*value, 200, "{name}")
            }
            // Never answered in the recording either; the wire is cut at its end.
            ("handler_panic" | "reply_not_encodable", Err(error), None) => {
                assert_eq!(error.code(), 101, "{name}")
            }
            (_, Ok(_), Some(result)) if call.nil_reply && result["error"].is_null() => {}
            (_, Ok(value), Some(result)) => assert_eq!(*value, result["reply"], "{name}: {label}"),
            (_, Err(error), Some(result)) => {
                assert_eq!(
                    error.code(),
                    result["error"]["code"],
                    "{name}: {label}: {error:?}"
                );
                if let Some(status) = error.status() {
                    assert_eq!(status.message(), result["error"]["text"], "{name}: {label}");
                }
            }
            (_, outcome, None) => panic!("{name}: {label} is not in the recording: {outcome:?}"),
        }
    }
}

/// The dial hook of the recording.
struct Visitor(&'static str);

impl Plugin for Visitor {
    fn name(&self) -> &str {
        "visitor"
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let header = Header::new(PacketKind::Pull, 0, "/auth");
        handshake
            .send(
                &header,
                HeaderCodec::Protobuf,
                Some(CodecId::STRING),
                self.0,
            )
            .await?;
        let answer = handshake.recv().await?;
        match answer.header.status_code {
            200 => Ok(()),
            code => Err(Status::new(code, answer.header.status)),
        }
    }
}

async fn play_handshake(transcript: &Transcript) {
    let name = &transcript.name;
    let packets: Vec<_> = transcript
        .events
        .iter()
        .filter(|event| event.hex.is_some())
        .collect();
    // Over an in-memory pipe both sides accept, so the dial hook's work is done in the accept hook.
    let visit = |token| {
        Peer::builder()
            .plugin(Visitor(token))
            .build()
            .expect("a peer")
    };
    let (mut good, stream) = Wire::new();
    let first = tokio::spawn(async move { visit("secret").serve_conn(stream).await });
    for event in &packets[..2] {
        exchange(&mut good, event, name).await;
    }
    let session = first.await.expect("no panic").expect("welcome");
    for pair in [&packets[2..4], &packets[6..8]] {
        let session = session.clone();
        let pull =
            tokio::spawn(async move { session.pull::<_, i64>("/math/calc/add", [3, 4]).await });
        for event in pair {
            exchange(&mut good, event, name).await;
        }
        assert_eq!(pull.await.expect("no panic").expect("a sum"), 7);
    }
    let (mut bad, stream) = Wire::new();
    let second = tokio::spawn(async move { visit("wrong").serve_conn(stream).await });
    for event in &packets[4..6] {
        exchange(&mut bad, event, name).await;
    }
    let error = second.await.expect("no panic").expect_err("turned away");
    assert_eq!(error.code(), 401);
    assert_eq!(error.status().map(Status::message), Some("Unauthorized"));
}

async fn exchange(wire: &mut Wire, event: &Event, name: &str) {
    let bytes = event.bytes();
    if event.dir == Direction::S2c {
        return wire.send(&bytes).await;
    }
    let ours = wire
        .packet()
        .await
        .unwrap_or_else(|| panic!("{name}: nothing was sent"));
    same(name, &ours, &packet(&bytes).expect("a packet"), &bytes);
}
