//! The registry in etcd, against a real etcd that each test starts for itself: `etcd` has to be on the path.
//!
//! Time runs here as it does for etcd. What is waited for is an event; the pauses are how long a failure lasts.

mod etcd {
    pub(crate) mod process;
    pub(crate) mod proxy;
}

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use etcd::{
    process::{EtcdProcess, MemberProcess},
    proxy::Proxy,
};
use etcd_client::{CompactionOptions, DeleteOptions, GetOptions};
use teleport::{
    Closing, Connection, Error, Peer, PeerConfig, Plugin, Router,
    registry::{Etcd, Link, Member, Pool, Registration, etcd_client},
};
use teleport_tests::{
    gate::{Gate, GateClient},
    named::Named,
    pair::peer,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// Longer than an entry lives that is not renewed.
const OUTAGE: Duration = Duration::from_secs(4);

/// Nothing here takes so long unless it never ends.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let result = timeout(Duration::from_secs(60), work).await;
    result.unwrap_or_else(|_| panic!("{what}: not within a minute"))
}

struct Server {
    peer: Peer,
    gate: Gate,
    address: String,
}

impl Server {
    async fn start(name: &str) -> Self {
        let gate = Gate::default();
        let config = PeerConfig {
            listen: vec!["127.0.0.1:0".to_owned()],
            ..PeerConfig::default()
        };
        let peer = peer(config, gate.routes().merge(Named::routes(name)));
        let address = peer.listen().await.expect("a free port").address();
        Self {
            peer,
            gate,
            address,
        }
    }

    fn member(&self) -> Member {
        Member::new(&self.address).routes_of(&self.peer)
    }

    fn announce(&self, etcd: &Etcd, service: &str) -> Registration {
        let registration = etcd.registration(service);
        registration.announce(&self.member());
        registration
    }

    async fn register(&self, etcd: &Etcd) -> Registration {
        let registration = self.announce(etcd, "names");
        soon("registration", registration.registered()).await;
        registration
    }
}

fn follow(etcd: &Etcd) -> Pool {
    let client = peer(PeerConfig::default(), Router::new());
    Pool::new(&client, etcd.discover("names"))
}

async fn until(pool: &Pool, what: &str, condition: impl FnMut(&[Link]) -> bool) -> Vec<Link> {
    soon(what, pool.wait_for(condition)).await
}

/// Exactly these members are there, and connected.
async fn until_members(pool: &Pool, addresses: &[&str]) {
    let mut addresses = addresses.to_vec();
    addresses.sort_unstable();
    until(pool, "all members are connected", |links| {
        let connected = links.iter().filter(|link| link.session.is_some());
        links.len() == addresses.len() && connected.map(|link| &link.member.address).eq(&addresses)
    })
    .await;
}

/// The keys in etcd, with their values.
async fn entries(etcd: &EtcdProcess) -> Vec<(String, String)> {
    let mut client = etcd.client().await.kv_client();
    let options = GetOptions::new().with_prefix();
    let answer = client.get("/", Some(options)).await.expect("etcd answers");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = answer.kvs().iter();
    pairs
        .map(|pair| (text(pair.key()), text(pair.value())))
        .collect()
}

/// Calls one after the other, until it is told to stop.
struct Calls {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    task: JoinHandle<Vec<Error>>,
}

