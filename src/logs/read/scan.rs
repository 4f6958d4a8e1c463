//! From the lines of a block to records. In: a stretch of whole lines and the input's recipe. Out: a
//! batch without references into the stretch: flows, mail facts, rejected lines, and how many lines
//! there were. Runs in the workers; what needs more than one line is left to `consume`.
//!
//! Every byte is looked at twice, by two loops of vector code: once for the needles, once for line
//! ends. Only a line that a needle stands in is cut out and parsed.

mod batch;
mod walk;

#[cfg(test)]
mod tests;

use memchr::memchr;

use crate::logs::clock::{Clock, LogTime};
use crate::logs::detect::{FormatId, Recognised};
use crate::logs::envelope::{self, Known, LastHeads, Opened};
use crate::logs::firewall::{self, FirewallFormat, FlowRecord, JoinRule};
use crate::logs::line::{Columns, LONGEST_LINE, Line, Outcome, Reject};
use crate::logs::mail::{self, FactBatch, MailFormat, MailRecord, Program};
use crate::logs::read::lines::{clean, open_unwrapped, time_of_line};
use crate::logs::read::recipe::{Recipe, Routing, Wanted};
use crate::logs::read::verdicts::Verdicts;
use crate::model::input::RejectedLine;
use crate::model::time::Timestamp;
use batch::extend;

pub(super) use batch::{Batch, EndTime, LineFlow};

/// Lines at either end of a stretch that are tried for a time.
const TRIED_FOR_TIME: usize = 8;

/// How the stretch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// More of the input follows.
    Continues,
    /// The input ends here.
    Ends,
    /// The input breaks off here: a last line without its end is not whole.
    Torn,
}

/// A stretch of whole lines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'t> {
    pub(super) text: &'t [u8],
    /// Where it begins in the decompressed text.
    pub(super) offset: u64,
    pub(super) ending: Ending,
    /// The true length of the last line where only the beginning of it is here.
    pub(super) long_line: Option<u64>,
    /// The header in force.
    pub(super) columns: &'t Columns,
}

/// Scans a stretch; `facts` is empty and lends its memory.
pub(super) fn scan(
    recipe: &Recipe,
    verdicts: &Verdicts<'_>,
    stretch: &Stretch<'_>,
    facts: FactBatch,
) -> Batch {
    Scan::new(recipe, verdicts, stretch, facts).finish()
}

struct Scan<'t, 'r> {
    recipe: &'r Recipe,
    verdicts: &'r Verdicts<'r>,
    clock: Clock,
    stretch: &'r Stretch<'t>,
    batch: Batch,
    /// Reused by every line of the stretch.
    flows: Vec<FlowRecord<'t>>,
    mails: Vec<MailRecord<'t>>,
    scratch: Vec<u8>,
    last_heads: LastHeads<'t, Option<Alike>>,
    /// What the last head's time is in UTC, if that was asked and can be told.
    head_time: Option<Timestamp>,
    /// Of the last record, if it names no server and its time is not a wrong clock's.
    last_place: Option<Place>,
    /// Where the line begins that follows the last one that was read.
    next_start: usize,
    /// From the last line up to here no NUL stands.
    nul_free_to: usize,
    /// The only format of the input, for which much need not be asked of every line.
    only: Option<(u8, &'static dyn MailFormat)>,
    /// The format whose programs' lines have much in common.
    of_programs: Option<(u8, &'static dyn MailFormat)>,
    /// Its number, once a line of one of its programs was read.
    has_alike: Option<u8>,
}

/// What the lines with one host and tag have in common.
#[derive(Debug, Clone, Copy)]
struct Alike {
    /// The program that writes them.
    program: Program,
    /// The number of the server in the batch, if it has facts of it.
    server: Option<u32>,
    /// The last time that was noted of the server, and its place among those that speak.
    noted: Option<(Timestamp, usize)>,
}

/// Where and when a record was written.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The time as the line has it.
    said: LogTime,
    time: Timestamp,
    /// The number of the server in the batch.
    server: u32,
}

/// How a line ended, and the format that ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Event,
    Ignored,
    Rejected(Reject, &'static str),
}

impl<'t, 'r> Scan<'t, 'r> {
    fn new(
        recipe: &'r Recipe,
        verdicts: &'r Verdicts<'r>,
        stretch: &'r Stretch<'t>,
        facts: FactBatch,
    ) -> Self {
        Self {
            recipe,
            verdicts,
            clock: Clock::new(recipe.zone, recipe.reference),
            stretch,
            batch: Batch { facts, ..Batch::default() },
            flows: Vec::new(),
            mails: Vec::new(),
            scratch: Vec::new(),
            last_heads: LastHeads::default(),
            head_time: None,
            last_place: None,
            next_start: 0,
            nul_free_to: 0,
            only: recipe.only_format(),
            of_programs: recipe.first_bare_mail(),
            has_alike: None,
        }
    }

