//! A session whose other end is no peer of ours: it answers honestly, or what nobody asked, or twice, sends calls, garbage and farewells,
//! stops in the middle and goes away. Every pull of our side ends once, with what was sent for its number or an error that is true; every
//! pull of the other side is answered once; nothing hangs; afterwards nothing is left.

use std::{
    collections::HashMap,
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use bytes::BytesMut;
use teleport::{
    Error, Peer, PeerConfig, Session,
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    task::JoinHandle,
    time::timeout,
};

use super::{
    input::Input,
    world::{self, MOST, PATIENCE, World},
};
use crate::wire::frame;

/// Bytes that choose the configuration, and then operations.
///
/// # Panics
/// A promise is broken.
pub fn run(bytes: &[u8]) {
    world::run(converse(Input::new(bytes)));
}

/// Answers that are no reply to what was asked are this and their sequence number.
const STRAY: u64 = 1 << 32;

async fn converse(mut input: Input<'_>) {
    let world = World::default();
    let mut talk = Talk::begin(&world, &mut input).await;
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        talk.operate(&mut input).await;
    }
    talk.end(&mut input).await;
}

/// A pull of our side.
struct Call {
    id: u64,
    limited: bool,
    task: JoinHandle<Result<u64, Error>>,
}

/// Pulls of the other side with one number.
#[derive(Debug, Default)]
struct Asked {
    ids: Vec<u64>,
    replies: usize,
}

/// What the other side has done by now. From each on, less can be said.
#[derive(Debug, Default)]
struct Done {
    /// Sent what is no packet, or of no known type.
    broken: bool,
    /// Ended its stream, or gone.
    ended: bool,
    /// Said that it is closing.
    left: bool,
    /// Sent a reply whose body cannot be read.
    unreadable: bool,
    /// Our side has closed, or cut.
    closed: bool,
}

struct Talk<'a> {
    world: &'a World,
    peer: Peer,
    session: Session,
    /// The other end; `None` once it is gone.
    stream: Option<DuplexStream>,
    /// Bytes that are to be written.
    outgoing: Vec<u8>,
    incoming: BytesMut,
    calls: Vec<Call>,
    /// The numbers on the wire of our calls that came, by their ids, and which are not answered.
    seen: HashMap<u64, u64>,
    unanswered: Vec<Packet>,
    asked: HashMap<u64, Asked>,
    cancelled: bool,
    done: Done,
}

impl<'a> Talk<'a> {
    async fn begin(world: &'a World, input: &mut Input<'_>) -> Self {
        let pipe = input.pick(&[64 * 1024, 4096, 64, 7]);
        let handlers = input.pick(&[65_536, 4, 1]);
        let config = PeerConfig {
            announce: input.below(2) == 1,
            header_codec: input.pick(&[HeaderCodec::Protobuf, HeaderCodec::Json]),
            gzip: input.pick(&[0, 1]),
            write_buffer: input.pick(&[1024 * 1024, 100, 1]),
            max_handlers: handlers,
            // The other end may be in the middle of a packet for as long as the input says.
            packet_timeout: None,
            limits: Limits {
                packet: 4096,
                ..Limits::default()
            },
            ..PeerConfig::default()
        };
        let builder = Peer::builder().config(config).routes(world.routes());
        let peer = builder.build().expect("a peer");
        let (ours, theirs) = tokio::io::duplex(pipe);
        let session = peer.serve_conn(theirs).await.expect("a session");
        // Is dropped with the last that knows the session.
        session.values().insert(world.present());
        Self {
            world,
            peer,
            session,
            stream: Some(ours),
            outgoing: Vec::new(),
            incoming: BytesMut::new(),
            calls: Vec::new(),
            seen: HashMap::new(),
            unanswered: Vec::new(),
            asked: HashMap::new(),
            cancelled: false,
            done: Done::default(),
        }
    }

    /// Nothing but the calls themselves decides how they end.
    fn is_calm(&self) -> bool {
        let Done {
            broken,
            ended,
            left,
            unreadable,
            closed,
        } = self.done;
        !(broken || ended || left || unreadable || closed)
    }

