//! What syslog relays and journals put before a line. In: a raw line. Out: a [`Line`] whose body,
//! time, host, tag and pid are cut out, whatever the head's style; a line without a head is all
//! body.
//!
//! Read are RFC 3164 with its dialects (no host, a year, a weekday, ISO times as rsyslog and
//! journald write them), RFC 5424, a PRI or an octet count (RFC 6587) before either, a BOM, and
//! one head inside another (a relay's before the sender's: the inner one is the record's own).
//! JSON and CSV around a line are `logs::wrapping`'s.

mod last_heads;

use crate::logs::clock::LogTime;
use crate::logs::line::Line;
use last_heads::KnownNames;

pub use last_heads::{Known, LastHeads};

/// Heads within heads that are opened.
const MOST_HEADS: usize = 3;

/// Takes a raw line out of its syslog head or heads.
pub fn open(raw: &[u8]) -> Line<'_> {
    open_next(raw, &mut LastHeads::<'_, ()>::default()).line
}

/// A line that was opened after another of its log.
#[derive(Debug)]
pub struct Opened<'a, 'n, N> {
    /// The line.
    pub line: Line<'a>,
    /// Whether its time is certain to be that of the line before.
    pub same_time: bool,
    /// What was noted of its host and tag, if they are remembered.
    pub notes: Option<&'n mut N>,
}

/// The same, for a line that follows another of its log.
pub fn open_next<'a, 'n, N: Copy + Default>(
    raw: &'a [u8],
    last: &'n mut LastHeads<'a, N>,
) -> Opened<'a, 'n, N> {
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    if let Some(Usual { line, same_time, names }) = open_usual(raw, last) {
        return Opened { line, same_time, notes: names.and_then(|names| last.notes(names)) };
    }
    last.pass_over_time();
    Opened { line: open_unusual(raw), same_time: false, notes: None }
}

/// Opens a line by trying all that may stand at its beginning.
fn open_unusual(raw: &[u8]) -> Line<'_> {
    let mut line = Line::bare(raw);
    let mut rest = raw;
    for _ in 0..MOST_HEADS {
        let Some(inner) = open_one(raw, rest) else { break };
        line = Line { host: inner.host.or(line.host), time: inner.time.or(line.time), ..inner };
        if line.tag.is_some() {
            break;
        }
        rest = line.body;
    }
    line
}

/// `Nov  2 10:00:00 mx1 postfix/smtpd[12]: ...`, the head of most lines of most logs, which is worth
/// a way of its own: fixed columns for the time, then a host and a tag that cannot be mistaken for
/// anything else. Cisco's `Nov 02 2026 10:00:00 fw1 : %ASA-6-302013: ...` is read too. Whatever is
/// the least unusual is left to the general way.
fn open_usual<'a, N: Copy + Default>(
    raw: &'a [u8],
    last: &mut LastHeads<'a, N>,
) -> Option<Usual<'a>> {
    let (time, same_time, text) = usual_time(raw, last)?;
    if let Some((names, known)) = last.names_of(text) {
        let line = known.open(raw, text, time)?;
        return Some(Usual { line, same_time, names: Some(names) });
    }
    let rest = text.strip_prefix(b" ")?;
    // A lower-case letter: no year, no zone, no second time.
    rest.first().filter(|b| b.is_ascii_lowercase())?;
    let host_end = rest.iter().position(|&b| !is(b, IN_PLAIN_HOST))?;
    let host = rest.get(..host_end)?;
    let after = rest.get(host_end..)?.strip_prefix(b" ")?;
    if host.len() > 255 || host.contains(&b'.') && skip_priority_word(rest).is_some() {
        return None;
    }
    let after = after.strip_prefix(b": ").unwrap_or(after);
    let (tag, pid, body) = tag_at_start(after)?;
    let names = KnownNames::of(text, host, tag).map(|names| last.remember(names));
    let line = Line { raw, body, time: Some(time), host: Some(host), tag: Some(tag), pid };
    Some(Usual { line, same_time, names })
}

/// A line with a usual head.
struct Usual<'a> {
    line: Line<'a>,
    same_time: bool,
    /// Where its host and tag are remembered.
    names: Option<usize>,
}

