//! Compressed files. In: bytes. Out: the bytes that were compressed, from gzip (several members,
//! NUL padding between and after them), Zstandard, bzip2 and xz (several frames or streams).
//!
//! What is cut, corrupt, needs too much memory or grows beyond all reason ends in an error after
//! everything that stood before it has been given out. Archives (tar, zip) are not opened.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// Memory that a compressed file may ask for: the window of Zstandard, the dictionary of xz.
const MEMORY_LIMIT: u64 = 128 << 20;

/// Output from which on the ratio is watched.
const RATIO_FROM: u64 = 64 << 20;

/// Output bytes for each input byte above which it is no log but a bomb.
const RATIO_LIMIT: u64 = 200;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz, also the older `.lzma` never: only the container with a magic number.
    Xz,
}

impl Compression {
    /// By the magic number, whatever the file's name.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => {
                Some(Self::Bzip2)
            }
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            _ => None,
        }
    }

    /// The name in run.json.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

/// What compressed bytes come from.
type Bytes = Counted<BufReader<Box<dyn Read + Send>>>;

/// Reads the text of a possibly compressed file.
pub struct Decompressor {
    format: Format,
    compression: Option<Compression>,
    /// Text that was looked at and not yet given out.
    peeked: Vec<u8>,
    peeked_at: usize,
    peek_error: Option<io::Error>,
    given: u64,
    notes: Vec<String>,
}

enum Format {
    Plain(Bytes),
    /// None only while one member is exchanged for the next.
    Gzip(Option<Box<GzDecoder<Bytes>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Bytes>>),
    Bzip2(Box<bzip2::bufread::MultiBzDecoder<Bytes>>),
    Xz(Box<liblzma::bufread::XzDecoder<Bytes>>),
    Ended(u64),
}

