//! One session while its lines come in. In: facts about it, in order. Out: the finished
//! [`Session`]: the ends, the times, the names and the lines of a conversation, whose [`Course`] says
//! what became of it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::logs::fields;
use crate::logs::mail::FORMATS;
use crate::logs::mail::batch::BatchFact;
use crate::logs::mail::fact::Fact;
use crate::logs::mail::sessions::Keep;
use crate::logs::mail::sessions::course::{Course, names_of};
use crate::model::session::{Delivery, ProofLine, Proves, Session};
use crate::model::time::{Timestamp, micros};

/// Deliveries that a session keeps; more tell nothing new of it.
const MOST_DELIVERIES: usize = 64;

/// Lines that most sessions keep.
const USUAL_LINES: usize = 6;

/// A session that is not finished.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Open {
    /// Kept by name: the list of formats grows.
    #[serde(with = "format_by_name")]
    pub(super) format: u8,
    /// The input whose lines told of the conversation last.
    pub(super) input: u32,
    pub(super) client: Option<IpAddr>,
    pub(super) client_port: Option<u16>,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) local_port: Option<u16>,
    #[serde(with = "micros")]
    pub(super) start: Option<Timestamp>,
    #[serde(with = "micros")]
    pub(super) end: Option<Timestamp>,
    /// The session was told by another input already: its facts count nowhere.
    pub(super) told_before: bool,
    helo_name: Option<Box<str>>,
    user: Option<Box<str>>,
    #[serde(flatten)]
    course: Course,
    deliveries: Vec<Delivery>,
    lines: Vec<ProofLine>,
}

/// Where a fact stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) input: u32,
    pub(super) line: u64,
    pub(super) time: Option<Timestamp>,
    pub(super) keep: Keep,
}

impl Open {
    /// A session of which nothing is known yet.
    pub(super) fn new(format: u8, told_before: bool) -> Self {
        Self { format, told_before, ..Self::default() }
    }

    /// Takes the ends that a record knows; the first word counts.
    pub(super) fn meet(&mut self, record: &BatchFact) {
        self.client = self.client.or(record.client);
        self.client_port = self.client_port.or(record.client_port);
        self.local_ip = self.local_ip.or(record.local_ip);
        self.local_port = self.local_port.or(record.local_port);
    }

    /// Takes a fact about the conversation. Queue ids are the caller's business.
    pub(super) fn take(&mut self, fact: Fact<&[u8]>, at: At) {
        self.touch(at.time);
        self.input = at.input;
        self.take_later(fact, at);
    }

    /// Takes a fact about a message of the session: the conversation may be long over.
    pub(super) fn take_later(&mut self, fact: Fact<&[u8]>, at: At) {
        let (helo_name, user) = names_of(&fact);
        if let Some(name) = helo_name {
            self.helo_name = Some(fields::shown(name));
        }
        if let Some(user) = user {
            self.user = Some(fields::shown(user));
        }
        if let Fact::Delivery { next_hop, domain, .. } = fact {
            self.deliver(next_hop, domain);
        }
        let lines = &mut self.lines;
        self.course.take(&fact, |proves| cite(lines, proves, at));
    }

    /// Whether queue ids of the session can still be accepted or delivered.
    pub(super) fn may_have_messages(&self) -> bool {
        self.course.may_have_messages()
    }

    /// Takes back that a message was accepted: it was refused after all.
    pub(super) fn refuse_message(&mut self) {
        self.course.refuse_message();
    }

    /// Whether a command was refused so far.
    pub(super) fn was_refused(&self) -> bool {
        self.course.was_refused()
    }

    /// Gives up the session in favour of another that tells of the same: it counts nowhere.
    pub(super) fn disown(&mut self) -> Vec<Delivery> {
        self.told_before = true;
        std::mem::take(&mut self.deliveries)
    }

    /// Takes over the deliveries of a message that came back from a content filter.
    pub(super) fn adopt(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.add_delivery(delivery.clone());
        }
    }

    /// Gives the inputs of its lines other numbers; lines of an input without one are dropped.
    pub(super) fn renumber(&mut self, number: &dyn Fn(u32) -> Option<u32>) {
        self.input = number(self.input).unwrap_or(u32::MAX);
        self.lines.retain_mut(|line| {
            number(line.input).is_some_and(|number| {
                line.input = number;
                true
            })
        });
    }

    /// The finished session.
    pub(super) fn finish(mut self, server: &str) -> Session {
        self.deliveries.sort_unstable();
        self.lines.sort_unstable();
        let passed_on = !self.deliveries.is_empty();
        let (helo, auth, outcome) = self.course.conclude(self.format, passed_on);
        Session {
            server: server.into(),
            local_ip: self.local_ip,
            local_port: self.local_port,
            client: self.client,
            client_port: self.client_port,
            start: self.start,
            end: self.end,
            helo,
            auth,
            outcome,
            helo_name: self.helo_name,
            sasl_username: self.user,
            deliveries: self.deliveries,
            lines: self.lines,
        }
    }

    fn touch(&mut self, time: Option<Timestamp>) {
        if time.is_some() {
            self.start = match (self.start, time) {
                (Some(start), Some(time)) => Some(start.min(time)),
                (start, time) => start.or(time),
            };
            self.end = self.end.max(time);
        }
    }

    fn deliver(&mut self, next_hop: Option<IpAddr>, domain: &[u8]) {
        if next_hop.is_some_and(|ip| ip.is_loopback()) {
            return;
        }
        let domain = fields::shown(&domain.to_ascii_lowercase());
        self.add_delivery(Delivery { next_hop, domain });
    }

    fn add_delivery(&mut self, delivery: Delivery) {
        if self.deliveries.len() < MOST_DELIVERIES && !self.deliveries.contains(&delivery) {
            self.deliveries.push(delivery);
        }
    }
}

/// Keeps a line: all of them, or of each kind of proof the first and the last.
fn cite(lines: &mut Vec<ProofLine>, proves: Proves, at: At) {
    let line = ProofLine { input: at.input, line: at.line, proves };
    if lines.last() == Some(&line) {
        return;
    }
    if lines.capacity() == 0 {
        lines.reserve_exact(USUAL_LINES);
    }
    let mut same = lines.iter_mut().filter(|known| known.proves == proves);
    let (first, last) = (same.next().is_some(), same.next());
    match last {
        Some(last) if first && at.keep == Keep::Proofs => *last = line,
        _ => lines.push(line),
    }
}

/// A format's index in [`FORMATS`], written as its name.
mod format_by_name {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::FORMATS;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(format: &u8, to: S) -> Result<S::Ok, S::Error> {
        FORMATS.get(usize::from(*format)).map_or("", |format| format.name()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        let name = Box::<str>::deserialize(from)?;
        let index = FORMATS.iter().position(|format| format.name() == &*name);
        index.map(|index| index as u8).ok_or_else(|| Error::custom(format!("format {name:?}")))
    }
}
