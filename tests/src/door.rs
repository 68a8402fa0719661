//! An in-memory address behind which a server stands, or not, as the test says.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use teleport::Peer;
use tokio::{io::DuplexStream, sync::watch, time::Instant};

use crate::pair::PIPE;

/// What a dial meets.
#[derive(Clone, Debug)]
enum Behind {
    /// It is refused.
    Nobody,
    /// It waits.
    Nothing,
    Server(Peer),
}

/// The address. Clones mean the same one.
#[derive(Clone, Debug)]
pub struct Door {
    behind: watch::Sender<Behind>,
    knocks: watch::Sender<usize>,
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Default for Door {
    /// Nobody is there.
    fn default() -> Self {
        Self {
            behind: watch::Sender::new(Behind::Nobody),
            knocks: watch::Sender::new(0),
            times: Arc::default(),
        }
    }
}

impl Door {
    /// Who dials now gets to this server, and so do those who wait.
    pub fn open(&self, server: &Peer) {
        self.behind.send_replace(Behind::Server(server.clone()));
    }

    /// Who dials now is refused.
    pub fn shut(&self) {
        self.behind.send_replace(Behind::Nobody);
    }

    /// Who dials now waits.
    pub fn hold(&self) {
        self.behind.send_replace(Behind::Nothing);
    }

    /// Waits until there have been so many dials.
    pub async fn knocked(&self, times: usize) {
        let mut knocks = self.knocks.subscribe();
        let enough = knocks.wait_for(|knocks| *knocks >= times).await;
        drop(enough.expect("the door keeps it"));
    }

    /// When the dials were.
    #[must_use]
    pub fn knocks(&self) -> Vec<Instant> {
        let times = self.times.lock();
        times.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For `Peer::link_over`.
    pub fn connect(&self) -> impl Fn() -> Connecting + Send + Sync + 'static {
        let door = self.clone();
        move || {
            let door = door.clone();
            Box::pin(async move { door.dial().await })
        }
    }

    async fn dial(&self) -> io::Result<DuplexStream> {
        let times = self.times.lock();
        times
            .unwrap_or_else(PoisonError::into_inner)
            .push(Instant::now());
        self.knocks.send_modify(|knocks| *knocks += 1);
        let mut behind = self.behind.subscribe();
        let behind = behind
            .wait_for(|behind| !matches!(behind, Behind::Nothing))
            .await
            .map_err(io::Error::other)?
            .clone();
        let Behind::Server(server) = behind else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (left, right) = tokio::io::duplex(PIPE);
        server.serve_conn(left).await.map_err(io::Error::other)?;
        Ok(right)
    }
}

/// A dial.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>;
