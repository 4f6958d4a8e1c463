//! Puts the parts of all chunks together. In: chunks in order, most of them already walked over
//! on a guess of what they stand in. Out: the hosts of the export, or the first fault.
//!
//! A guess that proves right is taken; a chunk whose guess was wrong, or that begins inside
//! something the one before left open, is walked over again with what is known. So the result
//! is that of one walk from the first byte to the last, whatever the cuts.

use crate::model::finding::{RejectedItem, Scan, ScannedHost};
use crate::model::policy;
use crate::scan::catalogue::Catalogue;
use crate::scan::chunks::Chunk;
use crate::scan::clock::Zone;
use crate::scan::host::Properties;
use crate::scan::item::Item;
use crate::scan::markup::{Fault, Stop};
use crate::scan::surroundings::{Spot, Surroundings};
use crate::scan::walk::{self, Ending, MAX_DEPTH, Part, Walked};

/// Most bytes of one piece of markup, text between tags, or part that is read as a whole.
const MAX_PIECE: usize = 64 * 1024 * 1024;
/// How many rejected items are told one by one.
const MAX_REJECTS: usize = 20;

/// Why an export cannot be read, or not to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// Offset in the export's text.
    pub(super) offset: u64,
    /// What was found, what was expected.
    pub(super) message: String,
    /// Whether the export merely ends too early.
    pub(super) cut: bool,
}

/// A host whose end has not been seen.
#[derive(Debug, Default)]
struct OpenHost {
    name: String,
    properties: Option<Properties>,
    items: Vec<Item>,
}

/// The export so far.
pub(super) struct Assembly<'c> {
    catalogue: &'c Catalogue,
    scan: Scan,
    /// The zone that the user names.
    zone: Option<policy::Zone>,
    around: Surroundings,
    host: Option<OpenHost>,
    /// Bytes that begin something which the chunks so far do not hold whole, and their offset.
    pending: Vec<u8>,
    pending_offset: u64,
    /// Once there are so many of them, it is worth looking again.
    retry_at: usize,
}

impl<'c> Assembly<'c> {
    /// An export of which nothing has been read.
    pub(super) fn new(catalogue: &'c Catalogue, scan: Scan, zone: Option<policy::Zone>) -> Self {
        Self {
            catalogue,
            scan,
            zone,
            around: Surroundings::default(),
            host: None,
            pending: Vec::new(),
            pending_offset: 0,
            retry_at: 0,
        }
    }

    /// The next chunk, and the result of walking over it on its guess.
    pub(super) fn take(&mut self, chunk: &Chunk, guessed: Option<Walked>) -> Result<(), Problem> {
        if !self.pending.is_empty() {
            return self.take_more(chunk);
        }
        if let (Some(spot), Some(walked)) = (chunk.guess, guessed) {
            let guess = Surroundings::guessed(spot);
            if self.confirms(spot, &guess, &walked) {
                self.around.advance(&guess, &walked.around);
                return self.keep(chunk.bytes(), chunk.offset, walked);
            }
        }
        self.walk(chunk.bytes(), chunk.offset, chunk.ending)
    }

    /// Whether a chunk was walked over in the surroundings that it really stands in. A host that
    /// is the root itself is none that was guessed: behind it no other may follow.
    fn confirms(&self, guess: Spot, guessed: &Surroundings, walked: &Walked) -> bool {
        let right = match guess {
            Spot::Host => self.around.spot() == Spot::Host && self.around.depth() > 1,
            _ => matches!(self.around.spot(), Spot::Root | Spot::Report),
        };
        let deeper = walked.deepest.saturating_sub(guessed.depth());
        let fits = self.around.depth().saturating_add(deeper) <= MAX_DEPTH;
        right && fits && !matches!(walked.used, Err(Stop::Unsure))
    }

