//! Records that are spread over several lines: JSON printed for people (`gcloud logging read
//! --format=json`, `jq`, `evtx_dump`), `tcpdump -v`, Stalwart's `multiline`. In: a text, known by its
//! first bytes. Out: the same text with every record on the line on which it begins; the line ends
//! taken out of it follow as empty lines, so that all lines keep their numbers.
//!
//! Documents that hold all their records in one object, and Azure's flow logs, which have a tuple a
//! line, are left as they are, and so is a record that is longer than a line may be: memory holds one record at most.

use std::io::{self, Read};

use memchr::{memchr, memmem};

use crate::logs::line::LONGEST_LINE;

/// Lines that one record of indented text may have.
const MOST_LINES: usize = 64;

/// How the records of a text are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// Objects of JSON, one after the other or in an array.
    Json(Holder),
    /// A line, and what belongs to it indented behind it.
    Indented,
}

/// What the objects stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nothing.
    Text,
    /// One array.
    Array,
}

impl Spread {
    /// Whether a text that starts like this has its records on several lines.
    pub fn of(head: &[u8]) -> Option<Self> {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        json(head).or_else(|| is_indented(head).then_some(Self::Indented))
    }
}

/// `[` and `{`, or `{` alone, with nothing behind the brace on its line.
fn json(head: &[u8]) -> Option<Spread> {
    let mut text = head.trim_ascii_start();
    // What evtx_dump writes before every record.
    if text.starts_with(b"Record ") {
        text = text.get(memchr(b'\n', text)?..)?.trim_ascii_start();
    }
    let (holder, text) = match text.strip_prefix(b"[") {
        Some(rest) => (Holder::Array, rest.trim_ascii_start()),
        None => (Holder::Text, text),
    };
    let body = text.strip_prefix(b"{")?;
    let key = body.trim_ascii_start();
    let blanks = body.get(..body.len().checked_sub(key.len())?)?;
    let first_key = key.strip_prefix(b"\"")?;
    let holds_all = first_key.get(..8).is_some_and(|key| key.eq_ignore_ascii_case(b"records\""));
    let has = |mark: &[u8]| memmem::find(key, mark).is_some();
    let has_tuples = has(b"FlowEvent") || has(b"\"flowTuples\"") || has(b"\"flowRecords\"");
    (blanks.contains(&b'\n') && !holds_all && !has_tuples).then_some(Spread::Json(holder))
}

/// Whether some line is one of those that end before their record does.
fn is_indented(head: &[u8]) -> bool {
    let mut before: &[u8] = b"";
    head.split(|&b| b == b'\n').any(|line| {
        let found = continues(line) && (is_packet_head(before) || is_event_head(before));
        before = line.trim_ascii_end();
        found
    })
}

/// `... rule 3/0(match): block in on em0: (tos 0x0, ..., proto TCP (6), length 60)`.
fn is_packet_head(line: &[u8]) -> bool {
    let has = |mark: &[u8]| memmem::find(line, mark).is_some();
    line.ends_with(b")") && has(b"rule ") && has(b" on ") && has(b": (tos ")
}

/// `2026-11-02T10:00:00Z INFO SMTP EHLO command (smtp.ehlo)`.
fn is_event_head(line: &[u8]) -> bool {
    let levels = [b" INFO ".as_slice(), b" DEBUG ", b" TRACE ", b" WARN ", b" ERROR "];
    let plain = levels.iter().any(|level| memmem::find(line, level).is_some());
    let coloured = line.contains(&b'\x1b');
    let name = memchr::memrchr(b'(', line).and_then(|at| line.get(at..)).unwrap_or_default();
    line.ends_with(b")") && (plain || coloured) && name.contains(&b'.') && !name.contains(&b' ')
}

/// Whether a line belongs to the one before it: `tcpdump` of old begins records with one blank.
fn continues(line: &[u8]) -> bool {
    line.starts_with(b"\t") || line.starts_with(b"    ")
}

/// Reads a text with its records on one line each.
pub struct RecordReader<R> {
    inner: R,
    joiner: Joiner,
    raw: Vec<u8>,
    /// Text not yet given out.
    ready: Vec<u8>,
    ready_at: usize,
}

enum Joiner {
    Objects(Objects),
    Paragraphs(Paragraphs),
}

impl<R: Read> RecordReader<R> {
    /// A reader at the start of the text.
    pub fn new(inner: R, spread: Spread) -> Self {
        let joiner = match spread {
            Spread::Json(holder) => Joiner::Objects(Objects::new(holder)),
            Spread::Indented => Joiner::Paragraphs(Paragraphs::default()),
        };
        Self { inner, joiner, raw: vec![0; 32 << 10], ready: Vec::new(), ready_at: 0 }
    }

