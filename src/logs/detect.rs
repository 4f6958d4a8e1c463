//! Says what a file holds. In: lines of a sample of it. Out: the set of formats that recognise any
//! of them, whether the lines are wrapped in JSON or CSV, and for a file that no format recognises
//! the nearest guesses.
//!
//! A file may mix formats, so this is no vote for one winner: lines are routed one by one when they
//! are read, and the set only says whose byte patterns are worth searching for.

use memchr::memmem;

use crate::logs::envelope;
use crate::logs::firewall::{self, FirewallFormat};
use crate::logs::line::{Columns, Line, Outcome};
use crate::logs::mail::{self, MailFormat};
use crate::logs::wrapping::Wrapping;

/// A format, by its place in the list of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FormatId {
    /// Index into [`firewall::FORMATS`].
    Firewall(u8),
    /// Index into [`mail::FORMATS`].
    Mail(u8),
}

/// A set of formats of both kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatSet {
    firewall: u64,
    mail: u64,
}

impl FormatSet {
    /// The formats of that name (a product can write both kinds of log).
    pub fn named(name: &str) -> Self {
        let mut set = Self::default();
        for id in all() {
            if name_of(id) == name {
                set.insert(id);
            }
        }
        set
    }

    /// Every format.
    pub fn all() -> Self {
        let mut set = Self::default();
        all().for_each(|id| set.insert(id));
        set
    }

    /// Adds a format.
    pub fn insert(&mut self, id: FormatId) {
        match id {
            FormatId::Firewall(index) => self.firewall |= 1 << (index & 63),
            FormatId::Mail(index) => self.mail |= 1 << (index & 63),
        }
    }

    /// Whether it holds the format.
    pub fn contains(self, id: FormatId) -> bool {
        match id {
            FormatId::Firewall(index) => self.firewall >> (index & 63) & 1 == 1,
            FormatId::Mail(index) => self.mail >> (index & 63) & 1 == 1,
        }
    }

    /// Whether it holds none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether it holds a mail server's format.
    pub fn has_mail(self) -> bool {
        self.mail != 0
    }

    /// Its formats, firewalls first, in the order of recognition.
    pub fn iter(self) -> impl Iterator<Item = FormatId> {
        all().filter(move |id| self.contains(*id))
    }

    /// The names of its formats, each once.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.iter().map(name_of).collect::<std::collections::BTreeSet<_>>().into_iter()
    }

    /// Whether a line is of one of its formats: recognised, or one that the format reads or
    /// rejects where it stands in no head of its own.
    pub fn reads(self, line: &Line<'_>) -> bool {
        let columns = &Columns::NONE;
        let of_firewall = |(_, format): (u8, &dyn FirewallFormat)| {
            format.recognises(line)
                || format.parse(line, columns, &mut Vec::new()) == Outcome::Event
        };
        let of_mail = |(_, format): (u8, &dyn MailFormat)| {
            format.recognises(line)
                || format.parse(line, columns, &mut Vec::new()) == Outcome::Event
        };
        self.firewall().any(of_firewall) || self.mail().any(of_mail)
    }

    /// The firewall formats in it, in the order of recognition.
    pub fn firewall(self) -> impl Iterator<Item = (u8, &'static dyn FirewallFormat)> {
        let format = |index: u8| Some((index, *firewall::FORMATS.get(usize::from(index))?));
        bits(self.firewall).filter_map(format)
    }

    /// The mail formats in it, in the order of recognition.
    pub fn mail(self) -> impl Iterator<Item = (u8, &'static dyn MailFormat)> {
        let format = |index: u8| Some((index, *mail::FORMATS.get(usize::from(index))?));
        bits(self.mail).filter_map(format)
    }
}

/// The numbers of the bits that are set, ascending: lines ask for a set's formats, and most sets
/// hold one.
fn bits(mut set: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let lowest = set.trailing_zeros();
        set &= set.wrapping_sub(1);
        (lowest < u64::BITS).then_some(lowest as u8)
    })
}

