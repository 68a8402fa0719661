//! Programs that the tests start: etcd, and servers that register themselves in it.

use std::{
    fs, io,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use etcd_client::Client;
use teleport::registry::{Etcd, etcd_client};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::sleep,
};

/// An etcd of its own for a test, on free ports, with its data in a folder that goes with it.
pub(crate) struct EtcdProcess {
    child: Option<Child>,
    data: PathBuf,
    client_port: u16,
    peer_port: u16,
}

impl EtcdProcess {
    /// Reserves ports and a folder; nothing runs yet.
    pub(crate) fn prepare() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("teleport-etcd-{}-{count}", std::process::id());
        let [client_port, peer_port] = free_ports();
        Self {
            child: None,
            data: std::env::temp_dir().join(name),
            client_port,
            peer_port,
        }
    }

    /// Starts etcd, and waits until it answers.
    pub(crate) async fn start() -> Self {
        let mut etcd = Self::prepare();
        etcd.run().await;
        etcd
    }

    /// Starts it, on the data that it has, and waits until it answers.
    pub(crate) async fn run(&mut self) {
        let client = self.endpoint();
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let child = Command::new("etcd")
            .arg("--data-dir")
            .arg(&self.data)
            .args(["--listen-client-urls", &client])
            .args(["--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer])
            .args(["--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("default={peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("etcd can be started; install it (Debian: etcd-server)"));
        let mut client = self.client().await.kv_client();
        while client.get("any", None).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    pub(crate) fn client_port(&self) -> u16 {
        self.client_port
    }

    /// A registry with entries that expire as soon as etcd lets them.
    pub(crate) async fn registry(&self) -> Etcd {
        let etcd = Etcd::connect([self.endpoint()]).await;
        etcd.expect("an address").ttl(Duration::from_secs(2))
    }

    /// A client to look at the entries with, and to change them.
    pub(crate) async fn client(&self) -> Client {
        let client = Client::connect([self.endpoint()], None).await;
        client.expect("an address")
    }

    /// Stops its process in its tracks: connections stay and nothing answers.
    pub(crate) fn freeze(&self) {
        signal(self.child.as_ref().expect("it runs"), "STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal(self.child.as_ref().expect("it runs"), "CONT");
    }

    /// Ends it as if the power had failed.
    pub(crate) fn kill(&mut self) {
        if let Some(child) = self.child.take() {
            kill(child).expect("killed");
        }
    }

    /// Ends it and throws its data away.
    pub(crate) fn destroy(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.data).expect("its folder");
    }
}

impl Drop for EtcdProcess {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.data).ok();
    }
}

/// A server in a process of its own.
pub(crate) struct MemberProcess {
    child: tokio::process::Child,
    pub(crate) address: String,
}

impl MemberProcess {
    /// Starts it, and waits until it is registered.
    pub(crate) async fn start(etcd: &EtcdProcess, service: &str, name: &str) -> Self {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_etcd_member"))
            .args([&etcd.endpoint(), service, name])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it was built with the tests");
        let output = child.stdout.take().expect("piped");
        let mut lines = BufReader::new(output).lines();
        let address = lines.next_line().await.expect("text").expect("its address");
        Self { child, address }
    }

    /// `kill -9`
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn terminate(mut self) {
        let id = self.child.id().expect("it runs");
        send(id, "TERM");
        let status = self.child.wait().await.expect("its end");
        assert!(status.success(), "{status}");
    }
}

fn signal(child: &Child, name: &str) {
    send(child.id(), name);
}

fn send(id: u32, signal: &str) {
    let command = format!("kill -{signal} {id}");
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.expect("a shell").success());
}

fn kill(mut child: Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

fn free_ports<const N: usize>() -> [u16; N] {
    // All are taken before the first is given back, so they differ.
    let listeners = [(); N].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
