//! What became of each input: the facts behind the run's account, run.json and coverage. In:
//! nothing (facts only). Out: one [`InputReport`] an input.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::Error;
use crate::model::time::Timestamp;

/// What an input was given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InputKind {
    /// A Nessus export.
    Scan,
    /// A firewall log.
    Firewall,
    /// A mail-server log.
    Mail,
    /// Given as both kinds of log, or found to hold both.
    Log,
}

/// How the lines of an input ended. `lines = events + ignored + rejected + duplicates`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines read.
    pub lines: u64,
    /// Lines that gave a record.
    pub events: u64,
    /// Lines that say nothing of SMTP connections to the targets' ports.
    pub ignored: u64,
    /// Lines of a recognised format that could not be read.
    pub rejected: u64,
    /// Lines whose event another line had told.
    pub duplicates: u64,
    /// Bytes of the decompressed text.
    pub bytes: u64,
}

impl Tally {
    /// Whether every line is accounted for.
    pub fn adds_up(&self) -> bool {
        let sum = [self.events, self.ignored, self.rejected, self.duplicates];
        sum.iter().try_fold(0u64, |n, part| n.checked_add(*part)) == Some(self.lines)
    }

    /// Adds another tally.
    pub fn add(&mut self, other: &Self) {
        self.lines = self.lines.saturating_add(other.lines);
        self.events = self.events.saturating_add(other.events);
        self.ignored = self.ignored.saturating_add(other.ignored);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// A span of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Span {
    /// The earliest time.
    pub first: Timestamp,
    /// The latest time.
    pub last: Timestamp,
}

impl Span {
    /// The smallest span that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// How reading an input ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Read to its end.
    Complete,
    /// The same content as, or a beginning of, the input of that index: not counted.
    DuplicateOf(u32),
    /// No format recognises it; the nearest guesses and what each misses.
    Unrecognised(Vec<(&'static str, String)>),
    /// Read as the format that the user named, but nothing in it is of that format; the formats
    /// that it looks like.
    Misnamed(&'static str, Vec<&'static str>),
    /// Read up to the fault; what stood before it counts.
    Partial(Error),
    /// Could not be read at all.
    Unreadable(Error),
    /// Read by an earlier run; none of this run's inputs holds it any more.
    Gone,
}

/// A rejected line, for rejects.jsonl.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RejectedLine {
    /// Line of the decompressed text, from 1.
    pub line: u64,
    /// Byte offset of the line's start in the decompressed text.
    pub offset: u64,
    /// Length of the line in bytes.
    pub length: u64,
    /// The format that rejected it.
    pub format: &'static str,
    /// The field that is wrong.
    pub field: &'static str,
    /// What was expected there.
    pub expected: &'static str,
    /// The line, at most 64 KiB of it.
    pub raw: Vec<u8>,
}

/// What became of one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputReport {
    /// The path as given or found; `-` for standard input.
    pub path: PathBuf,
    /// What it was given as.
    pub kind: InputKind,
    /// `gzip`, `zstd`, `bzip2`, `xz`, where it is compressed.
    pub compression: Option<&'static str>,
    /// Lines per format that was recognised in it (lines that were looked at).
    pub formats: BTreeMap<&'static str, u64>,
    /// How its lines ended.
    pub tally: Tally,
    /// From its first to its last timed line.
    pub span: Option<Span>,
    /// Mail servers that wrote lines in it, by name as logged, each from its first to its last
    /// timed line.
    pub servers: BTreeMap<Box<str>, Span>,
    /// Whether years had to be inferred.
    pub years_inferred: bool,
    /// Whether the zone was guessed (nobody named it and lines lack it).
    pub zone_guessed: bool,
    /// Whether the last line had no line end.
    pub unterminated: bool,
    /// Other things worth a line in the account (NUL runs skipped, trailing garbage after gzip).
    pub notes: Vec<String>,
    /// The first rejected lines, ascending; beyond the cap only the tally counts.
    pub rejects: Vec<RejectedLine>,
    /// How reading ended.
    pub status: Status,
}

impl InputReport {
    /// The report of an input of which nothing is known yet.
    pub fn new(path: PathBuf, kind: InputKind) -> Self {
        Self {
            path,
            kind,
            compression: None,
            formats: BTreeMap::new(),
            tally: Tally::default(),
            span: None,
            servers: BTreeMap::new(),
            years_inferred: false,
            zone_guessed: false,
            unterminated: false,
            notes: Vec::new(),
            rejects: Vec::new(),
            status: Status::Complete,
        }
    }
}

/// The run's firewalls by name; [`crate::model::flow::FlowEvent::device`] is an index here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices(Vec<Box<str>>);

impl Devices {
    /// The index of a name, which is added where it is new.
    pub fn index_of(&mut self, name: &str) -> u32 {
        let found = self.0.iter().position(|known| **known == *name);
        let index = found.unwrap_or_else(|| {
            self.0.push(name.into());
            self.0.len() - 1
        });
        index as u32
    }

    /// The name of a device.
    pub fn name(&self, index: u32) -> &str {
        self.0.get(index as usize).map_or("", |name| name)
    }

    /// All names, in the order of their first line.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}
