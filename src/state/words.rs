//! Words of the model as the state keeps them: those of the outputs. In: a word. Out: the value
//! that it stands for; a word that nothing has is told as damage by whoever reads the row.

use crate::model::finding::{Login, Role, ScanHelo};
use crate::model::judged::{Priority, Verdict};
use crate::tickets::Status;

fn find<T: Copy>(all: &[T], word_of: impl Fn(T) -> &'static str, word: &str) -> Option<T> {
    all.iter().copied().find(|value| word_of(*value) == word)
}

/// The status of a word.
pub(super) fn status(word: &str) -> Option<Status> {
    find(&Status::ALL, Status::word, word)
}

/// The band of a word.
pub(super) fn priority(word: &str) -> Option<Priority> {
    find(&Priority::ALL, Priority::word, word)
}

/// The verdict of a word.
pub(super) fn verdict(word: &str) -> Option<Verdict> {
    find(&Verdict::ALL, Verdict::word, word)
}

/// The plugins' role of a word.
pub(super) fn role(word: &str) -> Option<Role> {
    find(&Role::ALL, Role::word, word)
}

/// The scan's answer of a word.
pub(super) fn scan_helo(word: &str) -> Option<ScanHelo> {
    find(&ScanHelo::ALL, ScanHelo::word, word)
}

/// The login of a word.
pub(super) fn login(word: &str) -> Option<Login> {
    find(&Login::ALL, Login::word, word)
}