    fn finish(mut self) -> Batch {
        self.note_times_at_ends();
        self.walk();
        if !matches!(self.recipe.wanted, Wanted::All) {
            self.batch.facts.finish_sessions();
        }
        self.batch.guesses = self.clock.guesses();
        self.batch
    }

    /// Parses one line and counts how it ended.
    fn take_line(&mut self, start: usize, end: usize) {
        const TOO_LONG: Reject =
            Reject::new("line", "at most 65536 bytes in a line, 32 MiB in a one-line document");
        let text = self.stretch.text;
        let Some(raw) = text.get(start..end) else { return };
        let unfinished = end == text.len();
        if unfinished && self.stretch.ending == Ending::Torn {
            return;
        }
        let damaged = self.may_hold_nuls(start, end);
        let line = if damaged { clean(raw) } else { raw.strip_suffix(b"\r").unwrap_or(raw) };
        if line.is_empty() {
            return;
        }
        if line.len() > self.recipe.longest_line {
            return self.reject(start, raw, TOO_LONG, "");
        }
        match self.read_line(line) {
            End::Event => self.batch.events += 1,
            End::Ignored => {}
            End::Rejected(reject, format) => self.reject(start, raw, reject, format),
        }
    }

    /// Whether a line may be damaged by NULs. Where line follows line, many are looked through at
    /// once.
    fn may_hold_nuls(&mut self, start: usize, end: usize) -> bool {
        const AT_ONCE: usize = 4096;
        let follows = start == self.next_start;
        self.next_start = end + 1;
        if follows && end > self.nul_free_to {
            let rest = self.stretch.text.get(start..).unwrap_or_default();
            let part = rest.get(..AT_ONCE).unwrap_or(rest);
            self.nul_free_to = start + memchr(0, part).unwrap_or(part.len());
        }
        end > self.nul_free_to
    }

    fn reject(&mut self, start: usize, raw: &[u8], reject: Reject, format: &'static str) {
        self.batch.rejected += 1;
        if self.batch.rejects.len() >= self.recipe.kept_rejects {
            return;
        }
        let last = start + raw.len() + 1 >= self.stretch.text.len();
        let whole = self.stretch.long_line.filter(|_| last);
        self.batch.rejects.push(RejectedLine {
            line: self.batch.lines,
            offset: self.stretch.offset + start as u64,
            length: whole.unwrap_or(raw.len() as u64),
            format,
            field: reject.field,
            expected: reject.expected,
            raw: raw.get(..LONGEST_LINE).unwrap_or(raw).to_vec(),
        });
    }

