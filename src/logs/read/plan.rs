//! Looks at every input before any is read. In: paths and settings. Out: for each input what it is
//! (compression, formats, wrapping, header), when it begins, and the recipe for reading it.
//!
//! Runs over all inputs in parallel and opens one file at a time in each worker. A small file is
//! surveyed line by line; of a large one the head, the tail and lines spread evenly over it, so that
//! what is found depends on its content alone.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use memchr::{memchr, memrchr};
use rayon::prelude::*;

use crate::error::{Error, Place, Result};
use crate::logs::clock::Clock;
use crate::logs::detect::{FormatId, FormatSet, Holding, Survey};
use crate::logs::envelope;
use crate::logs::firewall;
use crate::logs::line::{Columns, LONGEST_LINE};
use crate::logs::mail;
use crate::logs::read::lines::{clean, open_unwrapped, time_of_line};
use crate::logs::read::recipe::{
    Recipe, Routing, Scope, Searches, Wanted, Wrapped, longest_line_of, zone_of,
};
use crate::logs::read::stream::Stream;
use crate::logs::read::{LogInput, ReadOptions};
use crate::logs::source::{self, Compression, MAGIC_BYTES, STDIN, Spread, Utf16, open_text};
use crate::model::input::{Status, Tally};
use crate::model::time::Timestamp;

/// Bytes at the start of the text that are surveyed line by line.
const HEAD: usize = 64 << 10;

/// Distance between surveyed lines of a file that is larger.
const SPACING: u64 = 64 << 10;

/// Most of such lines.
const MOST_SAMPLES: u64 = 512;

/// Bytes read for one of them.
const SAMPLE: usize = 4096;

/// A file up to this size is searched for the patterns of all formats.
const SMALL: u64 = 4 << 20;

/// Bytes of the text by which copies are suspected.
pub(super) const PRINT: usize = 256;

/// How an input is read.
pub(super) enum Way {
    /// In blocks, by any worker. `sparse`: it has holes on the disk.
    Blocks { size: u64, inode: (u64, u64), sparse: bool },
    /// From front to back.
    Stream { size: u64 },
    /// From front to back, already begun.
    Begun(Box<Stream>),
}

/// An input that can be read.
pub(super) struct Ready {
    pub(super) way: Way,
    pub(super) compression: Option<Compression>,
    pub(super) recipe: Arc<Recipe>,
    pub(super) first_time: Option<Timestamp>,
    /// The first bytes of the text; shorter only if the text is.
    pub(super) print: Box<[u8]>,
    pub(super) notes: Vec<String>,
    /// What its status is if no line gives anything: the head has none of the format that the user
    /// named.
    pub(super) misnamed: Option<Status>,
}

impl Ready {
    /// Orders inputs by when they are consumed: by their first line's time, untimed ones last.
    pub(super) fn turn<'a>(&'a self, path: &'a Path) -> (bool, Option<Timestamp>, &'a Path) {
        (self.first_time.is_none(), self.first_time, path)
    }
}

/// An input and what is to be done with it.
pub(super) struct Plan {
    pub(super) input: LogInput,
    pub(super) state: State,
}

/// What is to be done with an input.
pub(super) enum State {
    /// Read it.
    Read(Box<Ready>),
    /// Nothing more: it is a copy of another, already counted.
    Copy { of: u32, tally: Tally, compression: Option<Compression> },
    /// Nothing.
    Skip(Status),
}

/// Looks at all inputs.
pub(super) fn plan(inputs: Vec<LogInput>, options: &ReadOptions<'_>) -> Vec<Plan> {
    let searches = Mutex::new(Searches::default());
    let wanted = Wanted::of(&options.selection);
    inputs
        .into_par_iter()
        .map(|input| {
            // Nothing of a head is kept but what the plan needs: there may be many inputs.
            let state = match look(&input) {
                Err(error) => State::Skip(Status::Unreadable(error)),
                Ok(look) => finish(&input, look, options, &searches, &wanted),
            };
            Plan { input, state }
        })
        .collect()
}

/// Seconds after the reference time up to which a line's time can be true.
const CLOCK_SLACK: i64 = 48 * 3600;

/// What one look at an input shows.
struct Look {
    way: Way,
    compression: Option<Compression>,
    modified: Timestamp,
    survey: Survey,
    head: Vec<u8>,
    notes: Vec<String>,
    /// What reading the head ended with, where it ended too early.
    fault: Option<String>,
}

