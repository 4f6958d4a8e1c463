//! The rounds of reading. In: plans. Out: reports; events go to the sink on the way.
//!
//! Each round hands a bounded amount of work to the pool, from as many inputs as that takes, and
//! meanwhile consumes what the round before gave. Inputs are consumed one after the other in the
//! order of their first line's time, whatever their names; what is scanned ahead of its turn waits.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use memchr::{memchr, memrchr};
use rayon::prelude::*;

use crate::logs::carried::Carried;
use crate::logs::read::block::Range;
use crate::logs::read::consume::{Consumer, Ended, Scanned, Step};
use crate::logs::read::jobs::{Context, Gave, Job, JobResult, LEFT, Other, Work, change_since};
use crate::logs::read::plan::{Plan, Ready, State, Way};
use crate::logs::read::recipe::Recipe;
use crate::logs::read::scan::Ending;
use crate::logs::read::stream::{Chunk, Opening, Stream};
use crate::logs::read::verdicts::Verdicts;
use crate::logs::read::{ReadInput, ReadOptions, Sink};
use crate::logs::source;
use crate::model::input::Devices;
use crate::model::reading::{HeaderLine, Reached};

/// Blocks of work in a round, for each thread: enough that waiting for the last task of a round is
/// a small part of it. The first round, of which nobody knows what it will give, has a tenth.
const BLOCKS_A_THREAD: usize = 40;

/// Blocks in a round, however many threads there are, unless every thread would get less than one.
const MOST_BLOCKS: usize = 256;

/// Files in a round, for each thread, however small they are.
const FILES_A_THREAD: usize = 64;

/// Blocks that a stream reads on in a round.
const CHUNK_BLOCKS: usize = 4;

/// Streams that are open beside one for each thread.
const SPARE_STREAMS: usize = 8;

/// Estimated bytes of batches that wait for their turn, above which nothing is scanned ahead, and the
/// most that a round may give.
const MOST_WAITING: usize = 48 << 20;

/// Estimated bytes that a round may give, for each thread: where every line counts, rounds are
/// shorter, and what one gave is still near when it is used.
const GIVEN_A_THREAD: usize = 3 << 20;

/// Reads the inputs of the plans.
pub(super) fn read(
    plans: Vec<Plan>,
    options: &ReadOptions<'_>,
    carried: Option<&mut Carried>,
    devices: &mut Devices,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(u64) + Sync),
) -> Vec<ReadInput> {
    let mut consumer = Consumer::new(&plans, options, carried, devices, sink);
    let mut rounds = Rounds::new(plans, options);
    let spare = Arc::clone(consumer.spare());
    let context = Context { verdicts: Verdicts::new(options.verdicts), spare, progress };
    let mut steps = Vec::new();
    loop {
        let jobs = rounds.next_jobs();
        if (jobs.is_empty() && steps.is_empty()) || !consumer.wants_more() {
            break;
        }
        let (results, ()) = rayon::join(
            || jobs.into_par_iter().with_max_len(1).map(|job| job.run(&context)).collect(),
            || consumer.consume(std::mem::take(&mut steps)),
        );
        steps = rounds.take(results);
    }
    consumer.finish()
}

/// An input that is being read.
struct Running {
    /// Index into the plans.
    index: usize,
    path: Arc<Path>,
    recipe: Arc<Recipe>,
    rest: Rest,
    batches: VecDeque<Box<Scanned>>,
    waiting_bytes: usize,
    /// Whether all of it has been scanned.
    scanned: bool,
    notes: Vec<String>,
    /// How far it will have been read, where a later run is to go on there.
    reached: Option<Reached>,
}

/// What is left to read of an input.
enum Rest {
    /// A file not yet opened.
    Unopened {
        from: u64,
        size: u64,
        inode: (u64, u64),
        sparse: bool,
    },
    /// Blocks from `next` on.
    Blocks {
        file: Arc<File>,
        size: u64,
        next: u64,
        sparse: bool,
    },
    Stream {
        stream: Option<Box<Stream>>,
        ready: Option<Chunk>,
        opening: Opening,
        header: Option<HeaderLine>,
        size: u64,
        told: u64,
        begun: bool,
    },
    Nothing,
}

struct Rounds {
    /// Inputs that are still to begin, last first.
    to_begin: Vec<(usize, Arc<Path>, Box<Ready>)>,
    running: VecDeque<Running>,
    block: usize,
    threads: usize,
    /// Blocks of the next round.
    blocks: usize,
}

