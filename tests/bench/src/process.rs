//! Processes: the server as one of its own, what it has used, and where it runs.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::server::{Adapter, Variant};

/// Where Linux says what a process uses.
const PROC: &str = "/proc";

/// A running server; it ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts this program again as a server.
    pub(crate) fn start(adapter: Adapter, variant: Variant) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", adapter.name(), variant.name()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address =
            line.trim().parse().map_err(|_| io::Error::other(format!("no address but {line:?}")))?;
        Ok(Self { child, address })
    }

    /// Nanoseconds of CPU so far, over all its threads.
    pub(crate) fn cpu(&self) -> io::Result<f64> {
        let mut all = 0.0;
        for task in fs::read_dir(format!("{PROC}/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            all += stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
        }
        Ok(all)
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> io::Result<f64> {
        resident(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process (`self` for this one) in KiB.
pub(crate) fn resident(process: &str) -> io::Result<f64> {
    let status = fs::read_to_string(format!("{PROC}/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .ok_or_else(|| io::Error::other("the system does not say how much memory a process has"))
}

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// As many files as the system lets us have: ten thousand connections need more than is usual.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Most files that this process may have open.
pub(crate) fn open_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Keeps this process on one of its cores, where it has several.
pub(crate) fn pin(nth: usize) {
    let Ok(allowed) = sched_getaffinity(None) else { return };
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    if cores.len() < 2 {
        return;
    }
    let mut one = CpuSet::new();
    one.set(cores[nth % cores.len()]);
    let _ = sched_setaffinity(None, &one);
}

/// The machine in a few words.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string(format!("{PROC}/cpuinfo")).unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" unknown");
    let memory = fs::read_to_string(format!("{PROC}/meminfo")).unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: f64 = kib.and_then(|kib| kib.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0.0);
    let kernel = fs::read_to_string(format!("{PROC}/sys/kernel/osrelease")).unwrap_or_default();
    format!(
        "{} × {}, {:.0} GiB, Linux {}",
        std::thread::available_parallelism().map_or(1, usize::from),
        model.trim_start_matches(['\t', ' ', ':']),
        kib / f64::from(1 << 20),
        // What follows is the builder's.
        kernel.trim().split('-').next().unwrap_or_default()
    )
}