impl Decompressor {
    /// A decompressor at the start of the bytes.
    pub fn new(
        compression: Option<Compression>,
        bytes: BufReader<Box<dyn Read + Send>>,
    ) -> io::Result<Self> {
        let bytes = Counted { inner: bytes, taken: 0 };
        let format = match compression {
            None => Format::Plain(bytes),
            Some(Compression::Gzip) => Format::Gzip(Some(Box::new(GzDecoder::new(bytes)))),
            Some(Compression::Zstd) => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
                decoder.window_log_max(MEMORY_LIMIT.ilog2())?;
                Format::Zstd(Box::new(decoder))
            }
            Some(Compression::Bzip2) => {
                Format::Bzip2(Box::new(bzip2::bufread::MultiBzDecoder::new(bytes)))
            }
            Some(Compression::Xz) => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY_LIMIT, flags)
                    .map_err(io::Error::from)?;
                Format::Xz(Box::new(liblzma::bufread::XzDecoder::new_stream(bytes, stream)))
            }
        };
        Ok(Self {
            format,
            compression,
            peeked: Vec::new(),
            peeked_at: 0,
            peek_error: None,
            given: 0,
            notes: Vec::new(),
        })
    }

    /// The first bytes of the text, which will still be read. Only at the start; an error is kept
    /// for the read that reaches it.
    pub fn peek(&mut self, count: usize) -> &[u8] {
        while self.peeked.len() < count {
            let mut buffer = vec![0; count - self.peeked.len()];
            match self.read_on(&mut buffer) {
                Ok(0) => break,
                Ok(read) => self.peeked.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(error) => {
                    self.peek_error = Some(error);
                    break;
                }
            }
        }
        &self.peeked
    }

    /// Forgets a UTF-8 byte order mark at the start. After [`Self::peek`].
    pub fn drop_utf8_mark(&mut self) {
        if self.peeked_at == 0 && self.peeked.starts_with(b"\xef\xbb\xbf") {
            self.peeked_at = 3;
        }
    }

    /// What was noticed besides the text.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Compressed bytes taken so far.
    pub fn bytes_taken(&self) -> u64 {
        match &self.format {
            Format::Plain(bytes) => bytes.taken,
            Format::Gzip(decoder) => decoder.as_ref().map_or(0, |decoder| decoder.get_ref().taken),
            Format::Zstd(decoder) => decoder.get_ref().taken,
            Format::Bzip2(decoder) => decoder.get_ref().taken,
            Format::Xz(decoder) => decoder.get_ref().taken,
            Format::Ended(taken) => *taken,
        }
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.format {
            Format::Plain(bytes) => bytes.read(buffer),
            Format::Gzip(_) => self.read_gzip(buffer),
            Format::Zstd(decoder) => decoder.read(buffer),
            Format::Bzip2(decoder) => decoder.read(buffer),
            Format::Xz(decoder) => decoder.read(buffer),
            Format::Ended(_) => Ok(0),
        };
        let read = read.map_err(|error| self.explain(&error))?;
        self.given = self.given.saturating_add(read as u64);
        self.check_ratio()?;
        Ok(read)
    }

    /// A gzip file is a row of members; what is neither a member nor padding ends it.
    fn read_gzip(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Format::Gzip(Some(decoder)) = &mut self.format else { return Ok(0) };
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let Format::Gzip(slot) = &mut self.format else { return Ok(0) };
            let Some(decoder) = slot.take() else { return Ok(0) };
            let mut bytes = decoder.into_inner();
            match skip_padding(&mut bytes)? {
                After::Member => *slot = Some(Box::new(GzDecoder::new(bytes))),
                After::End => {
                    self.format = Format::Ended(bytes.taken);
                    return Ok(0);
                }
                After::Garbage => {
                    let count = io::copy(&mut bytes, &mut io::sink())?;
                    self.notes.push(format!("{count} bytes after the last gzip member ignored"));
                    self.format = Format::Ended(bytes.taken);
                    return Ok(0);
                }
            }
        }
    }

    fn check_ratio(&self) -> io::Result<()> {
        if self.compression.is_none() || self.given < RATIO_FROM {
            return Ok(());
        }
        let ratio = self.given / self.bytes_taken().max(1);
        if ratio <= RATIO_LIMIT {
            return Ok(());
        }
        let message = format!(
            "expands {ratio}:1, over {RATIO_LIMIT}:1 after {} MiB; read no further",
            self.given >> 20
        );
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// The decoders' words in the words of the account.
    fn explain(&self, error: &io::Error) -> io::Error {
        let Some(compression) = self.compression else {
            return io::Error::new(error.kind(), super::describe(error));
        };
        let name = compression.word();
        let given = self.given;
        let text = error.to_string();
        let message = if error.kind() == io::ErrorKind::UnexpectedEof
            || text.contains("incomplete frame")
            || text.contains("premature eof")
        {
            format!("{name} data ends early after {given} bytes of text")
        } else if text.contains("checksum") || text.contains("CRC") {
            format!("{name} checksum mismatch after {given} bytes of text")
        } else if text.contains("too much memory") || text.contains("memory limit") {
            format!("{name} data needs more than {} MiB of memory", MEMORY_LIMIT >> 20)
        } else {
            format!("{name} data is corrupt after {given} bytes of text: {text}")
        };
        io::Error::new(io::ErrorKind::InvalidData, message)
    }
}

impl Read for Decompressor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let waiting = self.peeked.get(self.peeked_at..).unwrap_or_default();
        if !waiting.is_empty() {
            let count = waiting.len().min(buffer.len());
            if let (Some(to), Some(from)) = (buffer.get_mut(..count), waiting.get(..count)) {
                to.copy_from_slice(from);
            }
            self.peeked_at += count;
            return Ok(count);
        }
        match self.peek_error.take() {
            Some(error) => Err(error),
            None => self.read_on(buffer),
        }
    }
}

/// What stands after a gzip member.
enum After {
    Member,
    End,
    Garbage,
}

/// Skips NUL padding after a gzip member (tapes and some log rotators write it).
fn skip_padding(bytes: &mut Bytes) -> io::Result<After> {
    loop {
        let waiting = bytes.fill_buf()?;
        let Some(&first) = waiting.first() else { return Ok(After::End) };
        if first != 0 {
            return Ok(if first == 0x1f { After::Member } else { After::Garbage });
        }
        let run = waiting.iter().take_while(|byte| **byte == 0).count();
        bytes.consume(run);
    }
}

/// Counts the bytes that are taken from a reader.
struct Counted<R> {
    inner: R,
    taken: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.taken = self.taken.saturating_add(read as u64);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.taken = self.taken.saturating_add(amount as u64);
    }
}
