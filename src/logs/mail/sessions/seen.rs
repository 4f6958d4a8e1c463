//! Which sessions another input has told already. In: a hash of a session's server, key, client
//! and start, and the input it stands in. Out: whether another input had it before.
//!
//! Bounded: when a generation is full, the one before it is forgotten; and what no later input can
//! tell again, because all of them begin later, is not remembered at all. A session told twice by
//! the same input is two sessions (a client may come twice in one second).

use std::collections::BTreeMap;

use ahash::AHashMap;

use crate::model::time::Timestamp;

/// Sessions that a generation remembers.
const GENERATION: usize = 1 << 20;

/// The sessions of the recent past.
#[derive(Debug)]
pub(super) struct Seen {
    /// Sessions that began before this are not told again.
    again_from: Timestamp,
    current: AHashMap<u64, u32>,
    previous: AHashMap<u64, u32>,
}

impl Seen {
    /// Nothing seen, everything to be remembered.
    pub(super) fn new() -> Self {
        let (current, previous) = (AHashMap::new(), AHashMap::new());
        Self { again_from: Timestamp(i64::MIN), current, previous }
    }

    /// From now on, sessions that began before that time are told by no other input.
    pub(super) fn again_from(&mut self, time: Timestamp) {
        self.again_from = time;
    }

    /// Whether it matters that a session began at that time: another input may have told it, or may
    /// tell it again.
    pub(super) fn cares_for(&self, start: Timestamp) -> bool {
        !self.current.is_empty() || start >= self.again_from
    }

    /// Remembers a session of an input that began at that time; whether another input had told it.
    pub(super) fn told_before(&mut self, session: u64, start: Timestamp, input: u32) -> bool {
        if !self.current.is_empty()
            && let Some(&first) = self.current.get(&session).or_else(|| self.previous.get(&session))
        {
            return first != input;
        }
        if start < self.again_from {
            return false;
        }
        if self.current.len() >= GENERATION {
            self.previous = std::mem::take(&mut self.current);
        }
        self.current.insert(session, input);
        false
    }
}

/// Sessions that an input told, by hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldBy {
    /// The input.
    pub input: u32,
    /// How long they are remembered.
    pub generation: Generation,
    /// The hashes, ascending.
    pub sessions: Vec<u64>,
}

/// How long sessions are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// Until the current generation is full.
    Previous,
    /// Until the next is.
    Current,
}

impl Seen {
    /// All that is remembered.
    pub(super) fn told(&self) -> Vec<ToldBy> {
        let mut told: BTreeMap<(u32, Generation), Vec<u64>> = BTreeMap::new();
        let generations =
            [(&self.previous, Generation::Previous), (&self.current, Generation::Current)];
        for (sessions, generation) in generations {
            let mut sorted: Vec<(u64, u32)> = sessions.iter().map(|(s, i)| (*s, *i)).collect();
            sorted.sort_unstable();
            for (session, input) in sorted {
                told.entry((input, generation)).or_default().push(session);
            }
        }
        let told = told.into_iter();
        told.map(|((input, generation), sessions)| ToldBy { input, generation, sessions }).collect()
    }

    /// Remembers what an earlier run remembered.
    pub(super) fn of(told: Vec<ToldBy>) -> Self {
        let mut seen = Self::new();
        for ToldBy { input, generation, sessions } in told {
            let known = match generation {
                Generation::Previous => &mut seen.previous,
                Generation::Current => &mut seen.current,
            };
            known.extend(sessions.into_iter().map(|session| (session, input)));
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_input_tells_again() {
        let (mut seen, now) = (Seen::new(), Timestamp(5));
        assert!(!seen.told_before(7, now, 0));
        assert!(!seen.told_before(7, now, 0));
        assert!(seen.told_before(7, now, 1));
        assert!(!seen.told_before(8, now, 1));
        seen.again_from(Timestamp(9));
        assert!(!seen.told_before(9, now, 1));
        assert!(!seen.told_before(9, now, 2));
        assert!(seen.told_before(8, now, 2));
        let mut later = Seen::of(seen.told());
        assert!(!later.told_before(7, now, 0));
        assert!(later.told_before(7, now, 1));
    }
}
