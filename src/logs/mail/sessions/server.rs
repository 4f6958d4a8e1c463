//! The sessions and messages of one mail server. In: its facts, in order. Out: finished sessions.
//!
//! A session stays open until its last line, or until the log's own time has moved on without it.
//! One that left messages in the queue is held until they have left it, so that a delivery hours
//! later still raises it; a message that a content filter hands back under another queue id
//! (loopback) belongs to both the filter's session and the first one.

use std::collections::VecDeque;
use std::net::IpAddr;

use ahash::AHashMap;

use crate::logs::mail::FORMATS;
use crate::logs::mail::batch::BatchFact;
use crate::logs::mail::fact::{Fact, Subject, fold};
use crate::logs::mail::sessions::open::{At, Open};
use crate::logs::mail::sessions::seen::Seen;
use crate::logs::mail::sessions::{Finished, Limits};
use crate::model::session::Delivery;
use crate::model::time::Timestamp;

/// Log time between two looks for lost sessions.
const SWEEP_SECONDS: i64 = 600;

/// How long a connection may be on its way from one process to another, in seconds.
const HAND_OVER_SECONDS: i64 = 30;

/// How long a session is held for its messages: as long as servers keep trying (5 days).
const HOLD_SECONDS: i64 = 5 * 86_400;

/// How long a message that left the queue is remembered: its filter may report it late.
const GONE_SECONDS: i64 = 600;

/// Deliveries that a message remembers for an upstream session that is not known yet.
const MOST_KEPT: usize = 8;

/// A session's place; the generation tells whether it is still the same session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    stage: Stage,
    /// Messages that have not left the queue.
    messages: u32,
    key: u64,
    /// The message that the session is known by alone.
    stands_for: Option<u64>,
    open: Open,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Free,
    Talking,
    /// Given to another process, which has not spoken yet.
    HandedOver(Option<Timestamp>),
    /// Ended; held for its messages.
    Held,
}

#[derive(Debug)]
struct Message {
    /// The session that brought it; none where only a filter's report is known yet.
    session: Option<Place>,
    /// The session whose message it was before a content filter took it.
    upstream: Option<Place>,
    /// Deliveries of a message that has no upstream yet.
    deliveries: Vec<Delivery>,
    gone: bool,
    touched: Option<Timestamp>,
}

/// One mail server's state.
#[derive(Debug)]
pub(super) struct ServerSessions {
    name: Box<str>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    keys: AHashMap<u64, Place>,
    messages: AHashMap<u64, Message>,
    handed_over: AHashMap<IpAddr, VecDeque<Place>>,
    /// Held sessions, by when they ended.
    held: VecDeque<(Place, Option<Timestamp>)>,
    now: Option<Timestamp>,
    next_sweep: Option<Timestamp>,
}

/// What the state needs from outside for one fact.
pub(super) struct Surroundings<'a> {
    pub(super) at: At,
    pub(super) limits: Limits,
    pub(super) seen: &'a mut Seen,
    pub(super) out: &'a mut Vec<Finished>,
}

/// Whether a fact was told before by another input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It counts.
    First,
    /// Another input had the session.
    Again,
}

impl ServerSessions {
    /// A server of which nothing is known but its name.
    pub(super) fn new(name: Box<str>) -> Self {
        Self {
            name,
            slots: Vec::new(),
            free: Vec::new(),
            keys: AHashMap::new(),
            messages: AHashMap::new(),
            handed_over: AHashMap::new(),
            held: VecDeque::new(),
            now: None,
            next_sweep: None,
        }
    }

    /// Takes one fact, its text looked up.
    pub(super) fn take(
        &mut self,
        record: &BatchFact,
        fact: Fact<&[u8]>,
        around: &mut Surroundings<'_>,
    ) -> Told {
        self.advance(around);
        match record.subject {
            Subject::Session(key) => self.take_session(key, record, fact, around),
            Subject::Message(key) => self.take_message(key, record, fact, around),
        }
    }

    /// Ends everything that is still open, in the order of the places.
    pub(super) fn finish(&mut self, out: &mut Vec<Finished>) {
        for index in 0..self.slots.len() {
            self.release(index as u32, out);
        }
        self.keys.clear();
        self.messages.clear();
        self.handed_over.clear();
        self.held.clear();
    }

    fn take_session(
        &mut self,
        key: u64,
        record: &BatchFact,
        fact: Fact<&[u8]>,
        around: &mut Surroundings<'_>,
    ) -> Told {
        let place = match self.current(key, record, &fact, around) {
            Some(place) => place,
            None => self.open(key, record, around),
        };
        let Some(slot) = self.slot(place) else { return Told::First };
        slot.open.meet(record);
        slot.open.take(fact, around.at);
        let told = if slot.open.told_before { Told::Again } else { Told::First };
        match fact {
            Fact::Announced { queue } => self.announce(queue, place, around.limits),
            Fact::Queued { queue: Some(queue) } => self.enqueue(queue, place, around.limits),
            Fact::HandOver => self.hand_over(place, around.at.time),
            Fact::Disconnect { .. } => self.close(place, around.out),
            _ => {}
        }
        told
    }

