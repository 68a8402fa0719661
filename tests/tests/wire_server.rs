//! The wire specification, sentence by sentence, where no recording has the case: `tests/wire/README.md`, sections 2 and 3.
//! Here our peer answers, with the routes of the recordings; `wire_client.rs` has the other side.

use std::time::Duration;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use serde_json::{Value, json};
use teleport::{
    CodecId, PeerConfig, Session,
    codec::{Codecs, append_body},
    protocol::{Header, HeaderCodec, Packet, PacketKind},
};
use teleport_tests::{
    gate::Gate,
    pair::peer,
    recording::payload,
    standard,
    wire::{Wire, defaults, frame, zipped},
};
use tokio::time::Instant;

async fn served(config: PeerConfig) -> (Wire, Session) {
    Wire::to(&peer(config, standard::server())).await
}

fn pull(seq: u64, uri: &str, gzip: i32) -> Header {
    let mut header = Header::new(PacketKind::Pull, seq, uri);
    header.gzip = gzip;
    header
}

fn push(uri: &str) -> Header {
    Header::new(PacketKind::Push, 0, uri)
}

/// Sends a pull and gives what comes next.
async fn ask(wire: &mut Wire, codec: HeaderCodec, header: &Header, body: &[u8]) -> Packet {
    wire.send(&frame(codec, header, body)).await;
    let next = wire.packet().await;
    next.unwrap_or_else(|| panic!("{}: nothing came", header.uri))
        .0
}

/// The session serves what comes next.
async fn goes_on(wire: &mut Wire) {
    let reply = ask(
        wire,
        HeaderCodec::Json,
        &pull(77, "/math/calc/add", 0),
        b"j[1,1]",
    )
    .await;
    assert_eq!((reply.header.seq, &reply.body[..]), (77, &b"j2"[..]));
}

// Section 2.3: readers take fields in any order, unknown ones, repeated ones, any case, `null`.