    async fn operate(&mut self, input: &mut Input<'_>) {
        match input.byte() {
            0..=39 => self.pull(input),
            40..=69 => self.other_pulls(input),
            70..=74 => self.other_pushes(input),
            75..=109 => self.answer(input),
            110..=124 => self.stray(input),
            125..=127 => self.farewell(input),
            // After these little happens any more; so they are rare.
            128..=139 if input.byte() >= 32 => {}
            128..=131 => {
                self.done.broken = true;
                let len = input.below(64);
                self.outgoing.extend_from_slice(input.take(len));
            }
            132..=133 => {
                self.done.broken = true;
                let kind = PacketKind::from_i32(i32::from(input.byte()) - 10);
                self.send(&Header::new(kind, 0, "/world/now"), b"j1");
            }
            134..=135 => {
                self.done.ended = true;
                self.pump();
                if let Some(stream) = &mut self.stream {
                    // In memory it is done at once.
                    let _ = stream.shutdown().await;
                }
            }
            136 => {
                self.done.ended = true;
                self.stream = None;
            }
            137..=138 => {
                self.done.closed = true;
                self.session.start_closing();
            }
            139 => {
                self.done.closed = true;
                self.session.abort();
            }
            140..=149 => self.world.open(input.below(256)),
            150..=159 => self.drop_call(input).await,
            160..=199 => {
                self.pump();
                self.listen();
            }
            200..=219 => {
                tokio::time::sleep(Duration::from_millis(input.byte().into())).await;
            }
            _ => {
                self.pump();
                for _ in 0..input.below(8) {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    fn pull(&mut self, input: &mut Input<'_>) {
        let id = self.world.new_call();
        let options = input.byte();
        let limit = (options & 1 == 1).then(|| Duration::from_millis(input.byte().into()));
        let session = self.session.clone();
        let task = tokio::spawn(async move {
            let mut pull = session.pull::<_, u64>("/any", id);
            if let Some(limit) = limit {
                pull = pull.timeout(limit);
            }
            if options & 2 == 2 {
                pull = pull.cancel();
            }
            pull.await
        });
        let limited = limit.is_some();
        self.calls.push(Call { id, limited, task });
    }

    fn send(&mut self, header: &Header, body: &[u8]) {
        self.outgoing
            .extend(frame(HeaderCodec::Protobuf, header, body));
    }

    /// Any number, or one that has a meaning.
    fn seq(&self, input: &mut Input<'_>) -> u64 {
        match input.byte() {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX - 1,
            3 => i64::MAX as u64 + 1,
            4 => u64::from(u32::MAX) + u64::from(input.byte()),
            5 => u64::from_be_bytes([input.byte(); 8]),
            other => u64::from(other % 16),
        }
    }

    fn other_pulls(&mut self, input: &mut Input<'_>) {
        let id = self.world.new_call();
        let seq = self.seq(input);
        let uri = input.pick(&[
            "/world/now",
            "/world/yielding",
            "/world/sleeping",
            "/world/waiting",
            "/world/stoppable",
            "/world/back",
            "/no/such",
            "/%zz",
        ]);
        let body = match input.byte() {
            0..=9 => b"j[".to_vec(),
            10..=19 => b"?".to_vec(),
            20..=29 => vec![b'?', b'1'],
            30..=34 => Vec::new(),
            _ => format!("j[{id},\"\"]").into_bytes(),
        };
        let mut header = Header::new(PacketKind::Pull, seq, uri);
        let options = input.byte();
        if options & 1 == 1 {
            // Says that it is compressed, and is not.
            header.gzip = i32::from(input.byte()) - 128;
        }
        if options & 2 == 2 {
            header.timeout_ms = input.byte().into();
            self.cancelled |= header.timeout_ms > 0;
        }
        self.send(&header, &body);
        self.asked.entry(seq).or_default().ids.push(id);
    }

    fn other_pushes(&mut self, input: &mut Input<'_>) {
        let seq = self.seq(input);
        let uri = match input.byte() {
            0..=127 => "/world/note".to_owned(),
            _ => {
                self.cancelled = true;
                format!("/~teleport/cancel?seq={}", self.seq(input))
            }
        };
        let id = self.world.new_call();
        let body = format!("j[{id},\"\"]");
        self.send(&Header::new(PacketKind::Push, seq, uri), body.as_bytes());
    }

    /// Answers a pull of our side, perhaps in vain.
    fn answer(&mut self, input: &mut Input<'_>) {
        self.listen();
        if self.unanswered.is_empty() {
            return;
        }
        let at = input.below(self.unanswered.len().min(256));
        let status = input.pick(&[200, 200, 200, 200, 0, 201, 404, 503, 1001, -1]);
        let pull = self.unanswered.swap_remove(at);
        self.reply_to(&pull, status);
    }

    fn reply_to(&mut self, pull: &Packet, status: i32) {
        let mut header = Header::new(PacketKind::Reply, pull.header.seq, "");
        header.status_code = status;
        header.status = "as it is".into();
        self.send(&header, &[b"j", &id_of(pull)[..]].concat());
    }

    /// A reply with a number that the input chooses.
    fn stray(&mut self, input: &mut Input<'_>) {
        let seq = self.seq(input);
        let mut header = Header::new(PacketKind::Reply, seq, "/stray");
        header.status_code = 200;
        let body = match input.byte() {
            0..=31 => {
                self.done.unreadable = true;
                b"j{".to_vec()
            }
            _ => format!("j{}", STRAY + seq % STRAY).into_bytes(),
        };
        for _ in 0..=input.below(2) {
            self.send(&header, &body);
        }
    }

    fn farewell(&mut self, input: &mut Input<'_>) {
        self.done.left = true;
        let seq = match input.below(2) {
            0 => u64::MAX,
            _ => self.seq(input),
        };
        let mut header = Header::new(PacketKind::Reply, seq, "/~teleport/closing");
        header.status_code = 503;
        self.send(&header, b"");
    }

    /// The caller goes away.
    async fn drop_call(&mut self, input: &mut Input<'_>) {
        if self.calls.is_empty() {
            return;
        }
        let at = input.below(self.calls.len().min(256));
        let call = self.calls.swap_remove(at);
        call.task.abort();
        match call.task.await {
            Ok(answer) => self.judge(call.id, call.limited, &answer),
            Err(error) => assert!(error.is_cancelled(), "{error}"),
        }
    }

    /// Writes what goes without waiting.
    fn pump(&mut self) {
        let mut context = TaskContext::from_waker(Waker::noop());
        while let Some(stream) = &mut self.stream
            && !self.outgoing.is_empty()
            && let Poll::Ready(written) = Pin::new(stream).poll_write(&mut context, &self.outgoing)
        {
            match written {
                Ok(count) => drop(self.outgoing.drain(..count)),
                // Our peer has gone.
                Err(_) => self.outgoing.clear(),
            }
        }
    }

    /// Reads what is there. `true` if it was the end.
    fn listen(&mut self) -> bool {
        let mut context = TaskContext::from_waker(Waker::noop());
        let mut chunk = [0; 4096];
        let mut ended = self.stream.is_none();
        while let Some(stream) = &mut self.stream {
            let mut chunk = ReadBuf::new(&mut chunk);
            match Pin::new(stream).poll_read(&mut context, &mut chunk) {
                Poll::Ready(Ok(())) if !chunk.filled().is_empty() => {
                    self.incoming.extend_from_slice(chunk.filled());
                }
                Poll::Ready(_) => {
                    ended = true;
                    break;
                }
                Poll::Pending => break,
            }
        }
        while let Decoded::Packet(packet) = Standard
            .decode(&mut self.incoming, &Limits::default())
            .expect("our peer sends no nonsense")
        {
            self.hear(packet);
        }
        ended
    }

    fn hear(&mut self, packet: Packet) {
        let seq = packet.header.seq;
        match packet.header.kind {
            PacketKind::Pull => {
                let text = id_of(&packet);
                let id = String::from_utf8_lossy(&text);
                let id = id.trim_start_matches('[').split(',').next();
                let id = id.and_then(|id| id.parse().ok()).expect("a number");
                assert_eq!(self.seen.insert(id, seq), None, "call {id} came twice");
                self.unanswered.push(packet);
            }
            PacketKind::Reply if packet.header.uri == "/~teleport/closing" => {
                assert!(
                    self.done.closed || !self.is_calm(),
                    "a farewell out of nowhere"
                );
                if let Some(asked) = self.asked.get_mut(&seq) {
                    asked.replies += 1;
                }
            }
            PacketKind::Reply => {
                let broken = self.done.broken;
                let Some(asked) = self.asked.get_mut(&seq) else {
                    assert!(broken, "a reply with number {seq}, which nobody asked for");
                    return;
                };
                asked.replies += 1;
                if packet.header.status_code == 200 {
                    let text = id_of(&packet);
                    let text = String::from_utf8_lossy(&text);
                    // Of an empty body it is the number zero.
                    let known = |id: &u64| text == id.to_string();
                    assert!(
                        broken || text == "0" || asked.ids.iter().any(known),
                        "{text}"
                    );
                }
                assert!(
                    broken || asked.replies <= asked.ids.len(),
                    "{seq}: {asked:?}"
                );
            }
            PacketKind::Push => assert!(packet.header.uri.starts_with("/~teleport/cancel")),
            other => panic!("{other:?}"),
        }
    }

    /// Whether a call of our side may have ended like this.
    fn judge(&self, id: u64, limited: bool, answer: &Result<u64, Error>) {
        let seq = self.seen.get(&id);
        let calm = self.is_calm();
        match answer {
            Ok(value) if *value >= STRAY => {
                let stray = seq.is_none_or(|seq| *value == STRAY + seq % STRAY);
                assert!(stray, "call {id} with number {seq:?} got {value}");
            }
            // Garbage may be a reply too.
            Ok(value) => assert!(*value == id || self.done.broken, "call {id} got {value}"),
            Err(error) => match error.code() {
                _ if error.is_remote() => {}
                100 => assert!(
                    seq.is_none() || self.done.left || self.done.broken,
                    "{error}"
                ),
                101 => assert!(!calm, "{error}"),
                102 => assert!(limited, "{error}"),
                103 => assert!(self.done.unreadable || self.done.broken, "{error}"),
                code => panic!("{error} ({code})"),
            },
        }
    }

    /// Lets all handlers go, ends the session in one way or another, and looks whether anything is left.
    async fn end(mut self, input: &mut Input<'_>) {
        self.world.open_all();
        let way = input.below(4);
        if way > 0 {
            self.settle().await;
        }
        if self.is_calm() && way > 0 {
            for (seq, asked) in &self.asked {
                let (asked, replies) = (asked.ids.len(), asked.replies);
                // A call that was given up need not be answered.
                assert!(
                    asked == replies || self.cancelled,
                    "{seq}: {asked}, {replies}"
                );
            }
            for call in std::mem::take(&mut self.calls) {
                self.ended(call).await;
            }
        }
        self.done.closed = true;
        match way {
            0 => self.stream = None,
            1 => self.session.start_closing(),
            2 => self.session.abort(),
            _ => {
                if let Some(stream) = &mut self.stream {
                    let _ = stream.shutdown().await;
                }
            }
        }
        // Whatever our side waits for, it comes or it does not.
        self.settle().await;
        self.stream = None;
        for call in std::mem::take(&mut self.calls) {
            self.ended(call).await;
        }
        let closed = timeout(PATIENCE, self.session.closed()).await;
        closed.unwrap_or_else(|_| panic!("does not end: {:?}", self.session));
        assert_eq!(self.session.pulls_in_flight(), 0);
        assert_eq!(self.peer.session_count(), 0);
        if !self.done.broken {
            self.world.check();
        }
        let Self {
            world,
            peer,
            session,
            ..
        } = self;
        drop((peer, session));
        let alone = timeout(PATIENCE, world.alone()).await;
        alone.expect("handlers, or the session, are left");
    }

    async fn ended(&self, Call { id, limited, task }: Call) {
        let answer = timeout(PATIENCE, task).await;
        let answer = answer.unwrap_or_else(|_| {
            let (seen, left) = (self.seen.get(&id), self.outgoing.len());
            panic!("call {id} with number {seen:?} hangs; {left} bytes are not taken")
        });
        self.judge(id, limited, &answer.expect("no panic"));
    }

    /// Answers what is asked until nothing comes any more.
    async fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            let before = (self.outgoing.len(), self.incoming.len());
            self.pump();
            if self.listen() {
                return;
            }
            let mut busy = (self.outgoing.len(), self.incoming.len()) != before;
            while let Some(pull) = self.unanswered.pop() {
                busy = true;
                self.reply_to(&pull, 200);
            }
            if busy {
                quiet = 0;
                tokio::task::yield_now().await;
            } else {
                quiet += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// The body behind its codec id.
fn id_of(packet: &Packet) -> Vec<u8> {
    let body = packet.body().inflate(4096).expect("a body of ours");
    body.into_owned()
}
