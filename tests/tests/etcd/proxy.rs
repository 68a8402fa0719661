//! A way to etcd that can be cut.

use std::{future::pending, sync::Arc};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

/// Passes connections on to a port.
pub(crate) struct Proxy {
    port: u16,
    target: u16,
    task: Option<JoinHandle<()>>,
    silence: Arc<Notify>,
}

impl Proxy {
    pub(crate) async fn start(target: u16) -> Self {
        let mut proxy = Self {
            port: 0,
            target,
            task: None,
            silence: Arc::default(),
        };
        proxy.join().await;
        proxy
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Breaks all connections, and takes no more.
    pub(crate) async fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            task.await.expect_err("aborted");
        }
    }

    /// Lets nothing through any more on the connections that there are, and leaves them open, as a machine does that vanishes.
    /// New ones are passed on.
    pub(crate) fn silence(&self) {
        self.silence.notify_waiters();
    }

    /// Takes connections, after the start or a cut.
    pub(crate) async fn join(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await;
        let listener = listener.expect("the port");
        self.port = listener.local_addr().expect("an address").port();
        let target = self.target;
        let silence = Arc::clone(&self.silence);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let silence = Arc::clone(&silence);
                connections.spawn(async move {
                    let target = TcpStream::connect(("127.0.0.1", target)).await;
                    let mut target = target.expect("etcd");
                    tokio::select! {
                        _ = copy_bidirectional(&mut stream, &mut target) => {}
                        () = silence.notified() => pending().await,
                    }
                });
            }
        });
        self.task = Some(task);
    }
}
