//! Linux netfilter `LOG`: iptables, nftables, UFW, Shorewall, SuSEfirewall2, EdgeOS/VyOS/UniFi,
//! Proxmox, OpenWrt.
//!
//! `Nov  2 10:00:00 fw1 kernel: [12.345] [UFW BLOCK] IN=eth0 OUT= MAC=.. SRC=198.51.100.7
//! DST=203.0.113.25 LEN=60 .. PROTO=TCP SPT=40001 DPT=25 WINDOW=64240 RES=0x00 SYN URGP=0`
//!
//! Document: the kernel's `net/netfilter/nf_log_syslog.c`; iptables-extensions(8), LOG. The kernel
//! writes no verdict: it is in the administrator's prefix or nowhere, so the usual words are read
//! and the prefix is handed on. Skipped: everything but TCP, the packet that an ICMP error quotes,
//! fragments without ports, sysklogd's `last message repeated` (it names no packet).

use crate::logs::clock::LogTime;
use crate::logs::fields::{Mark, before, words};
use crate::logs::firewall::ends::{Parsed, REPEATED, conclude, end, unwrap_repetition};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome};
use crate::model::flow::{Action, Packet};
use crate::model::net::parse_decimal;
use memchr::memmem::Finder;

/// Linux netfilter.
pub(super) struct Format;

static IN: Mark = Mark::new(|| Finder::new(b"IN="));
static OUT: Mark = Mark::new(|| Finder::new(b"OUT="));
static SRC: Mark = Mark::new(|| Finder::new(b"SRC="));
static DST: Mark = Mark::new(|| Finder::new(b" DST="));
static PROTO: Mark = Mark::new(|| Finder::new(b" PROTO="));
static DESCRIBED: Mark = Mark::new(|| Finder::new(b"DESCR=\""));
static KERNEL: Mark = Mark::new(|| Finder::new(b"kernel:"));

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "netfilter"
    }

    fn product(&self) -> &'static str {
        "Linux netfilter LOG (iptables, nftables, UFW, Shorewall, SuSE, EdgeOS, UniFi, Proxmox, OpenWrt)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"SRC=", b"DST=", b"PROTO=TCP", b"SPT=", b"DPT="]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        let in_order = [&SRC, &DST, &PROTO].into_iter().try_fold(line.raw, |text, mark| {
            let at = mark.find(text)?;
            text.get(at..)
        });
        in_order.is_some() && is_kernel_tag(line)
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!("DPT={port} ").into_bytes()]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        conclude(parse_packet(line), out)
    }
}

/// Whether the tag can be a kernel's or none at all. A program with a pid that is no logger of
/// packets (`postfix/smtpd[12]`) may quote text of strangers that looks like a packet.
fn is_kernel_tag(line: &Line<'_>) -> bool {
    const LOGGERS: [&[u8]; 6] = [b"kern", b"log", b"fw", b"ipt", b"wall", b"netfilter"];
    match (line.tag, line.pid) {
        (Some(tag), Some(_)) => {
            let holds = |word: &&[u8]| tag.windows(word.len()).any(|part| part == *word);
            LOGGERS.iter().any(holds) && !tag.contains(&b'/')
        }
        _ => true,
    }
}

fn parse_packet<'a>(line: &Line<'a>) -> Parsed<'a> {
    let text = if line.pid.is_some() { line.body } else { line.from_tag() };
    let (mut head, mut packet) = split_prefix(text);
    let mut count = 1;
    if REPEATED.find(head).is_some() {
        let (message, times) = unwrap_repetition(text);
        (head, packet) = split_prefix(message);
        count = times;
    }
    let packet = PacketWords::read(packet);
    if !matches!(packet.protocol, b"TCP" | b"tcp" | b"6") || packet.part == Part::Piece {
        return Ok(None);
    }
    let src = end((Some(packet.src), "SRC"), (Some(packet.spt), "SPT"))?;
    let dst = end((Some(packet.dst), "DST"), (Some(packet.dpt), "DPT"))?;
    let (own_time, prefix) = split_own_head(head);
    let verdict = action_of(prefix);
    let mut record = FlowRecord::new(line, verdict, src, dst);
    record.time = line.time.or(own_time);
    record.packet = packet.flags.kind();
    record.count = count;
    record.prefix = Some(prefix);
    record.join = twin_of(prefix, &packet);
    Ok(Some(record))
}

