//! Facts on their way from worker threads to session assembly. In: records of the lines of one
//! block, their times already resolved to UTC. Out: a batch without references into the block:
//! flat facts, one buffer of texts, the names of the servers that occur.
//!
//! Millions of them cross, so a fact is small and copied, and only a name that a line shows
//! costs bytes.

use std::net::IpAddr;

use crate::logs::fields::same;
use crate::logs::mail::FORMATS;
use crate::logs::mail::fact::{Fact, Said, Subject, fold, key};
use crate::logs::mail::sessions::Wholes;
use crate::model::time::Timestamp;

/// Longest text that is kept, in bytes; what a server logs of a HELO name or a user is shorter.
const LONGEST_TEXT: usize = 512;

/// A text in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    at: u32,
    length: u32,
}

/// A record in a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchFact {
    /// Line within the block, from 0.
    pub(super) line: u32,
    /// Index into the batch's servers.
    pub(super) server: u32,
    /// Index into [`super::FORMATS`].
    pub(super) format: u8,
    /// The record's time.
    pub(super) time: Option<Timestamp>,
    /// Session or message, the format mixed in.
    pub(super) subject: Subject,
    pub(super) client: Option<IpAddr>,
    pub(super) client_port: Option<u16>,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) local_port: Option<u16>,
    pub(super) fact: Fact<Text>,
}

/// The facts of one block of one input, in the order of its lines.
#[derive(Debug, Clone, Default)]
pub struct FactBatch {
    facts: Vec<BatchFact>,
    texts: Vec<u8>,
    servers: Vec<Box<[u8]>>,
    /// The sessions that begin and end in the block.
    wholes: Wholes,
    /// The format of the last record and the number that makes keys its own: its hashed name, so
    /// that keys stay the same when the list grows.
    salt: Option<(usize, u64)>,
}

impl FactBatch {
    /// Adds what was said. `format` is the format's index in [`super::FORMATS`], `line` the line
    /// within the block from 0, `time` the time in UTC, `server` the number that
    /// [`FactBatch::server`] gave.
    #[inline]
    pub fn add(
        &mut self,
        said: &Said<'_>,
        format: usize,
        line: u32,
        time: Option<Timestamp>,
        server: u32,
    ) {
        let salt = self.salt(format);
        let subject = match said.subject {
            Subject::Session(key) => Subject::Session(fold(key, salt)),
            Subject::Message(key) => Subject::Message(fold(key, salt)),
        };
        if let Fact::Disconnect { end, summary } = said.fact
            && let Some(last) = self.facts.last_mut()
            && (last.fact, last.subject) == (Fact::Connect, subject)
            && (last.time, last.server, last.client) == (time, server, said.client)
            && last.client_port == said.client_port
            && (last.local_ip, last.local_port) == (said.local_ip, said.local_port)
        {
            last.fact = Fact::Visit { lines: line.wrapping_sub(last.line), end, summary };
            return;
        }
        let texts = &mut self.texts;
        let fact = BatchFact {
            line,
            server,
            format: format as u8,
            time,
            subject,
            client: said.client,
            client_port: said.client_port,
            local_ip: said.local_ip,
            local_port: said.local_port,
            // The queue ids within the fact become this format's own.
            fact: said.fact.map_both(|text| store(texts, text), |queue| fold(queue, salt)),
        };
        self.facts.push(fact);
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.facts.clear();
        self.texts.clear();
        self.servers.clear();
        self.wholes.clear();
    }

    /// Finishes the sessions that begin and end in the block, once all its facts are there. Without
    /// it they are put together like all others; they keep the lines of their proofs only.
    pub fn finish_sessions(&mut self) {
        self.wholes.find(&self.facts);
    }

    /// The sessions that were finished.
    pub(super) fn wholes(&self) -> &Wholes {
        &self.wholes
    }

    /// Number of facts; a session that is told in two lines may be one.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// Whether there is no fact.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// The facts, in order.
    pub(super) fn facts(&self) -> &[BatchFact] {
        &self.facts
    }

    /// The bytes of a text.
    pub(super) fn text(&self, text: Text) -> &[u8] {
        let start = text.at as usize;
        let end = start.saturating_add(text.length as usize);
        self.texts.get(start..end).unwrap_or_default()
    }

    /// The names of the servers, in the order of their first fact.
    pub fn servers(&self) -> &[Box<[u8]>] {
        &self.servers
    }

    fn salt(&mut self, format: usize) -> u64 {
        match self.salt {
            Some((known, salt)) if known == format => salt,
            _ => {
                let name = FORMATS.get(format).map_or("", |format| format.name());
                let salt = key(&[name.as_bytes()]) | 1;
                self.salt = Some((format, salt));
                salt
            }
        }
    }

    /// The number of a server that a fact is about to be of. Neighbouring lines mostly have one
    /// server, so the last is looked at first.
    pub fn server(&mut self, name: &[u8]) -> u32 {
        if let Some(last) = self.facts.last().map(|fact| fact.server)
            && self.servers.get(last as usize).is_some_and(|known| same(known, name))
        {
            return last;
        }
        let found = self.servers.iter().position(|known| same(known, name));
        let index = found.unwrap_or_else(|| {
            self.servers.push(name.into());
            self.servers.len() - 1
        });
        index as u32
    }
}

fn store(texts: &mut Vec<u8>, text: &[u8]) -> Text {
    let kept = text.get(..LONGEST_TEXT).unwrap_or(text);
    let at = texts.len() as u32;
    texts.extend_from_slice(kept);
    Text { at, length: kept.len() as u32 }
}