impl Calls {
    fn start(pool: &Pool) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let pool = pool.clone();
        let task = tokio::spawn({
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            async move {
                let mut failed = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match ask(&pool).await {
                        Ok(_) => drop(answered.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => failed.push(error),
                    }
                    tokio::task::yield_now().await;
                }
                failed
            }
        });
        Self {
            stop,
            answered,
            task,
        }
    }

    /// Waits until so many more calls were answered.
    async fn go_on(&self, count: u64) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        soon("calls are answered", async {
            while self.answered.load(Ordering::Relaxed) < goal {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// The errors.
    async fn stop(self) -> Vec<Error> {
        self.stop.store(true, Ordering::Relaxed);
        soon("the last call", self.task).await.expect("no panic")
    }
}

/// Who answers.
async fn ask(pool: &Pool) -> Result<String, Error> {
    pool.pull("/named/name", ()).await
}

#[tokio::test]
async fn a_server_is_found_as_long_as_it_is_registered() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    until(&pool, "nobody is there", <[Link]>::is_empty).await;
    assert_eq!(ask(&pool).await.expect_err("nobody").code(), 100);

    let server = Server::start("a").await;
    let member = server.member().weight(2).metadata("zone", "z1");
    let registration = etcd.registration("names");
    registration.announce(&member);
    until_members(&pool, &[&server.address]).await;
    assert_eq!(ask(&pool).await.expect("an answer"), "a");

    let [(key, value)] = &entries(&process).await[..] else {
        panic!("one entry")
    };
    assert_eq!(*key, format!("/teleport/names/{}", server.address));
    let value: serde_json::Value = serde_json::from_str(value).expect("JSON");
    assert_eq!(value["weight"], 2);
    assert_eq!(value["metadata"]["zone"], "z1");
    let routes = value["routes"].as_array().expect("routes");
    assert!(routes.contains(&serde_json::json!({"uri": "/named/name", "kind": "pull"})));
    assert!(routes.contains(&serde_json::json!({"uri": "/gate/push", "kind": "push"})));

    // Another server, so that the first is not the last to call.
    let other = Server::start("b").await;
    let _other = other.register(&etcd).await;
    until_members(&pool, &[&server.address, &other.address]).await;
    let links = pool.links();
    let link = links
        .iter()
        .find(|link| link.member.address == server.address);
    let session = link
        .and_then(|link| link.session.clone())
        .expect("connected");
    let gate = GateClient::new(&session);
    let call = tokio::spawn(async move { gate.pass(1).await });
    server.gate.arrived(1).await;
    registration.revoke().await.expect("etcd answers");
    assert_eq!(entries(&process).await.len(), 1, "gone at once");
    until_members(&pool, &[&other.address]).await;
    assert_eq!(ask(&pool).await.expect("an answer"), "b");
    server.gate.open(1);
    assert_eq!(call.await.expect("no panic").expect("it was let finish"), 1);
    soon("the session ends", session.closed()).await;
}

#[tokio::test]
async fn a_killed_server_is_left_out_at_once_and_its_entry_expires() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    let dies = MemberProcess::start(&process, "names", "dies").await;
    let stays = MemberProcess::start(&process, "names", "stays").await;
    until_members(&pool, &[&dies.address, &stays.address]).await;

    let calls = Calls::start(&pool);
    calls.go_on(100).await;
    dies.kill().await;
    calls.go_on(100).await;
    assert_eq!(entries(&process).await.len(), 2, "etcd does not know yet");
    until_members(&pool, &[&stays.address]).await;
    assert_eq!(entries(&process).await.len(), 1);
    // The one that was under way may have been served, so it is not repeated; no other was hurt.
    let failed = calls.stop().await;
    assert!(failed.len() <= 1, "{failed:?}");
    assert!(failed.iter().all(|error| error.code() == 101), "{failed:?}");
    stays.terminate().await;
}

#[tokio::test]
async fn a_server_that_is_asked_to_stop_costs_no_call() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    let mut servers = Vec::new();
    for name in ["a", "b", "c"] {
        servers.push(MemberProcess::start(&process, "names", name).await);
    }
    until(&pool, "three are there", |links| {
        links.iter().filter(|link| link.session.is_some()).count() == 3
    })
    .await;
    let calls = [(); 4].map(|()| Calls::start(&pool));
    // One after the other is replaced by a new one.
    for name in ["d", "e", "f"] {
        let new = MemberProcess::start(&process, "names", name).await;
        until(&pool, "the new one is connected", |links| {
            let new = links.iter().find(|link| link.member.address == new.address);
            new.is_some_and(|link| link.session.is_some())
        })
        .await;
        calls[0].go_on(50).await;
        servers.remove(0).terminate().await;
        servers.push(new);
        calls[0].go_on(50).await;
    }
    for calls in calls {
        let failed = calls.stop().await;
        assert!(failed.is_empty(), "{failed:?}");
    }
}

