//! Puts the facts of mail logs together to sessions. In: batches of facts, the lines of one
//! server in the order of its log. Out: finished sessions, each as early as nothing more can be
//! said of it.
//!
//! Sequential, after the parallel part; costs one or two table look-ups a fact. What is open is
//! bounded: above the limit the oldest is given out as it stands.

mod carried;
mod dialogue;
mod messages;
mod open;
mod seen;
mod server;

#[cfg(test)]
mod tests;

use ahash::AHashMap;

use crate::logs::fields;
use crate::logs::mail::batch::FactBatch;
use crate::model::session::Session;
use crate::model::time::Timestamp;
pub use carried::CarriedSessions;
pub use seen::{Generation, ToldBy};

use open::At;
use seen::Seen;
use server::{ServerSessions, Surroundings, Told};

/// Which lines a session keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All, for `inspect`.
    AllLines,
    /// The first and the last of each kind of proof.
    Proofs,
}

/// How much may be open at once, for each server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sessions that have not ended, or are held for their messages.
    pub sessions: usize,
    /// Messages in the queue.
    pub messages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 1 << 16, messages: 1 << 18 }
    }
}

/// A finished session and the format it was read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The session.
    pub session: Session,
    /// [`super::MailFormat::name`].
    pub format: &'static str,
}

/// Assembles the sessions of any number of servers.
#[derive(Debug)]
pub struct Assembler {
    keep: Keep,
    limits: Limits,
    servers: Vec<ServerSessions>,
    by_name: AHashMap<Box<[u8]>, usize>,
    seen: Seen,
}

impl Assembler {
    /// An assembler with nothing open.
    pub fn new(keep: Keep, limits: Limits) -> Self {
        Self { keep, limits, servers: Vec::new(), by_name: AHashMap::new(), seen: Seen::new() }
    }

    /// Promises that no further input tells of a session that began before that time. Without a
    /// promise every session has to be remembered, as another input may tell it again.
    pub fn told_again_from(&mut self, time: Timestamp) {
        self.seen.again_from(time);
    }

    /// Takes the facts of a block of the input, whose first line is `first_line` (from 1).
    /// Finished sessions go to `out`, which is not cleared. Gives the number of lines that only
    /// told what another input had told before.
    pub fn take(
        &mut self,
        batch: &FactBatch,
        input: u32,
        first_line: u64,
        out: &mut Vec<Finished>,
    ) -> u64 {
        let known: Vec<usize> =
            batch.servers().iter().map(|name| self.server_index(name)).collect();
        let mut again = 0;
        let mut counted = None;
        for record in batch.facts() {
            let fact = record.fact.map(|text| batch.text(text));
            let at = At {
                input,
                line: first_line.saturating_add(u64::from(record.line)),
                time: record.time,
                keep: self.keep,
            };
            let index = known.get(record.server as usize).copied().unwrap_or_default();
            let Some(server) = self.servers.get_mut(index) else { continue };
            let mut around =
                Surroundings { at, limits: self.limits, seen: &mut self.seen, out: &mut *out };
            let told = server.take(record, fact, &mut around);
            if told == Told::Again && counted != Some(record.line) {
                counted = Some(record.line);
                again += 1;
            }
        }
        again
    }

    /// Ends what is still open, server by server in the order of their first fact.
    pub fn finish(&mut self, out: &mut Vec<Finished>) {
        for server in &mut self.servers {
            server.finish(out);
        }
    }

    fn server_index(&mut self, name: &[u8]) -> usize {
        if let Some(&index) = self.by_name.get(name) {
            return index;
        }
        let index = self.servers.len();
        self.servers.push(ServerSessions::new(fields::shown(name)));
        self.by_name.insert(name.into(), index);
        index
    }
}
