//! The messages of one mail server. In: facts about queue ids. Out: sessions raised by what became
//! of their messages, and given out once nothing more can.
//!
//! A message that a content filter hands back under another queue id belongs to the filter's
//! session, which is a loopback one, and to the first session, which is upstream of it. The
//! filter's report may come after the message is gone, so a message is remembered for a while.

use std::net::IpAddr;

use crate::logs::mail::batch::BatchFact;
use crate::logs::mail::fact::Fact;
use crate::logs::mail::sessions::open::{At, Open};
use crate::logs::mail::sessions::server::{Place, ServerSessions, Stage, Surroundings, Told};
use crate::logs::mail::sessions::{Finished, Limits};
use crate::model::session::Delivery;
use crate::model::time::Timestamp;

/// Deliveries that a message remembers for an upstream session that is not known yet.
const MOST_KEPT: usize = 8;

/// A message in the queue, or one that left it a moment ago.
#[derive(Debug)]
pub(super) struct Message {
    /// The session that brought it; none where only a filter's report is known yet.
    pub(super) session: Option<Place>,
    /// The session whose message it was before a content filter took it.
    pub(super) upstream: Option<Place>,
    /// Deliveries of a message that has no upstream yet.
    pub(super) deliveries: Vec<Delivery>,
    pub(super) gone: bool,
    pub(super) touched: Option<Timestamp>,
}

impl ServerSessions {
    /// A message whose queue id the session was given.
    pub(super) fn announce(&mut self, queue: u64, place: Place, limits: Limits) {
        if self.messages.len() >= limits.messages && !self.messages.contains_key(&queue) {
            return;
        }
        let again = self.slot(place).is_some_and(|slot| slot.open.told_before);
        let now = self.now;
        let known = self.messages.get(&queue).filter(|message| !message.gone);
        let (owner, upstream) = match known {
            Some(message) if message.session == Some(place) => return,
            Some(message) => (message.session, message.upstream),
            None => (None, None),
        };
        if again && owner.is_some() {
            return;
        }
        if let Some(owner) = owner.and_then(|owner| self.slot(owner)) {
            owner.messages = owner.messages.saturating_sub(1);
        }
        // An id that had an owner is in use again: what was upstream of the old message is not
        // upstream of the new one.
        let upstream = upstream.filter(|_| owner.is_none());
        let message = Message {
            session: Some(place),
            upstream,
            deliveries: Vec::new(),
            gone: false,
            touched: now,
        };
        self.messages.insert(queue, message);
        if let Some(slot) = self.slot(place) {
            slot.messages = slot.messages.saturating_add(1);
        }
    }

    /// A message that the session says was accepted under this id: its own, or one that a filter
    /// in front of the queue has passed on.
    pub(super) fn enqueue(&mut self, queue: u64, place: Place, limits: Limits) {
        let owner = self.messages.get(&queue).and_then(|message| message.session);
        let Some(owner) = owner.filter(|owner| *owner != place) else {
            return self.announce(queue, place, limits);
        };
        match self.slot(owner) {
            Some(slot) if slot.stands_for == Some(queue) => {
                // The message told of itself before its session did: they are one.
                let deliveries = slot.open.disown();
                self.announce(queue, place, limits);
                if let Some(slot) = self.slot(place) {
                    slot.open.adopt(&deliveries);
                }
            }
            _ => self.link(queue, place, limits),
        }
    }

    pub(super) fn take_message(
        &mut self,
        queue: u64,
        record: &BatchFact,
        fact: Fact<&[u8]>,
        around: &mut Surroundings<'_>,
    ) -> Told {
        let Some(message) = self.messages.get_mut(&queue) else {
            return self.meet_message(queue, record, fact, around);
        };
        if message.gone {
            return Told::First;
        }
        message.touched = around.at.time.or(message.touched);
        let (session, upstream) = (message.session, message.upstream);
        let mut told = Told::First;
        if let Some(slot) = session.and_then(|place| self.slot(place)) {
            slot.open.take_later(fact, around.at);
            if fact == Fact::Refused {
                slot.open.refuse_message();
            }
            told = if slot.open.told_before { Told::Again } else { Told::First };
        }
        match fact {
            Fact::Delivery { next_hop, domain, queued_as } => {
                self.deliver(queue, (next_hop, domain), upstream, around.at);
                if let Some(root) = upstream.or(session)
                    && let Some(next) = queued_as
                {
                    self.link(next, root, around.limits);
                }
            }
            Fact::Renamed { queue: next } => {
                if let Some(root) = upstream.or(session) {
                    self.link(next, root, around.limits);
                }
            }
            Fact::Removed => self.remove(queue, around.out),
            _ => {}
        }
        told
    }

    /// A message that no session told of. Where the line names its client, the message stands for
    /// a session that has ended.
    fn meet_message(
        &mut self,
        queue: u64,
        record: &BatchFact,
        fact: Fact<&[u8]>,
        around: &mut Surroundings<'_>,
    ) -> Told {
        if record.client.is_none() || !matches!(fact, Fact::Queued { .. }) {
            return Told::First;
        }
        let place = self.open(queue, queue, record, around);
        self.keys.remove(&queue);
        let Some(slot) = self.slot(place) else { return Told::First };
        slot.stage = Stage::Held;
        slot.stands_for = Some(queue);
        slot.open.meet(record);
        slot.open.take(fact, around.at);
        let told = if slot.open.told_before { Told::Again } else { Told::First };
        self.held.push_back((place, around.at.time));
        self.announce(queue, place, around.limits);
        told
    }

    /// A delivery counts for the session upstream too; where there is none yet, the message
    /// remembers it.
    fn deliver(
        &mut self,
        queue: u64,
        (next_hop, domain): (Option<IpAddr>, &[u8]),
        upstream: Option<Place>,
        at: At,
    ) {
        let fact = Fact::Delivery { next_hop, domain, queued_as: None };
        if let Some(slot) = upstream.and_then(|place| self.slot(place)) {
            slot.open.take_later(fact, at);
        } else if let Some(message) = self.messages.get_mut(&queue)
            && message.deliveries.len() < MOST_KEPT
        {
            let mut told = Open::default();
            told.take(fact, at);
            message.deliveries.extend(told.finish("").deliveries);
        }
    }

    /// The message of this id is the root session's, come back under another id.
    fn link(&mut self, queue: u64, root: Place, limits: Limits) {
        let now = self.now;
        if self.messages.len() >= limits.messages && !self.messages.contains_key(&queue) {
            return;
        }
        let message = self.messages.entry(queue).or_insert_with(|| Message {
            session: None,
            upstream: None,
            deliveries: Vec::new(),
            gone: false,
            touched: now,
        });
        if message.upstream.is_some() || message.session == Some(root) {
            return;
        }
        message.upstream = Some(root);
        let deliveries = std::mem::take(&mut message.deliveries);
        let gone = message.gone;
        if let Some(slot) = self.slot(root) {
            slot.open.adopt(&deliveries);
            if !gone {
                slot.messages = slot.messages.saturating_add(1);
            }
        }
    }

    fn remove(&mut self, queue: u64, out: &mut Vec<Finished>) {
        let Some(message) = self.messages.get_mut(&queue) else { return };
        message.gone = true;
        for place in [message.session, message.upstream].into_iter().flatten() {
            let Some(slot) = self.slot(place) else { continue };
            slot.messages = slot.messages.saturating_sub(1);
            if slot.messages == 0 && slot.stage == Stage::Held {
                self.release(place.index, out);
            }
        }
    }
}