fn look(input: &LogInput) -> Result<Look> {
    let survey = Survey::new(input.settings.raw_field.as_deref());
    if input.path == Path::new(STDIN) {
        return look_at_stream(input, survey, Begin::AndKeep, 0);
    }
    let opened = source::open(&input.path)?;
    let mut head = vec![0; HEAD.min(opened.size as usize)];
    let read = read_fully(&opened.file, &mut head, 0)
        .map_err(|error| Error::input(&input.path, Place::Byte(0), error.to_string()))?;
    head.truncate(read);
    let magic = head.get(..MAGIC_BYTES).unwrap_or(&head);
    let is_plain = Compression::of(magic).is_none() && Utf16::of(magic).is_none();
    if !is_plain || Spread::of(magic).is_some() {
        return look_at_stream(input, survey, Begin::Only, opened.size);
    }
    let metadata = opened.file.metadata().ok();
    let sparse = metadata.as_ref().is_some_and(|m| m.blocks().saturating_mul(512) < m.size());
    let inode = metadata.map_or((0, 0), |m| (m.dev(), m.ino()));
    let mut look = Look {
        way: Way::Blocks { size: opened.size, inode, sparse },
        compression: None,
        modified: opened.modified,
        survey,
        head: head.strip_prefix(b"\xef\xbb\xbf").map_or_else(|| head.clone(), <[u8]>::to_vec),
        notes: Vec::new(),
        fault: None,
    };
    survey_head(&mut look, opened.size > HEAD as u64);
    survey_samples(&mut look.survey, &opened.file, opened.size);
    if look.survey.has_header() {
        look.way = Way::Stream { size: opened.size };
    }
    Ok(look)
}

/// What becomes of a stream whose head was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// It is opened again later.
    Only,
    /// It cannot be opened again.
    AndKeep,
}

fn look_at_stream(input: &LogInput, survey: Survey, begin: Begin, size: u64) -> Result<Look> {
    let mut text = open_text(&input.path)?;
    let mut head = Vec::with_capacity(HEAD);
    // An error after the first bytes comes again when the stream is read.
    let read = (&mut text).take(HEAD as u64).read_to_end(&mut head);
    if let (Err(error), true) = (&read, head.is_empty()) {
        return Err(Error::input(&input.path, Place::Byte(0), error.to_string()));
    }
    let more = head.len() == HEAD;
    let notes = text.utf16.and_then(Utf16::note).into_iter().collect();
    let mut look = Look {
        compression: text.compression,
        modified: text.modified.unwrap_or(Timestamp(0)),
        way: Way::Stream { size },
        survey,
        head,
        notes,
        fault: read.err().map(|error| error.to_string()),
    };
    survey_head(&mut look, more);
    if begin == Begin::AndKeep {
        look.way = Way::Begun(Box::new(Stream::new(text, look.head.clone(), None)));
    }
    Ok(look)
}

/// Surveys every line of the head; the last one only if it is whole.
fn survey_head(look: &mut Look, more: bool) {
    let whole = match memrchr(b'\n', &look.head) {
        Some(end) if more => end,
        _ => look.head.len(),
    };
    for line in look.head.get(..whole).unwrap_or_default().split(|&b| b == b'\n') {
        look.survey.add(clean(line));
    }
}

/// Surveys lines spread evenly over the rest of the file, and the last.
fn survey_samples(survey: &mut Survey, file: &File, size: u64) {
    let rest = size.saturating_sub(HEAD as u64);
    if rest == 0 {
        return;
    }
    let count = (rest / SPACING).clamp(8, MOST_SAMPLES);
    let mut bytes = vec![0; SAMPLE];
    for sample in 0..=count {
        let share = (u128::from(rest) * u128::from(sample) / u128::from(count)) as u64;
        let at = (HEAD as u64 + share).min(size.saturating_sub(SAMPLE as u64));
        let Ok(read) = read_fully(file, &mut bytes, at) else { return };
        let part = bytes.get(..read).unwrap_or_default();
        let Some(start) = memchr(b'\n', part) else { continue };
        let from = part.get(start.saturating_add(1)..).unwrap_or_default();
        if let Some(end) = memchr(b'\n', from) {
            survey.add(clean(from.get(..end).unwrap_or_default()));
        }
    }
}

