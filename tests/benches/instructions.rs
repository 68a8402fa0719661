//! How many instructions the hot path takes: the same number on every run of the same binary, whatever else the machine does.
//!
//! `cargo bench -p teleport-tests --bench instructions` prints a line for each work, beside the number that was reached before
//! (`instructions.txt`), and fails if one has grown by more than a twentieth. With `-- --bless` it writes the file anew. It needs
//! `valgrind`; numbers depend on compiler and processor, so compare on one machine.

#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program: it prints its results"
)]

use std::{collections::BTreeMap, fmt::Write as _, fs, hint::black_box, process::Command};

use bytes::{Bytes, BytesMut};
use teleport::{
    CodecId, Peer, PeerConfig, Protobuf, PullController, PushController, Session,
    codec::{Codecs, append_body},
    protocol::{Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
    pull_controller, push_controller,
};
use teleport_tests::pair::connect;
use tokio::runtime::Builder;

#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
struct Two {
    #[prost(int32, tag = "1")]
    a: i32,
    #[prost(int32, tag = "2")]
    b: i32,
}

struct Calc;

#[pull_controller]
impl Calc {
    async fn add(&self, two: Two) -> Two {
        Two {
            a: two.a + two.b,
            b: two.a - two.b,
        }
    }
}

struct Sink;

#[push_controller]
impl Sink {
    async fn put(&self, _two: Two) {}
}

const TWO: Two = Two { a: 300, b: 20 };

/// What is counted: its name, and how to do it so many times.
type Work = (&'static str, fn(usize));

const WORKS: &[Work] = &[
    ("encode a pull, protobuf", |times| {
        encode(times, HeaderCodec::Protobuf)
    }),
    ("encode a pull, JSON", |times| {
        encode(times, HeaderCodec::Json)
    }),
    ("decode a pull, protobuf", |times| {
        decode(times, HeaderCodec::Protobuf)
    }),
    ("decode a pull, JSON", |times| {
        decode(times, HeaderCodec::Json)
    }),
    ("call, both sides, 64 in flight, protobuf", |times| {
        calls(times, CodecId::PROTOBUF, 64)
    }),
    ("call, both sides, 64 in flight, JSON", |times| {
        calls(times, CodecId::JSON, 64)
    }),
    ("call, both sides, one in flight, protobuf", |times| {
        calls(times, CodecId::PROTOBUF, 1)
    }),
    ("push, both sides", pushes),
];

fn pull(codec: HeaderCodec) -> Vec<u8> {
    let mut out = Vec::new();
    append_pull(codec, &mut out);
    out
}

fn append_pull(codec: HeaderCodec, out: &mut Vec<u8>) {
    let header = Header::new(PacketKind::Pull, 70_000, "/calc/add");
    let codecs = Codecs::new();
    let body_codec = match codec {
        HeaderCodec::Json => CodecId::JSON,
        HeaderCodec::Protobuf => CodecId::PROTOBUF,
    };
    let mut body = |out: &mut Vec<u8>| match codec {
        HeaderCodec::Json => append_body(&TWO, Some(body_codec), 0, &codecs, out),
        HeaderCodec::Protobuf => append_body(&Protobuf(TWO), Some(body_codec), 0, &codecs, out),
    };
    Standard
        .encode(header.as_ref(), codec, &mut body, out)
        .expect("it fits");
}

fn encode(times: usize, codec: HeaderCodec) {
    let mut out = Vec::with_capacity(1024);
    for _ in 0..times {
        out.clear();
        append_pull(codec, &mut out);
        black_box(&out);
    }
}

fn decode(times: usize, codec: HeaderCodec) {
    let limits = Limits::default();
    let mut read = BytesMut::from(&*pull(codec).repeat(times));
    let mut packet = Packet::new(Header::default(), codec, Bytes::new());
    for _ in 0..times {
        let lacking = Standard.decode_into(&mut read, &limits, &mut packet);
        assert_eq!(lacking.expect("a packet"), 0);
        black_box(&packet);
    }
}

/// Runs with two connected peers, on this thread.
fn connected<F: Future<Output = ()>>(codec: CodecId, work: impl FnOnce(Session) -> F) {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let config = PeerConfig {
            body_codec: codec,
            ..PeerConfig::default()
        };
        let server = Peer::builder()
            .config(config.clone())
            .routes(Calc.into_router())
            .routes(Sink.into_router());
        let client = Peer::builder().config(config).build().expect("a peer");
        let pair = connect(server.build().expect("a peer"), client).await;
        work(pair.session.clone()).await;
    });
}

fn calls(times: usize, codec: CodecId, in_flight: usize) {
    connected(codec, async |session| {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..in_flight {
            let calc = CalcClient::new(&session);
            tasks.spawn(async move {
                for _ in 0..times / in_flight {
                    black_box(calc.add(TWO).await.expect("answered"));
                }
            });
        }
        tasks.join_all().await;
    });
}

fn pushes(times: usize) {
    connected(CodecId::PROTOBUF, async |session| {
        let sink = SinkPushClient::new(&session);
        let calc = CalcClient::new(&session);
        for _ in 0..times / 64 {
            for _ in 0..64 {
                sink.put(TWO).await.expect("sent");
            }
            // All have arrived once this has.
            black_box(calc.add(TWO).await.expect("answered"));
        }
    });
}

/// The difference of two runs, so that what happens once does not count.
const FEW: usize = 6_400;
const MANY: usize = 3 * FEW;

fn count(work: &str, times: usize) -> u64 {
    let exe = std::env::current_exe().expect("this program");
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(exe)
        .args(["--inside", work, &times.to_string()])
        .output()
        .expect("valgrind is needed: install the package of that name");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    let collected = text
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    let collected = collected.expect("callgrind says what it has collected");
    collected.trim().parse().expect("a number")
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [inside, name, times] = &args[..]
        && inside == "--inside"
    {
        let (_, work) = WORKS
            .iter()
            .find(|(known, _)| known == name)
            .expect("a work");
        return work(times.parse().expect("a number"));
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
    let text = fs::read_to_string(file).unwrap_or_default();
    let before: BTreeMap<&str, u64> = text
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .filter_map(|(name, count)| Some((name, count.parse().ok()?)))
        .collect();

    let mut now = String::new();
    let mut grown = Vec::new();
    for (name, _) in WORKS {
        let count = (count(name, MANY) - count(name, FEW)) / (MANY - FEW) as u64;
        writeln!(now, "{name}: {count}").expect("a text takes all");
        let known = before.get(name).copied();
        println!("{name}: {count} instructions (before: {known:?})");
        if known.is_some_and(|known| count > known + known / 20) {
            grown.push(*name);
        }
    }
    if args.iter().any(|arg| arg == "--bless") {
        fs::write(file, now).expect("the file can be written");
    } else if !grown.is_empty() {
        eprintln!(
            "more than a twentieth over what was reached: {}",
            grown.join("; ")
        );
        std::process::exit(1);
    }
}
