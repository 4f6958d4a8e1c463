//! Two logs that tell of the same session while it is open. In: a fact about a session. Out: the
//! key under which its input tells of it.
//!
//! Debian writes mail lines to mail.log and to syslog. Where a rotation or a night's end cuts both
//! in the middle of a session, the second tells again how it began, and later each of them, or what
//! rotation made of them, tells the rest. So an input that repeats the beginning of a session that
//! another one left open gets a strand of its own: the first is judged, the others are as told
//! before, and each takes the rest that one of the inputs tells.

use super::{Place, ServerSessions, Stage};
use crate::logs::mail::batch::BatchFact;
use crate::logs::mail::fact::{Fact, fold};
use crate::logs::mail::sessions::open::At;

/// Inputs that may tell of one session at once; what more of them tell begins it anew.
const MOST: u64 = 4;

/// The key of a strand; the first has the session's own.
fn strand_key(own: u64, strand: u64) -> u64 {
    if strand == 0 { own } else { fold(own, strand) }
}

impl ServerSessions {
    /// The key of the strand that a fact belongs to: the input's own, else one that was left open;
    /// for a beginning that repeats another's, a new one.
    pub(super) fn strand(
        &mut self,
        own: u64,
        record: &BatchFact,
        fact: &Fact<&[u8]>,
        at: At,
    ) -> u64 {
        let begins = *fact == Fact::Connect;
        if !self.has_strands && !begins {
            return own;
        }
        let keys = (0..MOST).map(|strand| strand_key(own, strand));
        let is_its_own = |place: Place| {
            self.slots.get(place.index as usize).is_some_and(|slot| slot.open.input == at.input)
        };
        let is_open = |key: &u64| self.talking(*key).is_some();
        if self.has_strands
            && let Some(key) = keys.clone().find(|key| self.talking(*key).is_some_and(is_its_own))
        {
            return key;
        }
        let free = |key: &u64| {
            self.talking(*key).is_none_or(|at_key| !self.is_told_again(at_key, record, at))
        };
        let found = if begins { keys.clone().find(free) } else { keys.clone().find(is_open) };
        let key = found.unwrap_or(own);
        self.has_strands |= key != own;
        key
    }

    /// Whether a session's beginning, told by this record, is that of the session of this place,
    /// which another input left open.
    pub(super) fn is_told_again(&self, place: Place, record: &BatchFact, at: At) -> bool {
        self.slots.get(place.index as usize).is_some_and(|slot| {
            slot.open.input != at.input
                && at.time.is_some()
                && slot.open.start == at.time
                && slot.open.client == record.client
        })
    }

    /// Whether more than one input may be in the middle of telling of a session of this key.
    pub(super) fn is_stranded(&self, own: u64) -> bool {
        self.has_strands && (1..MOST).any(|strand| self.talking(strand_key(own, strand)).is_some())
    }

    /// The place of the session that a key leads to.
    pub(super) fn talking(&self, key: u64) -> Option<Place> {
        let place = *self.keys.get(&key)?;
        let slot = self.slots.get(place.index as usize)?;
        let talks = !matches!(slot.stage, Stage::Free | Stage::Held);
        (slot.generation == place.generation && talks).then_some(place)
    }
}
