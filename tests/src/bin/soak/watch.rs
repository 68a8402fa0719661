//! What is left when all is closed.

use std::{
    fmt, fs,
    time::{Duration, Instant},
};

use teleport::Peer;
use tokio::{runtime::Handle, time::sleep};

use crate::ALLOCATOR;

/// What the process has at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    tasks: usize,
    descriptors: usize,
    /// Counted by the allocator.
    bytes: usize,
    /// Resident memory, in KiB; 0 where that cannot be told.
    resident: usize,
    /// 0 where that cannot be told.
    threads: usize,
    sessions: usize,
}

impl Left {
    pub(crate) fn now(server: &Peer) -> Self {
        let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
        };
        Self {
            tasks: Handle::current().metrics().num_alive_tasks(),
            descriptors,
            bytes: ALLOCATOR.current_usage(),
            resident: number("VmRSS:").unwrap_or_default(),
            threads: number("Threads:").unwrap_or_default(),
            sessions: server.session_count(),
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} tasks, {} threads, {} descriptors, {} KiB counted, {} KiB resident",
            self.tasks,
            self.threads,
            self.descriptors,
            self.bytes / 1024,
            self.resident
        )
    }
}

/// Compares what is left after each round.
pub(crate) struct Watch {
    before: Left,
    rounds: Vec<Left>,
}

/// What each thread may keep to use it again: two buffers of up to 2 MiB.
const BYTES: usize = 4 * 1024 * 1024;
/// What the allocator may keep. In KiB.
const RESIDENT: usize = 64 * 1024;
/// Proxies keep forgotten connections for a while.
const PATIENCE: Duration = Duration::from_secs(30);

impl Watch {
    pub(crate) fn new(before: Left) -> Self {
        Self {
            before,
            rounds: Vec::new(),
        }
    }

    /// Waits until as much is left as there was, or for as long as that may take.
    pub(crate) async fn settled(&mut self, server: &Peer) -> Left {
        let start = Instant::now();
        let left = loop {
            let left = Left::now(server);
            let is_clean = left.tasks == self.before.tasks
                && left.threads == self.before.threads
                && left.descriptors == self.before.descriptors
                && left.sessions == 0;
            if is_clean || start.elapsed() > PATIENCE {
                break left;
            }
            sleep(Duration::from_millis(50)).await;
        };
        self.rounds.push(left);
        left
    }

    /// What is more than it was: tasks, threads, descriptors and sessions after any round, memory after the first.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (number, left) in self.rounds.iter().enumerate() {
            let round = number + 1;
            if left.tasks != self.before.tasks {
                found.push(format!("{} tasks after round {round}", left.tasks));
            }
            if left.threads != self.before.threads {
                found.push(format!("{} threads after round {round}", left.threads));
            }
            if left.descriptors != self.before.descriptors {
                found.push(format!(
                    "{} descriptors after round {round}",
                    left.descriptors
                ));
            }
            if left.sessions != 0 {
                found.push(format!("{} sessions after round {round}", left.sessions));
            }
        }
        if let [first, .., last] = &self.rounds[..] {
            if last.bytes > first.bytes + last.threads * BYTES {
                found.push(format!(
                    "{} bytes more than after the first round",
                    last.bytes - first.bytes
                ));
            }
            if last.resident > first.resident + RESIDENT {
                found.push(format!(
                    "{} KiB more resident than after the first round",
                    last.resident - first.resident
                ));
            }
        }
        found
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "before: {}", self.before)?;
        if let [first, .., last] = &self.rounds[..] {
            write!(
                f,
                "\nafter the first of {} rounds: {first}\nafter the last: {last}",
                self.rounds.len()
            )?;
        }
        Ok(())
    }
}
