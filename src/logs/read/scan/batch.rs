//! What a stretch of lines gave. In: what its lines say, one after the other. Out: a batch without
//! references into the stretch.

use crate::logs::clock::Guesses;
use crate::logs::detect::FormatId;
use crate::logs::fields::same;
use crate::logs::firewall::Join;
use crate::logs::mail::FactBatch;
use crate::model::flow::Flow;
use crate::model::input::{RejectedLine, Span};
use crate::model::time::Timestamp;

/// A flow and its line.
#[derive(Debug)]
pub(in crate::logs::read) struct LineFlow {
    /// Line within the stretch, from 0.
    pub(in crate::logs::read) line: u32,
    /// Index into the batch's devices, if the line names one.
    pub(in crate::logs::read) device: Option<u32>,
    pub(in crate::logs::read) format: u8,
    pub(in crate::logs::read) join: Option<Join>,
    pub(in crate::logs::read) flow: Flow,
}

/// What a stretch gave.
#[derive(Debug, Default)]
pub(in crate::logs::read) struct Batch {
    pub(in crate::logs::read) lines: u64,
    pub(in crate::logs::read) events: u64,
    pub(in crate::logs::read) rejected: u64,
    pub(in crate::logs::read) flows: Vec<LineFlow>,
    pub(in crate::logs::read) facts: FactBatch,
    /// Lines are within the stretch, from 0.
    pub(in crate::logs::read) rejects: Vec<RejectedLine>,
    pub(in crate::logs::read) looked_at: Vec<(FormatId, u64)>,
    pub(in crate::logs::read) devices: Vec<Box<[u8]>>,
    pub(in crate::logs::read) servers: Vec<(Box<[u8]>, Span)>,
    /// From the earliest to the latest record, without those of a wrong clock.
    pub(in crate::logs::read) span: Option<Span>,
    /// Records whose time lies too far ahead to be true.
    pub(in crate::logs::read) ahead: u64,
    /// The first timed line, if it is one of the first lines.
    pub(in crate::logs::read) first: Option<EndTime>,
    /// The last timed line, if it is one of the last lines.
    pub(in crate::logs::read) last: Option<EndTime>,
    pub(in crate::logs::read) guesses: Guesses,
    pub(in crate::logs::read) unterminated: bool,
}

/// The time of a line at either end of a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::logs::read) struct EndTime {
    pub(in crate::logs::read) time: Timestamp,
    /// The mail server that wrote the line, if one did.
    pub(in crate::logs::read) server: Option<Box<[u8]>>,
}

impl Batch {
    /// Notes that a mail server speaks of this time.
    pub(super) fn note(&mut self, server: &[u8], time: Timestamp) {
        let place = self.place_of(server, time);
        self.note_at(place, time);
    }

    /// The same for a server whose place is known.
    pub(super) fn note_at(&mut self, place: usize, time: Timestamp) {
        extend(&mut self.span, Some(time));
        if let Some((_, known)) = self.servers.get_mut(place) {
            *known = known.union(Span { first: time, last: time });
        }
    }

    /// The place of a server that is about to speak of this time.
    pub(super) fn place_of(&mut self, server: &[u8], time: Timestamp) -> usize {
        let found = self.servers.iter().rposition(|(known, _)| same(known, server));
        found.unwrap_or_else(|| {
            self.servers.push((server.into(), Span { first: time, last: time }));
            self.servers.len() - 1
        })
    }

    pub(super) fn looked_at(&mut self, id: FormatId) {
        match self.looked_at.iter_mut().find(|(known, _)| *known == id) {
            Some((_, count)) => *count += 1,
            None => self.looked_at.push((id, 1)),
        }
    }

    /// The number of a firewall among those that lines name.
    pub(super) fn device_index(&mut self, name: &[u8]) -> u32 {
        // One firewall's lines mostly stand together, so the last is looked at first.
        let found = self.devices.iter().rposition(|known| **known == *name);
        found.unwrap_or_else(|| {
            self.devices.push(name.into());
            self.devices.len() - 1
        }) as u32
    }
}

pub(super) fn extend(span: &mut Option<Span>, time: Option<Timestamp>) {
    if let Some(time) = time {
        let point = Span { first: time, last: time };
        *span = Some(span.map_or(point, |known| known.union(point)));
    }
}