impl Rounds {
    fn new(plans: Vec<Plan>, options: &ReadOptions<'_>) -> Self {
        let mut to_begin: Vec<(usize, Arc<Path>, Box<Ready>)> = Vec::new();
        for (index, plan) in plans.into_iter().enumerate() {
            if let State::Read(ready) = plan.state {
                to_begin.push((index, plan.input.path.into(), ready));
            }
        }
        to_begin.sort_by(|(_, path, ready), (_, other_path, other)| {
            ready.turn(path).cmp(&other.turn(other_path)).reverse()
        });
        let threads = rayon::current_num_threads();
        Self {
            to_begin,
            running: VecDeque::new(),
            block: options.block_size,
            threads,
            blocks: threads * BLOCKS_A_THREAD / 10,
        }
    }

    /// The work of the next round: from the inputs that run, in their order, then from the next.
    fn next_jobs(&mut self) -> Vec<Job> {
        let mut budget = Budget {
            bytes: self.blocks * self.block,
            files: self.threads * FILES_A_THREAD,
            streams: self.threads + SPARE_STREAMS,
            block: self.block,
        };
        let mut jobs = Vec::new();
        let mut position = 0;
        let mut waiting = 0;
        while !budget.is_spent() {
            if position == self.running.len() && !self.begin_next() {
                break;
            }
            let Some(running) = self.running.get_mut(position) else { break };
            if waiting <= MOST_WAITING || position == 0 {
                running.add_jobs(&mut budget, &mut jobs);
            }
            waiting += running.waiting_bytes;
            if waiting > MOST_WAITING {
                break;
            }
            position += 1;
        }
        jobs
    }

    fn begin_next(&mut self) -> bool {
        let Some((index, path, ready)) = self.to_begin.pop() else { return false };
        let header = ready.standing.as_ref().and_then(|standing| standing.before.header.clone());
        let stream = |stream, opening, size| Rest::Stream {
            begun: Option::is_some(&stream),
            stream,
            ready: None,
            opening,
            header,
            size,
            told: 0,
        };
        let rest = match ready.way {
            Way::Blocks { from, size, inode, sparse } => {
                Rest::Unopened { from, size, inode, sparse }
            }
            Way::Stream { size, opening } => stream(None, opening, size),
            Way::Begun(begun) => stream(Some(begun), Opening::Whole, 0),
        };
        self.running.push_back(Running {
            index,
            path,
            recipe: ready.recipe,
            rest,
            batches: VecDeque::new(),
            waiting_bytes: 0,
            scanned: false,
            notes: ready.notes,
            reached: ready.standing.map(|standing| standing.reached),
        });
        true
    }

    /// Takes what the jobs of a round gave; what can be consumed now comes back in order.
    fn take(&mut self, results: Vec<JobResult>) -> Vec<Step> {
        self.blocks = blocks_after(&results, self.threads);
        // Results come in the order of the jobs, which is that of the running inputs.
        let mut position = 0;
        for result in results {
            let is_of = |running: &Running| running.index == result.index;
            while self.running.get(position).is_some_and(|running| !is_of(running)) {
                position += 1;
            }
            if let Some(running) = self.running.get_mut(position) {
                running.take(result.gave);
            }
        }
        for running in &mut self.running {
            running.note_end();
        }
        let mut steps = Vec::new();
        while let Some(front) = self.running.front_mut() {
            front.waiting_bytes = 0;
            steps.extend(front.batches.drain(..).map(|scanned| Step::Batch(front.index, scanned)));
            if !front.scanned {
                break;
            }
            let notes = std::mem::take(&mut front.notes);
            let ended = Ended { notes, reached: front.reached.take() };
            steps.push(Step::End(front.index, Box::new(ended)));
            self.running.pop_front();
        }
        steps
    }
}

/// Blocks of the next round, by what those of the last one gave.
fn blocks_after(results: &[JobResult], threads: usize) -> usize {
    let most = (threads * BLOCKS_A_THREAD).min(MOST_BLOCKS).max(threads);
    let scanned = results.iter().filter_map(|result| match &result.gave {
        Gave::Scanned(scanned) => Some(scanned.estimated_bytes()),
        Gave::Filled { .. } => None,
    });
    let (blocks, bytes) = scanned.fold((0, 0), |(n, sum), one| (n + 1, sum + one));
    let most_given = MOST_WAITING.min(threads * GIVEN_A_THREAD);
    match (most_given * blocks).checked_div(bytes) {
        Some(fitting) => fitting.clamp(threads, most),
        None => most,
    }
}