/// Every format, firewalls first, in the order of recognition.
fn all() -> impl Iterator<Item = FormatId> {
    let firewalls = (0u8..).zip(firewall::FORMATS).map(|(index, _)| FormatId::Firewall(index));
    let mails = (0u8..).zip(mail::FORMATS).map(|(index, _)| FormatId::Mail(index));
    firewalls.chain(mails)
}

/// A format's name.
pub fn name_of(id: FormatId) -> &'static str {
    match id {
        FormatId::Firewall(index) => {
            firewall::FORMATS.get(usize::from(index)).map_or("", |format| format.name())
        }
        FormatId::Mail(index) => {
            mail::FORMATS.get(usize::from(index)).map_or("", |format| format.name())
        }
    }
}

/// The firewall format and the mail format that recognise a line. There can be one of each: a
/// sensor's record of an SMTP session is both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recognised {
    /// Index into [`firewall::FORMATS`].
    pub firewall: Option<u8>,
    /// Index into [`mail::FORMATS`].
    pub mail: Option<u8>,
}

impl Recognised {
    /// The first format of each kind that recognises the line.
    pub fn of(line: &Line<'_>) -> Self {
        let firewall = (0u8..).zip(firewall::FORMATS).find(|(_, format)| format.recognises(line));
        let mail = (0u8..).zip(mail::FORMATS).find(|(_, format)| format.recognises(line));
        Self { firewall: firewall.map(|(index, _)| index), mail: mail.map(|(index, _)| index) }
    }

    /// Whether any format does.
    pub fn any(self) -> bool {
        self.firewall.is_some() || self.mail.is_some()
    }

    fn formats(self) -> impl Iterator<Item = FormatId> {
        let mail = self.mail.map(FormatId::Mail);
        self.firewall.map(FormatId::Firewall).into_iter().chain(mail)
    }
}

/// A format whose header line was read, and the columns that the line names.
pub type Header = (FormatId, Columns);

/// The header line's format, if the line is one. Mail formats claim only headers of their own; a
/// firewall's format may claim those of all logs of its product, so it is asked last.
pub fn header_of(line: &[u8]) -> Option<Header> {
    let mail = (0u8..)
        .zip(mail::FORMATS)
        .find_map(|(index, format)| Some((FormatId::Mail(index), format.header(line)?)));
    mail.or_else(|| {
        (0u8..)
            .zip(firewall::FORMATS)
            .find_map(|(index, format)| Some((FormatId::Firewall(index), format.header(line)?)))
    })
}

/// What the sampled lines of a file say of it.
#[derive(Debug, Default)]
pub struct Survey {
    /// Formats of lines as they stand.
    bare: FormatSet,
    bare_lines: u64,
    /// Formats of lines taken out of a wrapping.
    wrapped: FormatSet,
    wrapped_lines: u64,
    wrapping: Option<Wrapping>,
    raw_field: Option<String>,
    /// The last header line that was seen.
    header: Option<Header>,
    /// Beginning of the header line, by which later ones are found.
    header_start: Vec<u8>,
    scratch: Vec<u8>,
    unrecognised: Vec<Vec<u8>>,
}

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub struct Holding {
    /// Formats of at least one sampled line.
    pub formats: FormatSet,
    /// How the lines are wrapped.
    pub wrapping: Option<Wrapping>,
    /// The first header line's format and columns.
    pub header: Option<Header>,
    /// The first bytes of header lines.
    pub header_start: Vec<u8>,
}

/// Unrecognised lines that are kept for guessing.
const KEPT_FOR_GUESSES: usize = 50;

/// Bytes of a header line by which others of the file are found.
const HEADER_START: usize = 4;

