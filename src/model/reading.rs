//! How far an input was read, and what a later run needs to know it again. In: nothing (facts
//! only). Out: [`Reached`], what reading leaves behind; [`Cursor`], the same of an earlier run;
//! [`FirstLine`], by which texts are ordered.
//!
//! Offsets, lengths and hashes are those of the decompressed text (UTF-16 as UTF-8, without a byte
//! order mark), so that compressing or renaming a log changes nothing.

use std::path::PathBuf;

use crate::model::time::Timestamp;

/// Bytes of the text, at its start and before the offset, by which it is known again.
pub const PRINT_BYTES: usize = 4096;

/// A stretch of a text by its hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Print {
    /// How many bytes were hashed, at most [`PRINT_BYTES`].
    pub length: u32,
    /// Their SHA-256.
    pub hash: [u8; 32],
}

/// The file as the file system showed it: only a hint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The device's number.
    pub device: u64,
    /// The inode's number.
    pub inode: u64,
    /// Bytes on the disk, compressed as they are.
    pub size: u64,
    /// When it was last changed.
    pub modified: Timestamp,
    /// `gzip`, `zstd`, `bzip2`, `xz`, where it is compressed.
    pub compression: Option<Box<str>>,
}

/// The header line in force, which says what the columns mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// The format whose header it is.
    pub format: Box<str>,
    /// The line.
    pub line: Box<[u8]>,
}

/// The first line of a text that has a time. Texts are numbered in the order of these, which stays
/// the same however far they are read and whatever their files are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirstLine {
    /// When.
    pub time: Timestamp,
    /// The first 8 bytes of the line's SHA-256.
    pub hash: i64,
}

/// How far an input was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Bytes of the text that are read: at a line's start, or at the end of a compressed file.
    pub offset: u64,
    /// Lines before the offset.
    pub lines: u64,
    /// The first bytes, at most up to the offset.
    pub head: Print,
    /// The last bytes before the offset.
    pub tail: Print,
    /// The header line in force at the offset.
    pub header: Option<HeaderLine>,
    /// Its first timed line.
    pub first: Option<FirstLine>,
    /// The file that was read.
    pub stamp: Stamp,
}

/// How far an earlier run read a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The content's number in this run: what citations hold.
    pub number: u32,
    /// The last known path: only a hint, and for reports.
    pub path: PathBuf,
    /// How far it was read.
    pub reached: Reached,
}
