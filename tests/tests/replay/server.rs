//! Our peer as the server of a recorded conversation.

use std::time::Duration;

use serde_json::Value;
use teleport::{
    CodecId, Handshake, Peer, PeerConfig, Plugin, PullCtx, Router, Session, Status,
    protocol::{Header, HeaderCodec, PacketKind},
};
use teleport_tests::{
    recording::{Direction, Event, Transcript, packet},
    standard,
    wire::Wire,
};

use super::compare::same;

/// How the client's bytes arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pieces {
    Whole,
    Bytes,
}

/// What ours does instead of what was recorded.
struct Better {
    name: &'static str,
    /// Sequence number and status of the replies, in order.
    replies: &'static [(u64, i32)],
    stays_open: bool,
    /// For the reader, and for the message when it fails.
    why: &'static str,
}

const BETTER: &[Better] = &[
    Better {
        name: "unknown_pull_bind_error",
        replies: &[(0, 1), (1, 200), (2, 1), (3, 200)],
        stays_open: true,
        why: "the text of the error is that of another JSON parser",
    },
    Better {
        name: "push_string_to_any_handler",
        replies: &[],
        stays_open: true,
        why: "a push that its handler cannot read is dropped; the framing is whole",
    },
    Better {
        name: "raw_bytes_with_gzip_to_typed_handler",
        replies: &[(0, 400)],
        stays_open: true,
        why: "a body that cannot be inflated fails its own pull alone",
    },
    Better {
        name: "handler_panic",
        replies: &[(0, 500), (1, 200)],
        stays_open: true,
        why: "a panic is an answer, not a silence",
    },
    Better {
        name: "reply_not_encodable",
        replies: &[(0, 415), (1, 200)],
        stays_open: true,
        why: "the caller hears why, and nothing stale is left in the write buffer",
    },
    Better {
        name: "request_not_encodable",
        replies: &[(0, 415)],
        stays_open: false,
        why: "the client has ruined the framing; what looks like a pull is answered, the rest is no packet",
    },
    Better {
        name: "gzip_codec_switch_defect",
        replies: &[(0, 200), (1, 200), (2, 400)],
        stays_open: true,
        why: "the body that a Go client has lost fails its own pull alone",
    },
    Better {
        name: "body_invalid_json",
        replies: &[(0, 200), (1, 400)],
        stays_open: true,
        why: "a body that cannot be read fails its own pull alone",
    },
    Better {
        name: "body_wrong_json_type",
        replies: &[(0, 400)],
        stays_open: true,
        why: "a body that cannot be read fails its own pull alone",
    },
    Better {
        name: "body_unknown_codec_typed_route",
        replies: &[(1, 415)],
        stays_open: true,
        why: "the status for it exists: it is sent",
    },
    Better {
        name: "body_gzip_flag_but_plain",
        replies: &[(1, 400)],
        stays_open: true,
        why: "a body that cannot be read fails its own pull alone",
    },
    Better {
        name: "half_close_with_handler_running",
        replies: &[(1, 200)],
        stays_open: false,
        why: "who ends its stream may still read",
    },
    Better {
        name: "gzip_level_99",
        replies: &[(1, 500), (2, 200)],
        stays_open: true,
        why: "no level 99 to reply in: the caller hears so, and the framing stays whole",
    },
    Better {
        name: "unknown_handler_on_group",
        replies: &[(0, 200), (1, 404)],
        stays_open: true,
        why: "an unknown handler on a group answers below its prefix",
    },
    Better {
        name: "plugin_server_rejects_push",
        replies: &[(0, 200)],
        stays_open: true,
        why: "a push refused before its body does not reach its handler",
    },
    Better {
        name: "unsupported_type_0_then_pull",
        replies: &[],
        stays_open: false,
        why: "nothing behind a broken packet is served; in the recording it was a race",
    },
];