/// The time in its fixed columns, with or without a year, whether it is that of the line before, and
/// what follows.
fn usual_time<'a, N: Copy + Default>(
    raw: &'a [u8],
    last: &mut LastHeads<'a, N>,
) -> Option<(LogTime, bool, &'a [u8])> {
    if let Some(taken) = last.take_time(raw) {
        return Some(taken);
    }
    last.pass_over_time();
    let time = LogTime::parse_rfc3164_year_columns(raw.first_chunk()?)?;
    Some((time, false, raw.get(20..)?))
}

/// Opens one head at the start of `text`.
fn open_one<'a>(raw: &'a [u8], text: &'a [u8]) -> Option<Line<'a>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let after_pri = skip_pri(text);
    // Cisco's EMBLEM style: `<166>:Nov  2 10:00:00 UTC: %ASA-...`.
    let after_pri = after_pri.strip_prefix(b":").unwrap_or(after_pri);
    if let Some(line) = after_pri.strip_prefix(b"1 ").and_then(|t| open_rfc5424(raw, t)) {
        return Some(line);
    }
    open_rfc3164(raw, after_pri).or_else(|| {
        // A PRI and no head, as several firewalls send it.
        (after_pri.len() < text.len()).then(|| Line { body: after_pri, ..Line::bare(raw) })
    })
}

/// Cuts `538 ` (octet count) and `<134>` (PRI) off, where they stand.
fn skip_pri(text: &[u8]) -> &[u8] {
    let counted = text.iter().take(7).take_while(|b| b.is_ascii_digit()).count();
    let uncounted = match text.get(counted..) {
        Some([b' ', rest @ ..]) if counted > 0 && rest.starts_with(b"<") => rest,
        _ => text,
    };
    let Some(pri) = uncounted.strip_prefix(b"<") else { return text };
    let digits = pri.iter().take(3).take_while(|b| b.is_ascii_digit()).count();
    match pri.get(digits..) {
        Some([b'>', rest @ ..]) if digits > 0 => rest.trim_ascii_start(),
        _ => text,
    }
}

/// `TIME HOST APP PROCID MSGID SD MSG` (RFC 5424, section 6), after `1 `.
fn open_rfc5424<'a>(raw: &'a [u8], text: &'a [u8]) -> Option<Line<'a>> {
    let (time, rest) = next_word(text)?;
    let time = match time {
        b"-" => None,
        _ => Some(LogTime::parse_iso(time).filter(|(_, used)| *used == time.len())?.0),
    };
    let (host, rest) = next_word(rest)?;
    let (tag, rest) = next_word(rest)?;
    let (pid, rest) = next_word(rest)?;
    let (_, rest) = next_word(rest)?;
    let body = skip_structured_data(rest);
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let given = |word: &'a [u8]| (word != b"-").then_some(word);
    Some(Line { raw, body, time, host: given(host), tag: given(tag), pid: given(pid) })
}

/// What follows `-` or `[id key="value"][...]`; quotes and escapes are honoured. Text that is no
/// structured data is left alone.
fn skip_structured_data(text: &[u8]) -> &[u8] {
    if let Some(rest) = text.strip_prefix(b"-") {
        return rest.strip_prefix(b" ").unwrap_or(rest);
    }
    let mut rest = text;
    while rest.first() == Some(&b'[') {
        let Some(end) = end_of_element(rest) else { return text };
        rest = rest.get(end..).unwrap_or_default();
    }
    rest.strip_prefix(b" ").unwrap_or(rest)
}

/// The number of bytes of an SD-ELEMENT.
fn end_of_element(text: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    let end = text.iter().position(|&b| {
        let closes = b == b']' && !quoted;
        quoted ^= b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    })?;
    end.checked_add(1)
}

