//! The sessions and messages of one mail server. In: its facts, in order. Out: finished sessions.
//!
//! A session stays open until its last line, or until the log's own time has moved on without it.
//! One that left messages in the queue is held until they have left it, so that a delivery hours
//! later still raises it; what is said of messages is `messages`'s.

mod carried;
mod strands;
mod whole;

use std::collections::VecDeque;
use std::net::IpAddr;

use ahash::AHashMap;
use serde::{Deserialize, Serialize};

use crate::logs::mail::FORMATS;
use crate::logs::mail::batch::BatchFact;
use crate::logs::mail::fact::{Deed, Fact, Subject, fold};
use crate::logs::mail::sessions::messages::Message;
use crate::logs::mail::sessions::open::{At, Open};
use crate::logs::mail::sessions::seen::Seen;
use crate::logs::mail::sessions::{Finished, Limits};
use crate::model::time::{Timestamp, micros};

pub(super) use carried::CarriedServer;

/// Log time between two looks for lost sessions.
const SWEEP_SECONDS: i64 = 600;

/// How long a connection may be on its way from one process to another, in seconds.
const HAND_OVER_SECONDS: i64 = 30;

/// Connections that may be on their way at once; beyond, the oldest is forgotten as such.
const MOST_HANDED_OVER: usize = 1024;

/// How long a session is held for its messages: as long as servers keep trying (5 days). So long
/// another log may go on before a session is lost that it does not tell of.
const HOLD_SECONDS: i64 = 5 * 86_400;

/// How long a message that left the queue is remembered: its filter may report it late.
const GONE_SECONDS: i64 = 600;

/// A session's place; the generation tells whether it is still the same session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u32,
    generation: u32,
}

impl Place {
    /// Of a session that was given out.
    const GONE: Self = Self { index: u32::MAX, generation: 0 };
}

/// A session and what becomes of it.
#[derive(Debug)]
pub(super) struct Slot {
    generation: u32,
    pub(super) stage: Stage,
    /// Messages that have not left the queue.
    pub(super) messages: u32,
    key: u64,
    /// The message that the session is known by alone.
    pub(super) stands_for: Option<u64>,
    pub(super) open: Open,
}

/// How far a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// No session.
    Free,
    /// Lines may come.
    Talking,
    /// Given to another process, which has not spoken yet.
    HandedOver(#[serde(with = "micros")] Option<Timestamp>),
    /// Given another key, under which nothing has been said yet.
    Renamed,
    /// Ended; held for its messages.
    Held,
}