    /// More of what the chunks before left open. Looking again only when there is twice as much
    /// keeps the work in proportion to the bytes.
    fn take_more(&mut self, chunk: &Chunk) -> Result<(), Problem> {
        let more = self.retry_at.max(self.pending.len().saturating_add(chunk.bytes().len()));
        self.pending.reserve_exact(more.saturating_sub(self.pending.len()));
        self.pending.extend_from_slice(chunk.bytes());
        if self.pending.len() < self.retry_at && chunk.ending != Ending::Eof {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.walk(&pending, self.pending_offset, chunk.ending)
    }

    fn walk(&mut self, bytes: &[u8], offset: u64, ending: Ending) -> Result<(), Problem> {
        let around = std::mem::take(&mut self.around);
        let mut walked = walk::walk(bytes, ending, around, self.catalogue);
        self.around = std::mem::take(&mut walked.around);
        self.keep(bytes, offset, walked)
    }

    /// Keeps the parts of a chunk, and the bytes that it did not use up.
    fn keep(&mut self, bytes: &[u8], offset: u64, walked: Walked) -> Result<(), Problem> {
        self.scan.tally.items = self.scan.tally.items.saturating_add(walked.items);
        for part in walked.parts {
            self.keep_part(part, offset);
        }
        let problem = |fault: Box<Fault>, cut| Problem {
            offset: offset.saturating_add(fault.at as u64),
            message: fault.message,
            cut,
        };
        let used = match walked.used {
            Ok(used) => used,
            Err(Stop::Fault(fault)) => return Err(problem(fault, false)),
            Err(Stop::Cut(fault)) => return Err(problem(fault, true)),
            Err(Stop::Incomplete | Stop::Unsure) => 0,
        };
        let rest = bytes.get(used..).unwrap_or_default();
        self.pending_offset = offset.saturating_add(used as u64);
        if rest.len() >= MAX_PIECE {
            return Err(Problem {
                offset: self.pending_offset,
                message: "limit: a tag, text, comment or item of more than 64 MiB".to_string(),
                cut: false,
            });
        }
        self.retry_at = rest.len().saturating_mul(2).min(MAX_PIECE);
        self.pending.clear();
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    fn keep_part(&mut self, part: Part, offset: u64) {
        match part {
            Part::ReportName(name) if self.scan.name.is_empty() => self.scan.name = name,
            Part::ReportName(_) => {}
            Part::PluginSet(ids) => {
                let set = self.scan.plugin_set.get_or_insert_default();
                set.extend(ids);
                set.sort_unstable();
                set.dedup();
            }
            Part::Ports(ranges) => self.scan.ports.get_or_insert_default().extend(ranges),
            Part::Rejected(at, reason) => {
                self.scan.tally.rejected = self.scan.tally.rejected.saturating_add(1);
                if self.scan.tally.rejects.len() < MAX_REJECTS {
                    let offset = offset.saturating_add(at as u64);
                    self.scan.tally.rejects.push(RejectedItem { offset, reason });
                }
            }
            Part::Host(name) => self.host = Some(OpenHost { name, ..OpenHost::default() }),
            Part::Properties(properties) => {
                if let Some(host) = &mut self.host {
                    host.properties.get_or_insert(*properties);
                }
            }
            Part::Item(item) => {
                if let Some(host) = &mut self.host {
                    host.items.push(*item);
                }
            }
            Part::HostEnd => self.end_host(),
        }
    }

    fn end_host(&mut self) {
        let Some(host) = self.host.take() else { return };
        let OpenHost { name, properties, items } = host;
        let properties = properties.unwrap_or_default();
        let told = items.iter().find_map(|item| item.zone);
        let span = properties.times.resolve(told, self.zone);
        let tally = &mut self.scan.tally;
        tally.zones_guessed =
            tally.zones_guessed.saturating_add(u64::from(span.zone == Zone::Guessed));
        tally.untimed = tally.untimed.saturating_add(u64::from(span.ended.is_none()));
        tally.broken_fqdns = tally.broken_fqdns.saturating_add(u64::from(properties.fqdns_broken));
        tally.replaced = tally.replaced.saturating_add(properties.replaced);
        let mut kept = ScannedHost {
            name,
            ip: properties.ip,
            fqdn: properties.fqdn,
            fqdns: properties.fqdns,
            rdns: properties.rdns,
            hostname: properties.hostname,
            netbios: properties.netbios,
            started: span.started,
            ended: span.ended,
            finished: span.finished && !properties.unreached,
            login: properties.login,
            scanners: Vec::new(),
            findings: Vec::new(),
        };
        for item in items {
            tally.findings = tally.findings.saturating_add(1);
            let aside = u64::from(item.finding.set_aside.is_some());
            tally.set_aside = tally.set_aside.saturating_add(aside);
            tally.replaced = tally.replaced.saturating_add(item.replaced);
            kept.scanners.extend(item.scanners);
            kept.findings.push(item.finding);
        }
        kept.scanners.sort_unstable();
        kept.scanners.dedup();
        kept.findings.sort_by(|a, b| {
            let key = |f: &crate::model::finding::Finding| (f.port, f.plugin_id);
            key(a).cmp(&key(b)).then_with(|| a.output.cmp(&b.output))
        });
        self.scan.hosts.push(kept);
    }

    /// The export, with its complete hosts.
    pub(super) fn finish(mut self) -> Scan {
        self.scan.tally.hosts_cut = u64::from(self.host.is_some());
        self.scan
    }
}
