//! Connections that break, at every byte and by chance, while calls of all kinds are under way in both directions.
//!
//! Whatever happens: each pull ends once, with its own reply or an error; no handler begins twice for one call, nor for a call
//! whose error says that it was not made; and nothing is left when the peers have closed, no task and no session.
//! The seed of a failure is told; `TELEPORT_SEED` repeats it.

use std::{sync::Arc, time::Duration};

use teleport::{
    Backoff, CallCtx, ConnOptions, Handshake, Hooks, LinkOptions, Peer, PeerConfig, Plugin,
    PullCtx, Session, Status, plugins::Heartbeat,
};
use teleport_tests::{
    dice::{Dice, for_each_seed},
    faulty::{BREAKS, Break, Faults, faulty},
    ledger::Ledger,
    work::{Scale, Work, call},
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinSet,
    time::{sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// On a paused clock: whoever is not done by then never will be.
const FOR_EVER: Duration = Duration::from_secs(3600);

const SCALE: Scale = Scale {
    large: 20_000,
    small: 200,
    patience: 100,
};

fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    let builder = builder.enable_all().start_paused(true);
    builder.build().expect("a runtime")
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

    async fn post_read_pull_header(&self, _: &mut PullCtx) -> Result<(), Status> {
        Ok(())
    }
}

/// Leaves a mark in each session, which lives as long as that.
#[derive(Clone, Default)]
struct Marks(Arc<()>);

impl Marks {
    fn leave(&self, handshake: &Handshake<'_>) {
        handshake.session().values().insert(Arc::clone(&self.0));
    }

    /// Sessions that are not freed, counting those of plugins.
    fn left(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

impl Plugin for Marks {
    fn name(&self) -> &str {
        "marks"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT | Hooks::POST_DIAL
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        self.leave(handshake);
        Ok(())
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        self.leave(handshake);
        Ok(())
    }
}

/// Two peers with handlers that keep books, and what is looked at when all is over.
struct World {
    ledger: Ledger,
    marks: Marks,
    server: Peer,
    client: Peer,
}

impl World {
    /// `heartbeat`: silence is noticed.
    fn new(config: PeerConfig, heartbeat: bool, looks: bool) -> Self {
        let (ledger, marks) = (Ledger::default(), Marks::default());
        let build = || {
            let mut builder = Peer::builder()
                .config(config.clone())
                .plugin(marks.clone())
                .routes(Work::new(&ledger).routes());
            if heartbeat {
                builder = builder.plugin(Heartbeat::every(SECOND));
            }
            if looks {
                builder = builder.plugin(Looks);
            }
            builder.build().expect("a peer")
        };
        Self {
            server: build(),
            client: build(),
            ledger,
            marks,
        }
    }

    /// The server's session and the client's, over a connection with these faults on the way to either.
    async fn connect(&self, dice: Dice, to_server: Faults, to_client: Faults) -> [Session; 2] {
        let (ours, theirs) = faulty(dice, to_server, to_client);
        let dialling = ConnOptions::new().dialling();
        [
            self.server.serve_conn(theirs).await.expect("a session"),
            self.client
                .serve_conn_with(ours, dialling)
                .await
                .expect("a session"),
        ]
    }

    fn check_books(&self) {
        let (count, first) = self.ledger.violations();
        assert_eq!(count, 0, "{first:#?}");
        assert_eq!(self.ledger.under_way(), 0, "calls without an end");
    }

    /// Closes the peers; then nothing may be left, of these sessions neither.
    async fn end(self, sessions: Vec<Session>) {
        let (server, client) = (self.server.clone(), self.client.clone());
        let both = async { tokio::join!(server.shutdown(SECOND), client.shutdown(SECOND)) };
        timeout(FOR_EVER, both).await.expect("they close");
        // Handlers whose session is gone come to their end.
        sleep(SECOND).await;
        self.check_books();
        assert_eq!((server.session_count(), client.session_count()), (0, 0));
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        for session in &sessions {
            assert_eq!(session.pulls_in_flight(), 0, "a place is left");
        }
        drop((sessions, server, client));
        let Self {
            marks,
            server,
            client,
            ..
        } = self;
        drop((server, client));
        assert_eq!(marks.left(), 0, "sessions are not freed");
    }
}

/// A connection's worth of faults, and how it breaks, if it does.
fn random_faults(dice: &mut Dice, cut: Option<(usize, Break)>) -> Faults {
    Faults {
        capacity: dice.pick(&[64, 1024, 64 * 1024]),
        delay: dice.pick(&[Duration::ZERO, Duration::from_millis(5)]),
        most: dice.pick(&[7, 500, usize::MAX]),
        stutter: dice.pick(&[0, 30]),
        cut,
    }
}

fn random_cut(dice: &mut Dice) -> Option<(usize, Break)> {
    let at = dice.within(0..30_000) as usize;
    let how = dice.pick(&BREAKS);
    dice.percent(70).then_some((at, how))
}

fn random_config(dice: &mut Dice) -> PeerConfig {
    PeerConfig {
        write_buffer: dice.pick(&[64, 4096, 1024 * 1024]),
        write_timeout: Some(SECOND * 2),
        announce: dice.percent(50),
        ..PeerConfig::default()
    }
}

/// Ends a session or a peer in one of the ways that there are.
async fn end_somehow(how: u64, world: (Peer, Peer), sessions: [Session; 2]) {
    let ((server, client), [accepted, session]) = (world, sessions);
    match how {
        0 => session.close().await,
        1 => accepted.close().await,
        2 => session.abort(),
        3 => accepted.abort(),
        4 => _ = server.shutdown(Duration::from_millis(20)).await,
        5 => client.close().await,
        _ => {}
    }
}

#[test]
fn whatever_becomes_of_a_connection_each_call_ends_once_and_truly_and_nothing_is_left() {
    for_each_seed(300, |seed| {
        let dice = Dice::new(seed);
        paused().block_on(one_connection(dice));
    });
}

async fn one_connection(mut dice: Dice) {
    let (there, back) = (random_cut(&mut dice), random_cut(&mut dice));
    let may_fall_silent = [there, back]
        .iter()
        .flatten()
        .any(|(_, how)| matches!(how, Break::Deafen | Break::Vanish));
    let heartbeat = may_fall_silent || dice.percent(50);
    let world = World::new(random_config(&mut dice), heartbeat, dice.percent(30));
    let (there, back) = (
        random_faults(&mut dice, there),
        random_faults(&mut dice, back),
    );
    let sessions = world.connect(dice.split(), there, back).await;
    let mut calls = JoinSet::new();
    for _ in 0..dice.within(1..40) {
        let session = dice.pick(&[0, 1]);
        let (session, ledger) = (sessions[session].clone(), world.ledger.clone());
        let (dice, start) = (dice.split(), dice.millis(0..200));
        calls.spawn(async move {
            sleep(start).await;
            call(&session, &ledger, dice, SCALE).await;
        });
    }
    let ending = (world.server.clone(), world.client.clone());
    let (how, when) = (dice.within(0..12), dice.millis(0..200));
    let ending = end_somehow(how, ending, sessions.clone());
    let ending = tokio::spawn(async move {
        sleep(when).await;
        ending.await;
    });
    timeout(FOR_EVER, calls.join_all())
        .await
        .expect("all calls end");
    timeout(FOR_EVER, ending)
        .await
        .expect("it ends")
        .expect("no panic");
    world.end(sessions.into()).await;
}

#[test]
fn calls_over_a_link_begin_once_however_often_its_sessions_break() {
    for_each_seed(100, |seed| {
        let dice = Dice::new(seed);
        paused().block_on(one_link(dice));
    });
}

async fn one_link(mut dice: Dice) {
    let world = World::new(random_config(&mut dice), true, dice.percent(30));
    let server = world.server.clone();
    let mut chance = dice.split();
    let streams: Vec<_> = (0..dice.within(1..8))
        .map(|_| {
            let cuts = (random_cut(&mut chance), random_cut(&mut chance));
            let there = random_faults(&mut chance, cuts.0);
            (there, random_faults(&mut chance, cuts.1), chance.split())
        })
        .collect();
    let streams = std::sync::Mutex::new(streams.into_iter());
    let closes = dice.percent(50).then(|| dice.millis(0..100));
    let connect = move || {
        // When the bad ones are used up the good ones come.
        let next = streams.lock().expect("no panic").next();
        let (there, back, dice) =
            next.unwrap_or_else(|| (Faults::default(), Faults::default(), Dice::new(0)));
        let server = server.clone();
        async move {
            let (ours, theirs) = faulty(dice, there, back);
            let session = server.serve_conn(theirs).await;
            let session = session.map_err(std::io::Error::other)?;
            if let Some(after) = closes {
                tokio::spawn(async move {
                    sleep(after).await;
                    session.start_closing();
                });
            }
            Ok(ours)
        }
    };
    let backoff = Backoff::new(SECOND / 100, SECOND / 10).seed(dice.roll());
    let link = world
        .client
        .link_over(connect, LinkOptions::new().backoff(backoff));
    let mut calls = JoinSet::new();
    for _ in 0..dice.within(1..40) {
        let (link, ledger) = (link.clone(), world.ledger.clone());
        let (dice, start) = (dice.split(), dice.millis(0..2000));
        calls.spawn(async move {
            sleep(start).await;
            call(&link, &ledger, dice, SCALE).await;
        });
    }
    timeout(FOR_EVER, calls.join_all())
        .await
        .expect("all calls end");
    match dice.within(0..3) {
        0 => timeout(FOR_EVER, link.close()).await.expect("it closes"),
        1 => drop(link),
        _ => {}
    }
    world.end(Vec::new()).await;
}

/// A few calls of each kind in both directions, and an orderly end.
async fn conversation(world: &World, [accepted, session]: &[Session; 2], count: u64, scale: Scale) {
    let mut calls = JoinSet::new();
    for number in 0..count {
        let caller = [accepted, session][number as usize % 2].clone();
        let ledger = world.ledger.clone();
        calls.spawn(async move { call(&caller, &ledger, Dice::new(number), scale).await });
    }
    timeout(FOR_EVER, calls.join_all())
        .await
        .expect("all calls end");
    timeout(FOR_EVER, async {
        session.close().await;
        accepted.closed().await;
    })
    .await
    .expect("they close");
    for session in [accepted, session] {
        // A handler that has a pull of its own under way hears of the end, and has not run yet.
        let free = async {
            while session.pulls_in_flight() > 0 {
                sleep(SECOND / 1000).await;
            }
        };
        timeout(FOR_EVER, free).await.expect("no place is left");
    }
}

/// Has the same conversation again and again, and breaks its connection after each `step` bytes of either direction in each way.
fn break_everywhere(config: PeerConfig, count: u64, scale: Scale, step: usize) {
    paused().block_on(async {
        let world = World::new(config, true, false);
        let (ours, theirs) = faulty(Dice::new(0), Faults::default(), Faults::default());
        let lengths = [theirs.bytes_read(), ours.bytes_read()];
        let dialling = ConnOptions::new().dialling();
        let accepted = world.server.serve_conn(theirs).await.expect("a session");
        let session = world.client.serve_conn_with(ours, dialling);
        let sessions = [accepted, session.await.expect("a session")];
        conversation(&world, &sessions, count, scale).await;
        world.check_books();
        drop(sessions);
        let lengths = lengths.map(|length| length());
        assert!(lengths.iter().all(|length| *length > 300), "{lengths:?}");
        for (lane, length) in lengths.into_iter().enumerate() {
            for how in BREAKS {
                for at in (0..=length).step_by(step) {
                    let mut faults = [Faults::default(), Faults::default()];
                    faults[lane].cut = Some((at, how));
                    let [there, back] = faults;
                    let sessions = world.connect(Dice::new(0), there, back).await;
                    conversation(&world, &sessions, count, scale).await;
                    drop(sessions);
                    // Handlers whose session is gone come to their end.
                    sleep(SECOND).await;
                    let (count, first) = world.ledger.violations();
                    let place = format!("lane {lane}, {how:?} at byte {at}");
                    assert_eq!(count, 0, "{place}: {first:#?}");
                    let tasks = Handle::current().metrics().num_alive_tasks();
                    assert_eq!(tasks, 0, "{place}: tasks are left");
                    assert_eq!(world.marks.left(), 2, "{place}: sessions are not freed");
                    world.ledger.forget(Duration::ZERO);
                }
            }
        }
        world.end(Vec::new()).await;
    });
}

#[test]
fn a_connection_may_break_at_every_byte_of_a_conversation() {
    let scale = Scale {
        large: 60,
        small: 20,
        patience: 20,
    };
    break_everywhere(PeerConfig::default(), 12, scale, 1);
}

#[test]
fn a_connection_may_break_anywhere_in_bodies_larger_than_the_buffers() {
    let config = PeerConfig {
        write_buffer: 1024,
        ..PeerConfig::default()
    };
    break_everywhere(config, 30, SCALE, 2003);
}
