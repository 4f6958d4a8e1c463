//! Reads one .nessus export. In: its bytes as a stream, already decompressed. Out: its hosts
//! with their catalogue findings, and the account of what was read.
//!
//! Memory does not grow with the file but with the hosts: chunks are read while those before them
//! are walked over on all cores, and their buffers are used again. A file that is no version 2
//! export, or is malformed, is refused with the byte offset, what was found and what was
//! expected; one that merely ends too early can be kept as far as it goes.

use std::io::{self, Read};
use std::path::Path;

use rayon::prelude::*;

use crate::error::{Error, Place, Result};
use crate::model::finding::Scan;
use crate::model::policy::Zone;
use crate::scan::assemble::{Assembly, Problem};
use crate::scan::catalogue::{Catalogue, PluginSelection};
use crate::scan::chunks::{CHUNK, Chunk, Chunks};
use crate::scan::encoding::Decoder;
use crate::scan::refusal;
use crate::scan::surroundings::Surroundings;
use crate::scan::walk::{self, Walked};

/// What to do with an export that ends too early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Truncated {
    /// Refuse it: a host that is missing looks like one that was fixed.
    #[default]
    Refuse,
    /// Keep its complete hosts, and say so (`--allow-truncated`).
    Keep,
}

/// How scans are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// What to do with an export that ends too early.
    pub truncated: Truncated,
    /// Which plugins make targets; ids outside the catalogue are looked for too.
    pub plugins: PluginSelection,
    /// The scanner's zone, where the user names it: for hosts whose times tell none.
    pub zone: Option<Zone>,
}

/// Most chunks that are walked over at the same time; keeps memory bounded on large machines.
const MAX_BATCH: usize = 16;

/// Reads one export, on the threads of the current rayon pool. `path` is for messages, `input_index`
/// is the export's number in the run. The error says where the export is at fault; offsets count
/// bytes of the decompressed text (as UTF-8, where it was UTF-16 or Latin-1).
pub fn read_scan(
    input: &mut (dyn Read + Send),
    path: &Path,
    input_index: u32,
    options: &ScanOptions,
) -> Result<Scan> {
    read_in_chunks(input, path, input_index, options, CHUNK)
}

/// The same, in chunks of about `size` bytes.
pub(super) fn read_in_chunks(
    input: &mut (dyn Read + Send),
    path: &Path,
    input_index: u32,
    options: &ScanOptions,
    size: usize,
) -> Result<Scan> {
    let at_byte = |offset, message: String| Error::input(path, Place::Byte(offset), message);
    let mut decoder = Decoder::open(input).map_err(|message| at_byte(0, message))?;
    let recoded = decoder.recodes();
    let catalogue = Catalogue::new(&options.plugins);
    let scan = Scan { input: input_index, ..Scan::default() };
    let mut assembly = Assembly::new(&catalogue, scan, options.zone);
    let mut chunks = Chunks::new(&mut decoder, size);
    let result = read_chunks(&mut chunks, &mut assembly, &catalogue);
    let bytes = chunks.offset();
    let failure = chunks.failure.take();
    let mut scan = assembly.finish();
    scan.tally.bytes = bytes;
    let keep = options.truncated == Truncated::Keep;
    match (failure, result) {
        (None, Ok(())) => Ok(scan),
        (None, Err(problem)) if problem.cut && keep => Ok(Scan { truncated: true, ..scan }),
        (Some(error), Ok(()) | Err(Problem { cut: true, .. })) => {
            if keep && error.kind() == io::ErrorKind::UnexpectedEof {
                return Ok(Scan { truncated: true, ..scan });
            }
            Err(at_byte(bytes, unreadable(&error)))
        }
        (_, Err(problem)) => {
            let unit = if recoded { " (offset in the text as UTF-8)" } else { "" };
            Err(at_byte(problem.offset, format!("{}{unit}", problem.message)))
        }
    }
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read further: {error}")
}

/// The flow: the next chunks are read while these are walked over.
fn read_chunks(
    chunks: &mut Chunks,
    assembly: &mut Assembly,
    catalogue: &Catalogue,
) -> std::result::Result<(), Problem> {
    let count = rayon::current_num_threads().saturating_mul(4).min(MAX_BATCH);
    let mut batch = chunks.next_batch(count);
    if let Some(message) = batch.first().and_then(|chunk| refusal::not_xml(chunk.bytes())) {
        return Err(Problem { offset: 0, message, cut: false });
    }
    while !batch.is_empty() {
        let (walked, next) = rayon::join(
            || batch.par_iter().map(|chunk| walk_on_guess(chunk, catalogue)).collect::<Vec<_>>(),
            || chunks.next_batch(count),
        );
        for (chunk, guessed) in batch.iter().zip(walked) {
            assembly.take(chunk, guessed)?;
        }
        chunks.recycle(std::mem::replace(&mut batch, next));
    }
    Ok(())
}

fn walk_on_guess(chunk: &Chunk, catalogue: &Catalogue) -> Option<Walked> {
    let around = Surroundings::guessed(chunk.guess?);
    Some(walk::walk(chunk.bytes(), chunk.ending, around, catalogue))
}
