//! One session while its lines come in. In: facts about it, in order. Out: the finished
//! [`Session`], by the design's rules (section 6): proofs before hints, the furthest point as the
//! outcome.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::logs::fields;
use crate::logs::mail::batch::BatchFact;
use crate::logs::mail::fact::{Answer, End, Fact, Success, Summary, Verb, Weight};
use crate::logs::mail::sessions::Keep;
use crate::logs::mail::sessions::dialogue::Dialogue;
use crate::logs::mail::{FORMATS, Logs};
use crate::model::session::{Auth, Delivery, Helo, Outcome, ProofLine, Proves, Session};
use crate::model::time::{Timestamp, micros};

/// Deliveries that a session keeps; more tell nothing new of it.
const MOST_DELIVERIES: usize = 64;

/// Lines that most sessions keep.
const USUAL_LINES: usize = 6;

/// A session that is not finished.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the session")]
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
    proof: Option<Answer>,
    hint: Option<Answer>,
    helo_name: Option<Box<str>>,
    auth: Option<Success>,
    user: Option<Box<str>>,
    refused: bool,
    /// How often a message was told as accepted.
    queued: u32,
    /// The server's own count of accepted messages.
    messages_told: Option<u32>,
    connected: bool,
    commanded: bool,
    ended: bool,
    ending: Option<End>,
    dialogue: Dialogue,
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

    /// Begins anew with the same memory.
    pub(super) fn restart(&mut self, format: u8) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        *self = Self { format, lines, ..Self::default() };
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
        let proves = match fact {
            Fact::Connect => {
                self.connected = true;
                Proves::Connection
            }
            Fact::Helo { answer, weight, name } => self.take_helo(answer, weight, name),
            Fact::Command { verb, name } => self.take_command(verb, name),
            Fact::Reply { code } => self.take_reply(code),
            Fact::Auth { success, user } => self.take_auth(success, user),
            Fact::Refused => {
                self.refused = true;
                Proves::Presence
            }
            Fact::Queued { .. } => {
                self.queued = self.queued.saturating_add(1);
                Proves::Queued
            }
            Fact::Ending(end) => {
                self.ending = self.ending.max(Some(end));
                Proves::Presence
            }
            Fact::Disconnect { end, summary } => self.take_disconnect(end, summary, at),
            Fact::Delivery { next_hop, domain, .. } => {
                self.deliver(next_hop, domain);
                Proves::Delivery
            }
            Fact::Seen
            | Fact::Announced { .. }
            | Fact::HandOver
            | Fact::Renamed { .. }
            | Fact::Removed => Proves::Presence,
        };
        self.cite(proves, at);
    }

    /// Whether queue ids of the session can still be accepted or delivered.
    pub(super) fn may_have_messages(&self) -> bool {
        self.messages_told != Some(0) || self.queued > 0
    }

    /// Takes back that a message was accepted: it was refused after all.
    pub(super) fn refuse_message(&mut self) {
        self.queued = self.queued.saturating_sub(1);
    }

    /// Whether a command was refused so far.
    pub(super) fn was_refused(&self) -> bool {
        self.refused
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

    /// What became of HELO and of AUTH, and the furthest point.
    pub(super) fn conclude(&self) -> (Helo, Auth, Outcome) {
        let helo = self.helo();
        (helo, self.auth_word(), self.outcome(helo))
    }

    /// The lines that are kept so far.
    pub(super) fn lines(&self) -> &[ProofLine] {
        &self.lines
    }

    /// The finished session.
    pub(super) fn finish(mut self, server: &str) -> Session {
        self.deliveries.sort_unstable();
        self.lines.sort_unstable();
        let (helo, auth, outcome) = self.conclude();
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

    fn take_helo(&mut self, answer: Answer, weight: Weight, name: Option<&[u8]>) -> Proves {
        let slot = match weight {
            Weight::Hint => &mut self.hint,
            Weight::Proof => &mut self.proof,
        };
        *slot = (*slot).max(Some(answer));
        self.name(name);
        Proves::Helo
    }

    fn take_command(&mut self, verb: Verb, name: Option<&[u8]>) -> Proves {
        self.commanded = true;
        self.dialogue.command(verb);
        match verb {
            Verb::Helo => self.take_helo(Answer::Sent, Weight::Proof, name),
            Verb::Auth => Proves::Auth,
            Verb::Quit => {
                self.ending = self.ending.max(Some(End::Orderly));
                Proves::Presence
            }
            _ => Proves::Presence,
        }
    }

    fn take_reply(&mut self, code: u16) -> Proves {
        let refused = code >= 400;
        match (self.dialogue.reply(code), code) {
            (None, 300..=399) => Proves::Presence,
            (Some(Verb::Helo), _) => {
                let answer = if refused { Answer::Rejected } else { Answer::Accepted };
                self.take_helo(answer, Weight::Proof, None)
            }
            (Some(Verb::Auth), _) | (None, 235 | 535) => {
                let success = if refused { Success::Failed } else { Success::Ok };
                self.take_auth(success, None)
            }
            (Some(Verb::MessageEnd), 200..=299) => {
                self.queued = self.queued.saturating_add(1);
                Proves::Queued
            }
            // The server closes an idle connection: nothing was asked, nothing is refused.
            (None, 421) if self.commanded => {
                self.ending = self.ending.max(Some(End::Lost));
                Proves::Presence
            }
            _ => {
                self.refused |= refused;
                Proves::Presence
            }
        }
    }

    fn take_auth(&mut self, success: Success, user: Option<&[u8]>) -> Proves {
        self.auth = self.auth.max(Some(success));
        if success == Success::Ok
            && let Some(user) = user
        {
            self.user = Some(fields::shown(user));
        }
        Proves::Auth
    }

    fn take_disconnect(&mut self, end: End, summary: Option<Summary>, at: At) -> Proves {
        self.ended = true;
        if self.ending.is_none_or(|known| known == End::Untold) {
            self.ending = Some(end);
        }
        let Some(summary) = summary else { return Proves::Presence };
        self.refused |= summary.refused;
        self.messages_told = summary.messages.or(self.messages_told);
        if summary.messages.is_some_and(|count| count > 0) {
            self.queued = self.queued.saturating_add(1);
            self.cite(Proves::Queued, at);
        }
        if let Some(success) = summary.auth {
            self.auth = self.auth.max(Some(success));
            self.cite(Proves::Auth, at);
        }
        match summary.helo {
            Some(answer) => self.take_helo(answer, Weight::Proof, None),
            None => Proves::Presence,
        }
    }

    fn name(&mut self, name: Option<&[u8]>) {
        if let Some(name) = name {
            self.helo_name = Some(fields::shown(name));
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

    /// Keeps a line: all of them, or of each kind of proof the first and the last.
    pub(super) fn cite(&mut self, proves: Proves, at: At) {
        let line = ProofLine { input: at.input, line: at.line, proves };
        if self.lines.last() == Some(&line) {
            return;
        }
        if self.lines.capacity() == 0 {
            self.lines.reserve_exact(USUAL_LINES);
        }
        let mut same = self.lines.iter_mut().filter(|known| known.proves == proves);
        let (first, last) = (same.next().is_some(), same.next());
        match last {
            Some(last) if first && at.keep == Keep::Proofs => *last = line,
            _ => self.lines.push(line),
        }
    }

    fn helo(&self) -> Helo {
        let known = [self.proof, self.hint].into_iter().flatten().find_map(|answer| match answer {
            Answer::Accepted => Some(Helo::Accepted),
            Answer::Rejected => Some(Helo::Rejected),
            Answer::NoneAccepted if self.hint > Some(Answer::NotSent) => Some(Helo::Rejected),
            Answer::NotSent | Answer::NoneAccepted => Some(Helo::None),
            Answer::Sent => None,
        });
        let every_command = self.connected && self.ended && self.proof.is_none();
        let logs = FORMATS.get(usize::from(self.format)).map(|format| format.logs());
        match known {
            Some(helo) => helo,
            None if every_command && logs == Some(Logs::Commands) => Helo::None,
            None => Helo::Unknown,
        }
    }

    fn auth_word(&self) -> Auth {
        match self.auth {
            Some(Success::Ok) => Auth::Ok,
            Some(Success::Failed) => Auth::Failed,
            None => Auth::None,
        }
    }

    fn outcome(&self, helo: Helo) -> Outcome {
        let refused = self.refused
            || self.auth == Some(Success::Failed)
            || self.proof == Some(Answer::Rejected);
        let orderly = self.ending == Some(End::Orderly);
        if !self.deliveries.is_empty() {
            Outcome::Relayed
        } else if self.queued > 0 {
            Outcome::Queued
        } else if refused {
            Outcome::Rejected
        } else if (helo == Helo::Accepted && self.ending.is_some()) || orderly {
            Outcome::HeloOnly
        } else if self.ending == Some(End::Lost) {
            Outcome::Dropped
        } else {
            Outcome::Unknown
        }
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