    /// The open session of a key, if this fact can belong to it; one that it cannot belong to is
    /// ended.
    fn current(
        &mut self,
        key: u64,
        record: &BatchFact,
        fact: &Fact<&[u8]>,
        around: &mut Surroundings<'_>,
    ) -> Option<Place> {
        let place = *self.keys.get(&key)?;
        let slot = self.slots.get(place.index as usize)?;
        if slot.generation != place.generation || matches!(slot.stage, Stage::Free | Stage::Held) {
            return None;
        }
        let idle = idle_seconds(slot.open.format);
        let other_client =
            matches!((slot.open.client, record.client), (Some(a), Some(b)) if a != b);
        let other_time = match (slot.open.end, around.at.time) {
            (Some(end), Some(time)) => (time.seconds() - end.seconds()).abs() > idle,
            _ => false,
        };
        if *fact == Fact::Connect || other_client || other_time {
            self.close(place, around.out);
            return None;
        }
        Some(place)
    }

    /// A session for a key that has none: the one that another process handed over, or a new one.
    fn open(&mut self, key: u64, record: &BatchFact, around: &mut Surroundings<'_>) -> Place {
        if let Some(place) = self.claim(record, around.at.time) {
            if let Some(slot) = self.slot(place) {
                slot.stage = Stage::Talking;
                slot.key = key;
            }
            self.keys.insert(key, place);
            return place;
        }
        let told_before = around.at.time.is_some_and(|time| {
            let client = record.client.map_or(0, ip_hash);
            let hash = fold(fold(key ^ name_hash(&self.name), client), time.0 as u64);
            around.seen.told_before(hash, around.at.input)
        });
        let open = Open::new(record.format, told_before);
        let place = self.place(open, key, around);
        self.keys.insert(key, place);
        place
    }

    /// The oldest session of this client that was handed over a moment ago, on a port that fits.
    fn claim(&mut self, record: &BatchFact, time: Option<Timestamp>) -> Option<Place> {
        if self.handed_over.is_empty() {
            return None;
        }
        let client = record.client?;
        let waiting = self.handed_over.get_mut(&client)?;
        let mut found = None;
        while let Some(place) = waiting.pop_front() {
            let Some(slot) = self.slots.get(place.index as usize) else { continue };
            let Stage::HandedOver(since) = slot.stage else { continue };
            let fresh = match (since, time) {
                (Some(since), Some(time)) => {
                    (0..=HAND_OVER_SECONDS).contains(&(time.seconds() - since.seconds()))
                }
                _ => true,
            };
            let fits = match (slot.open.local_port, record.local_port) {
                (Some(left), Some(right)) => left == right,
                _ => true,
            };
            if slot.generation == place.generation && slot.open.format == record.format && fresh {
                if fits {
                    found = Some(place);
                } else {
                    waiting.push_front(place);
                }
                break;
            }
        }
        if waiting.is_empty() {
            self.handed_over.remove(&client);
        }
        found
    }

    fn hand_over(&mut self, place: Place, time: Option<Timestamp>) {
        let Some(slot) = self.slot(place) else { return };
        let Some(client) = slot.open.client else { return };
        // A process that refused a command answers on to the end: the client has to come again.
        if slot.stage == Stage::Talking && !slot.open.was_refused() {
            slot.stage = Stage::HandedOver(time);
            self.handed_over.entry(client).or_default().push_back(place);
        }
    }

    /// Ends a session: given out at once, or held while messages of it are in the queue.
    fn close(&mut self, place: Place, out: &mut Vec<Finished>) {
        let Some(slot) = self.slot(place) else { return };
        let key = slot.key;
        if slot.messages > 0 && slot.open.may_have_messages() {
            slot.stage = Stage::Held;
            let ended = slot.open.end;
            self.held.push_back((place, ended));
        } else {
            self.release(place.index, out);
        }
        if self.keys.get(&key) == Some(&place) {
            self.keys.remove(&key);
        }
    }

