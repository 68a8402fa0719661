//! [`PrometheusPage`]: metrics as Prometheus reads them.

use std::{
    convert::Infallible,
    fmt, io,
    sync::{Arc, Weak},
    time::Duration,
};

use metrics::Recorder;
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::JoinSet,
};

use crate::error::Error;

/// Upper bounds of the buckets in which latencies are shown, in seconds.
const BUCKETS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0,
];
/// How long recorded latencies may wait to be put into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);
/// A scraper that is slower is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Scrapers that are answered at the same time.
const SCRAPERS: usize = 16;
/// Bytes of a request.
const LONGEST_REQUEST: usize = 8 * 1024;
/// Pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// A page of metrics in the text format of Prometheus: a recorder for the [`metrics`] facade, and what it has recorded.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use teleport::{Peer, plugins::{PrometheusPage, Statistics}};
/// use tokio::net::TcpListener;
///
/// let page = PrometheusPage::new();
/// let peer = Peer::builder().plugin(Statistics::recorded_by(page.recorder())).build()?;
/// # let (left, right) = tokio::io::duplex(64 * 1024);
/// # let session = Peer::builder().build()?.serve_conn(left).await?;
/// # peer.serve_conn(right).await?;
///
/// let listener = TcpListener::bind("127.0.0.1:0").await?; // in earnest a port that Prometheus knows
/// tokio::spawn({
///     let page = page.clone();
///     async move { page.serve(listener).await }
/// });
/// assert!(page.render().contains("teleport_sessions_open 1"));
/// # Ok(()) }
/// ```
///
/// It has a recorder of its own. For a page with the metrics of the whole program, whatever library they are from, make that one
/// the global recorder with [`install`](Self::install).
///
/// # Cost
/// Made inside a tokio runtime, it spawns a task that tidies up every 5 seconds and ends with the last handle to the page and
/// its recorder. Made elsewhere, [`render`](Self::render) it now and then: until then each recorded latency takes 8 bytes.
#[derive(Clone)]
pub struct PrometheusPage {
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Default for PrometheusPage {
    fn default() -> Self {
        Self::new()
    }
}

impl PrometheusPage {
    /// An empty page. Histograms whose names end in `_seconds` have buckets from 0.1 ms to 10 s, others are shown as summaries.
    #[must_use]
    pub fn new() -> Self {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(seconds, &BUCKETS)
            // Fails if there are no buckets.
            .unwrap_or_default();
        let recorder = Arc::new(builder.build_recorder());
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tidy_up(Arc::downgrade(&recorder)));
        }
        Self {
            handle: recorder.handle(),
            recorder,
        }
    }

    /// What records for this page, for [`Statistics::recorded_by`](super::Statistics::recorded_by) or to be combined with others.
    pub fn recorder(&self) -> impl Recorder + Clone + Send + Sync + 'static + use<> {
        Arc::clone(&self.recorder)
    }

    /// Makes the recorder of this page the global one, to which all metrics of this program go that are registered from now on.
    ///
    /// # Errors
    /// There is a global recorder already.
    pub fn install(&self) -> Result<(), Error> {
        metrics::set_global_recorder(Arc::clone(&self.recorder)).map_err(Error::config)
    }

    /// The page.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Answers HTTP requests for `/metrics` with the page, until it is dropped. Nothing is encrypted, and nobody is asked who
    /// they are: bind the listener to an address that only those reach who may.
    ///
    /// # Cancel safety
    /// Dropping the future ends the serving and cuts what is under way.
    pub async fn serve(&self, listener: TcpListener) -> Infallible {
        let mut scrapers = JoinSet::new();
        loop {
            while scrapers.try_join_next().is_some() {}
            if scrapers.len() >= SCRAPERS {
                scrapers.join_next().await;
            }
            match listener.accept().await {
                Ok((stream, _)) => {
                    let page = self.clone();
                    scrapers.spawn(async move {
                        let answer = tokio::time::timeout(PATIENCE, page.answer(stream));
                        if let Ok(Err(error)) = answer.await {
                            tracing::debug!(%error, "a scraper got no page");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a scraper; trying again in {PAUSE:?}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let request = read_head(&mut stream).await?;
        let (status, page) = match target(&request) {
            None => ("400 Bad Request", "this is no HTTP/1 request\n".to_owned()),
            Some(("GET" | "HEAD", "/metrics" | "/")) => ("200 OK", self.render()),
            Some(("GET" | "HEAD", _)) => ("404 Not Found", "the page is /metrics\n".to_owned()),
            Some(_) => ("405 Method Not Allowed", "GET it\n".to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            page.len()
        );
        stream.write_all(head.as_bytes()).await?;
        if !request.starts_with(b"HEAD ") {
            stream.write_all(page.as_bytes()).await?;
        }
        stream.shutdown().await
    }
}

/// Reads a request up to the blank line. A request for a page has nothing behind it.
async fn read_head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut stream = stream.take(LONGEST_REQUEST as u64);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Method and path of a request.
fn target(request: &[u8]) -> Option<(&str, &str)> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let mut parts = str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    let path = target.split('?').next()?;
    version.starts_with("HTTP/1.").then_some((method, path))
}

/// Puts recorded latencies into their buckets, as long as somebody can record or read.
async fn tidy_up(recorder: Weak<PrometheusRecorder>) {
    loop {
        tokio::time::sleep(UPKEEP).await;
        match recorder.upgrade() {
            Some(recorder) => recorder.handle().run_upkeep(),
            None => return,
        }
    }
}

impl fmt::Debug for PrometheusPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusPage").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_its_method_and_its_path() {
        for (request, found) in [
            (
                "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n",
                Some(("GET", "/metrics")),
            ),
            ("HEAD /?a=b HTTP/1.0\r\n\r\n", Some(("HEAD", "/"))),
            ("GET /metrics\r\n\r\n", None),
            ("PRI * HTTP/2.0\r\n\r\n", None),
            ("\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(target(request.as_bytes()), found, "{request}");
        }
    }
}
