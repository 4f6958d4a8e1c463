//! Signals. In: SIGINT, SIGTERM, SIGHUP. Out: the process ends at once with 130 or 143, but never
//! while the output set is being swapped: then it ends right after.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code after SIGINT.
const INTERRUPTED: u8 = 130;
/// Exit code after SIGTERM and SIGHUP.
const TERMINATED: u8 = 143;

/// Decides what a signal does.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    /// While true, a signal ends the process at once.
    armed: Arc<AtomicBool>,
    /// The last signal that came, 0 for none.
    pending: Arc<AtomicUsize>,
}

impl Signals {
    /// Takes the signals over. Where the system refuses, they keep their default effect, which
    /// also ends the process.
    pub(super) fn install() -> Self {
        let signals =
            Self { armed: Arc::new(AtomicBool::new(true)), pending: Arc::new(AtomicUsize::new(0)) };
        for (signal, code) in [(SIGINT, INTERRUPTED), (SIGTERM, TERMINATED), (SIGHUP, TERMINATED)] {
            let armed = Arc::clone(&signals.armed);
            let _ = flag::register_conditional_shutdown(signal, i32::from(code), armed);
            let pending = Arc::clone(&signals.pending);
            let _ = flag::register_usize(signal, pending, usize::from(code));
        }
        signals
    }

    /// From now on a signal is only noted.
    pub(super) fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// From now on a signal ends the process again. Gives the exit code of one that came meanwhile.
    pub(super) fn rearm(&self) -> Option<u8> {
        self.armed.store(true, Ordering::SeqCst);
        u8::try_from(self.pending.load(Ordering::SeqCst)).ok().filter(|code| *code > 0)
    }
}
