//! Puts the facts of mail logs together to sessions. In: batches of facts, the lines of one
//! server in the order of its log. Out: finished sessions, each as early as nothing more can be
//! said of it.
//!
//! Sequential, after the parallel part; costs one or two table look-ups a fact. Most sessions begin
//! and end in one block: those the workers finish (`whole`), and here is only looked whether
//! anything before the block has a say in them. What is open is bounded: above the limit the oldest
//! is given out as it stands.

mod carried;
mod cited;
mod course;
mod dialogue;
mod messages;
mod nearby;
mod open;
mod seen;
mod server;
mod whole;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole_tests;

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

pub(super) use whole::Wholes;

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
    /// Sessions whose memory is free to be used again.
    spare: Vec<Finished>,
}

/// Finished sessions whose memory is kept: more than a block gives.
const MOST_SPARE: usize = 1024;

impl Assembler {
    /// An assembler with nothing open.
    pub fn new(keep: Keep, limits: Limits) -> Self {
        Self {
            keep,
            limits,
            servers: Vec::new(),
            by_name: AHashMap::new(),
            seen: Seen::new(),
            spare: Vec::new(),
        }
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
        // Neither path may give out sessions before their end, or one could differ from the other.
        let more = batch.facts().len();
        let servers = || known.iter().filter_map(|&index| self.servers.get(index));
        let has_room = servers().all(|server| server.has_room(more, self.limits));
        let mut admitted = vec![false; if has_room { batch.wholes().len() } else { 0 }];
        for (fact, record) in batch.facts().iter().enumerate() {
            let at = At {
                input,
                line: first_line.saturating_add(u64::from(record.line)),
                time: record.time,
                keep: self.keep,
            };
            let index = known.get(record.server as usize).copied().unwrap_or_default();
            let Some(server) = self.servers.get_mut(index) else { continue };
            let mut around = Surroundings {
                at,
                limits: self.limits,
                seen: &mut self.seen,
                out: &mut *out,
                spare: &mut self.spare,
            };
            if let Some((session, whole)) = batch.wholes().of_fact(fact)
                && let Some(admitted) = admitted.get_mut(session)
            {
                server.advance(&mut around);
                if whole.first as usize == fact {
                    *admitted = server.admits(whole, batch, record, &mut around);
                }
                if *admitted {
                    if whole.last as usize == fact {
                        server.give_out(whole, batch, first_line, &mut around);
                    }
                    continue;
                }
            }
            let fact = record.fact.map(|text| batch.text(text));
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

    /// Takes back sessions that are no longer needed: their memory serves the next.
    pub fn reuse(&mut self, finished: &mut Vec<Finished>) {
        // The fewer are moved to the others.
        if self.spare.len() < finished.len() {
            std::mem::swap(&mut self.spare, finished);
        }
        self.spare.append(finished);
        self.spare.truncate(MOST_SPARE);
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
