//! What the figures were measured on.

use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine and its tools.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    pub rustc: String,
    /// The one-minute load average when the run began: others at work make the figures noisy.
    pub load: String,
}

impl Machine {
    /// This machine, with `unknown` for what it does not tell.
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find(|line| line.starts_with("model name"));
        let rustc = Command::new("rustc").arg("--version").output().ok();
        Self {
            cpu: known(model.and_then(|line| line.split(':').nth(1)).unwrap_or("")),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: known(&read("/proc/sys/kernel/osrelease")),
            rustc: known(
                &rustc
                    .map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
                    .unwrap_or_default(),
            ),
            load: known(read("/proc/loadavg").split(' ').next().unwrap_or("")),
        }
    }
}

fn known(text: &str) -> String {
    match text.trim() {
        "" => "unknown".to_owned(),
        text => text.to_owned(),
    }
}
