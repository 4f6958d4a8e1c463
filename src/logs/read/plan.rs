//! Looks at every input before any is read. In: paths and settings. Out: for each input what it is
//! (compression, formats, wrapping, header), when it begins, and the recipe for reading it.
//!
//! Runs over all inputs in parallel and opens one file at a time in each worker. A small file is
//! surveyed line by line; of a large one the head, the tail and lines spread evenly over it, so that
//! what is found depends on its content alone.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
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
use crate::logs::read::names;
use crate::logs::read::recipe::{
    Recipe, Routing, Scope, Searches, Wanted, Wrapped, longest_line_of, zone_of,
};
use crate::logs::read::resume::{Found, Known, reached_in, whole_lines_end};
use crate::logs::read::stream::{Opening, Stream};
use crate::logs::read::{LogInput, ReadOptions};
use crate::logs::source::{
    self, Compression, MAGIC_BYTES, Opened, STDIN, Spread, Utf16, open_text_to, print_of,
    read_fully,
};
use crate::model::input::{Status, Tally};
use crate::model::reading::{FirstLine, Reached, Stamp};
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
    /// In blocks, by any worker, from a line's start to `size`. `sparse`: it has holes on the disk.
    Blocks { from: u64, size: u64, inode: (u64, u64), sparse: bool },
    /// From front to back.
    Stream { size: u64, opening: Opening },
    /// From front to back, already begun.
    Begun(Box<Stream>),
}

/// An input that can be read.
pub(super) struct Ready {
    pub(super) way: Way,
    pub(super) compression: Option<Compression>,
    pub(super) recipe: Arc<Recipe>,
    /// Its first timed line.
    pub(super) first: Option<FirstLine>,
    /// The first bytes of the text; shorter only if the text is.
    pub(super) print: Box<[u8]>,
    pub(super) notes: Vec<String>,
    /// What its status is if no line gives anything: the head has none of the format that the user
    /// named.
    pub(super) misnamed: Option<Status>,
    /// Where it stands among what earlier runs read; none where nobody asks for that.
    pub(super) standing: Option<Box<Standing>>,
}

/// Where an input stands among what earlier runs read.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// What is known of its text.
    pub(super) found: Found,
    /// How far an earlier run read it; nothing of it where it is new.
    pub(super) before: Reached,
    /// How far this run will have read it, as far as that is known already.
    pub(super) reached: Reached,
}

impl Ready {
    /// Orders inputs by when they are consumed: by their first line's time, untimed ones last.
    /// Where lines of one second were divided by a rotation, its names tell which came first.
    pub(super) fn turn<'a>(
        &'a self,
        path: &'a Path,
    ) -> (bool, Option<Timestamp>, String, i64, &'a Path) {
        let (family, age) = names::rotated(path);
        let time = self.first.map(|first| first.time);
        (time.is_none(), time, family, -age, path)
    }
}

/// An input and what is to be done with it.
pub(super) struct Plan {
    pub(super) input: LogInput,
    /// The number of the content that it goes on with, which is its own then.
    pub(super) continues: Option<u32>,
    pub(super) state: State,
}

/// What is to be done with an input.
pub(super) enum State {
    /// Read it.
    Read(Box<Ready>),
    /// Nothing more: it is a copy of another, already counted.
    Copy {
        /// The place of the other's plan.
        of: usize,
        tally: Tally,
        compression: Option<Compression>,
        /// How far it is read by that.
        reached: Option<Box<Reached>>,
    },
    /// Nothing: an earlier run has read all of it.
    Same(Box<Same>),
    /// Nothing.
    Skip(Status),
}

/// An input that holds nothing new.
pub(super) struct Same {
    /// The place of the cursor that stands at its end.
    pub(super) cursor: usize,
    pub(super) compression: Option<Compression>,
    /// How far it was read, the file as it is now.
    pub(super) reached: Reached,
    /// The first bytes of the text, where they were looked at.
    pub(super) print: Box<[u8]>,
}

/// Looks at all inputs.
pub(super) fn plan(
    inputs: Vec<LogInput>,
    options: &ReadOptions<'_>,
    known: Option<&Known<'_>>,
) -> Vec<Plan> {
    let searches = Mutex::new(Searches::default());
    let wanted = Wanted::of(&options.selection);
    inputs
        .into_par_iter()
        .map(|input| {
            // Nothing of a head is kept but what the plan needs: there may be many inputs.
            let state = match look(&input, known) {
                Err(error) => State::Skip(Status::Unreadable(error)),
                Ok(Seen::Same(same)) => State::Same(same),
                Ok(Seen::Look(look)) => finish(&input, *look, options, &searches, &wanted),
            };
            Plan { input, continues: None, state }
        })
        .collect()
}

