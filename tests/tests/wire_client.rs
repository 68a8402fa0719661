//! The wire specification, sentence by sentence, where no recording has the case: `tests/wire/README.md`, sections 2 and 3.
//! Here our peer asks; `wire_server.rs` has the other side.

use serde_json::{Value, json};
use teleport::{
    CodecId, Error, Peer, PeerConfig, Raw, Router, Session,
    protocol::{Header, HeaderCodec, PacketKind},
};
use teleport_tests::{
    gate::Gate,
    pair::peer,
    standard,
    wire::{Wire, defaults, frame, zipped},
};

// Sections 3.1 and 3.3: the caller.

async fn calling(config: PeerConfig) -> (Wire, Session) {
    Wire::to(&peer(config, Router::new())).await
}

#[tokio::test(start_paused = true)]
async fn pulls_and_pushes_are_counted_apart_from_0_and_a_number_is_used_up_by_a_failure() {
    let (mut wire, session) = calling(defaults()).await;
    let unknown = CodecId::new(b'?').expect("not 0");
    for number in [0, 2] {
        let asking = session.clone();
        tokio::spawn(async move { asking.pull::<_, ()>("/a", 1).await });
        let (asked, _) = wire.packet().await.expect("a pull");
        assert_eq!(
            (asked.header.kind, asked.header.seq),
            (PacketKind::Pull, number)
        );
        session.push("/b", 1).await.expect("sent");
        let (told, _) = wire.packet().await.expect("a push");
        assert_eq!(
            (told.header.kind, told.header.seq),
            (PacketKind::Push, number)
        );
        // Each uses up a number, and nothing is sent.
        let failed = session.pull::<_, ()>("/a", 1).codec(unknown).await;
        assert_eq!(failed.expect_err("no such codec").code(), 100);
        let failed = session.push("/b", 1).codec(unknown).await;
        assert_eq!(failed.expect_err("no such codec").code(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_at_all_is_a_codec_id_in_a_pull_and_no_body_in_a_push() {
    for (config, codec) in [
        (defaults(), b"j"),
        (
            PeerConfig {
                body_codec: CodecId::PROTOBUF,
                gzip: 5,
                ..defaults()
            },
            b"p",
        ),
    ] {
        let (mut wire, session) = calling(config).await;
        let asking = session.clone();
        tokio::spawn(async move { asking.pull::<_, ()>("/a", ()).await });
        let (packet, _) = wire.packet().await.expect("a pull");
        assert_eq!(&packet.body[..], codec);
        session.push("/a", ()).await.expect("sent");
        let (packet, _) = wire.packet().await.expect("a push");
        assert_eq!(&packet.body[..], b"");
        session
            .push("/a", ())
            .codec(CodecId::STRING)
            .await
            .expect("sent");
        let (packet, _) = wire.packet().await.expect("a push");
        assert_eq!(&packet.body[..], b"s");
        session.push("/a", Raw::default()).await.expect("sent");
        let (packet, _) = wire.packet().await.expect("a push");
        assert_eq!(&packet.body[..], b"");
    }
}

/// Pulls a text, and answers with this header and body.
async fn answered(answer: &Header, codec: HeaderCodec, body: &[u8]) -> Result<String, Error> {
    let (mut wire, session) = calling(defaults()).await;
    let asking = session.clone();
    let call = tokio::spawn(async move { asking.pull::<_, String>("/a?b#c", "x").await });
    let (asked, _) = wire.packet().await.expect("a pull");
    let mut answer = answer.clone();
    answer.seq = asked.header.seq;
    wire.send(&frame(codec, &answer, body)).await;
    let result = call.await.expect("no panic");
    assert!(session.is_open(), "one bad reply spoils no others");
    result
}

fn reply(code: i32, text: &str, gzip: i32) -> Header {
    let mut header = Header::new(PacketKind::Reply, 0, "/something/else");
    header.status_code = code;
    header.status = text.into();
    header.gzip = gzip;
    header
}

#[tokio::test(start_paused = true)]
async fn a_reply_need_not_look_like_its_request_and_only_200_is_success() {
    for codec in [HeaderCodec::Json, HeaderCodec::Protobuf] {
        for (gzip, body, text) in [
            (0, b"shi".to_vec(), "hi"),
            (0, b"j\"hi\"".to_vec(), "hi"),
            (-7, zipped(&json!("hi"), 9), "hi"),
            (0, vec![], ""),
            (5, vec![b'?'], ""),
        ] {
            let said = answered(&reply(200, "anything", gzip), codec, &body).await;
            assert_eq!(said.expect("success"), text);
        }
        for (code, text, body) in [
            (0, "", &b""[..]),
            (201, "Created", b"j\"hi\""),
            (199, "", b"shi"),
            (-1, "自定义", b"?"),
            (i32::MAX, "x", b"p\x08\x01"),
        ] {
            let failed = answered(&reply(code, text, 0), codec, body).await;
            let error = failed.expect_err("not 200");
            assert!(error.is_remote() && error.code() == code, "{error}");
            assert_eq!(error.status().expect("a status").message(), text);
            if body == b"j\"hi\"" {
                let details = error.status().expect("a status").details::<String>();
                assert_eq!(details.expect("the body"), "hi");
            }
        }
    }
    // A body that is not what the header says costs the details, not the status.
    let error = answered(&reply(1001, "custom", 5), HeaderCodec::Json, b"jno gzip").await;
    let error = error.expect_err("not 200");
    assert_eq!((error.code(), error.is_remote()), (1001, true));
    assert!(
        error
            .status()
            .expect("a status")
            .details::<Value>()
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_comes_twice_counts_once() {
    let (mut wire, session) = calling(defaults()).await;
    for number in 0..3_u64 {
        let asking = session.clone();
        let call = tokio::spawn(async move { asking.pull::<_, u64>("/a", number).await });
        let (asked, _) = wire.packet().await.expect("a pull");
        let mut answer = reply(200, "OK", 0);
        answer.seq = asked.header.seq;
        let body = format!("j{number}");
        wire.send(&frame(HeaderCodec::Json, &answer, body.as_bytes()))
            .await;
        wire.send(&frame(HeaderCodec::Json, &answer, b"j99")).await;
        assert_eq!(call.await.expect("no panic").expect("a number"), number);
    }
}

// Section 3.8: the end of a session.

#[tokio::test(start_paused = true)]
async fn closing_an_idle_session_says_nothing() {
    let (mut wire, session) = calling(defaults()).await;
    session.start_closing();
    assert!(wire.is_closed().await, "and no packet came");
    let error = session.push("/a", 1).await.expect_err("closed");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert_eq!((error.code(), &*cause), (100, "connection is closed"));
    wire.finish().await;
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn when_the_other_side_ends_its_stream_pulls_fail_at_once_though_handlers_still_run() {
    let gate = Gate::default();
    let (mut wire, session) = Wire::to(&peer(defaults(), gate.routes())).await;
    wire.send(&frame(
        HeaderCodec::Json,
        &Header::new(PacketKind::Pull, 0, "/gate/pass"),
        b"j1",
    ))
    .await;
    gate.arrived(1).await;
    let asking = session.clone();
    let call = tokio::spawn(async move { asking.pull::<_, ()>("/a", ()).await });
    assert!(wire.packet().await.is_some());
    wire.finish().await;
    let error = call
        .await
        .expect("no panic")
        .expect_err("no reply will come");
    assert_eq!(error.code(), 101);
    gate.open(1);
    session.closed().await;
}

#[tokio::test]
async fn a_second_dial_to_the_same_address_closes_the_first_session() {
    let config = PeerConfig {
        listen: vec!["127.0.0.1:0".into()],
        ..defaults()
    };
    let server = peer(config, standard::server());
    let address = server.listen().await.expect("a free port").address();
    let client = Peer::builder().build().expect("a peer");
    let first = client.dial(&address).await.expect("dialled");
    assert_eq!(&*first.id(), &*address);
    let second = client.dial(&address).await.expect("dialled");
    first.closed().await;
    assert_eq!(
        second
            .pull::<_, i64>("/math/calc/add", [1, 2])
            .await
            .expect("3"),
        3
    );
    assert_eq!(client.session_count(), 1);
    server.close().await;
}
