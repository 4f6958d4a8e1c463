//! Two logs that tell of the same sessions. In: a fact about a session. Out: the key under which its
//! input tells of it.
//!
//! Debian writes mail lines to mail.log and to syslog. Where a rotation or a night's end cuts both
//! in the middle of a session, the second, which begins long before that, tells again how it began,
//! and of others that had the same process before; later each of the two, or what rotation made of
//! them, tells the rest. So an input that goes back behind a session that another one left open
//! gets a strand of its own: the first is judged, the others are as told before, and each takes the
//! rest that one of the inputs tells.

use super::{Place, ServerSessions, Slot, Stage, idle_seconds};
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
    /// The key of the strand that a fact belongs to: the input's own, else one that was left open
    /// and that it goes on with, else a free one.
    pub(super) fn strand(
        &mut self,
        own: u64,
        record: &BatchFact,
        fact: &Fact<&[u8]>,
        at: At,
    ) -> u64 {
        let is_its_own = |slot: &Slot| slot.open.input == at.input;
        if !self.has_strands && self.slot_of(own).is_none_or(is_its_own) {
            return own;
        }
        let keys = (0..MOST).map(|strand| strand_key(own, strand));
        let find = |takes: &dyn Fn(Option<&Slot>) -> bool| {
            keys.clone().find(|key| takes(self.slot_of(*key)))
        };
        let found = find(&|slot| slot.is_some_and(is_its_own)).or_else(|| {
            if *fact == Fact::Connect {
                find(&|slot| slot.is_none_or(|slot| !goes_back(slot, record, at)))
            } else {
                find(&|slot| slot.is_some_and(|slot| may_go_on(slot, record, at)))
                    .or_else(|| find(&|slot| slot.is_none()))
            }
        });
        let key = found.unwrap_or(own);
        self.has_strands |= key != own;
        key
    }

    /// Whether a new connection is told by an input that goes back behind the session of this
    /// place, which another input left open.
    pub(super) fn is_behind(&self, place: Place, record: &BatchFact, at: At) -> bool {
        self.slots.get(place.index as usize).is_some_and(|slot| goes_back(slot, record, at))
    }

    /// Whether more than one input may be in the middle of telling of a session of this key.
    pub(super) fn is_stranded(&self, own: u64) -> bool {
        self.has_strands && (1..MOST).any(|strand| self.talking(strand_key(own, strand)).is_some())
    }

    /// The place of the session that a key leads to.
    pub(super) fn talking(&self, key: u64) -> Option<Place> {
        let place = *self.keys.get(&key)?;
        self.slot_of(key).map(|_| place)
    }

    fn slot_of(&self, key: u64) -> Option<&Slot> {
        let place = self.keys.get(&key)?;
        let slot = self.slots.get(place.index as usize)?;
        let talks = !matches!(slot.stage, Stage::Free | Stage::Held);
        (slot.generation == place.generation && talks).then_some(slot)
    }
}

/// Whether a new connection is earlier than what another input told of a session, or its beginning.
fn goes_back(slot: &Slot, record: &BatchFact, at: At) -> bool {
    let open = &slot.open;
    let (Some(start), Some(end), Some(time)) = (open.start, open.end, at.time) else {
        return false;
    };
    let begins_it = time == start && open.client == record.client;
    open.input != at.input && (time < end || begins_it)
}

/// Whether a fact can be of a session that another input left open.
fn may_go_on(slot: &Slot, record: &BatchFact, at: At) -> bool {
    let open = &slot.open;
    let other_client = matches!((open.client, record.client), (Some(a), Some(b)) if a != b);
    let close = match (open.end, at.time) {
        (Some(end), Some(time)) => {
            (time.seconds() - end.seconds()).abs() <= idle_seconds(open.format)
        }
        _ => true,
    };
    close && !other_client
}
