//! qmail and its descendants: tcpserver (ucspi-tcp) and sslserver (ucspi-ssl) in front of
//! qmail-smtpd, rblsmtpd between them, written by multilog, tai64nlocal or splogger.
//!
//! `@4000000065502f1a0b9c3d8c tcpserver: ok 4711 mx1.example.com:203.0.113.25:25 client.example:198.51.100.7::40001`
//!
//! Documents: the manual pages of tcpserver and rblsmtpd and their source. qmail-smtpd itself logs
//! nothing, so what became of HELO is unknown; `deny` closes the connection before anything is
//! said. rblsmtpd answers HELO itself and refuses the rest. Skipped: other services than SMTP, by
//! their port; `pid` and `end`, which name one end or none; qmail-send, whose messages name no
//! client.

use std::net::IpAddr;

use crate::logs::clock::LogTime;
use crate::logs::fields::{before, split_once, until_any};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{Answer, End, Fact, MailRecord, Subject, Weight, key};
use crate::logs::mail::{MailFormat, ShowsHelo};
use crate::model::net::{parse_decimal, parse_ip, parse_port};

/// The format.
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "qmail"
    }

    fn product(&self) -> &'static str {
        "qmail (tcpserver, rblsmtpd, qmail-smtpd)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"tcpserver", b" ok ", b" pid "]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Never(
            "qmail-smtpd logs no HELO; use recordio, a packet capture or Suricata (smtp events) in \
             front of it",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Entry::parse(line).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"tcpserver", b"sslserver", b"qmail-tcpsrv", b"rblsmtpd", b"qmail-smtpd"]
    }

    fn idle_seconds(&self) -> i64 {
        300
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let Some(entry) = Entry::parse(line) else { return Outcome::Ignored };
        let before = out.len();
        let read = match entry.program {
            Program::Server => entry.connection(out),
            Program::Blocklist => entry.blocked(out),
            Program::Smtpd => entry.smtpd(out),
            Program::Queue => Ok(()),
        };
        match read {
            Err(reject) => Outcome::Rejected(reject),
            Ok(()) if out.len() > before => Outcome::Event,
            Ok(()) => Outcome::Ignored,
        }
    }
}

/// Who wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    /// tcpserver and its kin: accepts connections.
    Server,
    /// rblsmtpd.
    Blocklist,
    /// qmail-smtpd, patched.
    Smtpd,
    /// qmail-send.
    Queue,
}

const PROGRAMS: &[(&[u8], Program)] = &[
    (b"tcpserver", Program::Server),
    (b"sslserver", Program::Server),
    (b"qmail-tcpsrv", Program::Server),
    (b"rblsmtpd", Program::Blocklist),
    (b"qmail-smtpd", Program::Smtpd),
];

/// How qmail-send's lines begin, which name no program.
const QUEUE: &[&[u8]] =
    &[b"new msg ", b"info msg ", b"starting delivery ", b"end msg ", b"status: local "];

/// Ports of services that other programs than qmail-smtpd answer behind tcpserver.
const OTHER_SERVICES: &[u16] =
    &[21, 22, 53, 79, 80, 106, 109, 110, 113, 119, 143, 209, 443, 628, 783, 873, 990, 993, 995];

const ENDS: Reject = Reject::new("ok", "host:address:port of both ends");
const CLIENT: Reject = Reject::new("client", "an IP address");

type Read = std::result::Result<(), Reject>;

/// A line without what multilog or syslog put before it.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    line: Line<'a>,
    program: Program,
    text: &'a [u8],
}

