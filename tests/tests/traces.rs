//! Traces of OpenTelemetry across peers: the spans of a call and of the calls that its handler makes are one tree.

use bytes::BytesMut;
use opentelemetry::{
    Value,
    trace::{SpanId, SpanKind, Status as SpanStatus, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use teleport::{
    PullController, PullCtx, PushController, PushCtx, Router, Status,
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
    pull_controller, push_controller,
};
use teleport_tests::pair::{PIPE, pair, peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tracing::{Instrument, subscriber::DefaultGuard};
use tracing_subscriber::layer::SubscriberExt;

struct Work;

#[pull_controller]
impl Work {
    /// Asks the caller.
    async fn relay(&self, ctx: &PullCtx) -> Result<(String, String), Status> {
        Ok(ctx.session().pull("/caller/context", ()).await?)
    }

    async fn fail(&self, code: i32) -> Result<(), Status> {
        Err(Status::new(code, "as asked"))
    }

    async fn tell(&self, ctx: &PullCtx) -> Result<(), Status> {
        Ok(ctx.session().push("/news/line", ()).await?)
    }
}

struct Caller;

#[pull_controller]
impl Caller {
    /// The trace context that came.
    async fn context(&self, ctx: &PullCtx) -> (String, String) {
        let meta = |name| ctx.meta(name).unwrap_or_default().to_owned();
        (meta("traceparent"), meta("tracestate"))
    }
}

struct News(tokio::sync::mpsc::UnboundedSender<()>);

#[push_controller]
impl News {
    async fn line(&self, ctx: &PushCtx) {
        assert!(ctx.meta("traceparent").is_some());
        self.0.send(()).ok();
    }
}

/// Collects the spans of this thread.
struct Traces {
    exporter: InMemorySpanExporter,
    _guard: DefaultGuard,
}

impl Traces {
    fn start() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
        let tracer = provider.build().tracer("test");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            exporter,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// So many spans of calls, all that there are. They end a moment after the call, and need no time for it.
    async fn spans(&self, count: usize) -> Vec<SpanData> {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let spans = self.exporter.get_finished_spans().expect("spans");
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }
}

fn find<'a>(spans: &'a [SpanData], kind: &SpanKind, name: &str) -> &'a SpanData {
    let found = spans
        .iter()
        .find(|span| span.span_kind == *kind && span.name == name);
    found.unwrap_or_else(|| panic!("{kind:?} {name} is not among {spans:#?}"))
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key.as_str() == name)?;
    Some(match &found.value {
        Value::String(text) => text.to_string(),
        other => other.to_string(),
    })
}

fn is_child(child: &SpanData, parent: &SpanData) -> bool {
    child.parent_span_id == parent.span_context.span_id()
        && child.span_context.trace_id() == parent.span_context.trace_id()
}

const CLIENT: SpanKind = SpanKind::Client;
const SERVER: SpanKind = SpanKind::Server;

