//! Opens what the user names. In: paths, folders, quoted globs, `-`. Out: regular files in a
//! canonical order, and their decompressed text. Nothing is written, nothing is mapped: a file that
//! shrinks while it is read ends early instead of killing the process.
//!
//! FIFOs, sockets and devices are refused without being opened for real, so that nothing hangs.
//! What the text means is not looked at here (`logs::detect`).

mod decompress;
mod expand;
mod records;
mod utf16;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub use decompress::{Compression, Decompressor};
pub use expand::{Found, expand};
pub use records::{RecordReader, Spread};
pub use utf16::{Utf16, Utf16Reader};

use crate::error::{Error, Place, Result};
use crate::model::time::Timestamp;

/// Bytes that decide what a file is: compression, byte order mark, NUL pattern.
pub(crate) const MAGIC_BYTES: usize = 1024;

/// Buffer between a file and its decompressor.
const FILE_BUFFER: usize = 64 << 10;

/// The path that stands for standard input.
pub const STDIN: &str = "-";

/// A regular file, open for reading.
#[derive(Debug)]
pub struct Opened {
    /// The file; read with `read_at`, so its position does not matter.
    pub file: File,
    /// Its size when it was opened: what is appended later is not read.
    pub size: u64,
    /// Its modification time.
    pub modified: Timestamp,
}

/// Opens a regular file; anything else is refused by name.
pub fn open(path: &Path) -> Result<Opened> {
    let fault = |error: &io::Error| Error::input(path, Place::Whole, describe(error));
    // Without O_NONBLOCK the open of a FIFO waits for a writer.
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
        .map_err(|error| fault(&error))?;
    let metadata = file.metadata().map_err(|error| fault(&error))?;
    if !metadata.is_file() {
        return Err(not_regular(path, metadata.file_type()));
    }
    let modified = metadata.modified().ok().map_or(Timestamp(0), |time| {
        let micros = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
    });
    Ok(Opened { file, size: metadata.len(), modified })
}

fn not_regular(path: &Path, kind: std::fs::FileType) -> Error {
    let what = match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    };
    Error::input(path, Place::Whole, format!("not a regular file but {what}; expected a log file"))
}

/// The operating system's word for a fault, in the words of the account.
pub(crate) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no longer exists, or never did".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The decompressed text of a file or of standard input, UTF-16 turned into UTF-8, the byte order
/// mark dropped, records of several lines put on one each. Read errors say what was wrong with the compressed data.
pub struct Text {
    /// The path it was opened by.
    pub path: PathBuf,
    /// Modification time of the file; none for standard input.
    pub modified: Option<Timestamp>,
    /// What it is compressed with.
    pub compression: Option<Compression>,
    /// UTF-16 that was found.
    pub utf16: Option<Utf16>,
    reader: Layers,
}

/// What a text is read through: a file or standard input; the decompressor; UTF-16, or records that
/// are put together.
enum Layers {
    Bytes(Decompressor),
    Units(Box<Units>),
    Records(Box<RecordReader<Decompressor>>),
    UnitRecords(Box<RecordReader<Units>>),
}

/// UTF-16 whose start was looked at.
type Units = io::Chain<io::Cursor<Vec<u8>>, Utf16Reader<Decompressor>>;

impl Layers {
    fn decompressor(&self) -> &Decompressor {
        match self {
            Self::Bytes(inner) => inner,
            Self::Units(outer) => outer.get_ref().1.inner(),
            Self::Records(outer) => outer.inner(),
            Self::UnitRecords(outer) => outer.inner().get_ref().1.inner(),
        }
    }
}

impl Text {
    /// What was noticed besides the text (padding, garbage after the last gzip member).
    pub fn notes(&self) -> &[String] {
        self.reader.decompressor().notes()
    }

    /// Bytes taken from the file so far, compressed as they are.
    pub fn bytes_taken(&self) -> u64 {
        self.reader.decompressor().bytes_taken()
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.reader {
            Layers::Bytes(inner) => inner.read(buffer),
            Layers::Units(outer) => outer.read(buffer),
            Layers::Records(outer) => outer.read(buffer),
            Layers::UnitRecords(outer) => outer.read(buffer),
        }
    }
}

/// Opens a file, or standard input for `-`, as text.
pub fn open_text(path: &Path) -> Result<Text> {
    if path == Path::new(STDIN) {
        return text_of(path, None, Box::new(io::stdin()));
    }
    let opened = open(path)?;
    // What is appended while the file is read is not part of this run.
    let bounded = opened.file.take(opened.size);
    text_of(path, Some(opened.modified), Box::new(bounded))
}

/// Text of any bytes, as if they stood in a file of that path.
pub fn text_of(
    path: &Path,
    modified: Option<Timestamp>,
    mut bytes: Box<dyn Read + Send>,
) -> Result<Text> {
    let fault = |error: &io::Error| Error::input(path, Place::Byte(0), describe(error));
    let head = read_up_to(&mut bytes, MAGIC_BYTES).map_err(|error| fault(&error))?;
    let compression = Compression::of(&head);
    let whole = io::Cursor::new(head).chain(bytes);
    let buffered = BufReader::with_capacity(FILE_BUFFER, Box::new(whole) as Box<dyn Read + Send>);
    let mut inner = Decompressor::new(compression, buffered).map_err(|error| fault(&error))?;
    let start = inner.peek(MAGIC_BYTES);
    let (utf16, spread) = (Utf16::of(start), Spread::of(start));
    let reader = match (utf16, spread) {
        (Some(order), _) => {
            let mut units = Utf16Reader::new(inner, order);
            let head = read_up_to(&mut units, MAGIC_BYTES).map_err(|error| fault(&error))?;
            let spread = Spread::of(&head);
            let whole = io::Cursor::new(head).chain(units);
            match spread {
                Some(spread) => Layers::UnitRecords(Box::new(RecordReader::new(whole, spread))),
                None => Layers::Units(Box::new(whole)),
            }
        }
        (None, Some(spread)) => {
            inner.drop_utf8_mark();
            Layers::Records(Box::new(RecordReader::new(inner, spread)))
        }
        (None, None) => {
            inner.drop_utf8_mark();
            Layers::Bytes(inner)
        }
    };
    Ok(Text { path: path.to_path_buf(), modified, compression, utf16, reader })
}

/// Reads until the count or the end is reached.
pub(crate) fn read_up_to(reader: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    reader.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