    /// What it reads from.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Joins the next stretch; false at the end.
    fn join_more(&mut self) -> io::Result<bool> {
        let read = self.inner.read(&mut self.raw)?;
        let fresh = self.raw.get(..read).unwrap_or_default();
        self.ready.clear();
        self.ready_at = 0;
        match &mut self.joiner {
            Joiner::Objects(objects) if read == 0 => objects.finish(&mut self.ready),
            Joiner::Objects(objects) => objects.push(fresh, &mut self.ready),
            Joiner::Paragraphs(paragraphs) if read == 0 => paragraphs.finish(&mut self.ready),
            Joiner::Paragraphs(paragraphs) => paragraphs.push(fresh, &mut self.ready),
        }
        Ok(read > 0 || !self.ready.is_empty())
    }
}

impl<R: Read> Read for RecordReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.ready.get(self.ready_at..).unwrap_or_default();
            if !left.is_empty() || buffer.is_empty() {
                let count = left.len().min(buffer.len());
                let (into, from) = (buffer.get_mut(..count), left.get(..count));
                if let (Some(into), Some(from)) = (into, from) {
                    into.copy_from_slice(from);
                }
                self.ready_at = self.ready_at.saturating_add(count);
                return Ok(count);
            }
            if !self.join_more()? {
                return Ok(0);
            }
        }
    }
}

/// Joins objects of JSON.
struct Objects {
    /// Brackets that are open around a record.
    outside: usize,
    depth: usize,
    string: InString,
    /// The record that is open; empty between records.
    record: Vec<u8>,
    /// The open record was too long: it is passed on as it is.
    passing: bool,
    /// Line ends taken out of the last record, owed behind its line.
    owed: usize,
}

/// Where a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// Behind a backslash.
    Escaped,
}

impl Objects {
    fn new(holder: Holder) -> Self {
        Self {
            outside: usize::from(holder == Holder::Array),
            depth: 0,
            string: InString::No,
            record: Vec::new(),
            passing: false,
            owed: 0,
        }
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for &byte in bytes {
            let was_inside = self.depth > self.outside;
            self.step(byte);
            let is_inside = self.depth > self.outside;
            if self.passing {
                out.push(byte);
                self.passing = is_inside;
            } else if was_inside || is_inside {
                self.record.push(byte);
                if !is_inside {
                    self.put_record(out);
                } else if self.record.len() > LONGEST_LINE {
                    out.append(&mut self.record);
                    self.passing = true;
                }
            } else {
                out.push(byte);
                if byte == b'\n' {
                    out.resize(out.len().saturating_add(std::mem::take(&mut self.owed)), b'\n');
                }
            }
        }
    }