/// Seconds after the reference time up to which a line's time can be true.
const CLOCK_SLACK: i64 = 48 * 3600;

/// What one look at an input shows.
enum Seen {
    Look(Box<Look>),
    Same(Box<Same>),
}

/// An input that is to be read.
struct Look {
    way: Way,
    compression: Option<Compression>,
    modified: Timestamp,
    survey: Survey,
    head: Vec<u8>,
    notes: Vec<String>,
    /// What reading the head ended with, where it ended too early.
    fault: Option<String>,
    standing: Option<Box<Standing>>,
}

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

fn look(input: &LogInput, known: Option<&Known<'_>>) -> Result<Seen> {
    let survey = Survey::new(input.settings.raw_field.as_deref());
    if input.path == Path::new(STDIN) {
        let look = look_at_stream(input, survey, Begin::AndKeep, (0, u64::MAX))?;
        return Ok(Seen::Look(Box::new(look)));
    }
    let fault =
        |error: std::io::Error| Error::input(&input.path, Place::Byte(0), error.to_string());
    let opened = source::open(&input.path)?;
    let mut head = vec![0; HEAD.min(opened.size as usize)];
    let read = read_fully(&opened.file, &mut head, 0).map_err(fault)?;
    head.truncate(read);
    let magic = head.get(..MAGIC_BYTES).unwrap_or(&head);
    let compression = Compression::of(magic);
    let is_plain = compression.is_none() && Utf16::of(magic).is_none();
    if !is_plain || Spread::of(magic).is_some() {
        return look_through(input, survey, &opened, magic, known);
    }
    let mark = if head.starts_with(MARK) { MARK.len() as u64 } else { 0 };
    let standing = match known {
        Some(known) => match stand_plain(known, &opened, mark).map_err(fault)? {
            Stands::Same(cursor, reached) => {
                let print = head.get(mark as usize..).unwrap_or_default();
                let print = print.get(..PRINT).unwrap_or(print).into();
                return Ok(Seen::Same(Box::new(Same { cursor, compression, reached, print })));
            }
            Stands::At(standing) => Some(standing),
        },
        None => None,
    };
    let metadata = opened.file.metadata().ok();
    let sparse = metadata.as_ref().is_some_and(|m| m.blocks().saturating_mul(512) < m.size());
    let mut look = Look {
        way: Way::Blocks { from: 0, size: opened.size, inode: opened.inode, sparse },
        compression: None,
        modified: opened.modified,
        survey,
        head: head.get(mark as usize..).unwrap_or_default().to_vec(),
        notes: Vec::new(),
        fault: None,
        standing,
    };
    survey_head(&mut look, opened.size > HEAD as u64);
    survey_samples(&mut look.survey, &opened.file, opened.size);
    if let Some(standing) = &mut look.standing {
        let named = input.settings.format.as_deref().map(FormatSet::named);
        let formats = named.unwrap_or_else(|| look.survey.holding().formats);
        go_on(standing, &mut look.way, formats, &opened, mark).map_err(fault)?;
        if matches!(look.way, Way::Blocks { from, size, .. } if from >= size) {
            // Half a line tells nothing yet, not even a format.
            look.head.clear();
            look.survey = Survey::new(input.settings.raw_field.as_deref());
        }
    }
    if look.survey.has_header() {
        let Way::Blocks { from, size, .. } = look.way else {
            return Ok(Seen::Look(Box::new(look)));
        };
        let opening = match &look.standing {
            Some(standing) => Opening::Part { from, to: size, offset: standing.before.offset },
            None => Opening::Whole,
        };
        look.way = Way::Stream { size, opening };
    }
    Ok(Seen::Look(Box::new(look)))
}

/// What an earlier run left of a file.
enum Stands {
    Same(usize, Reached),
    At(Box<Standing>),
}

impl Stands {
    fn of(found: Found, known: &Known<'_>, stamp: Stamp) -> Self {
        let reached = |place| known.cursor(place).map(|c| c.reached.clone()).unwrap_or_default();
        match found {
            Found::Same(place) => Self::Same(place, Reached { stamp, ..reached(place) }),
            Found::GoesOn(place) => Self::at(found, reached(place), stamp),
            Found::Like(_) | Found::New => Self::at(found, Reached::default(), stamp),
        }
    }

    fn at(found: Found, before: Reached, stamp: Stamp) -> Self {
        let reached = Reached { stamp, first: before.first, ..Reached::default() };
        Self::At(Box::new(Standing { found, before, reached }))
    }
}

fn stand_plain(known: &Known<'_>, opened: &Opened, mark: u64) -> std::io::Result<Stands> {
    let found = known.of_plain(&opened.file, mark, opened.size)?;
    Ok(Stands::of(found, known, opened.stamp(None)))
}

