//! Logs and traces: an event for each call, with bodies and without secrets; a warning for slow ones; and one OpenTelemetry trace
//! across three peers.
//!
//! `cargo run --example tracing`

use std::time::Duration;

use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::{Value, json};
use teleport::{
    BodyText, Error, Peer, PeerConfig, PullController, PullCtx, Session, Status, pull_controller,
};
use tracing::{Level, Metadata};
use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// Behind the gate.
struct Accounts;

#[pull_controller]
impl Accounts {
    /// Warned of if it takes longer than 10 ms.
    #[pull(slow_ms = 10)]
    async fn balance(&self, ctx: &PullCtx, user: String) -> i64 {
        // The trace context came with the call. Without OpenTelemetry it goes on to the calls of a handler all the same.
        println!(
            "accounts: {}",
            ctx.meta("traceparent").unwrap_or("no trace")
        );
        tokio::time::sleep(Duration::from_millis(if user == "bob" { 20 } else { 1 })).await;
        100
    }
}

/// What the world sees.
struct Gate {
    accounts: Session,
}

#[pull_controller]
impl Gate {
    async fn login(&self, args: Value) -> Result<Value, Status> {
        let user = args["user"].as_str().unwrap_or_default().to_owned();
        // An event of the handler's own is in the span of the call.
        tracing::info!(user, "looking up");
        let balance = AccountsClient::new(&self.accounts).balance(user).await?;
        Ok(json!({"balance": balance, "token": "8a6f"}))
    }
}

fn config() -> PeerConfig {
    PeerConfig {
        listen: vec!["127.0.0.1:0".to_owned()],
        // Bodies are shown on request only. Members with names such as `password` and `token` are masked.
        print_bodies: Some(BodyText::default()),
        slow_threshold: Some(Duration::from_secs(1)),
        ..PeerConfig::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let spans = subscribe();
    let accounts = Peer::builder()
        .config(config())
        .routes(Accounts.into_router())
        .build()?;
    let address = accounts.listen().await?.address();

    let gate = Peer::builder().config(config());
    let dialled = Peer::builder()
        .config(config())
        .build()?
        .dial(&address)
        .await?;
    let gate = gate
        .routes(Gate { accounts: dialled }.into_router())
        .build()?;
    let address = gate.listen().await?.address();

    let session = Peer::builder()
        .config(config())
        .build()?
        .dial(&address)
        .await?;
    for user in ["ann", "bob"] {
        println!("\n--- {user} logs in");
        let args = json!({"user": user, "password": "open sesame"});
        // Values of such names are masked in uris, too.
        let answer: Value = session.pull("/gate/login?token=17", args).await?;
        println!("client: {answer}");
    }
    println!("\n--- a call that fails");
    let error = session
        .pull::<_, ()>("/gate/logout?token=17", ())
        .await
        .unwrap_err();
    println!("client: {error}");

    session.close().await;
    gate.close().await;
    accounts.close().await;
    println!("\n--- the traces, as OpenTelemetry has them");
    let spans = spans.get_finished_spans().unwrap_or_default();
    print_below(SpanId::INVALID, &spans, 0);
    Ok(())
}

/// Logs to the terminal, and traces to where this program can print them.
fn subscribe() -> InMemorySpanExporter {
    let is_call = |metadata: &Metadata<'_>| metadata.target() == "teleport::call";
    // Events of calls are at level debug, slow ones at level warn. Their spans are left to the traces.
    let logs = tracing_subscriber::fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_filter(filter_fn(move |metadata| {
            !metadata.is_span() && (is_call(metadata) || *metadata.level() <= Level::INFO)
        }));
    // In earnest they go to a collector, with the exporter of `opentelemetry-otlp`.
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.build().tracer("example"))
        .with_filter(filter_fn(is_call));
    tracing_subscriber::registry()
        .with(logs)
        .with(traces)
        .init();
    exporter
}

fn print_below(parent: SpanId, spans: &[SpanData], depth: usize) {
    for span in spans.iter().filter(|span| span.parent_span_id == parent) {
        let (kind, name) = (&span.span_kind, &span.name);
        let trace = span.span_context.trace_id();
        println!("{trace} {:depth$}{kind:?} {name}: {:?}", "", span.status);
        print_below(span.span_context.span_id(), spans, depth + 2);
    }
}
