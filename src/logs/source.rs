//! Opens what the user names. In: paths, folders, quoted globs, `-`. Out: regular files in a
//! canonical order, and their decompressed text. Nothing is written, nothing is mapped: a file that
//! shrinks while it is read ends early instead of killing the process.
//!
//! FIFOs, sockets and devices are refused without being opened for real, so that nothing hangs.
//! What the text means is not looked at here (`logs::detect`).

mod decompress;
mod expand;
mod records;
mod track;
mod utf16;

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

pub use decompress::{Compression, Decompressor};
pub use expand::{Found, expand};
pub use records::{RecordReader, Spread};
pub use track::{Track, print_of};
pub use utf16::{Utf16, Utf16Reader};

use crate::error::{Error, Place, Result};
use crate::model::reading::Stamp;
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
    /// Its device and inode.
    pub inode: (u64, u64),
}

impl Opened {
    /// The file as the file system shows it.
    pub fn stamp(&self, compression: Option<Compression>) -> Stamp {
        Stamp {
            device: self.inode.0,
            inode: self.inode.1,
            size: self.size,
            modified: self.modified,
            compression: compression.map(|compression| compression.word().into()),
        }
    }
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
    let inode = (metadata.dev(), metadata.ino());
    Ok(Opened { file, size: metadata.len(), modified, inode })
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
    track: Option<Box<Track>>,
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
    /// The same text, at its start, of which both ends are kept as it is read.
    #[must_use]
    pub fn tracked(mut self) -> Self {
        self.track = Some(Box::default());
        self
    }

    /// Both ends of what was read so far, where they are kept.
    pub fn track(&self) -> Option<&Track> {
        self.track.as_deref()
    }

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
        let read = match &mut self.reader {
            Layers::Bytes(inner) => inner.read(buffer),
            Layers::Units(outer) => outer.read(buffer),
            Layers::Records(outer) => outer.read(buffer),
            Layers::UnitRecords(outer) => outer.read(buffer),
        }?;
        if let Some(track) = &mut self.track {
            track.add(buffer.get(..read).unwrap_or_default());
        }
        Ok(read)
    }
}

/// Opens a file, or standard input for `-`, as text.
pub fn open_text(path: &Path) -> Result<Text> {
    if path == Path::new(STDIN) {
        return text_of(path, None, Box::new(io::stdin()));
    }
    open_text_to(path, u64::MAX)
}

/// Opens a file as text, but for what stands at or after that byte of the file.
pub fn open_text_to(path: &Path, to: u64) -> Result<Text> {
    let opened = open(path)?;
    // What is appended while the file is read is not part of this run.
    let bounded = opened.file.take(opened.size.min(to));
    text_of(path, Some(opened.modified), Box::new(bounded))
}

/// Opens a part of a plain file as text, whatever its bytes look like.
pub fn open_plain(path: &Path, from: u64, to: u64) -> Result<Text> {
    let fault = |error: &io::Error| Error::input(path, Place::Byte(from), describe(error));
    let mut opened = open(path)?;
    opened.file.seek(SeekFrom::Start(from)).map_err(|error| fault(&error))?;
    let bytes = Box::new(opened.file.take(to.saturating_sub(from))) as Box<dyn Read + Send>;
    let buffered = BufReader::with_capacity(FILE_BUFFER, bytes);
    let inner = Decompressor::new(None, buffered).map_err(|error| fault(&error))?;
    Ok(Text {
        path: path.to_path_buf(),
        modified: Some(opened.modified),
        compression: None,
        utf16: None,
        reader: Layers::Bytes(inner),
        track: None,
    })
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
    Ok(Text { path: path.to_path_buf(), modified, compression, utf16, reader, track: None })
}

/// Fills the buffer from a place in a file; less only where the file ends.
pub(crate) fn read_fully(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(free) = bytes.get_mut(done..).filter(|free| !free.is_empty()) {
        match file.read_at(free, at.saturating_add(done as u64)) {
            Ok(0) => break,
            Ok(read) => done = done.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Reads until the count or the end is reached.
pub(crate) fn read_up_to(reader: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    reader.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
