//! The worker threads. In: `--threads`. Out: the pool that scans and logs are read on.

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// A pool of that many threads, or one per core.
pub(super) fn pool(threads: Option<u16>) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, usize::from))
        .build()
        .map_err(|error| Error::usage(format!("the worker threads cannot be started: {error}")))
}