/// `TIME [HOST] [TAG[PID]:] MSG` (RFC 3164, section 4, and what is really sent).
fn open_rfc3164<'a>(raw: &'a [u8], text: &'a [u8]) -> Option<Line<'a>> {
    let (time, used) = parse_head_time(text)?;
    let rest = text.get(used..)?;
    let rest = skip_zone_name(rest);
    // `Jun 08 2020 12:59:57: %ASA-...`: no host.
    if let Some(rest) = rest.strip_prefix(b":") {
        return Some(with_tag(raw, rest.trim_ascii_start(), Some(time), None));
    }
    let rest = rest.strip_prefix(b" ")?.trim_ascii_start();
    let rest = skip_bracketed_priority(rest).unwrap_or(rest);
    if tag_at_start(rest).is_some() {
        return Some(with_tag(raw, rest, Some(time), None));
    }
    // OpenWrt's `logread`: no host, but facility and severity.
    if let Some(rest) = skip_priority_word(rest) {
        return Some(with_tag(raw, rest, Some(time), None));
    }
    let (host, rest) = next_word(rest).unwrap_or((rest, b""));
    if !is_host(host) {
        return Some(with_tag(raw, text.get(used..)?.trim_ascii_start(), Some(time), None));
    }
    let rest = rest.trim_ascii_start();
    let rest = skip_priority_word(rest).unwrap_or(rest);
    // `host : %ASA-...`
    let rest = rest.strip_prefix(b": ").unwrap_or(rest);
    Some(with_tag(raw, rest, Some(time), Some(host)))
}

/// The head's time: RFC 3164, the same after a weekday (`Tue Dec 29 12:01:27 2015`), or ISO.
fn parse_head_time(text: &[u8]) -> Option<(LogTime, usize)> {
    if text.first()?.is_ascii_digit() {
        return LogTime::parse_iso(text);
    }
    LogTime::parse_rfc3164(text).or_else(|| {
        let (weekday, rest) = next_word(text)?;
        if weekday.len() != 3 {
            return None;
        }
        let (time, used) = LogTime::parse_rfc3164(rest)?;
        Some((time, used.checked_add(4)?))
    })
}

/// Some senders write `CEST` or `UTC` after the time; the name is not used.
fn skip_zone_name(text: &[u8]) -> &[u8] {
    let Some(rest) = text.strip_prefix(b" ") else { return text };
    if !rest.first().is_some_and(u8::is_ascii_uppercase) {
        return text;
    }
    for zone in [b"UTC".as_slice(), b"GMT", b"CEST", b"CET", b"EST", b"EDT", b"PST", b"PDT"] {
        match rest.strip_prefix(zone) {
            Some(after) if matches!(after.first(), Some(b' ' | b':')) => return after,
            _ => {}
        }
    }
    // Cisco's mark follows any zone's name.
    let letters = rest.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count();
    match rest.get(letters..) {
        Some(after) if (3..=5).contains(&letters) && after.starts_with(b": %") => return after,
        _ => {}
    }
    text
}

/// What stands after `<mail.info> ` or `<2.6> ` at the start: FreeBSD's `syslogd -v`.
fn skip_bracketed_priority(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"<")?;
    let end = inner.iter().take(20).position(|b| *b == b'>')?;
    let (word, rest) = inner.split_at_checked(end)?;
    let plain = word.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'.');
    let rest = rest.strip_prefix(b"> ").filter(|_| plain && word.contains(&b'.'))?;
    Some(rest.trim_ascii_start())
}

/// What stands after a `facility.severity` word (`kern.warn`, `user.info`) at the start.
fn skip_priority_word(text: &[u8]) -> Option<&[u8]> {
    const FACILITIES: [&[u8]; 9] =
        [b"kern", b"user", b"daemon", b"auth", b"authpriv", b"syslog", b"mail", b"cron", b"news"];
    const SEVERITIES: [&[u8]; 11] = [
        b"emerg", b"alert", b"crit", b"err", b"error", b"warn", b"warning", b"notice", b"info",
        b"debug", b"panic",
    ];
    let (word, rest) = next_word(text)?;
    let dot = memchr::memchr(b'.', word)?;
    let (facility, severity) = (word.get(..dot)?, word.get(dot.checked_add(1)?..)?);
    let local = facility.strip_prefix(b"local").is_some_and(|n| n.len() == 1);
    let known = local || FACILITIES.contains(&facility);
    (known && SEVERITIES.contains(&severity)).then(|| rest.trim_ascii_start())
}