impl<'a> Entry<'a> {
    /// The program is the tag of the syslog head, or stands behind a time of its own:
    /// `@4000... tcpserver: `, `1157520813.485077 rblsmtpd: `.
    fn parse(line: &Line<'a>) -> Option<Self> {
        // splogger's tag can be any word, a program's among them.
        let (time, whole) = take_stamp(line.body);
        let stamped = Line { time: time.or(line.time), ..*line };
        if let Some((program, text)) = take_program(whole) {
            return Some(Self { line: stamped, program, text });
        }
        if let Some(program) = line.tag.and_then(program_of) {
            return Some(Self { line: *line, program, text: line.body });
        }
        let placed = time.is_some() || line.tag == Some(b"qmail".as_slice());
        let of_queue = placed && QUEUE.iter().any(|start| whole.starts_with(start));
        of_queue.then_some(Self { line: stamped, program: Program::Queue, text: whole })
    }

    /// `ok 4711 host:address:port host:address:ident:port`, or `deny` for `ok`. Names and ident
    /// hold neither blanks nor colons: the server writes `?` for them.
    fn connection(&self, out: &mut Vec<MailRecord<'a>>) -> Read {
        let denied = self.text.starts_with(b"deny ");
        let rest = self.text.strip_prefix(b"ok ").or_else(|| self.text.strip_prefix(b"deny "));
        let Some(rest) = rest else { return Ok(()) };
        let (pid, rest) = split_once(rest, b' ').ok_or(ENDS)?;
        let (local, remote) = split_once(rest, b' ').ok_or(ENDS)?;
        let (local_ip, local_port) = parse_local(local).ok_or(ENDS)?;
        let (client, client_port) = parse_remote(remote).ok_or(ENDS)?;
        if OTHER_SERVICES.contains(&local_port) {
            return Ok(());
        }
        let mut say = |fact| {
            out.push(MailRecord {
                client: Some(client),
                client_port: Some(client_port),
                local_ip,
                local_port: Some(local_port),
                ..MailRecord::new(&self.line, session(pid), fact)
            });
        };
        say(Fact::Connect);
        if denied {
            let (answer, weight) = (Answer::NotSent, Weight::Proof);
            say(Fact::Helo { answer, weight, name: None });
            say(Fact::Refused);
            say(Fact::Disconnect { end: End::Lost, summary: None });
        }
        Ok(())
    }

    /// `address pid 4711: 451 text`, with the list's name before the second colon in some
    /// versions; `list blocked address host -` in the first ones.
    fn blocked(&self, out: &mut Vec<MailRecord<'a>>) -> Read {
        if self.text.starts_with(b"fatal: ") || self.text.starts_with(b"usage: ") {
            return Ok(());
        }
        let (first, rest) = split_once(self.text, b' ').ok_or(CLIENT)?;
        if let Some(blocked) = rest.strip_prefix(b"blocked ") {
            let client = parse_ip(until_any(blocked, b" ")).ok_or(CLIENT)?;
            self.only_line(client, out);
            return Ok(());
        }
        let Some(rest) = rest.strip_prefix(b"pid ") else { return Ok(()) };
        let client = parse_ip(first).ok_or(CLIENT)?;
        let pid = until_any(rest, b": ");
        let said = rest.get(pid.len()..).unwrap_or_default();
        let fact = if refuses(said) { Fact::Refused } else { Fact::Seen };
        self.push(client, session(pid), fact, out);
        Ok(())
    }

    /// Lines that patches add: `421 badiprbl: ip address rbl: list` and `pid 4711 from address ...`.
    fn smtpd(&self, out: &mut Vec<MailRecord<'a>>) -> Read {
        if let Some(rest) = self.text.strip_prefix(b"pid ") {
            let Some((pid, rest)) = split_once(rest, b' ') else { return Ok(()) };
            let Some(rest) = rest.strip_prefix(b"from ") else { return Ok(()) };
            let client = parse_ip(until_any(rest, b" ")).ok_or(CLIENT)?;
            self.push(client, session(pid), Fact::Seen, out);
            return Ok(());
        }
        let Some((code, rest)) = split_once(self.text, b' ') else { return Ok(()) };
        if let Some(address) = rest.strip_prefix(b"badiprbl: ip ")
            && parse_decimal(code).is_some()
        {
            let client = parse_ip(until_any(address, b" ")).ok_or(CLIENT)?;
            self.only_line(client, out);
        }
        Ok(())
    }