#[tokio::test]
async fn calls_go_on_while_etcd_answers_nothing() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    let (a, b) = (Server::start("a").await, Server::start("b").await);
    let _registered = (a.register(&etcd).await, b.register(&etcd).await);
    until_members(&pool, &[&a.address, &b.address]).await;
    let calls = Calls::start(&pool);

    process.freeze();
    sleep(OUTAGE).await;
    calls.go_on(100).await;
    process.thaw();
    let c = Server::start("c").await;
    let _c = c.register(&etcd).await;
    until_members(&pool, &[&a.address, &b.address, &c.address]).await;
    calls.go_on(100).await;
    let failed = calls.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn calls_go_on_while_etcd_is_down_and_changes_are_seen_when_it_is_back() {
    let mut process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    let (a, b) = (Server::start("a").await, Server::start("b").await);
    let _a = a.register(&etcd).await;
    let registration = b.register(&etcd).await;
    until_members(&pool, &[&a.address, &b.address]).await;
    let calls = Calls::start(&pool);

    process.kill();
    // Meanwhile one comes and one goes.
    let c = Server::start("c").await;
    let coming = c.announce(&etcd, "names");
    drop(registration);
    sleep(OUTAGE).await;
    calls.go_on(100).await;
    process.run().await;
    soon("registered when etcd is back", coming.registered()).await;
    until_members(&pool, &[&a.address, &c.address]).await;
    calls.go_on(100).await;
    let failed = calls.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn an_etcd_that_has_lost_its_data_is_told_again() {
    let mut process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    let server = Server::start("a").await;
    // The later the revision, the longer one would wait for a change from there on.
    let mut client = process.client().await.kv_client();
    for _ in 0..50 {
        client.put("/other", "", None).await.expect("etcd answers");
    }
    let _registered = server.register(&etcd).await;
    until_members(&pool, &[&server.address]).await;
    let calls = Calls::start(&pool);
    process.destroy();
    process.run().await;
    assert_eq!(entries(&process).await, []);
    let other = Server::start("b").await;
    let _other = other.register(&etcd).await;
    until_members(&pool, &[&server.address, &other.address]).await;
    let failed = calls.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn changes_that_were_missed_and_compacted_are_seen() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let mut proxy = Proxy::start(process.client_port()).await;
    let pool = follow(&Etcd::connect([proxy.endpoint()]).await.expect("an address"));
    let (a, b) = (Server::start("a").await, Server::start("b").await);
    let registration = a.register(&etcd).await;
    until_members(&pool, &[&a.address]).await;

    proxy.cut().await;
    registration.revoke().await.expect("etcd answers");
    let _b = b.register(&etcd).await;
    let mut client = process.client().await.kv_client();
    let mut revision = 0;
    for _ in 0..100 {
        let put = client.put("/teleport/other", "", None).await;
        let put = put.expect("etcd answers");
        revision = put.header().expect("a header").revision();
    }
    let options = CompactionOptions::new().with_physical();
    let compacted = client.compact(revision, Some(options)).await;
    compacted.expect("all but the last revision is forgotten");
    assert_eq!(ask(&pool).await.expect("not knowing better"), "a");

    proxy.join().await;
    until_members(&pool, &[&b.address]).await;
    assert_eq!(ask(&pool).await.expect("an answer"), "b");
}

#[tokio::test]
async fn a_connection_to_etcd_that_dies_in_silence_is_replaced() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let proxy = Proxy::start(process.client_port()).await;
    let pool = follow(&Etcd::connect([proxy.endpoint()]).await.expect("an address"));
    let (a, b) = (Server::start("a").await, Server::start("b").await);
    let _a = a.register(&etcd).await;
    until_members(&pool, &[&a.address]).await;
    proxy.silence();
    let _b = b.register(&etcd).await;
    until_members(&pool, &[&a.address, &b.address]).await;
}