fn with_tag<'a>(
    raw: &'a [u8],
    rest: &'a [u8],
    time: Option<LogTime>,
    host: Option<&'a [u8]>,
) -> Line<'a> {
    match tag_at_start(rest) {
        Some((tag, pid, body)) => Line { raw, body, time, host, tag: Some(tag), pid },
        None => Line { raw, body: rest, time, host, tag: None, pid: None },
    }
}

/// A tag, its pid, and what follows.
type Tagged<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);

/// `tag:`, `tag[pid]:` or `tag[pid]` at the start of a message: tag, pid and what follows.
fn tag_at_start(text: &[u8]) -> Option<Tagged<'_>> {
    let head = text.get(..LONGEST_TAG).unwrap_or(text);
    let end = head.iter().position(|&b| is(b, ENDS_TAG))?;
    let tag = text.get(..end).filter(|tag| !tag.is_empty())?;
    match text.get(end..)? {
        [b':', rest @ ..] if rest.is_empty() || rest.starts_with(b" ") => {
            Some((tag, None, rest.trim_ascii_start()))
        }
        [b'[', rest @ ..] => {
            let (pid, body) = pid_at_start(rest)?;
            Some((tag, Some(pid), body))
        }
        _ => None,
    }
}

/// `411]: ` behind a tag and its bracket: the pid and what follows.
#[inline]
fn pid_at_start(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = leading_digits(text);
    let after = text.get(digits..)?.strip_prefix(b"]")?;
    let body = match after {
        [b':', b' ', body @ ..] if body.first().is_some_and(u8::is_ascii_graphic) => body,
        _ => after.strip_prefix(b":").unwrap_or(after).trim_ascii_start(),
    };
    (digits > 0).then(|| (text.get(..digits).unwrap_or_default(), body))
}

/// How many digits a text begins with, at most twelve. Eight bytes are looked at as one number,
/// which has the end of most pids.
#[inline]
fn leading_digits(text: &[u8]) -> usize {
    let repeated = |byte: u8| u64::from_le_bytes([byte; 8]);
    if let Some(chunk) = text.first_chunk() {
        // A digit without its high half is at most 9: more carries into the highest bit of its byte,
        // and what is no ASCII has that bit set. What it carries beyond it only reaches later bytes.
        let word = u64::from_le_bytes(*chunk) ^ repeated(b'0');
        let others = (word.wrapping_add(repeated(0x76)) | word) & repeated(0x80);
        if others != 0 {
            return (others.trailing_zeros() / 8) as usize;
        }
    }
    text.iter().take(12).take_while(|b| b.is_ascii_digit()).count()
}

/// Longest tag, in bytes.
const LONGEST_TAG: usize = 64;

/// Classes of bytes, as bits of [`CLASSES`].
const IN_PLAIN_HOST: u8 = 1;
const ENDS_TAG: u8 = 2;

/// Every byte's classes: looked up once a byte, where several tests would cost as many.
static CLASSES: [u8; 256] = classes();

#[allow(clippy::indexing_slicing, reason = "the index is at most 255, and this runs when built")]
const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut at = 0usize;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            table[at] |= IN_PLAIN_HOST;
        }
        if matches!(byte, b':' | b'[' | b' ' | b'=' | b'"') {
            table[at] |= ENDS_TAG;
        }
        at += 1;
    }
    table
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// Whether a word can be a host: letters, digits and what stands in names and addresses.
fn is_host(word: &[u8]) -> bool {
    !word.is_empty()
        && word.len() <= 255
        && word.iter().all(|b| b.is_ascii_alphanumeric() || b"._-:%/[]".contains(b))
        && word.iter().any(u8::is_ascii_alphanumeric)
        && word.first() != Some(&b'%')
        && word.first() != Some(&b'[')
}

