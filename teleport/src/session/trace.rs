//! Between the spans of OpenTelemetry and the trace context in headers, as the W3C writes it.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::scope::{TRACEPARENT, TRACESTATE};
use crate::protocol::Meta;

/// Makes the span of a call that is served a child of the one with which it was made.
pub(super) fn adopt(span: &Span, meta: &Meta) {
    if span.is_disabled() {
        return;
    }
    let Some(mut parent) = meta.get(TRACEPARENT).and_then(parse) else {
        return;
    };
    if let Some(state) = meta.get(TRACESTATE).and_then(|state| state.parse().ok()) {
        parent = with_state(&parent, state);
    }
    // Without a layer that exports spans there is nothing to set.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// Puts the span of a call that is made into its header.
pub(super) fn pass_on(span: &Span, meta: &mut Meta) {
    if span.is_disabled() {
        return;
    }
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    if !context.is_valid() {
        return;
    }
    meta.insert(TRACEPARENT, write(context));
    // Also if it is empty: what was inherited belongs to another span.
    let state = context.trace_state().header();
    if !state.is_empty() || meta.get(TRACESTATE).is_some() {
        meta.insert(TRACESTATE, state);
    }
}

fn write(context: &SpanContext) -> String {
    let (trace, span) = (context.trace_id(), context.span_id());
    format!(
        "00-{trace}-{span}-{:02x}",
        context.trace_flags().to_u8() & 1
    )
}

/// `00-` and trace, span and flags in hexadecimal. Later versions may have more behind it.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let version = hex::<2>(parts.next()?)?;
    let trace = hex::<32>(parts.next()?)?;
    let span = hex::<16>(parts.next()?)?;
    let flags = hex::<2>(parts.next()?)?;
    if version == "ff" || version == "00" && parts.next().is_some() {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()? & 1;
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(flags),
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

fn with_state(context: &SpanContext, state: TraceState) -> SpanContext {
    SpanContext::new(
        context.trace_id(),
        context.span_id(),
        context.trace_flags(),
        true,
        state,
    )
}

/// So many digits, all of them small.
fn hex<const DIGITS: usize>(text: &str) -> Option<&str> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == DIGITS && text.bytes().all(is_digit)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_context_is_written_as_it_was_read() {
        let text = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let context = parse(&text).expect("a context");
        assert!(context.is_sampled() && context.is_remote());
        assert_eq!(write(&context), text);
        let not_sampled = format!("00-{TRACE}-00f067aa0ba902b7-00");
        assert_eq!(write(&parse(&not_sampled).expect("a context")), not_sampled);
    }

    #[test]
    fn what_is_no_context_is_none_and_later_versions_are_read_as_far_as_known() {
        for text in [
            "",
            "00",
            "00-a-b-01",
            &format!("00-{TRACE}-00f067aa0ba902b7"),
            &format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            &format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            &format!("00-{TRACE}-0000000000000000-01"),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{TRACE}-00f067aa0ba902b7-zz"),
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
        let later = format!("01-{TRACE}-00f067aa0ba902b7-07-more");
        assert_eq!(
            write(&parse(&later).expect("a context")),
            format!("00-{TRACE}-00f067aa0ba902b7-01")
        );
    }
}