    /// A message whose queue id the session was given.
    fn announce(&mut self, queue: u64, place: Place, limits: Limits) {
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
    fn enqueue(&mut self, queue: u64, place: Place, limits: Limits) {
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

    fn take_message(
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
        let place = self.open(queue, record, around);
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

    /// Lets the log's own time pass: lost sessions end, held ones are given up.
    fn advance(&mut self, around: &mut Surroundings<'_>) {
        let Some(time) = around.at.time else { return };
        self.now = Some(time);
        if let Some(next) = self.next_sweep
            && time < next
        {
            // Another input of the server may begin long before the last one ended.
            if time.plus_seconds(3 * SWEEP_SECONDS) < next {
                self.next_sweep = Some(time.plus_seconds(SWEEP_SECONDS));
            }
            return;
        }
        self.next_sweep = Some(time.plus_seconds(SWEEP_SECONDS));
        self.sweep(time, around.out);
    }

    fn sweep(&mut self, now: Timestamp, out: &mut Vec<Finished>) {
        while let Some(&(place, ended)) = self.held.front() {
            let held = self.slot(place).is_some();
            let over = ended.is_none_or(|ended| ended.plus_seconds(HOLD_SECONDS) < now);
            if held && !over {
                break;
            }
            self.held.pop_front();
            if held {
                self.release(place.index, out);
            }
        }
        for index in 0..self.slots.len() as u32 {
            let Some(slot) = self.slots.get(index as usize) else { break };
            let place = Place { index, generation: slot.generation };
            let talking = matches!(slot.stage, Stage::Talking | Stage::HandedOver(_));
            let idle = idle_seconds(slot.open.format);
            if talking && slot.open.end.is_some_and(|end| end.plus_seconds(idle) < now) {
                self.close(place, out);
            }
        }
        let slots = &self.slots;
        let lives = |place: &Option<Place>| place.is_some_and(|place| is_live(slots, place));
        self.messages.retain(|_, message| {
            let old = message.touched.is_none_or(|t| t.plus_seconds(GONE_SECONDS) < now);
            !old || (!message.gone && (lives(&message.session) || lives(&message.upstream)))
        });
        self.handed_over.retain(|_, places| places.iter().any(|place| is_live(slots, *place)));
    }

    /// Puts a session into a free place; above the limit the oldest held or, if none is held, the
    /// longest silent sessions are given out first.
    fn place(&mut self, open: Open, key: u64, around: &mut Surroundings<'_>) -> Place {
        if self.slots.len() - self.free.len() >= around.limits.sessions {
            self.make_room(around.out);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                stage: Stage::Free,
                messages: 0,
                key: 0,
                stands_for: None,
                open: Open::default(),
            });
            (self.slots.len() - 1) as u32
        });
        let mut place = Place { index, generation: 0 };
        if let Some(slot) = self.slots.get_mut(index as usize) {
            slot.stage = Stage::Talking;
            slot.messages = 0;
            slot.key = key;
            slot.stands_for = None;
            slot.open = open;
            place.generation = slot.generation;
        }
        place
    }

    fn make_room(&mut self, out: &mut Vec<Finished>) {
        let live = self.slots.len() - self.free.len();
        let wanted = live / 8 + 1;
        let mut freed = 0;
        while freed < wanted {
            let Some((place, _)) = self.held.pop_front() else { break };
            if self.slot(place).is_some() {
                self.release(place.index, out);
                freed += 1;
            }
        }
        let mut talking: Vec<(Option<Timestamp>, u32)> = (0u32..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.stage != Stage::Free)
            .map(|(index, slot)| (slot.open.end, index))
            .collect();
        talking.sort_unstable();
        for (_, index) in talking.into_iter().take(wanted.saturating_sub(freed)) {
            self.release(index, out);
        }
    }

    /// Gives a session out and frees its place.
    fn release(&mut self, index: u32, out: &mut Vec<Finished>) {
        let Some(slot) = self.slots.get_mut(index as usize) else { return };
        if slot.stage == Stage::Free {
            return;
        }
        slot.stage = Stage::Free;
        slot.generation = slot.generation.wrapping_add(1);
        let open = std::mem::take(&mut slot.open);
        self.free.push(index);
        if !open.told_before {
            let format = FORMATS.get(usize::from(open.format)).map_or("", |format| format.name());
            out.push(Finished { session: open.finish(&self.name), format });
        }
    }

    /// The slot of a place that still holds the same session.
    fn slot(&mut self, place: Place) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(place.index as usize)?;
        (slot.generation == place.generation && slot.stage != Stage::Free).then_some(slot)
    }
}

fn is_live(slots: &[Slot], place: Place) -> bool {
    slots
        .get(place.index as usize)
        .is_some_and(|slot| slot.generation == place.generation && slot.stage != Stage::Free)
}

fn idle_seconds(format: u8) -> i64 {
    FORMATS.get(usize::from(format)).map_or(3600, |format| format.idle_seconds())
}

fn ip_hash(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(v4) => fold(u64::from(u32::from(v4)), 4),
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            fold(bits as u64, (bits >> 64) as u64 | 1)
        }
    }
}

fn name_hash(name: &str) -> u64 {
    crate::logs::mail::fact::key(&[name.as_bytes()])
}
