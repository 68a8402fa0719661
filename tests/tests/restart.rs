//! Restarts of a real process, under load: no connection is refused and no reply is lost. The server is
//! `src/bin/restartable.rs`.
#![cfg(unix)]
#![expect(
    clippy::print_stdout,
    reason = "what the server says is shown when a test fails"
)]

use std::{
    collections::BTreeSet,
    fs,
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use teleport::{ConnOptions, Error, Peer, PeerConfig, Session};
use teleport_tests::authority::Authority;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdout, Command},
    sync::Notify,
    task::JoinSet,
    time::timeout,
};

const SERVER: &str = env!("CARGO_BIN_EXE_restartable");
/// Beyond this a test hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of a test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("teleport-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A program that starts the server with these arguments in front of its own.
    fn script(&self, name: &str, line: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;

        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("allowed");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Makes `link` mean another file, at once.
fn point(link: &Path, to: &Path) {
    let fresh = link.with_extension("fresh");
    std::os::unix::fs::symlink(to, &fresh).expect("a link");
    fs::rename(fresh, link).expect("replaced");
}

/// A server, and all processes that come after it: they write to the same pipe.
struct Server {
    first: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    /// All of them are in it.
    group: Pid,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut first = command
            .stdout(Stdio::piped())
            .env_remove("NOTIFY_SOCKET")
            .process_group(0)
            .spawn()
            .expect("a server");
        let group = number(first.id().expect("not waited for"));
        let lines = BufReader::new(first.stdout.take().expect("piped")).lines();
        Self {
            first,
            lines,
            said: Vec::new(),
            group,
        }
    }

    /// The next line that contains `text`, which may have been said already if nobody has asked for it.
    async fn says(&mut self, text: &str) -> String {
        if let Some(index) = self.said.iter().position(|line| line.contains(text)) {
            return self.said.remove(index);
        }
        let line = timeout(PATIENCE, async {
            loop {
                let line = self.lines.next_line().await.expect("text");
                let line =
                    line.unwrap_or_else(|| panic!("it ended without `{text}`: {:#?}", self.said));
                println!("{line}");
                if line.contains(text) {
                    return line;
                }
                self.said.push(line);
            }
        });
        line.await
            .unwrap_or_else(|_| panic!("it does not say `{text}`: {:#?}", self.said))
    }

    /// A process that listens now: its id and its addresses.
    async fn listens(&mut self) -> (u32, Vec<String>) {
        let line = self.says("listens at ").await;
        let (pid, addresses) = line.split_once("] listens at ").expect("of the server");
        let pid = pid.trim_start_matches('[').parse().expect("a number");
        (pid, addresses.split(' ').map(ToOwned::to_owned).collect())
    }

    /// The first process, when it serves and takes signals.
    async fn up(&mut self) -> (u32, Vec<String>) {
        let first = self.listens().await;
        self.says("ready").await;
        first
    }

    /// Waits until this process has ended in good order.
    async fn ended(&mut self, pid: u32, how: &str) {
        self.says(&format!("[{pid}] closes: {how}")).await;
        self.says(&format!("[{pid}] ends: nothing was cut")).await;
    }

    /// Replaces `old`, and waits until that is over.
    async fn restart(&mut self, old: u32) -> (u32, Vec<String>) {
        signal(old, Signal::USR2);
        let next = self.listens().await;
        self.ended(old, "Restart").await;
        next
    }

    async fn stop(mut self, pid: u32) {
        signal(pid, Signal::TERM);
        self.ended(pid, "Shutdown").await;
        let rest = timeout(PATIENCE, async {
            while let Some(line) = self.lines.next_line().await.expect("text") {
                println!("{line}");
            }
        });
        rest.await.expect("all processes end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            kill_process_group(self.group, Signal::KILL).ok();
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    kill_process(number(pid), signal).expect("it lives");
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().expect("an id")).expect("not 0")
}

fn client() -> Peer {
    trusting(None)
}

/// A client that speaks TLS with whom this authority has signed.
fn trusting(ca: Option<PathBuf>) -> Peer {
    let config = PeerConfig {
        announce: true,
        tls_ca_file: ca,
        ..PeerConfig::default()
    };
    Peer::builder().config(config).build().expect("a peer")
}

async fn answering(session: &Session) -> u32 {
    let answer = session.pull::<_, (u32, u64)>("/probe/echo", 0).await;
    answer.expect("an answer").0
}

async fn pid_at(address: &str) -> u32 {
    let peer = client();
    let session = peer.dial(address).await.expect("somebody listens");
    let pid = answering(&session).await;
    peer.close().await;
    pid
}

/// Clients that call all the time.
struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Who has answered each of the tasks last, and how often.
    last: Mutex<Vec<(u32, u32)>>,
    answered: Notify,
    answers: AtomicU64,
    /// Calls that were not taken, and went elsewhere.
    moved: AtomicU64,
    /// What must not happen.
    lost: Mutex<Vec<String>>,
}

