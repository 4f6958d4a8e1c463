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

use std::iter;

use ahash::AHashMap;

use crate::logs::fields;
use crate::logs::mail::batch::FactBatch;
use crate::logs::mail::fact::Fact;
use crate::model::session::{ProofLine, Session, SessionView};
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
    /// What a fact ended, on its way out.
    finished: Vec<Finished>,
    /// The lines of a session on its way out.
    lines: Vec<ProofLine>,
}

/// Where finished sessions go, with the format that they were read in.
pub type Give<'g> = &'g mut dyn FnMut(&SessionView<'_>, &'static str);

impl Assembler {
    /// An assembler with nothing open.
    pub fn new(keep: Keep, limits: Limits) -> Self {
        Self {
            keep,
            limits,
            servers: Vec::new(),
            by_name: AHashMap::new(),
            seen: Seen::new(),
            finished: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Promises that no further input tells of a session that began before that time. Without a
    /// promise every session has to be remembered, as another input may tell it again.
    pub fn told_again_from(&mut self, time: Timestamp) {
        self.seen.again_from(time);
    }

    /// Takes the facts of a block of the input, whose first line is `first_line` (from 1), and gives
    /// the sessions that end. Returns the number of lines that only told what another input had told
    /// before.
    pub fn take(&mut self, batch: &FactBatch, input: u32, first_line: u64, give: Give<'_>) -> u64 {
        let known: Vec<usize> =
            batch.servers().iter().map(|name| self.server_index(name)).collect();
        let mut again = 0;
        let mut counted = None;
        // Neither path may give out sessions before their end, or one could differ from the other.
        let more = batch.facts().len();
        let servers = || known.iter().filter_map(|&index| self.servers.get(index));
        let has_room = servers().all(|server| server.has_room(more, self.limits));
        let mut admitted = vec![false; if has_room { batch.wholes().len() } else { 0 }];
        let place = (input, first_line);
        for fact in 0..batch.len() {
            let whole = batch.wholes().of_fact(fact);
            // In an admitted session nothing happens before its end unless time moves on; its facts
            // are not looked at.
            if let Some((session, whole)) = whole
                && batch.wholes().stays(fact)
                && admitted.get(session) == Some(&true)
            {
                let index = known.get(whole.server as usize).copied().unwrap_or_default();
                if whole.last as usize == fact
                    && let Some(server) = self.servers.get_mut(index)
                {
                    server.give_out(whole, batch, place, &mut self.lines, give);
                }
                continue;
            }
            let Some(record) = batch.facts().get(fact) else { break };
            let at = At {
                input,
                line: first_line.saturating_add(u64::from(record.line)),
                time: record.time,
                keep: self.keep,
            };
            let index = known.get(record.server as usize).copied().unwrap_or_default();
            let Some(server) = self.servers.get_mut(index) else { continue };
            let (seen, out) = (&mut self.seen, &mut self.finished);
            let mut around = Surroundings { at, limits: self.limits, seen, out };
            if let Some((session, whole)) = whole
                && let Some(admitted) = admitted.get_mut(session)
            {
                server.advance(&mut around);
                if whole.first as usize == fact {
                    *admitted = server.admits(whole, batch, record, &mut around);
                }
                give_all(around.out, give);
                if *admitted {
                    if whole.last as usize == fact {
                        server.give_out(whole, batch, place, &mut self.lines, give);
                    }
                    continue;
                }
            }
            for (line, fact) in each_of(record.line, record.fact.map(|text| batch.text(text))) {
                around.at.line = first_line.saturating_add(u64::from(line));
                let told = server.take(record, fact, &mut around);
                give_all(around.out, give);
                if told == Told::Again && counted != Some(line) {
                    counted = Some(line);
                    again += 1;
                }
            }
        }
        again
    }

    /// Ends what is still open, server by server in the order of their first fact.
    pub fn finish(&mut self, give: Give<'_>) {
        for server in &mut self.servers {
            server.finish(&mut self.finished);
        }
        give_all(&mut self.finished, give);
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

/// A fact of a line, or the two that it stands for.
fn each_of(line: u32, fact: Fact<&[u8]>) -> impl Iterator<Item = (u32, Fact<&[u8]>)> {
    let (first, second) = match fact {
        Fact::Visit { lines, end, summary } => {
            let disconnect = Fact::Disconnect { end, summary };
            (Fact::Connect, Some((line.saturating_add(lines), disconnect)))
        }
        single => (single, None),
    };
    iter::once((line, first)).chain(second)
}

fn give_all(finished: &mut Vec<Finished>, give: Give<'_>) {
    for finished in finished.drain(..) {
        give(&finished.session.view(), finished.format);
    }
}