    fn step(&mut self, byte: u8) {
        self.string = match (self.string, byte) {
            (InString::No, b'"') | (InString::Escaped, _) => InString::Yes,
            (InString::Yes, b'"') => InString::No,
            (InString::Yes, b'\\') => InString::Escaped,
            (state, _) => state,
        };
        if self.string == InString::No {
            match byte {
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn put_record(&mut self, out: &mut Vec<u8>) {
        for byte in self.record.drain(..) {
            if byte == b'\n' {
                self.owed = self.owed.saturating_add(1);
            }
            out.push(if byte == b'\n' { b' ' } else { byte });
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.record);
        out.resize(out.len().saturating_add(std::mem::take(&mut self.owed)), b'\n');
    }
}

/// Joins lines and what is indented behind them.
#[derive(Default)]
struct Paragraphs {
    /// The record so far; none before the first line.
    record: Option<Vec<u8>>,
    /// Lines that were joined to it.
    joined: usize,
    /// The line that is being read.
    line: Vec<u8>,
    /// The line is too long: it is passed on as it is.
    passing: bool,
}

impl Paragraphs {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            if self.passing {
                out.extend_from_slice(part);
                self.passing = !ends;
                continue;
            }
            self.line.extend_from_slice(text);
            if ends {
                self.end_line(out);
            } else if self.line.len() > LONGEST_LINE {
                self.put_record(out);
                out.append(&mut self.line);
                self.passing = true;
            }
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) {
        let room = |record: &Vec<u8>| record.len().saturating_add(self.line.len()) < LONGEST_LINE;
        match &mut self.record {
            Some(record) if continues(&self.line) && self.joined < MOST_LINES && room(record) => {
                record.truncate(record.trim_ascii_end().len());
                // The fields of an event are parted by commas where they stand on one line.
                record.extend_from_slice(if self.joined == 0 { b" " } else { b", " });
                record.extend_from_slice(self.line.trim_ascii_start());
                self.joined = self.joined.saturating_add(1);
                self.line.clear();
            }
            _ => {
                self.put_record(out);
                self.record = Some(std::mem::take(&mut self.line));
            }
        }
    }

    fn put_record(&mut self, out: &mut Vec<u8>) {
        let Some(record) = self.record.take() else { return };
        out.extend_from_slice(&record);
        let ends = std::mem::take(&mut self.joined).saturating_add(1);
        out.resize(out.len().saturating_add(ends), b'\n');
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.end_line(out);
        }
        self.put_record(out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text as it is read, in pieces of a few bytes.
    fn read(text: &str) -> String {
        let spread = Spread::of(text.as_bytes()).expect(text);
        let mut out = String::new();
        let mut reader = RecordReader::new(text.as_bytes(), spread);
        reader.raw = vec![0; 3];
        reader.read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn which_texts_are_spread() {
        let packet =
            "00:00:00.1 rule 3/0(match): block in on em0: (tos 0x0, proto TCP (6), length 60)";
        let cases = [
            ("[\n  {\n    \"a\": 1\n", Some(Spread::Json(Holder::Array))),
            ("\u{feff}{\r\n  \"a\": 1\n", Some(Spread::Json(Holder::Text))),
            ("Record 1\n{\n \"Event\": {", Some(Spread::Json(Holder::Text))),
            ("{\n  \"records\": [\n", None),
            ("{\n  \"category\": \"NetworkSecurityGroupFlowEvent\",\n", None),
            ("{\"a\": 1}\n{\"a\": 2}\n", None),
            ("[\n{\"a\": 1},\n", None),
            ("x\n{\n", None),
            (&format!("{packet}\n    192.0.2.1.1 > 192.0.2.2.25: x\n"), Some(Spread::Indented)),
            (&format!("{packet} 192.0.2.1.1 > x\n 00:00:00.2 rule 4\n"), None),
            (
                "2026-11-02T10:00:00Z INFO x y (smtp.ehlo)\n\tlistenerId = \"smtp\"\n",
                Some(Spread::Indented),
            ),
            ("Nov  2 10:00:00 mx1 app: (a b)\n\tat x\n", None),
            ("", None),
        ];
        for (head, expected) in cases {
            assert_eq!(Spread::of(head.as_bytes()), expected, "{head}");
        }
    }

    #[test]
    fn records_keep_the_number_of_their_first_line() {
        let cases = [
            (
                "[\n  {\n    \"a\": \"}\\\"{\",\n    \"b\": [1]\n  },\n  {\n    \"c\": 2\n  }\n]\n",
                "[\n  {     \"a\": \"}\\\"{\",     \"b\": [1]   },\n\n\n\n  {     \"c\": 2   }\n\n\n]\n",
            ),
            ("{\n\"a\":1\n}\n{\n\"a\":2\n}", "{ \"a\":1 }\n\n\n{ \"a\":2 }\n\n"),
            ("{\n\"a\":1\n", "{\n\"a\":1\n"),
            (
                "t INFO x (a.b)\n\tk = 1\n\tl = 2\n\t\tm = 3\nt INFO y (a.b)\n\tk = 1",
                "t INFO x (a.b) k = 1, l = 2, m = 3\n\n\n\nt INFO y (a.b) k = 1\n\n",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_left_as_it_is() {
        let text = format!("{{\n\"a\":\"{}\"\n}}\n{{\n\"b\":1\n}}\n", "x".repeat(LONGEST_LINE));
        let expected = text.replace("{\n\"b\":1\n}\n", "{ \"b\":1 }\n\n\n");
        assert_eq!(read(&text), expected);
        let head = "t INFO x (a.b)\n\tk = 1\n";
        let joined = "t INFO x (a.b) k = 1\n\n";
        let long = format!("\t{}\n", "y".repeat(LONGEST_LINE + 9));
        assert_eq!(read(&format!("{head}{long}{head}")), format!("{joined}{long}{joined}"));
    }

    proptest! {
        /// Whatever follows, there are as many lines as before.
        #[test]
        fn lines_are_neither_lost_nor_made(
            rest in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\t'), Just(b'{'), Just(b'}'), Just(b'['), Just(b'"'),
                Just(b'\\'), any::<u8>()
            ], 0..200),
        ) {
            for head in ["[\n  {\n \"a\": 1\n", "{\n \"a\": 1\n", "t INFO x (a.b)\n\tk = 1\n"] {
                let mut text = head.as_bytes().to_vec();
                text.extend(&rest);
                text.push(b'\n');
                let count = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count();
                let mut out = Vec::new();
                let spread = Spread::of(head.as_bytes()).unwrap();
                RecordReader::new(text.as_slice(), spread).read_to_end(&mut out).unwrap();
                prop_assert_eq!(count(&out), count(&text));
            }
        }
    }
}