#[tokio::test]
async fn entries_that_all_vanish_are_registered_again_and_no_call_is_lost() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    let (a, b) = (Server::start("a").await, Server::start("b").await);
    let _registered = (a.register(&etcd).await, b.register(&etcd).await);
    until_members(&pool, &[&a.address, &b.address]).await;
    let calls = Calls::start(&pool);
    let mut client = process.client().await;
    let options = DeleteOptions::new().with_prefix();
    let deleted = client.delete("/teleport/names/", Some(options)).await;
    assert_eq!(deleted.expect("etcd answers").deleted(), 2);
    until(&pool, "both are gone", <[Link]>::is_empty).await;
    calls.go_on(100).await;
    until_members(&pool, &[&a.address, &b.address]).await;

    let leases = client.leases().await.expect("etcd answers");
    let old: Vec<_> = leases.leases().iter().map(|lease| lease.id()).collect();
    assert_eq!(old.len(), 2);
    for lease in &old {
        client.lease_revoke(*lease).await.expect("it is there");
    }
    soon("both have new leases", async {
        loop {
            let options = GetOptions::new().with_prefix();
            let found = client.get("/teleport/names/", Some(options)).await;
            let found = found.expect("etcd answers");
            let new = found.kvs().iter().map(|pair| pair.lease());
            if new.filter(|lease| !old.contains(lease)).count() == 2 {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    until_members(&pool, &[&a.address, &b.address]).await;
    calls.go_on(100).await;
    let failed = calls.stop().await;
    assert!(failed.is_empty(), "{failed:?}");
}

#[tokio::test]
async fn what_is_announced_later_takes_the_place_of_what_was_before() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let pool = follow(&etcd);
    let (a, b) = (Server::start("a").await, Server::start("b").await);
    let registration = a.register(&etcd).await;
    until_members(&pool, &[&a.address]).await;
    let session = pool.session().await.expect("connected");

    registration.announce(&a.member().weight(7));
    soon("registered", registration.registered()).await;
    until(&pool, "another weight", |links| {
        links.iter().all(|link| link.member.weight == 7)
    })
    .await;
    assert!(session.is_open(), "it is the same member");

    registration.announce(&b.member());
    soon("registered", registration.registered()).await;
    assert_eq!(entries(&process).await.len(), 1);
    until_members(&pool, &[&b.address]).await;

    // Whatever the task is doing when it is told, nothing is left after the word that nothing is.
    for turns in 0..20 {
        registration.announce(&a.member());
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        registration.revoke().await.expect("etcd answers");
        assert_eq!(entries(&process).await, []);
    }
}

#[tokio::test]
async fn an_entry_that_another_process_takes_over_is_left_to_it() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let registration = etcd.registration("names");
    let peer = Peer::builder().plugin(registration.clone()).build();
    let peer = peer.expect("a peer");
    let member = Member::new("127.0.0.1:9");
    registration.announce(&member);
    soon("registered", registration.registered()).await;
    // As a restart tells it.
    registration.pre_close(Closing::Restart).await;
    assert_eq!(entries(&process).await.len(), 1, "until the other has it");
    let successor = etcd.registration("names");
    successor.announce(&member);
    soon("registered", successor.registered()).await;
    let mut client = process.client().await.kv_client();
    let mut version = async || {
        let found = client.get("/teleport/names/127.0.0.1:9", None).await;
        let found = found.expect("etcd answers");
        found
            .kvs()
            .first()
            .map(|pair| (pair.version(), pair.lease()))
    };
    let taken = version().await;
    sleep(OUTAGE).await;
    assert_eq!(version().await, taken, "nobody takes it back");
    peer.close().await;
    assert_eq!(version().await, taken, "nor revokes it");
    drop(successor);
    sleep(OUTAGE).await;
    assert_eq!(entries(&process).await, [], "kept by nobody");
}

#[tokio::test]
async fn a_server_and_a_client_may_start_before_etcd() {
    let mut process = EtcdProcess::prepare();
    let etcd = process.registry().await;
    let server = Server::start("a").await;
    let registration = server.announce(&etcd, "names");
    let pool = follow(&etcd);
    let early = timeout(Duration::from_secs(1), registration.registered()).await;
    early.expect_err("there is nothing to register in");
    process.run().await;
    until_members(&pool, &[&server.address]).await;
    assert_eq!(ask(&pool).await.expect("an answer"), "a");
}

#[tokio::test]
async fn what_is_no_member_is_left_out_and_services_do_not_mix() {
    let process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let mut client = process.client().await.kv_client();
    for value in ["", "{}", "{\"address\":7}", "\u{0}"] {
        let key = format!("/teleport/names/bad-{}", value.len());
        client.put(key, value, None).await.expect("etcd answers");
    }
    let servers = [Server::start("a").await, Server::start("b").await];
    let _inner = servers[0].announce(&etcd, "names/inner");
    let elsewhere = etcd.clone().prefix("/elsewhere");
    let _elsewhere = servers[0].announce(&elsewhere, "names");
    let _right = servers[1].register(&etcd).await;
    let pool = follow(&etcd);
    until_members(&pool, &[&servers[1].address]).await;
    for pool in [
        Pool::new(&servers[1].peer, etcd.discover("names/inner")),
        Pool::new(&servers[1].peer, elsewhere.discover("names")),
    ] {
        until_members(&pool, &[&servers[0].address]).await;
    }
    // An entry that turns bad is one that goes, and the other way round.
    let key = "/teleport/names/bad-0";
    let good = format!("{{\"address\":\"{}\"}}", servers[0].address);
    client.put(key, good, None).await.expect("etcd answers");
    until_members(&pool, &[&servers[0].address, &servers[1].address]).await;
    client.put(key, "bad", None).await.expect("etcd answers");
    until_members(&pool, &[&servers[1].address]).await;
}

#[tokio::test]
async fn an_unreachable_etcd_makes_revoke_fail_and_a_wrong_address_connect() {
    let mut process = EtcdProcess::start().await;
    let etcd = process.registry().await;
    let server = Server::start("a").await;
    let registration = server.register(&etcd).await;
    process.kill();
    let error = soon("it gives up", registration.revoke()).await;
    let error = error.expect_err("etcd is gone");
    assert_eq!(error.code(), 100);
    assert!(error.to_string().contains("/teleport/names/"), "{error}");

    let error = Etcd::connect(["http://not an address"]).await;
    error.expect_err("no address");
    let error = Etcd::connect::<&str>([]).await;
    error.expect_err("nowhere to connect to");
}