/// From where to where a plain file is read: its last line only if it is whole. A document of one
/// line is written at once and needs no line end.
fn go_on(
    standing: &mut Standing,
    way: &mut Way,
    formats: FormatSet,
    opened: &Opened,
    mark: u64,
) -> std::io::Result<()> {
    let Way::Blocks { from, size, .. } = way else { return Ok(()) };
    if standing.before.offset > 0 {
        *from = standing.before.offset.saturating_add(mark);
    }
    let is_document = longest_line_of(formats) > LONGEST_LINE;
    if !is_document {
        let begin = (*from).max(mark);
        *size = whole_lines_end(&opened.file, (begin, opened.size), None)?.max(*from);
    }
    let stamp = standing.reached.stamp.clone();
    let first = standing.before.first;
    standing.reached = Reached { first, ..reached_in(&opened.file, mark, *size, stamp)? };
    standing.reached.header.clone_from(&standing.before.header);
    Ok(())
}

/// Looks at a file that has to be read through, compressed or in UTF-16.
fn look_through(
    input: &LogInput,
    survey: Survey,
    opened: &Opened,
    magic: &[u8],
    known: Option<&Known<'_>>,
) -> Result<Seen> {
    let compression = Compression::of(magic);
    let Some(known) = known else {
        let look = look_at_stream(input, survey, Begin::Only, (opened.size, u64::MAX))?;
        return Ok(Seen::Look(Box::new(look)));
    };
    let stamp = opened.stamp(compression);
    let same = |cursor, reached| {
        Seen::Same(Box::new(Same { cursor, compression, reached, print: Box::default() }))
    };
    if let Some(place) = known.unchanged(&stamp) {
        let reached = known.cursor(place).map(|cursor| cursor.reached.clone());
        return Ok(same(place, reached.unwrap_or_default()));
    }
    let to = if compression.is_none() {
        whole_lines_end(&opened.file, (0, opened.size), Utf16::of(magic))
            .map_err(|error| Error::input(&input.path, Place::Byte(0), error.to_string()))?
    } else {
        opened.size
    };
    let found = known.of_text(&mut open_text_to(&input.path, to)?);
    let standing = match Stands::of(found, known, stamp) {
        Stands::Same(place, reached) => return Ok(same(place, reached)),
        Stands::At(standing) => standing,
    };
    let mut look = look_at_stream(input, survey, Begin::Only, (opened.size, to))?;
    let opening = Opening::Behind { to, offset: standing.before.offset };
    look.way = Way::Stream { size: opened.size, opening };
    look.standing = Some(standing);
    Ok(Seen::Look(Box::new(look)))
}

/// What becomes of a stream whose head was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// It is opened again later.
    Only,
    /// It cannot be opened again.
    AndKeep,
}

/// Looks at a text through its head; `size` is the file's, `to` where it is to end.
fn look_at_stream(
    input: &LogInput,
    survey: Survey,
    begin: Begin,
    (size, to): (u64, u64),
) -> Result<Look> {
    let mut text = open_text_to(&input.path, to)?;
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
        way: Way::Stream { size, opening: Opening::Whole },
        survey,
        head,
        notes,
        fault: read.err().map(|error| error.to_string()),
        standing: None,
    };
    survey_head(&mut look, more);
    if begin == Begin::AndKeep {
        look.way = Way::Begun(Box::new(Stream::new(text, look.head.clone())));
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
    let first = first_line(&recipe, &look.head);
    if first.is_some_and(|first| first.time > latest) {
        // Then it is the reference that is wrong, a file's time that a copy set back.
        recipe.latest = Timestamp(i64::MAX);
    }
    let known = look.standing.as_ref().and_then(|standing| standing.before.first);
    let first = known.or(first);
    if let Some(standing) = &mut look.standing {
        standing.reached.first = first;
    }
    State::Read(Box::new(Ready {
        first,
        standing: look.standing.take(),
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

/// The first whole line that has a time; a text that is one line needs no line end.
fn first_line(recipe: &Recipe, head: &[u8]) -> Option<FirstLine> {
    let head = memrchr(b'\n', head).and_then(|end| head.get(..end)).unwrap_or(head);
    let clock = Clock::new(recipe.zone, recipe.reference);
    let none = Columns::NONE;
    let columns = recipe.header.as_ref().map_or(&none, |(_, columns)| columns);
    let mut scratch = Vec::new();
    head.split(|&b| b == b'\n').map(clean).filter(|line| line.len() <= LONGEST_LINE).find_map(
        |line| {
            let timed = time_of_line(recipe, columns, line, &mut scratch)?;
            let time = clock.resolve(timed.time)?;
            let hash = print_of(line).hash;
            let hash = i64::from_be_bytes(*hash.first_chunk()?);
            Some(FirstLine { time, hash })
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