pub(crate) async fn play(transcript: &Transcript, pieces: Pieces) {
    if transcript.name == "plugin_accept_handshake" {
        return play_handshake(transcript).await;
    }
    let peer = peer(&transcript.server);
    let (mut wire, stream) = Wire::new();
    let session = peer.serve_conn(stream).await.expect("a session");
    match BETTER.iter().find(|better| better.name == transcript.name) {
        Some(better) => play_better(transcript, better, pieces, &mut wire, &session).await,
        None => play_as_recorded(transcript, pieces, &mut wire, &session).await,
    }
    session.abort();
}

async fn play_as_recorded(
    transcript: &Transcript,
    pieces: Pieces,
    wire: &mut Wire,
    session: &Session,
) {
    let name = &transcript.name;
    let mut events: Vec<&Event> = transcript.events.iter().collect();
    if name == "tls_like_or_http_garbage" {
        // Recorded in the order of arrival: the server's end before the bytes that caused it.
        events.rotate_left(1);
    }
    for event in events {
        match (event.dir, &event.hex) {
            (Direction::C2s, Some(_)) => {
                wire.at(event.t_ms).await;
                send(wire, &event.bytes(), pieces).await;
            }
            (Direction::C2s, None) => {
                wire.at(event.t_ms).await;
                wire.finish().await;
            }
            (Direction::S2c, Some(_)) => {
                let ours = wire
                    .packet()
                    .await
                    .unwrap_or_else(|| panic!("{name}: no packet came"));
                let bytes = event.bytes();
                same(name, &ours, &packet(&bytes).expect("a packet"), &bytes);
            }
            (Direction::S2c, None) => assert!(wire.is_closed().await, "{name}: is still open"),
            (Direction::Net, _) => return,
        }
    }
    if transcript.connection.starts_with("stays open") {
        assert!(session.is_open(), "{name}: is closed");
    } else {
        session.closed().await;
    }
}

async fn play_better(
    transcript: &Transcript,
    better: &Better,
    pieces: Pieces,
    wire: &mut Wire,
    session: &Session,
) {
    let name = &transcript.name;
    for event in transcript
        .events
        .iter()
        .filter(|event| event.dir == Direction::C2s)
    {
        let ends_because_the_server_did = event.hex.is_none() && better.stays_open;
        if ends_because_the_server_did {
            continue;
        }
        wire.at(event.t_ms).await;
        match &event.hex {
            Some(_) => send(wire, &event.bytes(), pieces).await,
            None => wire.finish().await,
        }
    }
    let mut replies = Vec::new();
    let mut pushes = Vec::new();
    while let Some((packet, _)) = wire.packet().await {
        match packet.header.kind {
            PacketKind::Reply => replies.push((packet.header.seq, packet.header.status_code)),
            _ => pushes.push(packet),
        }
    }
    assert_eq!(replies, better.replies, "{name}: {}", better.why);
    if name == "plugin_server_rejects_push" {
        let bodies: Vec<_> = pushes.iter().map(|push| &push.body[..]).collect();
        assert_eq!(bodies, [b"j{\"got\":2}"], "{name}: {}", better.why);
    }
    if better.stays_open {
        assert!(session.is_open(), "{name}: {}", better.why);
    } else {
        session.closed().await;
    }
}