impl Survey {
    /// A survey of a file whose raw lines the policy says to be in that field.
    pub fn new(raw_field: Option<&str>) -> Self {
        Self { raw_field: raw_field.map(str::to_owned), ..Self::default() }
    }

    /// Looks at one line.
    pub fn add(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return;
        }
        if let Some(header) = header_of(line) {
            self.bare.insert(header.0);
            self.bare_lines += 1;
            if self.header.is_none() {
                self.header_start = line.get(..HEADER_START).unwrap_or(line).to_vec();
                self.header = Some(header);
            }
            return;
        }
        // First out of the wrapping: a firewall's line can be recognised through what stands around it,
        // but then its head cannot be read.
        let is_row = matches!(self.wrapping, Some(Wrapping::Csv { .. }));
        let may_wrap = line.starts_with(b"{") || self.raw_field.is_some() || is_row;
        if may_wrap && self.add_wrapped(line) || self.add_bare(line) {
            return;
        }
        let wrapped = !may_wrap && self.add_wrapped(line);
        if !wrapped && self.unrecognised.len() < KEPT_FOR_GUESSES {
            self.unrecognised.push(line.to_vec());
        }
    }

    fn add_bare(&mut self, line: &[u8]) -> bool {
        let opened = envelope::open(line);
        // Most lines are of a format that was already seen, and then of no other, but for the
        // records of sensors (JSON), which can be of both kinds.
        let is_known = !line.starts_with(b"{")
            && (self.bare.firewall().any(|(_, format)| format.recognises(&opened))
                || self.bare.mail().any(|(_, format)| format.recognises(&opened)));
        if is_known {
            self.bare_lines += 1;
            return true;
        }
        let recognised = Recognised::of(&opened);
        if !recognised.any() {
            return false;
        }
        self.bare_lines += 1;
        recognised.formats().for_each(|id| self.bare.insert(id));
        true
    }

    fn add_wrapped(&mut self, line: &[u8]) -> bool {
        let own = Wrapping::of(line, self.raw_field.as_deref());
        // A CSV header wraps nothing itself; the rows after it do.
        let is_header = matches!(own, Some(Wrapping::Csv { .. }));
        if is_header && self.wrapping.is_none() {
            self.wrapping = own;
            return true;
        }
        let Some(wrapping) = own.filter(|_| !is_header).or_else(|| self.wrapping.clone()) else {
            return false;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let recognised = wrapping
            .unwrap(line, &mut scratch)
            .map(|inner| Recognised::of(&envelope::open(inner.text)))
            .unwrap_or_default();
        self.scratch = scratch;
        if !recognised.any() {
            return false;
        }
        self.wrapping.get_or_insert(wrapping);
        self.wrapped_lines += 1;
        recognised.formats().for_each(|id| self.wrapped.insert(id));
        true
    }

    /// Whether a header line was seen.
    pub fn has_header(&self) -> bool {
        self.header.is_some()
    }

    /// What the file holds, by the lines seen so far.
    pub fn holding(&self) -> Holding {
        let wrapped = self.wrapped_lines > self.bare_lines;
        Holding {
            formats: if wrapped { self.wrapped } else { self.bare },
            wrapping: if wrapped { self.wrapping.clone() } else { None },
            header: self.header.clone(),
            header_start: self.header_start.clone(),
        }
    }

    /// The two formats whose words the unrecognised lines have most of, and the words that they
    /// lack. One that shares less than half of its words is not near.
    pub fn guesses(&self) -> Vec<(&'static str, String)> {
        let mut guesses: Vec<Guess> = all().filter_map(|id| self.guess(id)).collect();
        guesses.sort_by_key(|guess| std::cmp::Reverse(guess.share));
        guesses.into_iter().take(2).map(|guess| (name_of(guess.id), guess.told())).collect()
    }

    fn guess(&self, id: FormatId) -> Option<Guess> {
        let words = words_of(id);
        let has = |line: &&Vec<u8>| {
            words.iter().filter(|word| memmem::find(line, word).is_some()).count()
        };
        let nearest = self.unrecognised.iter().max_by_key(has)?;
        let share = has(&nearest) * 100 / words.len().max(1);
        let lacks = words.iter().copied().filter(|word| memmem::find(nearest, word).is_none());
        (share >= 50).then(|| Guess { id, share, lacks: lacks.collect() })
    }
}

