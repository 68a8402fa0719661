//! What is logged on the thread of a test.

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Notify;
use tracing::{Level, subscriber::DefaultGuard};

/// Gathers the lines that this thread logs, for as long as it lives. Meant for tests on a runtime of one thread.
pub struct Log {
    lines: Arc<Lines>,
    _guard: DefaultGuard,
}

#[derive(Default)]
struct Lines {
    text: Mutex<String>,
    more: Notify,
}

impl Log {
    /// Begins.
    #[must_use]
    pub fn start() -> Self {
        let lines = Arc::new(Lines::default());
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(Level::DEBUG)
            .with_writer({
                let lines = Arc::clone(&lines);
                move || Writer(Arc::clone(&lines))
            })
            .finish();
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Waits for a line with this text in it, and gives it.
    pub async fn line(&self, text: &str) -> String {
        loop {
            let more = self.lines.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if let Some(line) = self.so_far().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            more.await;
        }
    }

    /// All lines until now.
    #[must_use]
    pub fn so_far(&self) -> String {
        self.lines.text().clone()
    }
}

impl Lines {
    fn text(&self) -> std::sync::MutexGuard<'_, String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").field(&self.so_far()).finish()
    }
}

struct Writer(Arc<Lines>);

impl io::Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.text().push_str(&String::from_utf8_lossy(buf));
        self.0.more.notify_waiters();
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