async fn send(wire: &mut Wire, bytes: &[u8], pieces: Pieces) {
    match pieces {
        Pieces::Whole => wire.send(bytes).await,
        Pieces::Bytes => {
            for byte in bytes {
                wire.send(&[*byte]).await;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// A peer as the recording describes it.
fn peer(described: &Value) -> Peer {
    let millis = |name: &str| described[name].as_u64().map(Duration::from_millis);
    let codec = |name: &str| match name {
        "string" => CodecId::STRING,
        "protobuf" => CodecId::PROTOBUF,
        _ => CodecId::JSON,
    };
    let mut config = PeerConfig {
        header_codec: HeaderCodec::from_name(
            described["default_header_codec"]
                .as_str()
                .unwrap_or_default(),
        )
        .unwrap_or_default(),
        body_codec: codec(described["default_body_codec"].as_str().unwrap_or_default()),
        gzip: i32::try_from(described["default_body_gzip_level"].as_i64().unwrap_or(0))
            .expect("a level"),
        read_timeout: millis("read_timeout_ms"),
        ..PeerConfig::default()
    };
    if let Some(limit) = described["read_limit"].as_u64() {
        config.limits.packet = usize::try_from(limit).expect("a size");
    }
    let mut router = standard::server();
    router = match &described["unknown_pull_handler"] {
        Value::Bool(true) => router.unknown_pull(standard::unknown_pull),
        Value::String(text) if text.contains("group") => {
            router.nest("/group", Router::new().unknown_pull(standard::unknown_pull))
        }
        Value::String(_) => router.unknown_pull(standard::unknown_pull_of_sample),
        _ => router,
    };
    if described["unknown_push_handler"] == Value::Bool(true) {
        router = router.unknown_push(standard::unknown_push);
    }
    let mut builder = Peer::builder().config(config).routes(router);
    if described["plugin"]
        .as_str()
        .is_some_and(|text| text.starts_with("rejects"))
    {
        builder = builder.plugin(standard::Rejecting);
    }
    builder.build().expect("a peer")
}

/// The accept hook of the recording: a token in a text body.
struct Doorkeeper;

impl Plugin for Doorkeeper {
    fn name(&self) -> &str {
        "doorkeeper"
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let request = handshake.recv().await?;
        let token: String = handshake.decode(&request)?;
        let mut header = Header::new(PacketKind::Reply, request.header.seq, request.header.uri);
        if token == "secret" {
            header.status_code = 200;
            header.status = "OK".into();
            handshake
                .send(
                    &header,
                    HeaderCodec::Protobuf,
                    Some(CodecId::STRING),
                    "welcome",
                )
                .await?;
            return Ok(());
        }
        header.status_code = 401;
        header.status = "Unauthorized".into();
        handshake
            .send(&header, HeaderCodec::Protobuf, None, ())
            .await?;
        Err(Status::unauthorized())
    }

    async fn post_read_pull_header(&self, _: &mut PullCtx) -> Result<(), Status> {
        Ok(())
    }
}

/// Two connections in one recording: the second one, with the wrong token, is turned away.
async fn play_handshake(transcript: &Transcript) {
    let name = &transcript.name;
    let peer = Peer::builder()
        .routes(standard::server())
        .plugin(Doorkeeper)
        .build()
        .expect("a peer");
    let (mut good, stream) = Wire::new();
    let accept = tokio::spawn({
        let peer = peer.clone();
        async move { peer.serve_conn(stream).await }
    });
    let (mut bad, stream) = Wire::new();
    let refuse = tokio::spawn(async move { peer.serve_conn(stream).await });

    let packets: Vec<_> = transcript
        .events
        .iter()
        .filter(|event| event.hex.is_some())
        .collect();
    for (index, event) in packets.iter().enumerate() {
        // The fifth and sixth are those of the second connection.
        let wire = if matches!(index, 4 | 5) {
            &mut bad
        } else {
            &mut good
        };
        let bytes = event.bytes();
        match event.dir {
            Direction::C2s => wire.send(&bytes).await,
            _ => {
                let ours = wire
                    .packet()
                    .await
                    .unwrap_or_else(|| panic!("{name}: no packet came"));
                same(name, &ours, &packet(&bytes).expect("a packet"), &bytes);
            }
        }
    }
    let error = refuse
        .await
        .expect("no panic")
        .expect_err("the wrong token");
    assert_eq!(error.code(), 401);
    assert!(bad.is_closed().await);
    let session = accept.await.expect("no panic").expect("the right token");
    assert!(session.is_open());
}