    /// A refusal that names no process: nothing else is known to be of its session.
    fn only_line(&self, client: IpAddr, out: &mut Vec<MailRecord<'a>>) {
        let subject = Subject::Session(key(&[b"qmail=", self.line.raw]));
        self.push(client, subject, Fact::Refused, out);
        let over = Fact::Disconnect { end: End::Untold, summary: None };
        self.push(client, subject, over, out);
    }

    fn push(
        &self,
        client: IpAddr,
        subject: Subject,
        fact: Fact<&'a [u8]>,
        out: &mut Vec<MailRecord<'a>>,
    ) {
        out.push(MailRecord { client: Some(client), ..MailRecord::new(&self.line, subject, fact) });
    }
}

/// The session that a process serves: tcpserver's child becomes rblsmtpd and then qmail-smtpd.
fn session(pid: &[u8]) -> Subject {
    Subject::Session(key(&[b"qmail", pid]))
}

fn program_of(name: &[u8]) -> Option<Program> {
    PROGRAMS.iter().find(|(known, _)| *known == name).map(|(_, program)| *program)
}

/// `tcpserver: ` and what follows.
fn take_program(text: &[u8]) -> Option<(Program, &[u8])> {
    let name = before(text.get(..16).unwrap_or(text), b": ")?;
    let rest = text.get(name.len().saturating_add(2)..)?;
    Some((program_of(name)?, rest))
}

/// A time before the text: a TAI64N label, or seconds with a fraction as splogger writes them.
fn take_stamp(text: &[u8]) -> (Option<LogTime>, &[u8]) {
    let read = LogTime::parse_tai64n(text).or_else(|| {
        let length = text.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        let epoch = text.get(..length).filter(|epoch| epoch.contains(&b'.'))?;
        Some((LogTime::parse_epoch(epoch)?, length))
    });
    let stamped =
        read.and_then(|(time, length)| Some((Some(time), text.get(length..)?.strip_prefix(b" ")?)));
    stamped.unwrap_or((None, text))
}

/// Whether what rblsmtpd wrote behind the process refuses: `: 451 text`, `list: 553 text`, but not
/// `: greetdelay: 20` or `: [RBL info] text`.
fn refuses(said: &[u8]) -> bool {
    let answer = match said.strip_prefix(b": ") {
        Some(answer) => Some(answer),
        None => split_once(said, b':').and_then(|(_, rest)| rest.strip_prefix(b" ")),
    };
    answer.and_then(|answer| answer.first_chunk()).is_some_and(|[class, tens, ones, blank]| {
        b"45".contains(class) && tens.is_ascii_digit() && ones.is_ascii_digit() && *blank == b' '
    })
}

/// `host:address:port`.
fn parse_local(text: &[u8]) -> Option<(Option<IpAddr>, u16)> {
    let (_, rest) = split_once(text, b':')?;
    let (address, port) = split_last(rest)?;
    Some((parse_address(address), parse_port(port)?))
}

/// `host:address:ident:port`. The ident is the client's own word: an IPv4 address ends at the
/// first colon behind it, and the port stands last.
fn parse_remote(text: &[u8]) -> Option<(IpAddr, u16)> {
    let (_, rest) = split_once(text, b':')?;
    let (rest, port) = split_last(rest)?;
    let first = until_any(rest, b":");
    let client = match parse_ip(first) {
        Some(client) => client,
        None => parse_address(split_last(rest)?.0)?,
    };
    Some((client, parse_port(port)?))
}

fn split_last(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b':', text)?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

/// An address; the server may have written `?` for its colons.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    parse_ip(text).or_else(|| {
        let short = text.get(..45).unwrap_or(text);
        let colons: Vec<u8> = short.iter().map(|&b| if b == b'?' { b':' } else { b }).collect();
        parse_ip(&colons).filter(|_| short.len() == text.len())
    })
}

#[cfg(test)]
mod tests;
