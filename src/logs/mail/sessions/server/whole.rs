//! Whole sessions of a block on their way out. In: a session that a worker finished. Out: whether
//! anything from before its block has a say in it; if not, the finished session.

use super::{Place, ServerSessions, Stage, Surroundings, ip_hash, name_hash};
use crate::logs::fields;
use crate::logs::mail::FORMATS;
use crate::logs::mail::batch::{BatchFact, FactBatch};
use crate::logs::mail::fact::fold;
use crate::logs::mail::sessions::messages::Message;
use crate::logs::mail::sessions::whole::Whole;
use crate::logs::mail::sessions::{Give, Limits};
use crate::model::session::{ProofLine, SessionView};

impl ServerSessions {
    /// Whether so many more sessions and messages would still be within the limits.
    pub(in crate::logs::mail::sessions) fn has_room(&self, more: usize, limits: Limits) -> bool {
        let live = self.slots.len() - self.free.len();
        live + more < limits.sessions && self.messages.len() + more < limits.messages
    }

    /// Whether nothing that was said before has a say in a session that a worker finished; `first`
    /// is its first fact. An older session of the same key, which a new connection ends, is given
    /// out then.
    pub(in crate::logs::mail::sessions) fn admits(
        &mut self,
        whole: &Whole,
        batch: &FactBatch,
        first: &BatchFact,
        around: &mut Surroundings<'_>,
    ) -> bool {
        let messages = batch.wholes().messages(whole);
        let known = messages.iter().any(|(queue, _)| self.messages.contains_key(queue));
        if known || !self.handed_over.is_empty() || self.is_stranded(whole.key) {
            return false;
        }
        if let Some(place) = self.talking(whole.key) {
            let renamed = self.slot(place).is_some_and(|slot| slot.stage == Stage::Renamed);
            let behind = self.is_behind(place, first, around.at);
            if renamed || behind || !first.fact.connects() {
                return false;
            }
            self.close(place, around.out);
        }
        !self.was_told(whole.key, first, around)
    }

    /// Whether another input told the session that begins with this record.
    pub(super) fn was_told(
        &self,
        key: u64,
        record: &BatchFact,
        around: &mut Surroundings<'_>,
    ) -> bool {
        around.at.time.filter(|time| around.seen.cares_for(*time)).is_some_and(|time| {
            let client = record.client.map_or(0, ip_hash);
            let hash = fold(fold(key ^ name_hash(&self.name), client), time.0 as u64);
            around.seen.told_before(hash, time, around.at.input)
        })
    }

    /// Gives out a session that was admitted, and remembers its messages as gone. `place` is the
    /// input and the first line of its block; `lines` lends its memory.
    pub(in crate::logs::mail::sessions) fn give_out(
        &mut self,
        whole: &Whole,
        batch: &FactBatch,
        (input, first_line): (u32, u64),
        lines: &mut Vec<ProofLine>,
        give: Give<'_>,
    ) {
        for &(queue, touched) in batch.wholes().messages(whole) {
            let message = Message {
                session: Some(Place::GONE),
                upstream: None,
                deliveries: Vec::new(),
                gone: true,
                touched: Some(touched),
            };
            self.messages.insert(queue, message);
        }
        let name = |text| fields::shown_text(batch.text(text));
        let (helo_name, user) = (whole.helo_name.map(name), whole.user.map(name));
        lines.clear();
        lines.extend(batch.wholes().lines(whole).iter().map(|&(line, proves)| ProofLine {
            input,
            line: first_line.saturating_add(u64::from(line)),
            proves,
        }));
        let session = SessionView {
            server: &self.name,
            local_ip: whole.local_ip,
            local_port: whole.local_port,
            client: whole.client,
            client_port: whole.client_port,
            start: whole.start,
            end: whole.end,
            helo: whole.helo,
            helo_name: helo_name.as_deref(),
            auth: whole.auth,
            sasl_username: user.as_deref(),
            outcome: whole.outcome,
            deliveries: &[],
            lines,
        };
        give(&session, FORMATS.get(usize::from(whole.format)).map_or("", |f| f.name()));
    }
}
