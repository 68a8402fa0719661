//! The load of one round: links, sessions that come and go, and calls over all of them.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use teleport::{
    Backoff, CallCtx, ConnOptions, Connection, LinkOptions, Peer, PeerConfig, Plugin, Session,
    Status, plugins::Heartbeat,
};
use teleport_tests::{
    dice::Dice,
    ledger::Ledger,
    work::{Scale, Work, call},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

const SCALE: Scale = Scale {
    large: 100_000,
    small: 300,
    patience: 300,
};

/// Who calls over each link, over the server's sessions, and how many open sessions of their own.
const CALLERS: usize = 16;
const CALLERS_BACK: usize = 24;
const OPENERS: usize = 6;

/// After a round, calls come to their end within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Calls by the code with which they ended, and sessions that were opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    calls: Mutex<BTreeMap<i32, u64>>,
    sessions: AtomicU64,
    refused: AtomicU64,
    links: AtomicU64,
}

impl Counts {
    fn note(&self, code: i32) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls.entry(code).or_default() += 1;
    }

    /// So far.
    pub(crate) fn line(&self, time: Duration) -> String {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count: u64 = calls.values().sum();
        let codes: Vec<_> = calls
            .iter()
            .map(|(code, count)| format!("{code}: {count}"))
            .collect();
        format!(
            "{:.0} s: {count} calls ({}), {} sessions and {} links opened, {} dials failed",
            time.as_secs_f64(),
            codes.join(", "),
            self.sessions.load(Ordering::Relaxed),
            self.links.load(Ordering::Relaxed),
            self.refused.load(Ordering::Relaxed),
        )
    }
}

/// Has hooks on all calls, so that they take the long way.
struct Looks;

impl Plugin for Looks {
    fn name(&self) -> &str {
        "looks"
    }

    async fn pre_write_pull(&self, _: &mut CallCtx) -> Result<(), Status> {
        Ok(())
    }
}

/// What the tasks of a round share.
#[derive(Clone)]
struct Shared {
    ledger: Ledger,
    counts: Arc<Counts>,
    over: Arc<AtomicBool>,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    async fn one_call<C: Connection>(&self, connection: &C, dice: &mut Dice) {
        let code = call(connection, &self.ledger, dice.split(), SCALE).await;
        self.counts.note(code);
    }
}

/// Makes rounds.
pub(crate) struct Load {
    ledger: Ledger,
    counts: Arc<Counts>,
    authority: PathBuf,
    addresses: Vec<String>,
    server: Peer,
}

impl Load {
    pub(crate) fn new(
        ledger: Ledger,
        counts: Arc<Counts>,
        authority: PathBuf,
        addresses: Vec<String>,
        server: Peer,
    ) -> Self {
        Self {
            ledger,
            counts,
            authority,
            addresses,
            server,
        }
    }

    /// Runs for so long, and closes all that it has opened.
    pub(crate) async fn round(&self, length: Duration, mut dice: Dice) -> Result<(), String> {
        let shared = Shared {
            ledger: self.ledger.clone(),
            counts: Arc::clone(&self.counts),
            over: Arc::default(),
        };
        let clients = [self.client(&mut dice, false), self.client(&mut dice, true)];
        let mut tasks = JoinSet::new();
        for (number, address) in self.addresses.iter().enumerate() {
            let client = &clients[number % 2];
            for _ in 0..2 {
                tasks.spawn(keep_links(
                    shared.clone(),
                    client.clone(),
                    address.clone(),
                    dice.split(),
                ));
            }
        }
        for number in 0..OPENERS {
            let address = self.addresses[number % self.addresses.len()].clone();
            let client = clients[number % 2].clone();
            tasks.spawn(open_sessions(shared.clone(), client, address, dice.split()));
        }
        for _ in 0..CALLERS_BACK {
            tasks.spawn(call_back(shared.clone(), self.server.clone(), dice.split()));
        }
        sleep(length).await;
        shared.over.store(true, Ordering::Relaxed);
        let all = timeout(PATIENCE, tasks.join_all()).await;
        if all.is_err() {
            return Err(format!(
                "after {PATIENCE:?} {} calls are still under way",
                self.ledger.under_way()
            ));
        }
        for client in &clients {
            client.shutdown(Duration::from_secs(5)).await;
        }
        for session in self.server.sessions() {
            session.abort();
        }
        match self.ledger.under_way() {
            0 => Ok(()),
            // Those of handlers, which are being dropped.
            _ => {
                sleep(Duration::from_secs(3)).await;
                match self.ledger.under_way() {
                    0 => Ok(()),
                    count => Err(format!("{count} calls never end")),
                }
            }
        }
    }