    fn read_line(&mut self, raw: &'t [u8]) -> End {
        if let Some(end) = self.read_alike(raw) {
            return end;
        }
        if self.is_header(raw) {
            return End::Ignored;
        }
        if let Some(wrapping) = &self.recipe.wrapping {
            let mut scratch = std::mem::take(&mut self.scratch);
            let end = wrapping.unwrap(raw, &mut scratch).map(|inner| {
                self.read_opened(&open_unwrapped(&inner), &mut Vec::new(), &mut Vec::new())
            });
            self.scratch = scratch;
            if let Some(end) = end {
                return end;
            }
        }
        // The buffers hold slices of the stretch, so they can be used again for its next line.
        let (mut flows, mut mails) =
            (std::mem::take(&mut self.flows), std::mem::take(&mut self.mails));
        let end = self.read_bare(raw, &mut mails).unwrap_or_else(|| {
            let line = self.open(raw);
            self.read_opened(&line, &mut flows, &mut mails)
        });
        flows.clear();
        mails.clear();
        (self.flows, self.mails) = (flows, mails);
        end
    }

    fn is_header(&self, raw: &[u8]) -> bool {
        let Some((id, _)) = &self.recipe.header else { return false };
        raw.starts_with(&self.recipe.header_start) && super::plan::header_by(*id, raw).is_some()
    }

    fn read_bare(&mut self, raw: &'t [u8], records: &mut Vec<MailRecord<'t>>) -> Option<End> {
        let (index, format) = self.only?;
        let columns = self.columns(FormatId::Mail(index));
        let (time, outcome) = format.parse_bare(raw, columns, records)?;
        let kept = self.keep_facts(index, (time, None), records);
        self.batch.looked_at(FormatId::Mail(index));
        Some(End::Ignored.or(outcome, kept, format.name()))
    }

    /// Opens a line, and works out what it has in common with those that have its host and tag.
    fn open(&mut self, raw: &'t [u8]) -> Line<'t> {
        let Opened { line, same_time, notes } = envelope::open_next(raw, &mut self.last_heads);
        if !same_time {
            self.head_time = None;
        }
        if let (Some((index, format)), Some(notes @ None), Some(tag)) =
            (self.of_programs, notes, line.tag)
        {
            let program = format.program(tag);
            self.has_alike = self.has_alike.or(program.map(|_| index));
            *notes = program.map(|program| Alike { program, server: None, noted: None });
        }
        line
    }

    /// Reads a line of a program of which a line was read before. What lines with the same host and
    /// tag have in common is not asked again.
    fn read_alike(&mut self, raw: &'t [u8]) -> Option<End> {
        let index = self.has_alike?;
        let Known { time, same_time, host, pid, body, notes } = self.last_heads.open_known(raw)?;
        if !same_time {
            self.head_time = None;
        }
        let Alike { program, server, noted } = notes.as_mut()?;
        let time = self.head_time.or_else(|| self.clock.resolve(time));
        self.head_time = time;
        let batch = &mut self.batch;
        let at = batch.lines as u32;
        let mut records = 0u64;
        (program.read)(program, pid, body, &mut |said| {
            let server = *server.get_or_insert_with(|| batch.facts.server(host));
            batch.facts.add(&said, usize::from(index), at, time, server);
            records += 1;
        });
        match time {
            Some(time) if time > self.recipe.latest => batch.ahead += records.max(1),
            Some(now) if noted.is_none_or(|(known, _)| known != now) => {
                let place = noted.map_or_else(|| batch.place_of(host, now), |(_, place)| place);
                batch.note_at(place, now);
                *noted = Some((now, place));
            }
            _ => {}
        }
        batch.looked_at(FormatId::Mail(index));
        Some(if records == 0 { End::Ignored } else { End::Event })
    }

    fn read_opened<'a>(
        &mut self,
        line: &Line<'a>,
        flows: &mut Vec<FlowRecord<'a>>,
        records: &mut Vec<MailRecord<'a>>,
    ) -> End {
        let recipe = self.recipe;
        let forced = recipe.routing == Routing::Forced;
        // What a mail server's program writes quotes strangers: no firewall is asked.
        let first_mail = recipe.first_mail().zip(line.tag);
        let is_mail = first_mail.is_some_and(|((_, format), tag)| format.program(tag).is_some());
        // The first of the file's formats that recognises the line has it.
        let firewalls = (!is_mail).then(|| recipe.formats.firewall());
        let mut firewall = firewalls.into_iter().flatten().find_map(|(index, format)| {
            let columns = self.columns(FormatId::Firewall(index));
            let outcome = if forced {
                Some(format.parse(line, columns, flows))
            } else {
                format.parse_own(line, columns, flows)
            };
            Some((index, format, outcome?))
        });
        let mut mail = recipe.formats.mail().find_map(|(index, format)| {
            let columns = self.columns(FormatId::Mail(index));
            let outcome = if forced {
                Some(format.parse(line, columns, records))
            } else {
                format.parse_own(line, columns, records)
            };
            Some((index, format, outcome?))
        });
        if !forced && firewall.is_none() && mail.is_none() {
            (firewall, mail) = self.read_stray(line, flows, records);
        }
        let mut end = End::Ignored;
        if let Some((index, format, outcome)) = firewall {
            let kept = self.keep_flows(index, flows);
            end = end.or(outcome, kept, format.name());
            self.batch.looked_at(FormatId::Firewall(index));
        }
        if let Some((index, format, outcome)) = mail {
            // Without a tag the word may be no host but the first of a log that names none.
            let head = (line.time, line.tag.and(line.host));
            let kept = self.keep_facts(index, head, records);
            end = end.or(outcome, kept, format.name());
            self.batch.looked_at(FormatId::Mail(index));
        }
        end
    }