/// UFW at `logging medium` and above writes `[UFW AUDIT]` beside the verdict's line of the same
/// packet, microseconds apart, with the same IP identification. It mostly comes first and then
/// stands as a source seen without a verdict, which the verdict's line says too.
fn twin_of(prefix: &[u8], packet: &PacketWords<'_>) -> Option<Join> {
    if !prefix.starts_with(b"[UFW ") || packet.id.is_empty() {
        return None;
    }
    let facts = (packet.src, packet.dst, packet.spt, packet.dpt, packet.id, packet.flags.0);
    Some(Join::new(JoinRule::Verdict { within: 1 }, facts))
}

/// Splits at the first `IN=` or `OUT=` (Proxmox writes no `IN=` for outgoing packets), where the
/// kernel's own text begins. A UniFi description between prefix and packet is skipped.
fn split_prefix(text: &[u8]) -> (&[u8], &[u8]) {
    // Each mark counts only before the one that was found so far.
    let start = [&IN, &OUT, &SRC].into_iter().fold(text.len(), |start, mark| {
        mark.find(text.get(..start).unwrap_or_default()).unwrap_or(start)
    });
    let found = text.split_at_checked(start).filter(|(_, packet)| !packet.is_empty());
    let (head, packet) = found.unwrap_or((b"", text));
    let described = DESCRIBED.find(head).and_then(|at| split_described(text, at));
    described.unwrap_or((head, packet))
}

/// `PREFIX DESCR="TEXT" IN=`: the text is the administrator's and may hold quotes: its end is the
/// last one before `IN=`.
fn split_described(text: &[u8], at: usize) -> Option<(&[u8], &[u8])> {
    let rest = text.get(at.checked_add(7)?..)?;
    let ends = |mark: &[u8]| rest.windows(mark.len()).position(|part| part == mark);
    let end = ends(b"\" IN=").or_else(|| ends(b"\" OUT="))?;
    Some((text.get(..at)?, rest.get(end..)?))
}

/// Cuts what stands before the prefix: `kernel:`, uptime in brackets, a time in brackets
/// (`dmesg -T`), a priority, Proxmox's `101 1 tap101i0-IN 20/Jun/2022:13:12:46 +0200`.
fn split_own_head(head: &[u8]) -> (Option<LogTime>, &[u8]) {
    let mut time = None;
    let mut rest = head;
    while let Some(at) = KERNEL.find(rest) {
        rest = rest.get(at.saturating_add(7)..).unwrap_or_default();
    }
    rest = rest.trim_ascii();
    if let Some((found, after)) = proxmox_head(rest) {
        return (Some(found), after.trim_ascii());
    }
    while let Some((found, after)) = bracketed_time(rest).or_else(|| priority(rest)) {
        time = time.or(found);
        rest = after.trim_ascii_start();
    }
    (time, skip_second_host(rest))
}

/// UniFi names the host twice: a bare word before the bracket of the rule.
fn skip_second_host(prefix: &[u8]) -> &[u8] {
    let Some(at) = prefix.windows(2).position(|pair| pair == b" [") else { return prefix };
    let (word, rest) = prefix.split_at_checked(at).unwrap_or((prefix, b""));
    let is_rule = rest.ends_with(b"]") && rest.contains(&b'-');
    if is_rule && !word.contains(&b' ') { rest.trim_ascii_start() } else { prefix }
}

/// `VMID LOGLEVEL CHAIN DATE:TIME ZONE` and what follows.
fn proxmox_head(text: &[u8]) -> Option<(LogTime, &[u8])> {
    let mut rest = text;
    text.first().filter(|digit| digit.is_ascii_digit())?;
    for _ in 0..3 {
        let blank = memchr::memchr(b' ', rest)?;
        rest = rest.get(blank..)?.trim_ascii_start();
    }
    let (time, used) = LogTime::parse_clf(rest)?;
    Some((time, rest.get(used..)?))
}

/// `[  133.920000]` (uptime: no time) or `[Tue Dec 29 12:01:27 2015]`.
fn bracketed_time(text: &[u8]) -> Option<(Option<LogTime>, &[u8])> {
    let inner = before(text.strip_prefix(b"[")?, b"]")?;
    let rest = text.get(inner.len().checked_add(2)?..)?;
    let digits = inner.trim_ascii();
    if !digits.is_empty() && digits.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
        return Some((None, rest));
    }
    let (time, _) = LogTime::parse_rfc3164(inner.get(4..)?)?;
    Some((Some(time), rest))
}