#[tokio::test(start_paused = true)]
async fn a_nested_call_is_one_trace_of_four_spans() {
    let traces = Traces::start();
    let session = pair(Work.into_router(), Caller.into_router()).await.session;
    let relay = session.pull::<_, (String, String)>("/work/relay?a=b", ());
    let (parent, state) = relay.await.expect("relayed");
    let spans = traces.spans(4).await;

    let outer = find(&spans, &CLIENT, "/work/relay");
    let outer_served = find(&spans, &SERVER, "/work/relay");
    let inner = find(&spans, &CLIENT, "/caller/context");
    let inner_served = find(&spans, &SERVER, "/caller/context");
    assert_eq!(outer.parent_span_id, SpanId::INVALID);
    assert!(is_child(outer_served, outer) && outer_served.parent_span_is_remote);
    assert!(is_child(inner, outer_served) && !inner.parent_span_is_remote);
    assert!(is_child(inner_served, inner) && inner_served.parent_span_is_remote);
    let (trace, span) = (inner.span_context.trace_id(), inner.span_context.span_id());
    assert_eq!(parent, format!("00-{trace}-{span}-01"));
    assert_eq!(state, "");
    for span in &spans {
        assert_eq!(
            attribute(span, "rpc.system.name").as_deref(),
            Some("teleport")
        );
        assert_eq!(attribute(span, "rpc.method").as_deref(), Some(&*span.name));
        assert_eq!(
            attribute(span, "rpc.response.status_code").as_deref(),
            Some("200")
        );
        assert_eq!(attribute(span, "error.type"), None);
        assert_eq!(span.status, SpanStatus::Unset);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_in_the_span_in_which_it_is_made_and_a_push_in_that_of_its_handler() {
    let traces = Traces::start();
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let session = pair(Work.into_router(), News(sender).into_router())
        .await
        .session;
    let pull = session.pull::<_, ()>("/work/tell", ());
    let work = async { pull.await.expect("told") };
    let span = tracing::info_span!("own work");
    work.instrument(span).await;
    lines.recv().await.expect("told");
    let spans = traces.spans(5).await;
    let own = spans.iter().find(|span| span.name == "own work");
    let made = find(&spans, &CLIENT, "/work/tell");
    let served = find(&spans, &SERVER, "/work/tell");
    let pushed = find(&spans, &CLIENT, "/news/line");
    let received = find(&spans, &SERVER, "/news/line");
    assert!(is_child(made, own.expect("its span")));
    assert!(is_child(served, made) && is_child(pushed, served) && is_child(received, pushed));
}

#[tokio::test(start_paused = true)]
async fn calls_beside_each_other_are_traces_of_their_own() {
    let traces = Traces::start();
    let session = pair(Work.into_router(), Caller.into_router()).await.session;
    for _ in 0..2 {
        let relay = session.pull::<_, (String, String)>("/work/relay", ());
        relay.await.expect("relayed");
    }
    let spans = traces.spans(8).await;
    let mut ids: Vec<_> = spans
        .iter()
        .map(|span| span.span_context.trace_id())
        .collect();
    ids.sort_by_key(ToString::to_string);
    ids.dedup();
    assert_eq!(ids.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn failures_are_those_of_the_side_whose_fault_they_are() {
    let traces = Traces::start();
    let session = pair(Work.into_router(), Router::new()).await.session;
    for (uri, code) in [
        ("/work/fail", 1001),
        ("/work/fail", 503),
        ("/nobody/here", 404),
    ] {
        let error = session.pull::<_, ()>(uri, code).await;
        assert_eq!(error.expect_err("as asked").code(), code);
    }
    let spans = traces.spans(6).await;
    for span in &spans {
        let code = attribute(span, "rpc.response.status_code").expect("a code");
        let is_error = span.span_kind == CLIENT || code == "503";
        assert_eq!(
            matches!(span.status, SpanStatus::Error { .. }),
            is_error,
            "{span:#?}"
        );
        assert_eq!(attribute(span, "error.type"), is_error.then_some(code));
    }
    let unknown = find(&spans, &SERVER, "teleport");
    assert_eq!(attribute(unknown, "rpc.method").as_deref(), Some("_OTHER"));
    let original = attribute(unknown, "rpc.method_original");
    assert_eq!(original.as_deref(), Some("/nobody/here"));
}

/// Another program at the other end of the pipe, which writes its packets itself.
struct Stranger(DuplexStream);

impl Stranger {
    async fn send(&mut self, header: &Header) {
        let mut frame = Vec::new();
        Standard
            .encode(
                header.as_ref(),
                HeaderCodec::Json,
                &mut |_| Ok(()),
                &mut frame,
            )
            .expect("a frame");
        self.0.write_all(&frame).await.expect("written");
    }

    async fn receive(&mut self) -> Packet {
        let mut bytes = BytesMut::new();
        loop {
            match Standard.decode(&mut bytes, &Limits::default()) {
                Ok(Decoded::Packet(packet)) => return packet,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
            self.0.read_buf(&mut bytes).await.expect("read");
        }
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Pulls `/work/relay` with this context; gives the one that comes with the nested call.
async fn relay_of_stranger(parent: &str, state: &str) -> (String, String) {
    let (left, right) = tokio::io::duplex(PIPE);
    let server = peer(teleport::PeerConfig::default(), Work.into_router());
    server.serve_conn(left).await.expect("a session");
    let mut stranger = Stranger(right);
    let mut header = Header::new(PacketKind::Pull, 7, "/work/relay");
    header.meta.insert("traceparent", parent);
    header.meta.insert("tracestate", state);
    stranger.send(&header).await;
    let nested = stranger.receive().await.header;
    let meta = |name| nested.meta.get(name).unwrap_or_default().to_owned();
    let found = (meta("traceparent"), meta("tracestate"));
    let mut reply = Header::new(PacketKind::Reply, nested.seq, nested.uri);
    reply.status_code = 404;
    stranger.send(&reply).await;
    assert_eq!(stranger.receive().await.header.seq, 7);
    found
}

#[tokio::test(start_paused = true)]
async fn the_context_of_another_program_is_the_parent_and_its_state_goes_on() {
    let traces = Traces::start();
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let (nested, state) = relay_of_stranger(&parent, "vendor=x,other=y").await;
    let spans = traces.spans(2).await;
    let served = find(&spans, &SERVER, "/work/relay");
    let made = find(&spans, &CLIENT, "/caller/context");
    assert_eq!(served.span_context.trace_id().to_string(), TRACE);
    assert_eq!(served.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert!(is_child(made, served));
    let span = made.span_context.span_id();
    assert_eq!(
        (nested, &*state),
        (format!("00-{TRACE}-{span}-01"), "vendor=x,other=y")
    );
}

#[tokio::test(start_paused = true)]
async fn what_another_program_does_not_sample_is_not_exported_and_goes_on_so() {
    let traces = Traces::start();
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-00");
    let (nested, _) = relay_of_stranger(&parent, "").await;
    assert!(nested.starts_with(&format!("00-{TRACE}-")), "{nested}");
    assert!(nested.ends_with("-00"), "{nested}");
    traces.spans(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_context_that_cannot_be_read_is_none() {
    let traces = Traces::start();
    let (nested, _) = relay_of_stranger("00-nonsense-01", "nonsense").await;
    let spans = traces.spans(2).await;
    let served = find(&spans, &SERVER, "/work/relay");
    assert_eq!(served.parent_span_id, SpanId::INVALID);
    let trace = served.span_context.trace_id();
    assert!(nested.starts_with(&format!("00-{trace}-")), "{nested}");
}

#[tokio::test(start_paused = true)]
async fn without_a_layer_for_traces_the_context_goes_on_as_it_came() {
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let subscriber = tracing_subscriber::registry();
    let _guard = tracing::subscriber::set_default(subscriber);
    let found = relay_of_stranger(&parent, "vendor=x").await;
    assert_eq!(found, (parent, "vendor=x".to_owned()));
}