impl Load {
    /// At each address three tasks that dial for each call, and three that stay connected as long as they can.
    fn start(addresses: &[String], ca: Option<&Path>) -> Self {
        let shared = Arc::<Shared>::default();
        let mut tasks = JoinSet::new();
        for address in addresses {
            let tls = address.starts_with("tls://");
            for number in 0..6 {
                let peer = trusting(ca.filter(|_| tls).map(Path::to_owned));
                let mut last = shared.last.lock().expect("no panic");
                let index = last.len();
                last.push((0, 0));
                tasks.spawn(Arc::clone(&shared).call(
                    index,
                    peer,
                    address.clone(),
                    number % 2 == 0,
                ));
            }
        }
        Self { shared, tasks }
    }

    /// Waits until each task has been answered by `pid` a few times.
    async fn answered_by(&self, pid: u32) {
        let all = async {
            loop {
                let answered = self.shared.answered.notified();
                let all = {
                    let last = self.shared.last.lock().expect("no panic");
                    last.iter()
                        .all(|(last, times)| *last == pid && *times >= 10)
                };
                if all {
                    return;
                }
                let lost = self.shared.lost.lock().expect("no panic").clone();
                assert!(lost.is_empty(), "{} lost: {lost:#?}", lost.len());
                answered.await;
            }
        };
        let all = timeout(PATIENCE, all).await;
        all.unwrap_or_else(|_| panic!("not all are answered by {pid}: {:?}", self.shared.last));
    }

    /// Ends the calling. Gives how many calls were answered, how many had to be made again, and what was lost.
    async fn stop(mut self) -> (u64, u64, Vec<String>) {
        self.shared.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no panic");
        }
        let lost = std::mem::take(&mut *self.shared.lost.lock().expect("no panic"));
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (count(&self.shared.answers), count(&self.shared.moved), lost)
    }
}