#[tokio::test(start_paused = true)]
async fn headers_that_a_go_peer_would_not_write_are_understood() {
    let (mut wire, _session) = served(defaults()).await;
    for (codec, header) in [
        (b'j', &br#"{"uri":"/math/calc/add","type":1,"seq":5}"#[..]),
        (b'j', b" {\"SEQ\" : 5 , \"Type\":1,\n\"uRi\":\"\\u002fmath/calc/add\"}\t"),
        (b'j', br#"{"seq":4,"seq":5,"type":1,"uri":"/math/calc/add","gzip":null,"status":null,"more":{"seq":6}}"#),
        // What a reply says of itself means nothing in a pull.
        (b'j', br#"{"seq":5,"type":1,"uri":"/math/calc/add","status_code":404,"status":"x"}"#),
        (b'p', b"\x1a\x0e/math/calc/add\x10\x01\x08\x05"),
        (b'p', b"\x08\x05\x10\x01\x1a\x0e/math/calc/add\x20\x00\x28\x00\x32\x00"),
        // Unknown fields: a varint, a text, a group.
        (b'p', b"\x08\x05\x38\x01\x3a\x01x\x3b\x38\x01\x3c\x10\x01\x1a\x0e/math/calc/add"),
        // Numbers written at length, and a type of which only the low 32 bits count.
        (b'p', b"\x08\x85\x80\x00\x10\x81\x80\x80\x80\x10\x1a\x0e/math/calc/add"),
    ] {
        let mut bytes = (header.len() as u32 + 1).to_be_bytes().to_vec();
        bytes.push(codec);
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(b"\0\0\0\x06j[3,4]");
        wire.send(&bytes).await;
        let what = String::from_utf8_lossy(header);
        let (reply, _) = wire.packet().await.unwrap_or_else(|| panic!("{what}"));
        assert_eq!((reply.header.seq, reply.header.status_code), (5, 200), "{what}");
        assert_eq!((&reply.body[..], reply.header_codec.as_byte()), (&b"j7"[..], codec), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn sequence_numbers_use_all_64_bits_and_are_repeated_as_they_are() {
    let (mut wire, _session) = served(defaults()).await;
    for seq in [0, 1, 1 << 53, (1 << 53) + 1, u64::MAX] {
        for codec in [HeaderCodec::Json, HeaderCodec::Protobuf] {
            let reply = ask(&mut wire, codec, &pull(seq, "/math/calc/add", 0), b"j[1,2]").await;
            assert_eq!((reply.header.seq, &reply.body[..]), (seq, &b"j3"[..]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_number_twice_is_answered_twice() {
    let (mut wire, _session) = served(defaults()).await;
    for _ in 0..2 {
        let header = pull(3, "/math/calc/add", 0);
        let reply = ask(&mut wire, HeaderCodec::Json, &header, b"j[1,2]").await;
        assert_eq!((reply.header.seq, &reply.body[..]), (3, &b"j3"[..]));
    }
}

// Sections 2.4 and 2.5: bodies, nothing at all, and compression.

#[tokio::test(start_paused = true)]
async fn replies_take_over_seq_uri_gzip_and_codecs_of_the_request() {
    // What a server would rather have does not matter.
    let config = PeerConfig {
        header_codec: HeaderCodec::Protobuf,
        body_codec: CodecId::STRING,
        gzip: 9,
        ..PeerConfig::default()
    };
    let (mut wire, _session) = served(config).await;
    let upper = json!("upper");
    for (uri, gzip, body, expected) in [
        ("/str/echo/upper?q=%zz#f", 0, b"sab".to_vec(), &b"sAB"[..]),
        ("/str/echo/upper", 0, b"j\"ab\"".to_vec(), b"j\"AB\""),
        ("/str/echo/upper", 5, zipped(&upper, 1), b"j\"UPPER\""),
        ("/str/echo/upper", -1, zipped(&upper, 9), b"j\"UPPER\""),
        ("/str/echo/upper", -2, zipped(&upper, 9), b"j\"UPPER\""),
        // Without a body, or with a codec id that nobody knows, the answer is JSON.
        ("/str/echo/upper", 0, vec![], b"j\"\""),
        ("/str/echo/upper", 0, vec![b'?'], b"j\"\""),
        ("/str/echo/upper", 0, vec![b's'], b"s"),
        ("/math/calc/add", 0, vec![0], b"j0"),
        ("/pb/home/test", 0, vec![b'p'], b"p"),
        (
            "/pb/home/test",
            0,
            b"j{\"a\":2,\"b\":1}".to_vec(),
            b"j{\"a\":3,\"b\":1}",
        ),
        // Raw bytes are neither compressed nor inflated, whatever the header says.
        ("/str/echo/bytes", 0, vec![], b""),
        ("/str/echo/bytes", 0, vec![b'?'], b"?"),
        ("/str/echo/bytes", 5, b"?not gzip".to_vec(), b"?not gzip"),
        ("/str/echo/bytes", 99, b"\0any\xff".to_vec(), b"\0any\xff"),
        // Nil: nothing, or a lone codec id that the handler has set. A nil map is a value.
        ("/x/ret/nil", 0, b"j1".to_vec(), b""),
        ("/x/ret/nil", 5, zipped(&json!(1), 5), b""),
        ("/x/ret/nil_with_codec", 5, zipped(&json!(1), 5), b"j"),
        ("/x/ret/nil_map", 0, b"j1".to_vec(), b"jnull"),
        ("/x/ret/nil_map", 1, zipped(&json!(1), 5), b"jnull"),
        // What a handler sets wins over the request.
        (
            "/x/ret/as_string",
            3,
            zipped(&json!(1), 5),
            b"sswitched to the string codec",
        ),
    ] {
        for codec in [HeaderCodec::Json, HeaderCodec::Protobuf] {
            let header = pull(9, uri, gzip);
            let reply = ask(&mut wire, codec, &header, &body).await;
            let mut wanted = header.clone();
            wanted.kind = PacketKind::Reply;
            wanted.status_code = 200;
            wanted.status = "OK".into();
            assert_eq!(reply.header, wanted, "{uri}");
            assert_eq!(reply.header_codec, codec, "{uri}");
            let is_raw = uri.ends_with("bytes");
            let got = match (is_raw, &reply.body[..]) {
                (false, [codec, _, ..]) => [&[*codec], &payload(&reply)[..]].concat(),
                (_, whole) => whole.to_vec(),
            };
            assert_eq!(got, expected, "{uri}: {body:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_text_that_is_compressed_still_has_a_gzip_header() {
    let (mut wire, _session) = served(defaults()).await;
    let mut body = Vec::new();
    append_body(&"", Some(CodecId::STRING), 5, &Codecs::new(), &mut body).expect("a body");
    assert!(body.starts_with(b"s\x1f\x8b"));
    let header = pull(0, "/str/echo/upper", 5);
    let reply = ask(&mut wire, HeaderCodec::Json, &header, &body).await;
    assert!(reply.body.starts_with(b"s\x1f\x8b"), "{:?}", reply.body);
    assert_eq!(payload(&reply), b"");
}

#[tokio::test(start_paused = true)]
async fn a_value_beside_an_error_is_json_whatever_the_request_was_in() {
    let (mut wire, _session) = served(defaults()).await;
    for (uri, gzip, body, expected) in [
        ("/str/echo/fail", 0, b"sx".to_vec(), &b"j\"text of x\""[..]),
        ("/pb/home/fail", 0, b"p\x08\x01".to_vec(), b"jnull"),
        ("/math/calc/fail_int", 0, b"j1".to_vec(), b"j0"),
        ("/math/calc/fail_int", 7, zipped(&json!(1), 7), b"j0"),
        ("/math/calc/fail", 7, zipped(&json!(1), 7), b""),
    ] {
        let header = pull(0, uri, gzip);
        let reply = ask(&mut wire, HeaderCodec::Protobuf, &header, &body).await;
        let told = (
            reply.header.status_code,
            &*reply.header.status,
            reply.header.gzip,
        );
        assert_eq!(told, (1001, "custom", gzip), "{uri}");
        let got = match &reply.body[..] {
            [codec, _, ..] => [&[*codec], &payload(&reply)[..]].concat(),
            none => none.to_vec(),
        };
        assert_eq!(got, expected, "{uri}");
    }
}

// Section 2.6: the limit applies to whatever comes, wanted or not.

#[tokio::test(start_paused = true)]
async fn the_limit_holds_for_bodies_that_nobody_wants() {
    for (uri, kind) in [
        ("/no/such", PacketKind::Pull),
        ("/no/such", PacketKind::Push),
        ("/a/%zz", PacketKind::Pull),
        ("/no/such", PacketKind::Reply),
    ] {
        let mut config = defaults();
        config.limits.packet = 100;
        let (mut wire, session) = served(config).await;
        let header = Header::new(kind, 0, uri);
        let head = frame(HeaderCodec::Protobuf, &header, b"").len();
        let exact = vec![b'?'; 100 - head];
        wire.send(&frame(HeaderCodec::Protobuf, &header, &exact))
            .await;
        if kind == PacketKind::Pull {
            assert!(wire.packet().await.is_some(), "{uri}: as large as allowed");
        }
        let larger = vec![b'?'; 101 - head];
        wire.send(&frame(HeaderCodec::Protobuf, &header, &larger))
            .await;
        assert!(wire.is_closed().await, "{uri}");
        wire.finish().await;
        session.closed().await;
    }
}

// Section 2.7: the end of the stream inside a packet ends the session without an answer.

#[tokio::test(start_paused = true)]
async fn a_packet_that_breaks_off_anywhere_is_not_answered() {
    let whole = frame(HeaderCodec::Json, &pull(0, "/math/calc/add", 0), b"j[1,2]");
    for cut in 0..whole.len() {
        let (mut wire, session) = served(defaults()).await;
        wire.send(&whole[..cut]).await;
        wire.finish().await;
        assert!(wire.packet().await.is_none(), "cut at {cut}");
        session.closed().await;
    }
}

// Section 3.2: who answers what.

#[tokio::test(start_paused = true)]
async fn what_has_no_route_is_skipped_unread_and_answered_if_it_is_a_pull() {
    let (mut wire, _session) = served(defaults()).await;
    for (uri, code, text) in [
        ("/no/such", 404, "Not Found"),
        ("", 404, "Not Found"),
        ("math/calc/add", 404, "Not Found"),
        ("/Math/calc/add", 404, "Not Found"),
        ("/math/calc/add/", 404, "Not Found"),
        ("/math//calc/add", 404, "Not Found"),
        ("/math/./calc/add", 404, "Not Found"),
        ("a:/math/calc/add:b", 404, "Not Found"),
        ("a:math/calc/add", 404, "Not Found"),
        (
            "/math/calc/add%",
            400,
            r#"parse "/math/calc/add%": invalid URL escape "%""#,
        ),
        (
            "/a#%g0",
            400,
            r##"parse "/a#%g0": invalid URL escape "%g0""##,
        ),
        (
            "/a\tb",
            400,
            r#"parse "/a\tb": net/url: invalid control character in URL"#,
        ),
        (
            "//h%41/math/calc/add",
            400,
            r#"parse "//h%41/math/calc/add": invalid URL escape "%41""#,
        ),
        (
            "//h:1x/a",
            400,
            r#"parse "//h:1x/a": invalid port ":1x" after host"#,
        ),
        ("//[::1/a", 400, r#"parse "//[::1/a": missing ']' in host"#),
        (
            "//a b/c",
            400,
            r#"parse "//a b/c": invalid character " " in host name"#,
        ),
        (
            "1a:b",
            400,
            r#"parse "1a:b": first path segment in URL cannot contain colon"#,
        ),
    ] {
        for body in [&b""[..], b"j", b"j{broken", b"?\xff\xfe", b"\0"] {
            // A gzip level that there is not, either.
            let header = pull(1, uri, 42);
            let reply = ask(&mut wire, HeaderCodec::Protobuf, &header, body).await;
            let told = (
                reply.header.status_code,
                &*reply.header.status,
                reply.header.gzip,
            );
            assert_eq!(told, (code, text, 42), "{uri}");
            assert_eq!((&*reply.header.uri, reply.body.len()), (uri, 0), "{uri}");
            wire.send(&frame(HeaderCodec::Json, &push(uri), body)).await;
            goes_on(&mut wire).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn routes_are_found_by_the_decoded_path_alone() {
    let (mut wire, _session) = served(defaults()).await;
    for uri in [
        "/math/calc/add",
        "/math/calc/add?",
        "/math/calc/add?a=%zz;b",
        "/math/calc/add#",
        "/math/calc/add#frag?ment",
        "/%6dath%2Fcalc/%61dd",
        "//host/math/calc/add",
        "//user:pass@host:80/math/calc/add",
        "//user@[::1%25lo]:80/math/calc/add",
        "//höst%25%C3%B6:/math/calc/add",
        "tp:///math/calc/add",
        "TP+x.1-y://a@b:9090/math/calc/add?k=v",
        "mailto:/math/calc/add",
    ] {
        let header = pull(0, uri, 0);
        let reply = ask(&mut wire, HeaderCodec::Json, &header, b"j[20,22]").await;
        assert_eq!((&reply.body[..], &*reply.header.uri), (&b"j42"[..], uri));
    }
}

#[tokio::test(start_paused = true)]
async fn queries_are_taken_apart_as_forms_are() {
    let (mut wire, _session) = served(defaults()).await;
    for (query, expected) in [
        ("", json!({})),
        ("a", json!({"a": [""]})),
        ("=v", json!({"": ["v"]})),
        (
            "a=1&a=2&b=&&=",
            json!({"a": ["1", "2"], "b": [""], "": [""]}),
        ),
        ("a=x=y", json!({"a": ["x=y"]})),
        ("a+b=c+d", json!({"a b": ["c d"]})),
        ("%61%20=%2B%26", json!({"a ": ["+&"]})),
        ("a=%zz&b=1&%=2&c=%4", json!({"b": ["1"]})),
        ("a;b=1&c=2;&d=3", json!({"d": ["3"]})),
        ("a%3Bb=1", json!({"a;b": ["1"]})),
        ("a=ä ö&ß=?/", json!({"a": ["ä ö"], "ß": ["?/"]})),
    ] {
        for tail in ["", "#f?g=h"] {
            let uri = format!("/x/ret/url?{query}{tail}");
            let reply = ask(&mut wire, HeaderCodec::Json, &pull(0, &uri, 0), b"j1").await;
            let told: Value = serde_json::from_slice(&payload(&reply)).expect("JSON");
            let wanted =
                json!({"path": "/x/ret/url", "query": expected, "raw_query": query, "uri": uri});
            assert_eq!(told, wanted);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_uri_is_refused_before_the_unknown_handler_is_considered() {
    let router = standard::server()
        .unknown_pull(standard::unknown_pull)
        .unknown_push(standard::unknown_push);
    let (mut wire, _session) = Wire::to(&peer(defaults(), router)).await;
    let refused = ask(&mut wire, HeaderCodec::Json, &pull(0, "/%zz", 0), b"j1").await;
    assert_eq!(refused.header.status_code, 400);
    wire.send(&frame(HeaderCodec::Json, &push("/%zz"), b"j1"))
        .await;
    let known = ask(&mut wire, HeaderCodec::Json, &pull(1, "/%7a", 0), b"j1").await;
    assert_eq!((known.header.seq, known.header.status_code), (1, 200));
    let told: Value = serde_json::from_slice(&payload(&known)).expect("JSON");
    assert_eq!(told["unknown"], "/z");
}

#[tokio::test(start_paused = true)]
async fn a_handlers_own_pushes_and_pulls_use_the_peers_defaults_and_come_before_its_reply() {
    let config = PeerConfig {
        header_codec: HeaderCodec::Protobuf,
        gzip: 5,
        ..PeerConfig::default()
    };
    let (mut wire, _session) = served(config).await;
    let header = pull(8, "/group/home/test?peer_id=me", 0);
    let told = ask(&mut wire, HeaderCodec::Json, &header, b"j{}").await;
    assert_eq!(told.header.kind, PacketKind::Push);
    assert_eq!(told.header_codec, HeaderCodec::Protobuf);
    assert_eq!((told.header.seq, told.header.gzip), (0, 5));
    assert_eq!(payload(&told), b"{\"a\":1,\"your_id\":\"me\"}");
    let (reply, _) = wire.packet().await.expect("a reply");
    assert_eq!((reply.header.seq, reply.header.gzip), (8, 0));
    assert_eq!(reply.header_codec, HeaderCodec::Json);

    let header = pull(8, "/x/ret/call_back", 0);
    let asked = ask(&mut wire, HeaderCodec::Json, &header, b"j[6,7]").await;
    assert_eq!((asked.header.kind, asked.header.seq), (PacketKind::Pull, 0));
    assert_eq!(payload(&asked), b"[6,7]");
    let mut answer = Header::new(PacketKind::Reply, 0, "/of/no/importance");
    answer.status_code = 200;
    wire.send(&frame(HeaderCodec::Json, &answer, b"j42")).await;
    let (reply, _) = wire.packet().await.expect("a reply");
    assert_eq!((reply.header.seq, &reply.body[..]), (8, &b"j42"[..]));
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_waits_for_are_dropped_whatever_is_in_them() {
    let (mut wire, session) = served(defaults()).await;
    for seq in [0, 1, u64::MAX] {
        let mut reply = Header::new(PacketKind::Reply, seq, "/a");
        reply.gzip = 3;
        wire.send(&frame(HeaderCodec::Json, &reply, b"?no gzip"))
            .await;
    }
    goes_on(&mut wire).await;
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn any_other_type_ends_the_connection_after_what_runs_has_replied() {
    for kind in [0, 4, -1, i32::MAX, i32::MIN] {
        let gate = Gate::default();
        let (mut wire, session) = Wire::to(&peer(defaults(), gate.routes())).await;
        wire.send(&frame(
            HeaderCodec::Protobuf,
            &pull(4, "/gate/pass", 0),
            b"j1",
        ))
        .await;
        gate.arrived(1).await;
        let header = Header::new(PacketKind::from_i32(kind), 0, "/gate/pass");
        wire.send(&frame(HeaderCodec::Protobuf, &header, b"")).await;
        while session.is_open() {
            tokio::task::yield_now().await;
        }
        gate.open(1);
        let (reply, _) = wire.packet().await.expect("the running handler's");
        assert_eq!((reply.header.seq, &reply.body[..]), (4, &b"j1"[..]));
        assert!(wire.is_closed().await, "type {kind}");
        wire.finish().await;
        session.closed().await;
    }
}

// Section 3.8: the end of a session.

#[tokio::test(start_paused = true)]
async fn the_read_timeout_counts_from_the_last_packet_whatever_it_was() {
    let config = PeerConfig {
        read_timeout: Some(Duration::from_secs(2)),
        ..defaults()
    };
    let (mut wire, session) = served(config).await;
    let start = Instant::now();
    let waits = Duration::from_millis(1900);
    tokio::time::sleep(waits).await;
    // Dropped unread, and still a packet.
    wire.send(&frame(HeaderCodec::Json, &push("/no/such"), b"?"))
        .await;
    tokio::time::sleep(waits).await;
    let reply = Header::new(PacketKind::Reply, 0, "/no/such");
    wire.send(&frame(HeaderCodec::Json, &reply, b"")).await;
    tokio::time::sleep(waits).await;
    assert!(session.is_open());
    // Half a packet is none.
    wire.send(&[0, 0]).await;
    assert!(wire.is_closed().await, "and nothing was sent");
    let elapsed = start.elapsed().as_millis();
    assert!((5800..6900).contains(&elapsed), "{elapsed}");
}

/// One packet that is well-formed but for its uri and body.
fn any_packet() -> impl Strategy<Value = (i32, String, i32, bool, Vec<u8>)> {
    let kind = proptest::sample::select(&[1, 1, 1, 2, 3][..]);
    let routes = &[
        "/math/calc/add",
        "/math/calc/fail_body",
        "/math/calc/boom",
        "/pb/home/test",
        "/pb/home/fail",
        "/str/echo/upper",
        "/str/echo/bytes",
        "/str/echo/any",
        "/x/ret/nil_with_codec",
        "/x/ret/as_string",
        "/x/ret/map_for_pb",
        "/x/ret/url?a=%zz",
        "/log/msg/write",
        "/log/msg/boom",
        "/%zz",
    ][..];
    let uri = prop_oneof![
        4 => proptest::sample::select(routes).prop_map(str::to_owned),
        1 => ".*",
    ];
    let gzip = prop_oneof![2 => Just(0), 1 => -3..11, 1 => any::<i32>()];
    let body = prop_oneof![
        Just(vec![]),
        any::<Vec<u8>>(),
        "[jps?]\\PC{0,20}".prop_map(String::into_bytes),
        (-2..10).prop_map(|level| zipped(&json!([1, 2]), level)),
    ];
    (kind, uri, gzip, any::<bool>(), body)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_pull_is_answered_once_whatever_is_in_it(packets in proptest::collection::vec(any_packet(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let (mut wire, session) = served(defaults()).await;
            let mut asked = Vec::new();
            for (seq, (kind, uri, gzip, json, body)) in (0..).zip(&packets) {
                let mut header = Header::new(PacketKind::from_i32(*kind), seq, uri.as_str());
                header.gzip = *gzip;
                let codec = if *json { HeaderCodec::Json } else { HeaderCodec::Protobuf };
                wire.send(&frame(codec, &header, body)).await;
                if header.kind == PacketKind::Pull {
                    asked.push((seq, uri.clone(), *gzip, codec));
                }
            }
            let mut answered = Vec::new();
            for _ in &asked {
                let (reply, _) = wire.packet().await.expect("a reply");
                assert_eq!(reply.header.kind, PacketKind::Reply);
                answered.push((reply.header.seq, reply.header.uri.to_string(), reply.header.gzip, reply.header_codec));
            }
            answered.sort_by_key(|(seq, ..)| *seq);
            assert_eq!(answered, asked);
            goes_on(&mut wire).await;
            assert!(session.is_open());
        });
    }
}
