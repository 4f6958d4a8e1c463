//! Words of the model as the state keeps them: those of the outputs. In: a word. Out: the value
//! that it stands for; a word that nothing has is told as damage by whoever reads the row.

use crate::model::judged::{Priority, Verdict};
use crate::tickets::Status;

const STATUSES: [Status; 6] = [
    Status::New,
    Status::Open,
    Status::Reopened,
    Status::Resolved,
    Status::AcceptedRisk,
    Status::NotRetested,
];

const PRIORITIES: [Priority; 4] = [Priority::P1, Priority::P2, Priority::P3, Priority::P4];

const VERDICTS: [Verdict; 7] = [
    Verdict::Abused,
    Verdict::Confirmed,
    Verdict::Accepted,
    Verdict::Reachable,
    Verdict::Blocked,
    Verdict::Quiet,
    Verdict::Uncovered,
];

fn find<T: Copy>(all: &[T], word_of: impl Fn(T) -> &'static str, word: &str) -> Option<T> {
    all.iter().copied().find(|value| word_of(*value) == word)
}

/// The status of a word.
pub(super) fn status(word: &str) -> Option<Status> {
    find(&STATUSES, Status::word, word)
}

/// The band of a word.
pub(super) fn priority(word: &str) -> Option<Priority> {
    find(&PRIORITIES, Priority::word, word)
}

/// The verdict of a word.
pub(super) fn verdict(word: &str) -> Option<Verdict> {
    find(&VERDICTS, Verdict::word, word)
}
