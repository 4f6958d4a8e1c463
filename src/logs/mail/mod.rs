//! Mail-server formats: one file a product, and the one list that names them. In: lines. Out:
//! records of what each line says, in a vocabulary that all servers share ([`Fact`]). Parsers are
//! pure functions of one line (and of the file's header); `sessions` puts the records of one
//! server together, in order, and nothing here keeps state.
//!
//! Adding a format: write `NAME.rs` here, add `mod NAME;` and `&NAME::Format` below, and put
//! samples into `samples/mail/NAME/`.

use crate::logs::clock::LogTime;
use crate::logs::line::{Columns, Line, Outcome};

pub mod batch;
pub mod courier;
pub mod exchange;
pub mod exim;
pub mod fact;
pub mod haraka;
pub mod hmailserver;
pub mod maddy;
pub mod mailenable;
pub mod mdaemon;
pub mod opensmtpd;
pub mod postfix;
pub mod qmail;
pub mod sendmail;
pub mod sessions;
pub mod stalwart;
pub mod suricata_smtp;
pub mod zeek_smtp;
#[cfg(test)]
mod testing;

pub use batch::FactBatch;
pub use fact::{
    Answer, Deed, End, Fact, MailRecord, Said, Say, Subject, Success, Summary, Verb, Weight, key,
    key_with,
};
pub use sessions::{Assembler, CarriedSessions, Finished, Generation, Give, Keep, Limits, ToldBy};

/// Every mail format, in the order of recognition: the first that recognises a line has it.
pub static FORMATS: &[&dyn MailFormat] = &[
    &postfix::Format,
    &exchange::Format,
    &exim::Format,
    &sendmail::Format,
    &suricata_smtp::Format,
    &mdaemon::Format,
    &courier::Format,
    &mailenable::Format,
    &qmail::Format,
    &haraka::Format,
    &zeek_smtp::Format,
    &maddy::Format,
    &stalwart::Format,
    &hmailserver::Format,
    &opensmtpd::Format,
];

/// One mail server's log format.
pub trait MailFormat: Sync {
    /// The module's name, the value of `--format`, the sample folder.
    fn name(&self) -> &'static str;

    /// The product, in a few words: `Postfix smtpd and postscreen (also Zimbra)`.
    fn product(&self) -> &'static str;

    /// Words that its records or header lines have, the surest first: by them the nearest guesses
    /// are found for a file that nothing recognises, and told what it lacks.
    fn words(&self) -> &'static [&'static [u8]];

    /// Whether its log can show that a client's HELO was accepted when nothing else happened.
    fn shows_helo(&self) -> ShowsHelo;

    /// Whether this line is of the format, whatever it says: a cheap test on bytes that no other
    /// product writes. Used for voting on a file and for routing line by line.
    fn recognises(&self, line: &Line<'_>) -> bool;

    /// Byte patterns of which every line that says something of a session contains at least one.
    /// Searched for over whole blocks; none means that every line has to be read.
    fn marks(&self) -> &'static [&'static [u8]];

    /// Reads a header line that names columns, where the format has such lines; none for any
    /// other line. A later header replaces an earlier one.
    fn header(&self, _line: &[u8]) -> Option<Columns> {
        None
    }

    /// Whether every command of every session is in the log, so that a session without HELO sent
    /// none.
    fn logs(&self) -> Logs {
        Logs::Conclusions
    }

    /// Seconds of the log's own time without a line after which a session is given up as lost.
    fn idle_seconds(&self) -> i64 {
        3600
    }

    /// Reads one line that the format recognises (or that the user says is of this format).
    /// Records go to `out`, which is not cleared here. [`Outcome::Event`] if there is at least one.
    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome;

    /// Reads one line if the format recognises it. A format whose recognition is the beginning of
    /// reading does both at once.
    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<Outcome> {
        self.recognises(line).then(|| self.parse(line, columns, out))
    }

    /// The program whose tag this is, where the tag alone tells whether a line is the format's:
    /// few programs write most lines, so what their tags say is worked out once for many lines.
    fn program(&self, _tag: &[u8]) -> Option<Program> {
        None
    }

    /// Reads a line that begins with a head of the format's own, in which no syslog head can be
    /// seen, as [`MailFormat::parse_own`] would once it was opened: the way of formats that are
    /// rarely sent through syslog. Gives the head's time too, where there is one. None for every line
    /// of which this is not certain.
    fn parse_bare<'a>(
        &self,
        _raw: &'a [u8],
        _columns: &Columns,
        _out: &mut Vec<MailRecord<'a>>,
    ) -> Option<(Option<LogTime>, Outcome)> {
        None
    }
}

/// A program that writes lines of a format.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// What reads its lines, from the pid and the body behind the tag. Time and server are the
    /// head's.
    pub read: for<'a> fn(&Program, Option<&[u8]>, &'a [u8], Say<'_, 'a>),
    /// The port of its service, where the tag tells.
    pub port: Option<u16>,
    /// What the keys of its sessions begin with, if the tag.
    pub key: u64,
}

impl Program {
    /// Reads a line of the program, as [`MailFormat::parse_own`] does.
    pub fn parse<'a>(&self, line: &Line<'a>, out: &mut Vec<MailRecord<'a>>) -> Outcome {
        let before = out.len();
        (self.read)(self, line.pid, line.body, &mut |said| {
            out.push(MailRecord::of(line.time, line.host, said));
        });
        if out.len() > before { Outcome::Event } else { Outcome::Ignored }
    }
}

/// How a server logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// What it concluded; commands only now and then.
    Conclusions,
    /// Every command from the connection on.
    Commands,
}

/// Whether a log can show an accepted HELO of a session that did nothing else; the texts are
/// whole sentences for tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowsHelo {
    /// In the default setting of current versions. What would show more.
    Default(&'static str),
    /// Only with a setting: which one.
    WithSetting(&'static str),
    /// With no usable setting: what to use instead.
    Never(&'static str),
}

impl ShowsHelo {
    /// The sentence for tickets.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Default(text) | Self::WithSetting(text) | Self::Never(text) => text,
        }
    }
}