/// One mail server's state.
#[derive(Debug)]
pub(super) struct ServerSessions {
    name: Box<str>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    pub(super) keys: AHashMap<u64, Place>,
    pub(super) messages: AHashMap<u64, Message>,
    /// Sessions on their way to another process: few, and for a moment.
    handed_over: VecDeque<(IpAddr, Place)>,
    /// Held sessions, by when they ended.
    pub(super) held: VecDeque<(Place, Option<Timestamp>)>,
    pub(super) now: Option<Timestamp>,
    next_sweep: Option<Timestamp>,
    /// Whether a session was ever open in more than one strand.
    has_strands: bool,
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
            handed_over: VecDeque::new(),
            held: VecDeque::new(),
            now: None,
            next_sweep: None,
            has_strands: false,
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
        own: u64,
        record: &BatchFact,
        fact: Fact<&[u8]>,
        around: &mut Surroundings<'_>,
    ) -> Told {
        let key = self.strand(own, record, &fact, around.at);
        if let Fact::Renamed { queue } = fact {
            self.rename(key, queue, record, around);
            return Told::First;
        }
        let place = match self.current(key, record, &fact, around) {
            Some(place) => place,
            // The end of a session of which nothing is known, not even whose it was.
            None if matches!(fact, Fact::Disconnect { .. }) && record.client.is_none() => {
                return Told::First;
            }
            None => self.open(key, own, record, around),
        };
        let Some(slot) = self.slot(place) else { return Told::First };
        if slot.stage == Stage::Renamed {
            slot.stage = Stage::Talking;
        }
        slot.open.meet(record);
        slot.open.take(fact, around.at);
        let told = if slot.open.told_before { Told::Again } else { Told::First };
        match fact {
            Fact::Announced { queue } => self.announce(queue, place, around.limits),
            Fact::Queued { queue: Some(queue) } => self.enqueue(queue, place, around.limits),
            Fact::HandOver => self.hand_over(place, around.at.time),
            Fact::Disconnect { .. } => self.close(place, around.out),
            Fact::Alone { deed, .. } => {
                if let Deed::Queued { queue } = deed {
                    self.enqueue(queue, place, around.limits);
                }
                self.close(place, around.out);
            }
            _ => {}
        }
        told
    }

    /// Gives a session that began a moment ago the key under which it goes on.
    fn rename(&mut self, key: u64, other: u64, record: &BatchFact, around: &mut Surroundings<'_>) {
        let Some(place) = self.current(key, record, &Fact::Seen, around) else { return };
        let now = around.at.time;
        let Some(slot) = self.slot(place) else { return };
        let late = match (slot.open.end, now) {
            (Some(end), Some(now)) => now.seconds() - end.seconds() > HAND_OVER_SECONDS,
            _ => false,
        };
        if late {
            return;
        }
        slot.stage = Stage::Renamed;
        slot.key = other;
        self.keys.remove(&key);
        if let Some(before) = self.keys.insert(other, place) {
            self.close(before, around.out);
        }
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
        let again = *fact == Fact::Connect && slot.stage != Stage::Renamed;
        if again || other_client || other_time {
            self.close(place, around.out);
            return None;
        }
        Some(place)
    }

    /// A session for a key that has none: the one that another process handed over, or a new one,
    /// which other inputs know by its own key.
    pub(super) fn open(
        &mut self,
        key: u64,
        own: u64,
        record: &BatchFact,
        around: &mut Surroundings<'_>,
    ) -> Place {
        if let Some(place) = self.claim(record, around.at.time) {
            if let Some(slot) = self.slot(place) {
                slot.stage = Stage::Talking;
                let old = std::mem::replace(&mut slot.key, key);
                if self.keys.get(&old) == Some(&place) {
                    self.keys.remove(&old);
                }
            }
            self.keys.insert(key, place);
            return place;
        }
        let open = Open::new(record.format, self.was_told(own, record, around));
        let place = self.place(open, key, around);
        self.keys.insert(key, place);
        place
    }

    /// The oldest session of this client that was handed over a moment ago, on a port that fits.
    fn claim(&mut self, record: &BatchFact, time: Option<Timestamp>) -> Option<Place> {
        while let Some((_, place)) = self.handed_over.front()
            && !self.is_on_its_way(*place, time)
        {
            self.handed_over.pop_front();
        }
        let client = record.client?;
        let at = self.handed_over.iter().position(|(waiting, place)| {
            let open = |slot: &Slot| {
                let ports = (slot.open.local_port, record.local_port);
                let fits = !matches!(ports, (Some(left), Some(right)) if left != right);
                fits && slot.open.format == record.format
            };
            *waiting == client
                && self.is_on_its_way(*place, time)
                && self.slots.get(place.index as usize).is_some_and(open)
        })?;
        self.handed_over.remove(at).map(|(_, place)| place)
    }

    /// Whether a session was handed over a moment ago and no process has spoken for it yet.
    fn is_on_its_way(&self, place: Place, now: Option<Timestamp>) -> bool {
        let Some(slot) = self.slots.get(place.index as usize) else { return false };
        let Stage::HandedOver(since) = slot.stage else { return false };
        let fresh = match (since, now) {
            (Some(since), Some(now)) => {
                (0..=HAND_OVER_SECONDS).contains(&(now.seconds() - since.seconds()))
            }
            _ => true,
        };
        slot.generation == place.generation && fresh
    }

    fn hand_over(&mut self, place: Place, time: Option<Timestamp>) {
        let Some(slot) = self.slot(place) else { return };
        let Some(client) = slot.open.client else { return };
        // A process that refused a command answers on to the end: the client has to come again.
        if slot.stage == Stage::Talking && !slot.open.was_refused() {
            slot.stage = Stage::HandedOver(time);
            if self.handed_over.len() >= MOST_HANDED_OVER {
                self.handed_over.pop_front();
            }
            self.handed_over.push_back((client, place));
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

    /// Lets the log's own time pass: lost sessions end, held ones are given up.
    #[inline]
    pub(super) fn advance(&mut self, around: &mut Surroundings<'_>) {
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
        self.sweep(time, around.at.input, around.out);
    }

    /// A session is lost when its own log goes on without it. That another does tells little: two
    /// logs of the same lines are read one after the other, and the second may be far behind.
    fn sweep(&mut self, now: Timestamp, input: u32, out: &mut Vec<Finished>) {
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
            let talking = !matches!(slot.stage, Stage::Free | Stage::Held);
            let idle = match (slot.open.input == input, slot.open.told_before) {
                (true, _) => idle_seconds(slot.open.format),
                (false, false) => HOLD_SECONDS,
                (false, true) => continue,
            };
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
    pub(super) fn release(&mut self, index: u32, out: &mut Vec<Finished>) {
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
    pub(super) fn slot(&mut self, place: Place) -> Option<&mut Slot> {
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