/// How much work a round may still take.
struct Budget {
    bytes: usize,
    files: usize,
    streams: usize,
    block: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.bytes == 0 || self.files == 0 || self.streams == 0
    }

    /// Size of an input's blocks. Most lines of a mail log give a fact, which takes more room than
    /// the line did: smaller blocks keep the facts of a round in the cache until they are used.
    fn block_for(&self, recipe: &Recipe) -> usize {
        if recipe.formats.has_mail() { (self.block / 4).max(1) } else { self.block }
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes.max(1));
    }
}

impl Running {
    fn add_jobs(&mut self, budget: &mut Budget, jobs: &mut Vec<Job>) {
        match &mut self.rest {
            Rest::Unopened { .. } => self.add_first_blocks(budget, jobs),
            Rest::Blocks { .. } => self.add_blocks(budget, jobs),
            Rest::Stream { .. } => self.add_stream_jobs(budget, jobs),
            Rest::Nothing => {}
        }
    }

    /// A file of one block is opened by the worker that reads it; a larger one here, once.
    fn add_first_blocks(&mut self, budget: &mut Budget, jobs: &mut Vec<Job>) {
        let Rest::Unopened { from, size, inode, sparse } = self.rest else { return };
        let other = if self.reached.is_some() { Other::Left } else { Other::Read };
        budget.files = budget.files.saturating_sub(1);
        if size.saturating_sub(from) <= budget.block as u64 {
            self.rest = Rest::Nothing;
            budget.spend((size.saturating_sub(from)) as usize);
            let range = Range { start: from, end: size, size };
            jobs.push(self.job(Work::SmallFile { range, inode, other }));
            return;
        }
        match source::open(&self.path) {
            Ok(opened) if other == Other::Left && opened.inode != inode => {
                self.rest = Rest::Nothing;
                self.reached = None;
                self.notes.push(LEFT.to_owned());
            }
            Ok(opened) => {
                if other == Other::Read {
                    self.notes.extend(change_since(&opened, size, inode));
                }
                let file = Arc::new(opened.file);
                self.rest = Rest::Blocks { file, size, next: from, sparse };
                self.add_blocks(budget, jobs);
            }
            Err(error) => {
                self.rest = Rest::Nothing;
                self.batches.push_back(Box::new(Scanned::failed(error)));
            }
        }
    }

    fn add_blocks(&mut self, budget: &mut Budget, jobs: &mut Vec<Job>) {
        let step = budget.block_for(&self.recipe);
        let Rest::Blocks { file, size, next, sparse } = &mut self.rest else { return };
        let (size, block, sparse) = (*size, step as u64, *sparse);
        let file = Arc::clone(file);
        let mut at = *next;
        let mut ranges = Vec::new();
        let mut skipped = 0;
        while at < size && budget.bytes > 0 {
            if sparse {
                let data = next_data(&file, at, size);
                let aligned = data.saturating_sub(data % block).max(at);
                skipped += aligned - at;
                at = aligned;
            }
            let end = at.saturating_add(block).min(size);
            if at < end {
                ranges.push(Range { start: at, end, size });
                // A round holds as many blocks of a mail log as of any other.
                budget.spend((end - at) as usize * (budget.block / step).max(1));
            }
            at = end;
        }
        *next = at;
        if at >= size {
            self.rest = Rest::Nothing;
        }
        for range in ranges {
            jobs.push(self.job(Work::Block { file: Arc::clone(&file), range }));
        }
        if skipped > 0 {
            jobs.push(self.job(Work::Hole { bytes: skipped }));
        }
    }

    /// The pieces of the chunk that was read in the last round, and the next chunk.
    fn add_stream_jobs(&mut self, budget: &mut Budget, jobs: &mut Vec<Job>) {
        let (index, path, recipe) = (self.index, Arc::clone(&self.path), Arc::clone(&self.recipe));
        let job = |work| Job { index, path: Arc::clone(&path), recipe: Arc::clone(&recipe), work };
        let Rest::Stream { stream, ready, opening, header, size, told, begun } = &mut self.rest
        else {
            return;
        };
        budget.streams = budget.streams.saturating_sub(1);
        let chunk = ready.take();
        let ended = chunk.as_ref().is_some_and(|chunk| chunk.ending != Ending::Continues);
        if !ended && (stream.is_some() || !*begun) {
            let size_to_fill = budget.block * CHUNK_BLOCKS;
            budget.spend(size_to_fill);
            *begun = true;
            jobs.push(job(Work::Fill {
                stream: stream.take(),
                opening: opening.clone(),
                header: header.take(),
                told: *told,
                size: *size,
                chunk: size_to_fill,
            }));
        }
        let Some(chunk) = chunk else { return };
        let chunk = Arc::new(chunk);
        for (piece, part) in pieces(&chunk, budget.block_for(&recipe)) {
            budget.spend(piece.len());
            jobs.push(job(Work::Piece { chunk: Arc::clone(&chunk), piece, part }));
        }
        if ended {
            self.rest = Rest::Nothing;
        }
    }