/// A format that an unrecognised file comes near to.
struct Guess {
    id: FormatId,
    /// Words that its nearest line has, in per cent.
    share: usize,
    lacks: Vec<&'static [u8]>,
}

impl Guess {
    fn told(&self) -> String {
        if self.lacks.is_empty() {
            return "the form that they stand in".to_owned();
        }
        let words = self.lacks.iter().map(|word| String::from_utf8_lossy(word).trim().to_owned());
        words.collect::<Vec<_>>().join(", ")
    }
}

fn words_of(id: FormatId) -> &'static [&'static [u8]] {
    match id {
        FormatId::Firewall(index) => {
            firewall::FORMATS.get(usize::from(index)).map_or(&[], |format| format.words())
        }
        FormatId::Mail(index) => {
            mail::FORMATS.get(usize::from(index)).map_or(&[], |format| format.words())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words are true: samples of every format have a line, or a header, with half of them.
    #[test]
    fn samples_have_the_words_of_their_format() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
        for id in all() {
            let kind = if matches!(id, FormatId::Firewall(_)) { "firewall" } else { "mail" };
            let mut survey = Survey::new(None);
            for entry in std::fs::read_dir(root.join(kind).join(name_of(id))).unwrap() {
                let content = std::fs::read(entry.unwrap().path()).unwrap();
                survey.unrecognised.extend(content.split(|&b| b == b'\n').map(<[u8]>::to_vec));
            }
            let guess = survey.guess(id);
            assert!(guess.is_some(), "{}: no sample line has half of its words", name_of(id));
        }
    }

    #[test]
    fn the_nearest_formats_and_what_they_lack() {
        let cases = [
            (
                "date=2026-11-02 devname=fw srcip=198.51.100.7 srcport=1 dstip=203.0.113.25 dstport=25 action=accept",
                "fortigate: logid=, type=",
            ),
            (
                "kernel: SRC=198.51.100.7 DST=203.0.113.25 LEN=60 SPT=1 DPT=25",
                "netfilter: PROTO=TCP",
            ),
            (
                "device=\"SFW\" src_ip=198.51.100.7 dst_ip=203.0.113.25",
                "sophos_xg: log_type=, dst_port=",
            ),
            ("sshd[1]: Accepted publickey for ann", ""),
        ];
        for (line, expected) in cases {
            let mut survey = Survey::new(None);
            survey.unrecognised.push(line.as_bytes().to_vec());
            let first = survey.guesses().into_iter().next();
            let told = first.map(|(name, lacks)| format!("{name}: {lacks}")).unwrap_or_default();
            assert_eq!(told, expected, "{line}");
        }
    }

    #[test]
    fn a_row_of_a_csv_export_is_taken_out_of_it_first() {
        let row = "1,\"2026-11-06T10:00:00Z fw1 kernel: [UFW ALLOW] IN=eth0 OUT= SRC=198.51.100.7 \
                   DST=203.0.113.25 LEN=60 PROTO=TCP SPT=40001 DPT=25 WINDOW=64240 SYN URGP=0\"";
        let mut survey = Survey::new(None);
        survey.add(b"ts,_raw");
        survey.add(row.as_bytes());
        let holding = survey.holding();
        assert!(!holding.formats.is_empty());
        assert_eq!(holding.wrapping, Some(Wrapping::Csv { column: 1, separator: b',' }));
        let mut plain = Survey::new(None);
        plain.add(row.as_bytes());
        assert_eq!(plain.holding().wrapping, None);
    }
}
