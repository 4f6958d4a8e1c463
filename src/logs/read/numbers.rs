//! Whose content an input is. In: plans that were matched with the cursors of earlier runs. Out: each
//! input's number: that of the content that it goes on with, else a new one.
//!
//! Several files may go on from one cursor (a log and its copy that went different ways): the file
//! that was read before keeps the content, the others begin contents of their own where the cursor
//! stands. New contents are numbered by their first line, so that the order of citations does not
//! depend on the night in which a log is first read, nor on its name.

use std::collections::BTreeMap;

use crate::logs::read::plan::{Plan, State};
use crate::logs::read::resume::{Found, Known};
use crate::logs::source;
use crate::model::reading::{Cursor, FirstLine, Reached};

/// Numbers the inputs, new contents from `first_number` on.
pub(super) fn assign(plans: &mut [Plan], known: &Known<'_>, first_number: u32) {
    for (cursor, place) in keepers(plans, known) {
        if let (Some(plan), Some(cursor)) = (plans.get_mut(place), known.cursor(cursor)) {
            plan.continues = Some(cursor.number);
        }
    }
    let mut new: Vec<usize> = Vec::new();
    for (place, plan) in plans.iter_mut().enumerate() {
        let same = match &plan.state {
            State::Same(same) => known.cursor(same.cursor).map(|cursor| cursor.number),
            _ => None,
        };
        match plan.continues.or(same) {
            Some(number) => plan.input.number = number,
            None => new.push(place),
        }
    }
    // Those that are not read come last: their numbers are not cited.
    new.sort_by_key(|&place| {
        let plan = plans.get(place);
        let is_read = plan.is_some_and(|plan| matches!(plan.state, State::Read(_)));
        let first = plan.and_then(first_of);
        (!is_read, first.is_none(), first, place)
    });
    for (number, place) in (first_number..).zip(new) {
        if let Some(plan) = plans.get_mut(place) {
            plan.input.number = number;
        }
    }
    for plan in plans {
        warn_of_shorter(plan, known);
    }
}

/// For each cursor the input that keeps its content: one that is read on before one that is not,
/// the same file before others, the same path before others.
fn keepers(plans: &[Plan], known: &Known<'_>) -> BTreeMap<usize, usize> {
    let mut keepers: BTreeMap<usize, (Rank, usize)> = BTreeMap::new();
    for (place, plan) in plans.iter().enumerate() {
        let (cursor, reached, goes_on) = match &plan.state {
            State::Same(same) => (same.cursor, &same.reached, false),
            State::Read(_) => match standing_of(plan) {
                Some((Found::GoesOn(cursor), reached)) => (cursor, reached, true),
                _ => continue,
            },
            State::Copy { .. } | State::Skip(_) => continue,
        };
        let Some(before) = known.cursor(cursor) else { continue };
        let candidate = (Rank::of(plan, reached, before, goes_on), place);
        let keeper = keepers.entry(cursor).or_insert(candidate);
        *keeper = (*keeper).min(candidate);
    }
    keepers.into_iter().map(|(cursor, (_, place))| (cursor, place)).collect()
}

/// The lower keeps the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    ends: bool,
    other_file: bool,
    other_path: bool,
}

impl Rank {
    fn of(plan: &Plan, reached: &Reached, before: &Cursor, goes_on: bool) -> Self {
        let (now, then) = (&reached.stamp, &before.reached.stamp);
        Self {
            ends: !goes_on,
            other_file: (now.device, now.inode) != (then.device, then.inode),
            other_path: plan.input.path != before.path,
        }
    }
}

fn standing_of(plan: &Plan) -> Option<(Found, &Reached)> {
    match &plan.state {
        State::Read(ready) => ready.standing.as_ref().map(|s| (s.found, &s.reached)),
        _ => None,
    }
}

fn first_of(plan: &Plan) -> Option<FirstLine> {
    match &plan.state {
        State::Read(ready) => ready.first,
        _ => None,
    }
}

/// An older, shorter copy of a file that was read further cannot be told from a new file.
fn warn_of_shorter(plan: &mut Plan, known: &Known<'_>) {
    let State::Read(ready) = &mut plan.state else { return };
    let Some(Found::Like(cursor)) = ready.standing.as_ref().map(|standing| standing.found) else {
        return;
    };
    let Some(before) = known.cursor(cursor) else { return };
    let stamp = &before.reached.stamp;
    let is_there =
        || source::open(&before.path).is_ok_and(|file| file.inode == (stamp.device, stamp.inode));
    if plan.input.path != before.path && is_there() {
        ready.notes.push(format!(
            "begins like {}, of which an earlier run has read more: if it is an older copy of that \
             file, its lines count twice; keep such copies out of the inputs",
            before.path.display()
        ));
    }
}
