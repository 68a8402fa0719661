//! A subscriber that hands the events about calls to the test.

use std::{collections::BTreeMap, fmt::Debug};

use tokio::sync::mpsc;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// What an event or a span has to say.
pub type Fields = BTreeMap<&'static str, String>;

/// An event, as a subscriber saw it.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its level.
    pub level: Level,
    /// Its fields; the text is `message`.
    pub fields: Fields,
    /// The fields of the span that it is in.
    pub span: Fields,
}

impl Said {
    /// A field as text; empty if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field as a number.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        self.get(name).parse().expect("a number")
    }
}

/// What was said about calls by this thread, and by no other.
#[derive(Debug)]
pub struct Capture {
    said: mpsc::UnboundedReceiver<Said>,
    _guard: DefaultGuard,
}

impl Capture {
    /// Listens to events of the target `teleport::call`, at this level and above, until it is dropped.
    #[must_use]
    pub fn start(level: LevelFilter) -> Self {
        let (sender, said) = mpsc::unbounded_channel();
        let subscriber = tracing_subscriber::registry().with(Catcher { level, sender });
        Self {
            said,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Waits for the next event.
    ///
    /// # Panics
    /// Never: this holds the subscriber.
    pub async fn next(&mut self) -> Said {
        self.said.recv().await.expect("the subscriber lives")
    }

    /// Waits for the next event of this kind, and skips those before.
    pub async fn next_of(&mut self, kind: &str) -> Said {
        loop {
            let said = self.next().await;
            if said.get("kind") == kind {
                return said;
            }
        }
    }

    /// What was said and not yet taken.
    pub fn rest(&mut self) -> Vec<Said> {
        std::iter::from_fn(|| self.said.try_recv().ok()).collect()
    }
}

struct Catcher {
    level: LevelFilter,
    sender: mpsc::UnboundedSender<Said>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Catcher {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "teleport::call" && *metadata.level() <= self.level
    }

    fn on_new_span(&self, attrs: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let mut fields = Read::default();
        attrs.record(&mut fields);
        if let Some(span) = ctx.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Read>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let mut fields = Read::default();
        event.record(&mut fields);
        let span = ctx.event_span(event).map(|span| {
            let extensions = span.extensions();
            extensions.get::<Read>().map(|read| read.0.clone())
        });
        let said = Said {
            level: *event.metadata().level(),
            fields: fields.0,
            span: span.flatten().unwrap_or_default(),
        };
        self.sender.send(said).ok();
    }
}

#[derive(Default)]
struct Read(Fields);

impl Visit for Read {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