    fn client(&self, dice: &mut Dice, looks: bool) -> Peer {
        let config = PeerConfig {
            tls_ca_file: Some(self.authority.clone()),
            dial_timeout: Some(Duration::from_secs(3)),
            write_buffer: dice.pick(&[4096, 64 * 1024, 1024 * 1024]),
            write_timeout: Some(Duration::from_secs(5)),
            announce: dice.percent(50),
            ..PeerConfig::default()
        };
        let mut builder = Peer::builder()
            .config(config)
            .plugin(Heartbeat::every(Duration::from_secs(1)))
            .routes(Work::new(&self.ledger).routes());
        if looks {
            builder = builder.plugin(Looks);
        }
        builder.build().expect("a peer")
    }
}

/// Has a link, calls over it, and ends it, again and again.
async fn keep_links(shared: Shared, client: Peer, address: String, mut dice: Dice) {
    while shared.goes_on() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        let link = client.link_with(&address, LinkOptions::new().backoff(backoff));
        shared.counts.links.fetch_add(1, Ordering::Relaxed);
        let life = dice.millis(100..20_000);
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (link, shared, mut dice) = (link.clone(), shared.clone(), dice.split());
            callers.spawn(async move {
                let calls = async {
                    while shared.goes_on() {
                        shared.one_call(&link, &mut dice).await;
                        sleep(dice.millis(0..20)).await;
                    }
                };
                // Calls are dropped in the middle, too.
                let _ = timeout(life, calls).await;
            });
        }
        callers.join_all().await;
        match dice.percent(50) {
            true => link.close().await,
            false => drop(link),
        }
    }
}

/// Opens a session, makes some calls at once, and ends it in one of the ways that there are.
async fn open_sessions(shared: Shared, client: Peer, address: String, mut dice: Dice) {
    let mut number = 0;
    while shared.goes_on() {
        number += 1;
        let id = format!("{address} {number} {}", dice.roll());
        let session = match client.dial_with(&address, ConnOptions::new().id(id)).await {
            Ok(session) => session,
            Err(_) => {
                shared.counts.refused.fetch_add(1, Ordering::Relaxed);
                sleep(dice.millis(0..20)).await;
                continue;
            }
        };
        shared.counts.sessions.fetch_add(1, Ordering::Relaxed);
        let mut calls = JoinSet::new();
        for _ in 0..dice.within(0..10) {
            let (session, shared, mut dice) = (session.clone(), shared.clone(), dice.split());
            calls.spawn(async move { shared.one_call(&session, &mut dice).await });
        }
        let wait = dice.millis(0..200);
        match dice.within(0..4) {
            // With calls in flight.
            0 => {
                sleep(wait).await;
                session.abort();
            }
            1 => {
                sleep(wait).await;
                session.close().await;
            }
            2 => {
                sleep(wait).await;
                calls.abort_all();
                session.start_closing();
            }
            _ => {}
        }
        while calls.join_next().await.is_some() {}
        session.close().await;
    }
}

/// Calls whoever is connected.
async fn call_back(shared: Shared, server: Peer, mut dice: Dice) {
    while shared.goes_on() {
        let sessions: Vec<Session> = server.sessions().collect();
        if !sessions.is_empty() {
            let session = &sessions[dice.within(0..sessions.len() as u64) as usize];
            shared.one_call(session, &mut dice).await;
            if dice.within(0..200) == 0 {
                session.start_closing();
            }
        }
        sleep(dice.millis(0..20)).await;
    }
}