    fn job(&self, work: Work) -> Job {
        Job {
            index: self.index,
            path: Arc::clone(&self.path),
            recipe: Arc::clone(&self.recipe),
            work,
        }
    }

    fn take(&mut self, gave: Gave) {
        match gave {
            Gave::Scanned(scanned) => {
                if scanned.error.is_some() {
                    self.rest = Rest::Nothing;
                }
                if scanned.left {
                    self.reached = None;
                }
                self.waiting_bytes += scanned.estimated_bytes();
                self.batches.push_back(scanned);
            }
            Gave::Filled { stream, chunk, told: now, .. } => {
                let notes = stream.notes().to_vec();
                if chunk.ending != Ending::Continues {
                    self.notes.extend(notes);
                    self.reached = self.reached.take().map(|known| stream.reached(known));
                }
                if let Rest::Stream { stream: slot, ready, told, .. } = &mut self.rest {
                    *slot = Some(stream);
                    *ready = Some(*chunk);
                    *told = now;
                }
            }
        }
    }

    /// Whether the input has been scanned to its end.
    fn note_end(&mut self) {
        self.scanned = matches!(self.rest, Rest::Nothing);
    }
}

/// The first byte at or after `at` that is no hole on the disk.
fn next_data(file: &File, at: u64, size: u64) -> u64 {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => data.min(size),
        // No data up to the end.
        Err(rustix::io::Errno::NXIO) => size,
        // The file system cannot tell.
        Err(_) => at,
    }
}

/// Cuts the parts of a chunk at line ends into pieces of about the block's size.
fn pieces(chunk: &Chunk, block: usize) -> Vec<(std::ops::Range<usize>, usize)> {
    let mut pieces = Vec::new();
    for (part, (range, _)) in chunk.parts.iter().enumerate() {
        let mut from = range.start;
        while range.end.saturating_sub(from) > block {
            let window = chunk.bytes.get(from..from + block).unwrap_or_default();
            let beyond = chunk.bytes.get(from + block..range.end).unwrap_or_default();
            let line_end = memrchr(b'\n', window)
                .map(|at| from + at)
                .or_else(|| memchr(b'\n', beyond).map(|at| from + block + at));
            let Some(line_end) = line_end else { break };
            pieces.push((from..line_end + 1, part));
            from = line_end + 1;
        }
        if from < range.end || chunk.bytes.is_empty() {
            pieces.push((from..range.end, part));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::{
        BLOCKS_A_THREAD, GIVEN_A_THREAD, JobResult, MOST_BLOCKS, MOST_WAITING, blocks_after,
    };
    use crate::logs::read::consume::Scanned;
    use crate::logs::read::jobs::Gave;
    use crate::model::input::RejectedLine;

    /// A round of blocks that hold that many bytes each.
    fn round(blocks: usize, bytes: usize) -> Vec<JobResult> {
        let of_block = |_| {
            let mut scanned = Scanned::default();
            let raw = vec![b'x'; bytes];
            let (field, expected, format) = ("line", "less", "");
            let reject =
                RejectedLine { line: 0, offset: 0, length: 0, format, field, expected, raw };
            scanned.batch.rejects.push(reject);
            JobResult { index: 0, gave: Gave::Scanned(Box::new(scanned)) }
        };
        (0..blocks).map(of_block).collect()
    }

    #[test]
    fn a_round_holds_fewer_blocks_the_more_they_give() {
        assert_eq!(blocks_after(&[], 2), 2 * BLOCKS_A_THREAD);
        assert_eq!(blocks_after(&round(8, 0), 2), 2 * BLOCKS_A_THREAD);
        assert_eq!(blocks_after(&round(8, 0), 64), MOST_BLOCKS);
        assert_eq!(blocks_after(&round(8, 0), 1000), 1000);
        assert_eq!(blocks_after(&round(8, MOST_WAITING / 100), 64), 100);
        assert_eq!(blocks_after(&round(2, MOST_WAITING), 8), 8);
        assert_eq!(blocks_after(&round(8, GIVEN_A_THREAD / 20), 2), 40);
    }
}