fn read_fully(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<usize> {
    let mut done = 0;
    while let Some(free) = bytes.get_mut(done..).filter(|free| !free.is_empty()) {
        match file.read_at(free, at.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done = done.saturating_add(read),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// From a look to a recipe.
fn finish(
    input: &LogInput,
    mut look: Look,
    options: &ReadOptions<'_>,
    searches: &Mutex<Searches>,
    wanted: &Wanted,
) -> State {
    let mut holding = look.survey.holding();
    let forced = input.settings.format.as_deref().map(FormatSet::named);
    let misnamed = forced.and_then(|formats| misnamed(formats, &holding, &look.head));
    let routing = match forced {
        Some(formats) => {
            holding.formats = formats;
            Routing::Forced
        }
        None => Routing::ByLine,
    };
    let Holding { formats, wrapping, header, header_start } = holding;
    let is_blank = look.head.iter().all(u8::is_ascii_whitespace);
    if formats.is_empty() && !is_blank {
        return State::Skip(unrecognised(&input.path, &look));
    }
    // Of a large file enough is surveyed to know its formats; of a small one, or of a stream whose
    // middle cannot be looked at beforehand, a search for all formats costs little.
    let large = matches!(look.way, Way::Blocks { size, .. } if size > SMALL);
    let narrow = large || header.is_some() || routing == Routing::Forced;
    let scope = if narrow { Scope::Seen } else { Scope::All };
    let wrapped = if wrapping.is_some() { Wrapped::Yes } else { Wrapped::No };
    let search = searches
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(formats, scope, wrapped, options);
    let reference = options.now.unwrap_or(look.modified);
    let latest = reference.plus_seconds(CLOCK_SLACK);
    let mut recipe = Recipe {
        formats,
        routing,
        wrapping,
        search,
        header: header.clone(),
        header_start,
        zone: zone_of(input.settings.zone),
        reference,
        latest,
        server: input.settings.server.as_deref().unwrap_or_default().as_bytes().into(),
        wanted: wanted.clone(),
        kept_rejects: options.kept_rejects,
        may_hold_mail: formats.has_mail() || scope == Scope::All,
        longest_line: longest_line_of(formats),
    };
    let first_time = first_time(&recipe, &look.head);
    if first_time.is_some_and(|time| time > latest) {
        // Then it is the reference that is wrong, a file's time that a copy set back.
        recipe.latest = Timestamp(i64::MAX);
    }
    State::Read(Box::new(Ready {
        first_time,
        print: look.head.get(..PRINT).unwrap_or(&look.head).into(),
        way: look.way,
        compression: look.compression,
        recipe: Arc::new(recipe),
        notes: std::mem::take(&mut look.notes),
        misnamed,
    }))
}

/// What is wrong where the user named a format that no line of the head is of.
fn misnamed(named: FormatSet, seen: &Holding, head: &[u8]) -> Option<Status> {
    let reads = |raw: &[u8]| match &seen.wrapping {
        None => named.reads(&envelope::open(clean(raw))),
        Some(wrapping) => wrapping
            .unwrap(clean(raw), &mut Vec::new())
            .is_some_and(|inner| named.reads(&open_unwrapped(&inner))),
    };
    let of_header = seen.header.as_ref().is_some_and(|(id, _)| named.contains(*id));
    let is_blank = head.iter().all(u8::is_ascii_whitespace);
    if of_header || is_blank || head.split(|&b| b == b'\n').any(reads) {
        return None;
    }
    let name = named.names().next()?;
    Some(Status::Misnamed(name, seen.formats.names().collect()))
}

/// Why no format recognises an input: what it is instead, where its first bytes tell.
fn unrecognised(path: &Path, look: &Look) -> Status {
    let head = look.head.as_slice();
    let told = if let Some(fault) = &look.fault {
        Some(fault.clone())
    } else if head.starts_with(b"PK\x03\x04") {
        Some("found a ZIP archive; expected a log: unpack it first".to_owned())
    } else if Compression::of(head).is_some() {
        Some(
            "found compressed data inside compressed data; expected a log: unpack it once"
                .to_owned(),
        )
    } else {
        let nul = memchr::memchr(0, head);
        nul.map(|at| format!("found binary data (a NUL at byte {at}); expected lines of text"))
    };
    match told {
        Some(message) => Status::Unreadable(Error::input(path, Place::Whole, message)),
        None => Status::Unrecognised(look.survey.guesses()),
    }
}

fn first_time(recipe: &Recipe, head: &[u8]) -> Option<Timestamp> {
    let clock = Clock::new(recipe.zone, recipe.reference);
    let none = Columns::NONE;
    let columns = recipe.header.as_ref().map_or(&none, |(_, columns)| columns);
    let mut scratch = Vec::new();
    head.split(|&b| b == b'\n').map(clean).filter(|line| line.len() <= LONGEST_LINE).find_map(
        |line| {
            let timed = time_of_line(recipe, columns, line, &mut scratch)?;
            clock.resolve(timed.time)
        },
    )
}

/// The columns that a header line of that format names.
pub(super) fn header_by(id: FormatId, line: &[u8]) -> Option<Columns> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match id {
        FormatId::Firewall(index) => firewall::FORMATS.get(usize::from(index))?.header(line),
        FormatId::Mail(index) => mail::FORMATS.get(usize::from(index))?.header(line),
    }
}
