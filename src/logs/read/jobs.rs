//! What one thread does at a time. In: a block of a file, a piece of a chunk, or a stream to read on.
//! Out: the scanned lines, or the stream and its next chunk. Pure work: nothing here knows of other
//! inputs or of the order in which anything is used.

use std::cell::RefCell;
use std::fs::File;
use std::ops::Range as Part;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Place};
use crate::logs::line::Columns;
use crate::logs::read::block::{self, Range};
use crate::logs::read::consume::{Scanned, Spare};
use crate::logs::read::recipe::Recipe;
use crate::logs::read::scan::{Ending, Stretch, scan};
use crate::logs::read::stream::{Chunk, Opening, Stream};
use crate::logs::read::verdicts::Verdicts;
use crate::logs::source::{self, Opened};
use crate::model::reading::HeaderLine;

/// What every job needs.
pub(super) struct Context<'a> {
    pub(super) verdicts: Verdicts<'a>,
    pub(super) spare: Arc<Spare>,
    pub(super) progress: &'a (dyn Fn(u64) + Sync),
}

/// A piece of work for one thread.
pub(super) struct Job {
    pub(super) index: usize,
    pub(super) path: Arc<Path>,
    pub(super) recipe: Arc<Recipe>,
    pub(super) work: Work,
}

pub(super) enum Work {
    SmallFile {
        range: Range,
        inode: (u64, u64),
        other: Other,
    },
    Block {
        file: Arc<File>,
        range: Range,
    },
    /// A hole that was skipped: only noted.
    Hole {
        bytes: u64,
    },
    Fill {
        stream: Option<Box<Stream>>,
        opening: Opening,
        header: Option<HeaderLine>,
        told: u64,
        size: u64,
        chunk: usize,
    },
    Piece {
        chunk: Arc<Chunk>,
        piece: Part<usize>,
        part: usize,
    },
}

/// What becomes of a file that took the place of the planned one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    /// It is read.
    Read,
    /// Both are left for a later run, which will know them by their content.
    Left,
}

pub(super) struct JobResult {
    pub(super) index: usize,
    pub(super) gave: Gave,
}

pub(super) enum Gave {
    Scanned(Box<Scanned>),
    Filled { stream: Box<Stream>, chunk: Box<Chunk>, told: u64 },
}

impl Job {
    /// Runs the job. A fault inside a parser costs the input, never the run.
    pub(super) fn run(self, context: &Context<'_>) -> JobResult {
        let (index, path) = (self.index, Arc::clone(&self.path));
        let gave = catch_unwind(AssertUnwindSafe(|| self.work(context))).unwrap_or_else(|_| {
            let message = "internal error while its lines were read; please report it";
            failed(Error::input(&path, Place::Whole, message))
        });
        JobResult { index, gave }
    }

    fn work(self, context: &Context<'_>) -> Gave {
        let Self { path, recipe, work, .. } = self;
        match work {
            Work::SmallFile { range, inode, other } => match source::open(&path) {
                Ok(opened) if other == Other::Left && opened.inode != inode => {
                    let notes = vec![LEFT.to_owned()];
                    Gave::Scanned(Box::new(Scanned { left: true, notes, ..Scanned::default() }))
                }
                Ok(opened) => {
                    let mut scanned = scan_block(&path, &opened.file, range, &recipe, context);
                    if other == Other::Read {
                        scanned.notes.extend(change_since(&opened, range.size, inode));
                    }
                    Gave::Scanned(Box::new(scanned))
                }
                Err(error) => failed(error),
            },
            Work::Block { file, range } => {
                Gave::Scanned(Box::new(scan_block(&path, &file, range, &recipe, context)))
            }
            Work::Hole { bytes } => {
                (context.progress)(bytes);
                Gave::Scanned(Box::new(Scanned { nul_bytes: bytes, bytes, ..Scanned::default() }))
            }
            Work::Fill { stream, opening, header, told, size, chunk } => {
                let stream = match stream {
                    Some(stream) => Ok(stream),
                    None => Stream::open(&path, &opening, header.as_ref()).map(Box::new),
                };
                match stream {
                    Ok(mut stream) => {
                        let chunk = stream.fill(chunk, &recipe);
                        let ended = chunk.ending != Ending::Continues;
                        let now = if ended { size.max(told) } else { stream.bytes_taken() };
                        (context.progress)(now.saturating_sub(told));
                        Gave::Filled { stream, chunk: Box::new(chunk), told: now }
                    }
                    Err(error) => failed(error),
                }
            }
            Work::Piece { chunk, piece, part } => {
                Gave::Scanned(Box::new(scan_piece(&path, &chunk, piece, part, &recipe, context)))
            }
        }
    }
}

