//! What a process has used so far: CPU, memory, allocations; and the channel to ask a server for it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::alloc;

/// One-way messages that handlers of this process have seen.
pub static NOTES: AtomicU64 = AtomicU64::new(0);

/// Counters of one process at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time of all threads.
    pub cpu_seconds: f64,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
    /// Zero unless the process counts allocations.
    pub allocations: u64,
    pub heap_bytes: i64,
    pub notes: u64,
}

impl Usage {
    /// The counters of this process.
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let (rss_bytes, peak_rss_bytes) = resident();
        Self {
            cpu_seconds: time.tv_sec as f64 + time.tv_nsec as f64 / 1e9,
            rss_bytes,
            peak_rss_bytes,
            allocations: alloc::calls(),
            heap_bytes: alloc::live_bytes(),
            notes: NOTES.load(Relaxed),
        }
    }
}

/// `VmRSS` and `VmHWM` in bytes, 0 where the system has no `/proc`.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    (
        field("VmRSS:").unwrap_or(0) * 1024,
        field("VmHWM:").unwrap_or(0) * 1024,
    )
}

/// CPU seconds that all CPUs of the machine were busy so far, for whomever, with what the hypervisor took. `NaN` where
/// the system has no `/proc`.
pub fn machine_busy_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|tick| tick.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is in the user time already.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] else {
        return f64::NAN;
    };
    let ticks = user + nice + system + irq + softirq + steal;
    ticks / rustix::param::clock_ticks_per_second() as f64
}

/// Answers every line on `listener` with the counters, on a thread that sleeps otherwise.
pub fn answer(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || -> Result<()> {
                let mut lines = BufReader::new(stream.try_clone()?).lines();
                while let Some(Ok(_)) = lines.next() {
                    writeln!(&stream, "{}", serde_json::to_string(&Usage::now())?)?;
                }
                Ok(())
            });
        }
    });
}

/// Asks a server process for its counters.
pub struct Probe(BufReader<TcpStream>);

impl Probe {
    /// Connects to the listener that the process gave to [`answer`].
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).context("the control port of the server")?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The counters now.
    pub fn usage(&mut self) -> Result<Usage> {
        self.0.get_mut().write_all(b"usage\n")?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        serde_json::from_str(&line).context("the server's counters")
    }
}
