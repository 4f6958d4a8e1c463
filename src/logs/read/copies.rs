//! Finds inputs that hold the same text twice. In: the plans of all inputs, each with the first
//! bytes of its text. Out: plans that are copies, or beginnings, of another are taken out of the
//! reading, their lines counted as duplicates.
//!
//! Rotation makes such copies all the time (`mail.log.1` beside `mail.log.1.gz`, copytruncate). Only
//! inputs that begin alike are read and compared, so a run without copies pays nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::Path;

use memchr::memchr_iter;
use rayon::prelude::*;

use crate::logs::read::plan::{PRINT, Plan, State, Way};
use crate::logs::source::open_text;
use crate::model::input::Tally;
use crate::model::reading::Reached;

/// Bytes compared at a time.
const STEP: usize = 256 << 10;

/// A group of inputs that begin alike and is larger than this is divided by what follows, so that
/// the comparisons do not grow with the square of their number.
const LARGE_GROUP: usize = 16;

/// Bytes of the text that divide a large group.
const LONG_PRINT: usize = 8 << 10;

/// A copy, what it is a copy of, and the copy's lines.
type Copy = (usize, usize, Tally);

/// What comparing two texts showed. The tally is of the shorter.
enum Relation {
    Different,
    Equal(Tally),
    FirstIsBeginning(Tally),
    SecondIsBeginning(Tally),
}

/// Takes copies out of the reading.
pub(super) fn mark(plans: &mut [Plan]) {
    let mut copies: HashMap<usize, (usize, Tally)> = HashMap::new();
    let (small, groups) = group(plans);
    for (copy, of, tally) in small {
        copies.insert(copy, (of, tally));
    }
    let paths: Vec<&Path> = plans.iter().map(|plan| plan.input.path.as_path()).collect();
    let groups: Vec<Vec<usize>> =
        groups.into_iter().flat_map(|members| divide(&paths, members)).collect();
    let found: Vec<Vec<Copy>> =
        groups.par_iter().map(|members| compare_all(&paths, members)).collect();
    for (copy, of, tally) in found.into_iter().flatten() {
        copies.insert(copy, (of, tally));
    }
    for (index, plan) in plans.iter_mut().enumerate() {
        let Some(&(_, tally)) = copies.get(&index) else { continue };
        // What an earlier run has read is no copy of what goes on from it.
        let State::Read(ready) = &plan.state else { continue };
        let compression = ready.compression;
        let reached = ready.standing.as_ref().and_then(|s| reached_by(&s.reached, tally));
        plan.state = State::Copy { of: original(&copies, index), tally, compression, reached };
    }
}

/// How far a copy is read by reading its original: to its last whole line.
fn reached_by(known: &Reached, tally: Tally) -> Option<Box<Reached>> {
    let unfinished = u64::from(known.offset < tally.bytes);
    let lines = tally.lines.saturating_sub(unfinished);
    (known.offset > 0).then(|| Box::new(Reached { lines, ..known.clone() }))
}

/// Follows copies of copies.
fn original(copies: &HashMap<usize, (usize, Tally)>, copy: usize) -> usize {
    let mut at = copy;
    while let Some((of, _)) = copies.get(&at) {
        at = *of;
    }
    at
}

/// Tiny texts that are copies by their prints alone, and groups that begin alike.
fn group(plans: &[Plan]) -> (Vec<Copy>, Vec<Vec<usize>>) {
    let mut prints: Vec<(&[u8], usize)> = plans
        .iter()
        .enumerate()
        .filter_map(|(index, plan)| match &plan.state {
            State::Read(ready) if !matches!(ready.way, Way::Begun(_)) => {
                Some((&*ready.print, index))
            }
            // What begins like it may be an older copy of it.
            State::Same(same) => Some((&*same.print, index)),
            _ => None,
        })
        .filter(|(print, _)| !print.is_empty())
        .collect();
    prints.sort_unstable();
    let mut small = Vec::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for pair in prints.windows(2) {
        let [(first, one), (second, other)] = pair else { continue };
        // Sorted: if any text begins with a tiny one, the next in order does.
        if first.len() < PRINT && second.starts_with(first) {
            let (copy, of) = if first == second { (*other, *one) } else { (*one, *other) };
            small.push((copy, of, tally_of(first)));
        } else if first == second {
            match groups.last_mut().filter(|group| group.last() == Some(one)) {
                Some(group) => group.push(*other),
                None => groups.push(vec![*one, *other]),
            }
        }
    }
    (small, groups)
}