fn failed(error: Error) -> Gave {
    Gave::Scanned(Box::new(Scanned::failed(error)))
}

thread_local! {
    /// The block that a thread has in memory: allocated once, because fresh memory costs as much
    /// as reading into it.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn scan_block(
    path: &Path,
    file: &File,
    range: Range,
    recipe: &Recipe,
    context: &Context<'_>,
) -> Scanned {
    let mut buffer = BUFFER.take();
    let loaded = block::load(file, range, recipe.longest_line, &mut buffer);
    (context.progress)(range.end - range.start);
    let scanned = match loaded {
        Err(error) => {
            Scanned::failed(Error::input(path, Place::Byte(range.start), error.to_string()))
        }
        Ok(loaded) => {
            let text = buffer.get(loaded.text.clone()).unwrap_or_default();
            let stretch = Stretch {
                text,
                offset: loaded.offset,
                ending: loaded.ending,
                long_line: loaded.long_line,
                columns: &Columns::NONE,
            };
            let shrank = loaded.shrank_to.map(|to| {
                let message = format!("shrank from {} to {to} bytes while it was read", range.size);
                Error::input(path, Place::Byte(to), message)
            });
            Scanned {
                batch: scan(recipe, &context.verdicts, &stretch, context.spare.take()),
                bytes: range.end - range.start,
                nul_bytes: loaded.nul_bytes,
                error: shrank,
                notes: Vec::new(),
                left: false,
            }
        }
    };
    BUFFER.set(buffer);
    scanned
}

fn scan_piece(
    path: &Path,
    chunk: &Chunk,
    piece: Part<usize>,
    part: usize,
    recipe: &Recipe,
    context: &Context<'_>,
) -> Scanned {
    let last = piece.end == chunk.bytes.len();
    let none = Columns::NONE;
    let stretch = Stretch {
        text: chunk.bytes.get(piece.clone()).unwrap_or_default(),
        offset: chunk.offset.saturating_add(piece.start as u64),
        ending: if last { chunk.ending } else { Ending::Continues },
        long_line: chunk.long_line.filter(|_| last),
        columns: chunk.parts.get(part).map_or(&none, |(_, columns)| columns),
    };
    let batch = scan(recipe, &context.verdicts, &stretch, context.spare.take());
    let end = chunk.offset.saturating_add(chunk.bytes.len() as u64);
    let error = chunk.error.as_ref().filter(|_| last);
    let extra = stretch.long_line.map_or(0, |length| length.saturating_sub(piece.len() as u64));
    Scanned {
        batch,
        bytes: piece.len() as u64 + extra,
        nul_bytes: if last { chunk.nul_bytes } else { 0 },
        error: error.map(|error| Error::input(path, Place::Byte(end), error.as_str())),
        notes: Vec::new(),
        left: false,
    }
}

/// The remark on a file that was replaced while the run was on.
pub(super) const LEFT: &str =
    "was replaced by another file while the run was on; both are left for the next run";

/// What happened to a file between the look at it and its reading.
pub(super) fn change_since(opened: &Opened, size: u64, inode: (u64, u64)) -> Option<String> {
    let now = opened.size;
    if opened.inode != inode {
        return Some(
            "was replaced by another file while the run was on; that one was read".to_owned(),
        );
    }
    (now > size).then(|| {
        format!("grew from {size} to {now} bytes while the run was on; read up to its first size")
    })
}
