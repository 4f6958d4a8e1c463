//! Where a log line stands. In: an input's number and a line. Out: the `file:line` that a ticket
//! cites. The text itself is looked up when a ticket is written.

/// A line of an input: ordered by input (inputs are numbered in the run's canonical order, not in
/// the order of the arguments), then by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Citation {
    /// Index of the input in the run's list of inputs.
    pub input: u32,
    /// Line of the decompressed text, from 1.
    pub line: u64,
}
