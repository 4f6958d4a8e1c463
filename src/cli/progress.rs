//! Progress on standard error. In: bytes read. Out: one line that is rewritten, only where standard
//! error is a terminal and `--quiet` was not given.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the line is rewritten.
const INTERVAL: Duration = Duration::from_millis(200);

/// Whether the operator wants to see what goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verbosity {
    /// The account and, on a terminal, progress.
    Normal,
    /// Errors and warnings only.
    Quiet,
}

/// Counts bytes and shows them from time to time. Shared by the worker threads.
#[derive(Debug)]
pub(super) struct Progress {
    read: AtomicU64,
    total: u64,
    /// When the line was last written; none where it never is.
    shown: Option<Mutex<Instant>>,
}

impl Progress {
    /// Progress towards `total` bytes, as the verbosity and the terminal allow.
    pub(super) fn new(verbosity: Verbosity, total: u64) -> Self {
        let shows = verbosity == Verbosity::Normal && io::stderr().is_terminal();
        Self { read: AtomicU64::new(0), total, shown: shows.then(|| Mutex::new(Instant::now())) }
    }

    /// Counts bytes that were read.
    pub(super) fn add(&self, bytes: u64) {
        let read = self.read.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let Some(shown) = &self.shown else { return };
        // A worker that finds the line being written just goes on.
        let Ok(mut last) = shown.try_lock() else { return };
        if last.elapsed() >= INTERVAL {
            *last = Instant::now();
            let total = self.total.max(read);
            let _ = write!(io::stderr(), "\r{} of {} read ", size(read), size(total));
        }
    }

    /// Wipes the line.
    pub(super) fn finish(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r{:40}\r", "");
        }
    }
}

/// Bytes for people: `734 B`, `1.5 GB` (powers of 1000).
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("B");
    if unit == 0 { format!("{bytes} B") } else { format!("{}.{} {name}", tenths / 10, tenths % 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        let cases = [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (4_700_000_000, "4.7 GB")];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected);
        }
    }
}