/// Divides a large group by more of the texts. (A beginning shorter than that is then found only
/// in groups of usual size.)
fn divide(paths: &[&Path], group: Vec<usize>) -> Vec<Vec<usize>> {
    if group.len() <= LARGE_GROUP {
        return vec![group];
    }
    let hashes: Vec<Option<u64>> =
        group.par_iter().map(|index| long_print(paths.get(*index)?)).collect();
    let mut members: Vec<(Option<u64>, usize)> = hashes.into_iter().zip(group).collect();
    members.sort_unstable();
    members
        .chunk_by(|a, b| a.0 == b.0)
        .filter(|members| members.len() > 1)
        .map(|members| members.iter().map(|(_, index)| *index).collect())
        .collect()
}

fn long_print(path: &Path) -> Option<u64> {
    let mut bytes = Vec::with_capacity(LONG_PRINT);
    open_text(path).ok()?.take(LONG_PRINT as u64).read_to_end(&mut bytes).ok()?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Some(hasher.finish())
}

/// Compares the texts of a group, in the order of the inputs: of equal ones the first stays.
fn compare_all(paths: &[&Path], members: &[usize]) -> Vec<Copy> {
    let mut members = members.to_vec();
    members.sort_unstable();
    let mut kept: Vec<usize> = Vec::new();
    let mut copies = Vec::new();
    'members: for member in members {
        for slot in &mut kept {
            match compare(paths, *slot, member) {
                Relation::Different => {}
                Relation::Equal(tally) | Relation::SecondIsBeginning(tally) => {
                    copies.push((member, *slot, tally));
                    continue 'members;
                }
                Relation::FirstIsBeginning(tally) => {
                    copies.push((*slot, member, tally));
                    *slot = member;
                    continue 'members;
                }
            }
        }
        kept.push(member);
    }
    copies
}

/// Reads both texts up to the first difference. A text that breaks off ends there.
fn compare(paths: &[&Path], first: usize, second: usize) -> Relation {
    let text = |index: usize| open_text(paths.get(index)?).ok();
    let (Some(mut first), Some(mut second)) = (text(first), text(second)) else {
        return Relation::Different;
    };
    let (mut a, mut b) = (Vec::with_capacity(STEP), Vec::with_capacity(STEP));
    let mut tally = Tally::default();
    let mut last_byte = b'\n';
    loop {
        a.clear();
        b.clear();
        let _ends_a = (&mut first).take(STEP as u64).read_to_end(&mut a);
        let _ends_b = (&mut second).take(STEP as u64).read_to_end(&mut b);
        let shorter = a.len().min(b.len());
        if a.get(..shorter) != b.get(..shorter) {
            return Relation::Different;
        }
        let common = a.get(..shorter).unwrap_or_default();
        add_lines(&mut tally, common);
        last_byte = common.last().copied().unwrap_or(last_byte);
        if shorter == STEP {
            continue;
        }
        if last_byte != b'\n' {
            tally.lines += 1;
            tally.duplicates += 1;
        }
        return match a.len().cmp(&b.len()) {
            std::cmp::Ordering::Equal => Relation::Equal(tally),
            std::cmp::Ordering::Less => Relation::FirstIsBeginning(tally),
            std::cmp::Ordering::Greater => Relation::SecondIsBeginning(tally),
        };
    }
}

fn tally_of(text: &[u8]) -> Tally {
    let mut tally = Tally::default();
    add_lines(&mut tally, text);
    if text.last() != Some(&b'\n') {
        tally.lines += 1;
        tally.duplicates += 1;
    }
    tally
}

fn add_lines(tally: &mut Tally, text: &[u8]) {
    let lines = memchr_iter(b'\n', text).count() as u64;
    tally.lines += lines;
    tally.duplicates += lines;
    tally.bytes += text.len() as u64;
}