impl Shared {
    async fn call(self: Arc<Self>, index: usize, peer: Peer, address: String, stays: bool) {
        let mut number = 0;
        let mut session = None;
        while !self.stop.load(Ordering::Relaxed) {
            let connected = match session.take() {
                Some(session) => session,
                None => match dial(&peer, &address, number).await {
                    Ok(session) => session,
                    Err(error) => return self.lose(&error),
                },
            };
            number += 1;
            let uri = if stays { "/probe/slow" } else { "/probe/echo" };
            match connected.pull::<_, (u32, u64)>(uri, number).await {
                Ok((pid, echo)) => {
                    assert_eq!(echo, number, "an answer to another call");
                    self.note(index, pid);
                    self.answers.fetch_add(1, Ordering::Relaxed);
                    self.answered.notify_waiters();
                    if stays {
                        session = Some(connected);
                    } else {
                        connected.close().await;
                    }
                }
                Err(error) if error.is_closed() && error.code() == 100 => {
                    self.moved.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return self.lose(&error),
            }
        }
        peer.close().await;
    }

    fn note(&self, index: usize, pid: u32) {
        let last = &mut self.last.lock().expect("no panic")[index];
        *last = (pid, if last.0 == pid { last.1 + 1 } else { 1 });
    }

    fn lose(&self, error: &Error) {
        self.lost
            .lock()
            .expect("no panic")
            .push(format!("{error:?}"));
        self.answered.notify_waiters();
    }
}

async fn dial(peer: &Peer, address: &str, number: u64) -> Result<Session, Error> {
    let id = format!("{address} {number}");
    peer.dial_with(address, ConnOptions::new().id(id)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restarts_in_a_row_under_load_refuse_no_connection_and_lose_no_reply() {
    let folder = Folder::new("row");
    let socket = folder.path("socket");
    let unix = format!("unix://{}", socket.display());
    let authority = Authority::new();
    let identity = authority.issue("server");
    // Two peers; a port of the system's choice twice, a Unix socket, TLS.
    let plain = ["127.0.0.1:0", "127.0.0.1:0", &unix];
    let mut server = Server::start(
        Command::new(SERVER)
            .env("CERT_FILE", &identity.cert)
            .env("KEY_FILE", &identity.key)
            .args(plain)
            .args(["--", "tls://127.0.0.1:0"]),
    );
    let (mut pid, addresses) = server.up().await;
    assert_eq!(
        addresses.iter().collect::<BTreeSet<_>>().len(),
        4,
        "{addresses:?}"
    );
    let load = Load::start(&addresses, Some(&authority.file()));
    load.answered_by(pid).await;
    let mut seen = BTreeSet::from([pid]);
    for _ in 0..8 {
        let (next, same) = server.restart(pid).await;
        assert_eq!(same, addresses);
        assert!(seen.insert(next), "a new process");
        load.answered_by(next).await;
        assert!(socket.exists(), "the old process leaves the file");
        pid = next;
    }
    let (answers, moved, lost) = load.stop().await;
    println!("{answers} answers, {moved} calls moved");
    assert!(lost.is_empty(), "{} lost: {lost:#?}", lost.len());
    assert!(moved > 0, "the sessions to the old processes have ended");
    server.stop(pid).await;
    assert!(!socket.exists(), "the last process removes the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_program_that_does_not_come_up_leaves_the_old_one_serving() {
    let folder = Folder::new("broken");
    let program = folder.path("server");
    let socket = folder.path("socket");
    let unix = format!("unix://{}", socket.display());
    point(&program, Path::new(SERVER));
    let mut server = Server::start(Command::new(&program).args(["127.0.0.1:0", &unix]));
    let (pid, addresses) = server.up().await;
    let load = Load::start(&addresses, None);
    load.answered_by(pid).await;

    let ends = folder.script("ends", "exit 7");
    let fails = folder.script("fails", &format!("exec {SERVER} --fail \"$@\""));
    let missing = folder.path("missing");
    let hangs_up = folder.script("hangs_up", "exec sleep 1000 < /dev/null");
    for (broken, why) in [
        (&ends, "exit status: 7"),
        (&fails, "exit status: 3"),
        (&missing, "os error 2"),
        (&hangs_up, "did not say that it is ready"),
    ] {
        point(&program, broken);
        signal(pid, Signal::USR2);
        let line = server.says("this process goes on serving").await;
        assert!(line.contains(why), "{line}");
        if *broken == fails {
            let (_, same) = server.listens().await;
            assert_eq!(same, addresses, "it had come as far as that");
        }
        assert!(socket.exists());
    }
    point(&program, Path::new(SERVER));
    let (next, same) = server.restart(pid).await;
    assert_eq!(same, addresses);
    load.answered_by(next).await;
    let (_, _, lost) = load.stop().await;
    assert!(lost.is_empty(), "{} lost: {lost:#?}", lost.len());
    server.stop(next).await;
}

/// Waits until a process that holds has come so far, and gives what lets it go on.
async fn held(control: &tokio::net::TcpListener) -> tokio::net::TcpStream {
    let held = timeout(PATIENCE, control.accept()).await;
    let (mut held, _) = held.expect("it starts").expect("it connects");
    held.read_u8().await.expect("it holds");
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_goes_on_alone_when_the_old_one_is_killed_before_it_is_ready() {
    let folder = Folder::new("killed");
    let program = folder.path("server");
    point(&program, Path::new(SERVER));
    let mut server = Server::start(Command::new(&program).arg("127.0.0.1:0"));
    let (pid, addresses) = server.up().await;
    let address = &addresses[0];
    assert_eq!(pid_at(address).await, pid);

    let control = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("free");
    let at = control.local_addr().expect("bound");
    let line = format!("exec {SERVER} --hold {at} \"$@\"");
    point(&program, &folder.script("holds", &line));
    signal(pid, Signal::USR2);
    let mut held = held(&control).await;
    assert_eq!(
        pid_at(address).await,
        pid,
        "it alone takes connections so far"
    );

    let peer = client();
    let cut = peer.dial(address).await.expect("the old one");
    assert_eq!(answering(&cut).await, pid);
    server.first.kill().await.expect("killed and waited for");
    cut.closed().await;
    // Nobody accepts, but the socket is open.
    let waits = peer.dial(address).await.expect("not refused");
    let waiting = tokio::spawn(async move { answering(&waits).await });
    held.write_all(b"g").await.expect("it goes on");
    let (next, _) = server.listens().await;
    assert_eq!(waiting.await.expect("no panic"), next);
    server.says("the process before this one is gone").await;
    peer.close().await;
    server.stop(next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_asked_to_stop_while_it_waits_for_a_new_one_ends_both() {
    let folder = Folder::new("both");
    let program = folder.path("server");
    point(&program, Path::new(SERVER));
    let mut server = Server::start(Command::new(&program).arg("127.0.0.1:0"));
    let (pid, _) = server.up().await;
    let control = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("free");
    let at = control.local_addr().expect("bound");
    let line = format!("exec {SERVER} --hold {at} \"$@\"");
    point(&program, &folder.script("holds", &line));
    signal(pid, Signal::USR2);
    let mut held = held(&control).await;
    let ended = tokio::spawn(async move { held.read_u8().await });
    server.stop(pid).await;
    ended
        .await
        .expect("no panic")
        .expect_err("the new one is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_may_lose_and_gain_addresses() {
    let folder = Folder::new("addresses");
    let program = folder.path("server");
    let unix = |name: &str| format!("unix://{}", folder.path(name).display());
    point(&program, Path::new(SERVER));
    let args = ["127.0.0.1:0", "127.0.0.1:0", &unix("old")];
    let mut server = Server::start(Command::new(&program).args(args));
    let (pid, addresses) = server.up().await;
    let [kept, dropped, _] = &addresses[..] else {
        panic!("three: {addresses:?}")
    };
    // The kept one by its real address, in other words than before.
    let line = format!("exec {SERVER} tcp://{kept} {}", unix("new"));
    point(&program, &folder.script("changed", &line));
    let (next, now) = server.restart(pid).await;
    assert_eq!(now, [kept.clone(), unix("new")]);
    for address in &now {
        assert_eq!(pid_at(address).await, next);
    }
    server.says(&format!("closed address=\"{dropped}\"")).await;
    server
        .says(&format!("closed address=\"{}\"", unix("old")))
        .await;
    client().dial(dropped).await.expect_err("nobody listens");
    assert!(!folder.path("old").exists() && folder.path("new").exists());
    server.stop(next).await;
    assert!(!folder.path("new").exists());
}

/// What children of the process at this address inherit: files and variables.
async fn child_of(address: &str) -> (Vec<String>, Vec<String>) {
    let peer = client();
    let session = peer.dial(address).await.expect("a server");
    let child = session.pull("/probe/child", ()).await;
    let input: String = session.pull("/probe/input", ()).await.expect("an answer");
    assert_eq!(input, "/dev/null");
    peer.close().await;
    child.expect("an answer")
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_inherit_no_socket_and_no_variable() {
    let mut server = Server::start(Command::new(SERVER).arg("127.0.0.1:0").stdin(Stdio::null()));
    let (pid, addresses) = server.up().await;
    let (files, variables) = child_of(&addresses[0]).await;
    assert!(
        files.iter().any(|line| line.contains("pipe:")),
        "its output: {files:?}"
    );
    assert!(
        !files.iter().any(|line| line.contains("socket:")),
        "{files:?}"
    );
    let (next, _) = server.restart(pid).await;
    let (files, now) = child_of(&addresses[0]).await;
    assert!(
        !files.iter().any(|line| line.contains("socket:")),
        "{files:?}"
    );
    assert_eq!(now, variables);
    server.stop(next).await;
}

/// Starts a server with this socket as systemd would.
fn activated(socket: OwnedFd, args: &[&str]) -> Server {
    let mut command = Command::new("sh");
    let line = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 </dev/null"#;
    command.args(["-c", line, SERVER]).args(args).stdin(socket);
    Server::start(&mut command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_from_systemd_are_taken_and_handed_on() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("free");
    let address = socket.local_addr().expect("bound").to_string();
    // It stays open here as it does in systemd, so nobody could bind it again.
    let copy = socket.try_clone().expect("a copy");
    let mut server = activated(copy.into(), &[&address]);
    let (pid, addresses) = server.up().await;
    assert_eq!(addresses[..], [&*address]);
    assert_eq!(pid_at(&address).await, pid);
    if cfg!(target_os = "linux") {
        let (files, variables) = child_of(&address).await;
        assert!(
            !files.iter().any(|line| line.contains("socket:")),
            "{files:?}"
        );
        assert!(
            !variables.iter().any(|line| line.starts_with("LISTEN_")),
            "{variables:?}"
        );
    }
    let (next, addresses) = server.restart(pid).await;
    assert_eq!(addresses[..], [&*address]);
    assert_eq!(pid_at(&address).await, next);
    server.stop(next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_of_a_unix_socket_from_systemd_is_never_removed() {
    let folder = Folder::new("activated");
    let path = folder.path("socket");
    let socket = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let address = format!("unix://{}", path.display());
    let mut server = activated(socket.into(), &[&address]);
    let (pid, _) = server.up().await;
    assert_eq!(pid_at(&address).await, pid);
    let (next, _) = server.restart(pid).await;
    assert_eq!(pid_at(&address).await, next);
    server.stop(next).await;
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_hears_that_the_server_is_ready_and_which_process_it_is() {
    let folder = Folder::new("supervisor");
    let path = folder.path("notify");
    let supervisor = UnixDatagram::bind(&path).expect("a socket");
    supervisor.set_read_timeout(Some(PATIENCE)).expect("set");
    let hears = |text: &str| {
        let mut bytes = [0; 100];
        let count = supervisor.recv(&mut bytes).expect("a message");
        assert_eq!(std::str::from_utf8(&bytes[..count]), Ok(text));
    };
    let mut command = Command::new("env");
    command.arg(format!("NOTIFY_SOCKET={}", path.display()));
    let mut server = Server::start(command.args([SERVER, "127.0.0.1:0"]));
    let (pid, _) = server.up().await;
    hears("READY=1");
    let (next, _) = server.restart(pid).await;
    hears(&format!("MAINPID={next}"));
    server.stop(next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_cuts_at_once_and_the_report_says_what() {
    for kind in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(Command::new(SERVER).arg("127.0.0.1:0"));
        let (pid, addresses) = server.up().await;
        let peer = client();
        let session = peer.dial(&addresses[0]).await.expect("a server");
        let call = tokio::spawn({
            let session = session.clone();
            async move { session.pull::<_, ()>("/probe/endless", ()).await }
        });
        server.says("waits for ever").await;
        // Packets are taken in turn, so the handler has been put aside.
        assert_eq!(answering(&session).await, pid);
        signal(pid, Signal::TERM);
        server.says("closes: Shutdown").await;
        signal(pid, kind);
        let line = server.says("] ends: 1 session(s) cut").await;
        assert!(line.contains("1 handlers running"), "{line}");
        assert!(line.contains("pull /probe/endless (1x)"), "{line}");
        let error = call.await.expect("no panic").expect_err("cut");
        assert_eq!(error.code(), 101, "{error}");
        let status = server.first.wait().await.expect("it ends");
        assert!(status.success(), "{status}");
    }
}