/// `<4>` in the middle of a line.
fn priority(text: &[u8]) -> Option<(Option<LogTime>, &[u8])> {
    let digits = before(text.strip_prefix(b"<")?, b">")?;
    parse_decimal(digits).filter(|n| *n < 192)?;
    Some((None, text.get(digits.len().checked_add(2)?..)?))
}

/// What the administrator's prefix says, by the usual words.
fn action_of(prefix: &[u8]) -> Action {
    if let Some(action) = rule_letter(prefix) {
        return action;
    }
    let text = prefix.strip_prefix(b"Shorewall:").map_or(prefix, shorewall_disposition);
    action_of_words(text)
}

/// What the usual words in an administrator's text say, whatever their case; nothing where they
/// contradict each other.
pub(super) fn action_of_words(text: &[u8]) -> Action {
    let mut said = (false, false);
    for word in text.to_ascii_uppercase().split(|b| !b.is_ascii_uppercase()) {
        match verdict_of_word(word) {
            Action::Allow => said.0 = true,
            Action::Deny => said.1 = true,
            Action::Close | Action::Unknown => {}
        }
    }
    match said {
        (true, false) => Action::Allow,
        (false, true) => Action::Deny,
        // `ACCEPT-OR-DROP`: the policy's verdicts may know.
        _ => Action::Unknown,
    }
}

/// `Shorewall:CHAIN:DISPOSITION:`, with a rule's number between them if asked: the disposition.
fn shorewall_disposition(text: &[u8]) -> &[u8] {
    text.rsplit(|&b| b == b':').find(|part| !part.is_empty()).unwrap_or(text)
}

/// EdgeOS, VyOS and UniFi end the rule's name with a letter: `[WAN_LOCAL-default-D]`,
/// `[WAN_IN-A-20001]`. `RET` (back to the calling chain) is no verdict.
fn rule_letter(prefix: &[u8]) -> Option<Action> {
    let name = prefix.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let mut parts = name.rsplit(|&b| b == b'-');
    let mut last = parts.next()?;
    if last.iter().all(u8::is_ascii_digit) {
        last = parts.next()?;
    }
    parts.next()?;
    match last {
        b"A" => Some(Action::Allow),
        b"D" | b"R" => Some(Action::Deny),
        b"RET" => Some(Action::Unknown),
        _ => None,
    }
}

/// A word of capitals: what it says, whatever is glued to its end or start (`BLOCKED`, `DROPLOG`,
/// `FWDROP`).
fn verdict_of_word(word: &[u8]) -> Action {
    const DENY: [&[u8]; 6] = [b"DROP", b"DENY", b"DENIED", b"REJECT", b"BLOCK", b"DISALLOW"];
    const ALLOW: [&[u8]; 3] = [b"ACCEPT", b"ALLOW", b"PERMIT"];
    let at_edge = |mark: &&[u8]| word.starts_with(mark) || word.ends_with(mark);
    match word {
        b"REJ" | b"DRP" | b"DISCARD" | b"DISCARDED" => Action::Deny,
        b"ACC" | b"PASS" | b"PASSED" | b"ACPT" => Action::Allow,
        // The shortest that may stand at an edge.
        _ if word.len() < 4 => Action::Unknown,
        _ if DENY.iter().any(at_edge) => Action::Deny,
        _ if ALLOW.iter().any(at_edge) => Action::Allow,
        _ => Action::Unknown,
    }
}

/// Whether a packet has a whole TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    Whole,
    /// A later fragment or a header that was cut: no ports.
    Piece,
}

/// TCP flags seen, one bit each, and whether the line prints them at all.
#[derive(Clone, Copy, Default)]
struct Flags(u8);

impl Flags {
    const PRINTED: u8 = 1;
    const SYN: u8 = 2;
    const ACK: u8 = 4;
    const OTHER: u8 = 8;

    fn kind(self) -> Packet {
        match self.0 {
            0 => Packet::Connection,
            bits if bits & Self::SYN != 0 && bits & Self::ACK == 0 => Packet::Syn,
            _ => Packet::Stray,
        }
    }
}