/// The first word and what stands after the blank behind it.
fn next_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b' ', text)?;
    Some((text.get(..at)?, text.get(at.checked_add(1)?..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &Line<'_>) -> String {
        let text = |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or(b"-")).into_owned();
        let time = if line.time.is_some() { "T" } else { "-" };
        format!(
            "{time} {} {} {} {}",
            text(line.host),
            text(line.tag),
            text(line.pid),
            text(Some(line.body))
        )
    }

    #[test]
    fn the_usual_way_reads_as_the_general_one_does() {
        let lines = [
            "Nov  2 10:00:00 mx1 postfix/smtpd[12]: connect",
            "Nov 02 10:00:00 mx1.example.com kernel: [1.2] IN=",
            "Nov 32 10:00:00 mx1 app: x",
            "Nov  2 10:60:00 mx1 app: x",
            "Nov  2 10:00:00 kern.warn kernel: x",
            "Nov  2 10:00:00 mx1 mail.info postfix/qmgr[1]: x",
            "Nov  2 10:00:00 mx1 app[x]: y",
            "Nov  2 10:00:00 mx1  app: y",
            "Nov  2 10:00:00 app: y",
            "Nov  2 10:00:00 a=b: y",
            "nov  2 10:00:00 mx1 app[7]",
            "Feb 29 23:59:60 mx1 app:",
            "Nov  2 10:00:00 mx1 Nov  2 10:00:01 inner app: x",
        ];
        for text in lines {
            let raw = text.as_bytes();
            if let Some(Usual { line: usual, .. }) =
                open_usual(raw, &mut LastHeads::<'_, ()>::default())
            {
                let general = open_one(raw, raw).unwrap();
                assert_eq!(shown(&usual), shown(&general), "{text}");
                assert_eq!(usual.time, general.time, "{text}");
            }
        }
        let usual =
            |line: &'static str| open_usual(line.as_bytes(), &mut LastHeads::<'_, ()>::default());
        assert!(usual(lines[0]).is_some());
        assert!(usual(lines[1]).is_some());
        assert!(usual(lines[2]).is_none());
    }

    /// Lines whose heads differ in every place, damaged or not.
    fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let time = prop::sample::select(vec![
            "Nov  2 10:00:00",
            "Nov  2 10:00:01",
            "Nov  2 10:00:60",
            "Nov  2 10:00:61",
            "Nov  2 10:01:01",
            "Nov 02 2026 10:00:00",
            "2026-11-02T10:00:00.123456+01:00",
            "2026-11-02T10:00:00Z",
            "2026-11-02 10:00:00",
            "2026-11-02T10:00:61Z",
        ]);
        let host =
            prop::sample::select(vec!["mx1", "mx2", "mx1.example", "Mx1", "mail.info", "fw :"]);
        let tag = prop::sample::select(vec![
            "postfix/smtpd[12]:",
            "postfix/smtpd[123456789012]:",
            "postfix/smtpd[1234567890123]:",
            "postfix/smtpd[]:",
            "postfix/smtpd[9] ",
            "postfix/smtp[9]:",
            "kernel:",
            "kernel: ",
            "a b:",
        ]);
        let damage = (0usize..40, prop::sample::select(b" :[]\0\xffaA9.".to_vec()), 0u8..3);
        let line = (time, host, tag, damage).prop_map(|(time, host, tag, (at, byte, damage))| {
            let mut line = format!("{time} {host} {tag} connect from x").into_bytes();
            match damage {
                0 if at < line.len() => line[at] = byte,
                1 => line.truncate(at),
                _ => {}
            }
            line
        });
        // A line may begin as the one before, up to somewhere.
        let ends = ["", " ", "x", " x", ": x", "] x", "  x", "\u{e9}"];
        let repeat = prop::option::of((10usize..60, prop::sample::select(ends.to_vec())));
        prop::collection::vec((line, repeat), 1..24).prop_map(|drawn| {
            let mut lines: Vec<Vec<u8>> = Vec::new();
            for (line, repeat) in drawn {
                lines.push(match (lines.last(), repeat) {
                    (Some(last), Some((at, end))) => {
                        [&last[..at.min(last.len())], end.as_bytes()].concat()
                    }
                    _ => line,
                });
            }
            lines
        })
    }

    proptest! {
        #[test]
        fn a_line_reads_the_same_whatever_was_read_before(lines in lines()) {
            let mut heads = LastHeads::<'_, Option<usize>>::default();
            for (number, line) in lines.iter().enumerate() {
                let mut same_heads = heads.clone();
                if let Some(known) = same_heads.open_known(line) {
                    let alone = open(line);
                    let opened = (Some(known.time), Some(known.host), known.pid, known.body);
                    prop_assert_eq!(opened, (alone.time, alone.host, alone.pid, alone.body));
                    if known.same_time {
                        prop_assert_eq!(open(&lines[number - 1]).time, alone.time);
                    }
                    let first = known.notes.map(|first: usize| open(&lines[first]));
                    prop_assert!(first.is_none_or(|first| first.tag == alone.tag));
                    heads = same_heads;
                    continue;
                }
                let (next, alone) = (open_next(line, &mut heads), open(line));
                let known = next.line;
                prop_assert_eq!(shown(&known), shown(&alone));
                prop_assert_eq!((known.time, known.raw), (alone.time, alone.raw));
                if next.same_time {
                    prop_assert_eq!(open(&lines[number - 1]).time, alone.time);
                }
                if let Some(noted) = next.notes {
                    let first = open(&lines[*noted.get_or_insert(number)]);
                    prop_assert_eq!((first.host, first.tag), (alone.host, alone.tag));
                    prop_assert!(alone.tag.is_some());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn digits_are_counted(text in "[0-9]{0,13}[ -~\u{80}\u{ff}]{0,9}") {
            let count = text.bytes().take(12).take_while(u8::is_ascii_digit).count();
            prop_assert_eq!(leading_digits(text.as_bytes()), count);
        }
    }

    #[test]
    fn heads_of_every_style() {
        let cases = [
            ("Nov  2 10:00:00 mx1 postfix/smtpd[12]: connect", "T mx1 postfix/smtpd 12 connect"),
            ("<22>Nov  2 10:00:00 mx1 sshd[1]: x", "T mx1 sshd 1 x"),
            ("2026-11-02T10:00:00.1+01:00 mx1 kernel: [1.2] IN=", "T mx1 kernel - [1.2] IN="),
            ("Nov  2 10:00:00 filterlog[722]: 5,,,1", "T - filterlog 722 5,,,1"),
            ("Nov 02 2026 10:00:00: %ASA-6-302013: Built", "T - %ASA-6-302013 - Built"),
            ("Nov 02 2026 10:00:00 fw : %ASA-6-302013: Built", "T fw %ASA-6-302013 - Built"),
            ("Nov  2 10:00:00 WEST: %ASA-6-302013: Built", "T - %ASA-6-302013 - Built"),
            ("<166>:Nov  2 10:00:00 UTC: %ASA-6-302013: Built", "T - %ASA-6-302013 - Built"),
            ("<14>Nov  2 10:00:00 pa-1 1,2026/11/02 10:00:00", "T pa-1 - - 1,2026/11/02 10:00:00"),
            ("Nov  2 10:00:00 relay Nov  2 09:59:59 fw app: x", "T fw app - x"),
            ("[  133.92] Inbound IN=eth1", "- - - - [  133.92] Inbound IN=eth1"),
            ("Mon Nov  2 10:00:00 2026 kern.warn kernel: DROP", "T - kernel - DROP"),
            ("Nov  2 10:00:00 gw user.info kernel: DROP", "T gw kernel - DROP"),
            ("Nov  2 10:00:00 <mail.info> mx1 sm-mta[7]: x", "T mx1 sm-mta 7 x"),
            ("Nov  2 10:00:00 <2.6> mx1 sm-mta[7]: x", "T mx1 sm-mta 7 x"),
            ("538 <14>1 2026-11-02T10:00:00Z fw app 7 ID [a@1 k=\"]\"] text", "T fw app 7 text"),
            ("<189>date=2026-11-02 time=10:00:00", "- - - - date=2026-11-02 time=10:00:00"),
            ("<14>1 - - - - - - text", "- - - - text"),
            ("<14>1 2026-11-02T10:00:00Z fw app - - - \u{feff}text", "T fw app - text"),
            ("date=2026-11-02 time=10:00:00", "- - - - date=2026-11-02 time=10:00:00"),
            ("", "- - - - "),
            ("<>", "- - - - <>"),
            ("Nov  2 10:00:00", "- - - - Nov  2 10:00:00"),
        ];
        for (raw, expected) in cases {
            assert_eq!(shown(&open(raw.as_bytes())), expected, "{raw}");
        }
    }
}
