//! Which sessions another input has told already. In: a hash of a session's server, key, client
//! and start, and the input it stands in. Out: whether another input had it before.
//!
//! Bounded: when a generation is full, the one before it is forgotten. A session told twice by
//! the same input is two sessions (a client may come twice in one second).

use ahash::AHashMap;

/// Sessions that a generation remembers.
const GENERATION: usize = 1 << 20;

/// The sessions of the recent past.
#[derive(Debug, Default)]
pub(super) struct Seen {
    current: AHashMap<u64, u32>,
    previous: AHashMap<u64, u32>,
}

impl Seen {
    /// Remembers a session of an input; whether another input had told it.
    pub(super) fn told_before(&mut self, session: u64, input: u32) -> bool {
        if let Some(&first) = self.current.get(&session).or_else(|| self.previous.get(&session)) {
            return first != input;
        }
        if self.current.len() >= GENERATION {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.insert(session, input);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_input_tells_again() {
        let mut seen = Seen::default();
        assert!(!seen.told_before(7, 0));
        assert!(!seen.told_before(7, 0));
        assert!(seen.told_before(7, 1));
        assert!(!seen.told_before(8, 1));
    }
}