/// The words of the kernel's text that matter; the first of each key counts.
#[derive(Default)]
struct PacketWords<'a> {
    src: &'a [u8],
    dst: &'a [u8],
    protocol: &'a [u8],
    spt: &'a [u8],
    dpt: &'a [u8],
    id: &'a [u8],
    flags: Flags,
    part: Part,
}

impl<'a> PacketWords<'a> {
    /// One pass over the words, each told by its first four bytes: a line has some twenty words,
    /// and this is most of what reading it costs.
    fn read(text: &'a [u8]) -> Self {
        let mut packet = Self::default();
        // Interfaces and the long hardware address stand before it.
        let start = SRC.find(text).unwrap_or(0);
        for word in words(text.get(start..).unwrap_or_default()) {
            match word.split_first_chunk::<4>() {
                // What follows is the packet that an ICMP error quotes.
                Some((b"[SRC", [b'=', ..])) => break,
                Some((start, rest)) => packet.take(*start, rest, word),
                None => packet.take_flag(word),
            }
        }
        packet
    }

    /// Takes a word of at least four bytes: a key with its value, mostly.
    fn take(&mut self, start: [u8; 4], rest: &'a [u8], word: &'a [u8]) {
        let (slot, value) = match (&start, rest) {
            (b"SRC=", value) => (&mut self.src, value),
            (b"DST=", value) => (&mut self.dst, value),
            (b"SPT=", value) => (&mut self.spt, value),
            (b"DPT=", value) => (&mut self.dpt, value),
            (b"PROT", [b'O', b'=', value @ ..]) => (&mut self.protocol, value),
            ([b'I', b'D', b'=', _], _) => (&mut self.id, word.get(3..).unwrap_or_default()),
            (b"RES=", _) | (b"WIND", [b'O', b'W', b'=', ..]) => {
                self.flags.0 |= Flags::PRINTED;
                return;
            }
            (b"FRAG", [b':', ..]) if self.spt.is_empty() => return self.part = Part::Piece,
            (b"INCO", b"MPLETE") => return self.part = Part::Piece,
            _ => return,
        };
        if slot.is_empty() {
            *slot = value;
        }
    }