    /// A line of another product, in a file of which only a sample was surveyed: what the first
    /// firewall format and the first mail format of all make of it.
    fn read_stray<'a>(
        &self,
        line: &Line<'a>,
        flows: &mut Vec<FlowRecord<'a>>,
        records: &mut Vec<MailRecord<'a>>,
    ) -> Stray {
        let recognised = Recognised::of(line);
        let firewall = recognised.firewall.and_then(|index| {
            let format = *firewall::FORMATS.get(usize::from(index))?;
            let columns = self.columns(FormatId::Firewall(index));
            Some((index, format, format.parse(line, columns, flows)))
        });
        let mail = recognised.mail.and_then(|index| {
            let format = *mail::FORMATS.get(usize::from(index))?;
            Some((index, format, format.parse(line, self.columns(FormatId::Mail(index)), records)))
        });
        (firewall, mail)
    }

    fn columns(&self, id: FormatId) -> &'t Columns {
        self.recipe.columns_for(id, self.stretch.columns)
    }

    /// Keeps the flows that concern a wanted port.
    fn keep_flows(&mut self, format: u8, records: &[FlowRecord<'_>]) -> Kept {
        let mut kept = Kept::None;
        for record in records {
            if !is_wanted(&self.recipe.wanted, record) {
                continue;
            }
            kept = Kept::Some;
            let mut flow = record.to_flow(&self.clock);
            if let Some(action) = record.prefix.and_then(|prefix| self.verdicts.action(prefix)) {
                flow.action = action;
            }
            let covered = self.covered(flow.time);
            extend(&mut self.batch.span, covered);
            let device = record.device.map(|name| self.batch.device_index(name));
            let line = self.batch.lines as u32;
            self.batch.flows.push(LineFlow { line, device, format, join: record.join, flow });
        }
        kept
    }

    fn keep_facts(
        &mut self,
        format: u8,
        head: (Option<LogTime>, Option<&[u8]>),
        records: &[MailRecord<'_>],
    ) -> Kept {
        let line = self.batch.lines as u32;
        for record in records {
            let (time, server) = self.place_of(record);
            let said = record.said();
            self.batch.facts.add(&said, usize::from(format), line, time, server);
        }
        if !records.is_empty() {
            return Kept::Some;
        }
        self.last_place = None;
        let (time, server) = head;
        let time = time.and_then(|time| self.clock.resolve(time));
        let covered = self.covered(time);
        self.note(server, covered);
        Kept::None
    }

    /// The time of a record and the number of its server, both noted. Where neither names its server,
    /// neighbouring records mostly share them.
    fn place_of(&mut self, record: &MailRecord<'_>) -> (Option<Timestamp>, u32) {
        if let Some(last) = &self.last_place
            && record.server.is_none()
            && record.time == Some(last.said)
        {
            return (Some(last.time), last.server);
        }
        let time = record.time.and_then(|time| self.clock.resolve(time));
        let covered = self.covered(time);
        self.note(record.server, covered);
        let server = self.batch.facts.server(record.server.unwrap_or(&self.recipe.server));
        self.last_place = match (record.time, covered, record.server) {
            (Some(said), Some(time), None) => Some(Place { said, time, server }),
            _ => None,
        };
        (time, server)
    }

    /// The time, unless it lies so far ahead that it is a wrong clock's: that says nothing of when
    /// the log speaks.
    fn covered(&mut self, time: Option<Timestamp>) -> Option<Timestamp> {
        let ahead = time.is_some_and(|time| time > self.recipe.latest);
        self.batch.ahead += u64::from(ahead);
        time.filter(|_| !ahead)
    }

    fn note(&mut self, server: Option<&[u8]>, time: Option<Timestamp>) {
        if let Some(time) = time {
            self.batch.note(server.unwrap_or(&self.recipe.server), time);
        }
    }

    /// Coverage runs from the first to the last timed line, whether or not a needle stands in it.
    fn note_times_at_ends(&mut self) {
        let text = self.stretch.text;
        let mut first = text.split(|&b| b == b'\n').take(TRIED_FOR_TIME);
        self.batch.first = first.find_map(|line| self.end_time(line));
        let mut last = text.rsplit(|&b| b == b'\n').take(TRIED_FOR_TIME);
        self.batch.last = last.find_map(|line| self.end_time(line));
    }

    fn end_time(&self, raw: &[u8]) -> Option<EndTime> {
        let line = clean(raw);
        if line.is_empty() || line.len() > self.recipe.longest_line {
            return None;
        }
        let mut scratch = Vec::new();
        let timed = time_of_line(self.recipe, self.stretch.columns, line, &mut scratch)?;
        let time = self.clock.resolve(timed.time).filter(|time| *time <= self.recipe.latest)?;
        let server = timed.server.unwrap_or(&self.recipe.server);
        Some(EndTime { time, server: timed.is_mail.then(|| server.into()) })
    }
}

/// What a firewall format and a mail format made of a line.
type Stray = (
    Option<(u8, &'static dyn FirewallFormat, Outcome)>,
    Option<(u8, &'static dyn MailFormat, Outcome)>,
);

/// Whether anything of a line was worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    None,
    Some,
}

impl End {
    /// With what another kind of format made of the same line: an event of either makes it one.
    fn or(self, outcome: Outcome, kept: Kept, format: &'static str) -> Self {
        match (self, outcome, kept) {
            (Self::Event, ..) | (_, _, Kept::Some) => Self::Event,
            (rejected @ Self::Rejected(..), ..) => rejected,
            (Self::Ignored, Outcome::Rejected(reject), _) => Self::Rejected(reject, format),
            (Self::Ignored, ..) => Self::Ignored,
        }
    }
}

/// Whether a record concerns a wanted port: as the server's, or as either end's where a later
/// stage may turn the record round.
fn is_wanted(wanted: &Wanted, record: &FlowRecord<'_>) -> bool {
    let nat =
        |end: Option<crate::model::net::Endpoint>| end.is_some_and(|end| wanted.has(end.port));
    let server = wanted.has(record.dst_port) || nat(record.nat_dst);
    let turns =
        record.join.is_some_and(|join| matches!(join.rule, JoinRule::Orients | JoinRule::AsBuilt));
    server || turns && (wanted.has(record.src_port) || nat(record.nat_src))
}