    fn take_flag(&mut self, word: &[u8]) {
        match word {
            [b'S', b'Y', b'N'] => self.flags.0 |= Flags::SYN,
            [b'A', b'C', b'K'] => self.flags.0 |= Flags::ACK,
            [b'F', b'I', b'N'] | [b'R', b'S', b'T'] | [b'P', b'S', b'H'] | [b'U', b'R', b'G'] => {
                self.flags.0 |= Flags::OTHER;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::firewall::testing::told;

    const SYN: &str = "IN=eth0 OUT= MAC= SRC=198.51.100.7 DST=203.0.113.25 LEN=60 TOS=0x00 TTL=52 \
                       ID=1 DF PROTO=TCP SPT=40001 DPT=25 WINDOW=64240 RES=0x00 SYN URGP=0";

    #[test]
    fn prefixes_say_the_action_by_the_usual_words() {
        let cases = [
            ("[UFW BLOCK]", Action::Deny),
            ("[UFW LIMIT BLOCK]", Action::Deny),
            ("[UFW ALLOW]", Action::Allow),
            ("[UFW AUDIT]", Action::Unknown),
            ("[UFW AUDIT INVALID]", Action::Unknown),
            ("[WAN_LOCAL-default-D]", Action::Deny),
            ("[WAN_LOCAL-10-R]", Action::Deny),
            ("[Block_Bad-A-20001]", Action::Allow),
            ("[LAN_LOCAL-RET-2147483647]", Action::Unknown),
            ("[netfilter-INPUT]", Action::Unknown),
            ("Shorewall:drop-log:ACCEPT:", Action::Allow),
            ("Shorewall:net-fw:3:DROP:", Action::Deny),
            ("Shorewall:logdrop:", Action::Deny),
            ("SFW2-INext-ACC-TCP", Action::Allow),
            ("SFW2-INext-DROP-DEFLT", Action::Deny),
            ("PVEFW-reject:", Action::Deny),
            ("IPTABLES:BLOCKED-CONN:", Action::Deny),
            ("iptables denied:", Action::Deny),
            ("fwdrop", Action::Deny),
            ("disallowed", Action::Deny),
            ("DROP(src wan)", Action::Deny),
            ("Packet Accepted", Action::Allow),
            ("ACCESS", Action::Unknown),
            ("INBOUND TCP:", Action::Unknown),
            ("FIREWALL_OUT", Action::Unknown),
            ("ACCEPT-OR-DROP", Action::Unknown),
            ("", Action::Unknown),
        ];
        for (prefix, expected) in cases {
            assert_eq!(action_of(prefix.as_bytes()), expected, "{prefix}");
        }
    }

    #[test]
    fn heads_leave_time_host_and_prefix() {
        let ends = "198.51.100.7:40001 > 203.0.113.25:25 syn";
        let cases = [
            (
                "Nov  2 10:00:00 fw1 kernel: [1.2] [UFW BLOCK] ",
                "2026-11-02T10:00:00Z deny",
                "@fw1",
                "[UFW BLOCK]",
            ),
            ("Nov  2 10:00:00 fw1 kernel:DROP ", "2026-11-02T10:00:00Z deny", "@fw1", "DROP"),
            ("Nov  2 10:00:00 DENY: ", "2026-11-02T10:00:00Z deny", "", "DENY:"),
            ("[Mon Nov  2 10:00:00 2026] x:", "2026-11-02T10:00:00Z unknown", "", "x:"),
            ("[  1.200000] x ", "- unknown", "", "x"),
            (
                "7 1 tap7i0-IN 02/Nov/2026:11:00:00 +0100 policy DROP: ",
                "2026-11-02T10:00:00Z deny",
                "",
                "policy DROP:",
            ),
            (
                "Nov  2 10:00:00 u u [W-D-7] DESCR=\"a \" b\" ",
                "2026-11-02T10:00:00Z deny",
                "@u",
                "[W-D-7]",
            ),
            ("<4>", "- unknown", "", ""),
        ];
        for (head, start, device, prefix) in cases {
            let device = if device.is_empty() { String::new() } else { format!("{device} ") };
            let expected = format!("{start} {ends} {device}prefix={prefix}");
            assert_eq!(told(&Format, &format!("{head}{SYN}")), expected, "{head}");
        }
    }

    #[test]
    fn what_is_no_connection() {
        let quoting = "Nov  2 10:00:00 mx1 postfix/smtpd[7]: warning: ";
        let cases = [
            (format!("k: {}", SYN.replace("PROTO=TCP", "PROTO=UDP")), "ignored"),
            (format!("k: {}", SYN.replace("DPT=25", "DPT=65536")), "rejected DPT"),
            (format!("k: {}", SYN.replace("SPT=40001 ", "")), "rejected SPT"),
            (format!("k: {}", SYN.replace("198.51.100.7", "198.51.100")), "rejected SRC"),
            (format!("{quoting}{SYN}"), "not recognised"),
            (
                "TTL=126 ID=1 DF PROTO=TCP SPT=1 DPT=25 WINDOW=1 RES=0x00 ACK".to_owned(),
                "not recognised",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(told(&Format, &line), expected, "{line}");
        }
    }

    #[test]
    fn repetitions_are_counted() {
        let line = format!("Nov  2 10:00:00 fw1 kernel: message repeated 2 times: [ DROP {SYN}]");
        let expected = "2026-11-02T10:00:00Z deny 198.51.100.7:40001 > 203.0.113.25:25 syn x2 \
                        @fw1 prefix=DROP";
        assert_eq!(told(&Format, &line), expected);
    }

    #[test]
    fn audit_lines_and_verdicts_of_a_packet_share_a_key() {
        let key = |prefix: &str, id: &str| {
            let raw = format!("Nov  2 10:00:00 fw1 kernel: {prefix} {SYN}").replace("ID=1", id);
            let line = crate::logs::envelope::open(raw.as_bytes());
            let mut records = Vec::new();
            Format.parse(&line, &Columns::NONE, &mut records);
            records.first().and_then(|record| record.join).map(|join| join.key)
        };
        assert_eq!(key("[UFW AUDIT]", "ID=1"), key("[UFW BLOCK]", "ID=1"));
        assert_ne!(key("[UFW AUDIT]", "ID=1"), key("[UFW BLOCK]", "ID=2"));
        assert_eq!(key("DROP", "ID=1"), None);
    }
}
