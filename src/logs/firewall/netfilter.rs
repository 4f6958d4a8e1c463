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

mod packet;

use crate::logs::clock::LogTime;
use crate::logs::fields::{Mark, find_near};
use crate::logs::firewall::ends::{Parsed, REPEATED, conclude, unwrap_repetition};
use crate::logs::firewall::netfilter::packet::TcpPacket;
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome};
use crate::model::flow::Action;
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

    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Option<Outcome> {
        if is_kernel_tag(line)
            && let Some((prefix, packet)) = read_usual(line)
        {
            out.push(record_of(line, (None, prefix), 1, &packet));
            return Some(Outcome::Event);
        }
        self.recognises(line).then(|| self.parse(line, columns, out))
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
    if let Some((prefix, packet)) = read_usual(line) {
        return Ok(Some(record_of(line, (None, prefix), 1, &packet)));
    }
    let text = own_text(line);
    let (mut head, mut packet) = split_prefix(text);
    let mut count = 1;
    if REPEATED.find(head).is_some() {
        let (message, times) = unwrap_repetition(text);
        (head, packet) = split_prefix(message);
        count = times;
    }
    let packet = TcpPacket::read(packet)?;
    Ok(packet.map(|packet| record_of(line, split_own_head(head), count, &packet)))
}

fn own_text<'a>(line: &Line<'a>) -> &'a [u8] {
    if line.pid.is_some() { line.body } else { line.from_tag() }
}

/// The prefix and the packet of a line as most are, in which nothing but the kernel's uptime stands
/// between the tag and the prefix, and the packet's words in the kernel's order. None for all others.
fn read_usual<'a>(line: &Line<'a>) -> Option<(&'a [u8], TcpPacket<'a>)> {
    let text = own_text(line);
    // Nothing before the first `=` can be another mark of `split_prefix`.
    let start = find_near(text, b'=')?.checked_sub(2)?;
    let (head, packet) = text.split_at_checked(start)?;
    let head = head.strip_prefix(b"kernel:").unwrap_or(head);
    let has_colon = find_near(head, b':').is_some();
    if has_colon && (KERNEL.find(head).is_some() || REPEATED.find(head).is_some()) {
        return None;
    }
    let packet = TcpPacket::read_usual(packet.strip_prefix(b"IN=")?)?;
    match split_bare_head(head) {
        (None, prefix) => Some((prefix, packet)),
        (Some(_), _) => None,
    }
}

fn record_of<'a>(
    line: &Line<'a>,
    (own_time, prefix): (Option<LogTime>, &'a [u8]),
    count: u32,
    packet: &TcpPacket<'a>,
) -> FlowRecord<'a> {
    let mut record = FlowRecord::new(line, action_of(prefix), packet.src, packet.dst);
    record.time = line.time.or(own_time);
    record.packet = packet.flags.kind();
    record.count = count;
    record.prefix = Some(prefix);
    record.join = twin_of(prefix, packet);
    record
}

/// UFW at `logging medium` and above writes `[UFW AUDIT]` beside the verdict's line of the same
/// packet, microseconds apart, with the same IP identification. It mostly comes first and then
/// stands as a source seen without a verdict, which the verdict's line says too.
fn twin_of(prefix: &[u8], packet: &TcpPacket<'_>) -> Option<Join> {
    if !prefix.starts_with(b"[UFW ") || packet.id.is_empty() {
        return None;
    }
    let facts = (packet.src, packet.dst, packet.id, packet.flags);
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
    let mut rest = head;
    while let Some(at) = KERNEL.find(rest) {
        rest = rest.get(at.saturating_add(7)..).unwrap_or_default();
    }
    split_bare_head(rest)
}

/// The same of what stands behind the last `kernel:`.
fn split_bare_head(head: &[u8]) -> (Option<LogTime>, &[u8]) {
    let mut time = None;
    let mut rest = head.trim_ascii();
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
    let text = text.strip_prefix(b"[")?;
    let (inner, rest) = text.split_at_checked(find_near(text, b']')?)?;
    let rest = rest.get(1..)?;
    let digits = inner.trim_ascii();
    if !digits.is_empty() && digits.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
        return Some((None, rest));
    }
    // A weekday and a blank.
    let (time, _) = LogTime::parse_rfc3164(inner.get(3..)?.strip_prefix(b" ")?)?;
    Some((Some(time), rest))
}

/// `<4>` in the middle of a line.
fn priority(text: &[u8]) -> Option<(Option<LogTime>, &[u8])> {
    let text = text.strip_prefix(b"<")?;
    let (digits, rest) = text.split_at_checked(find_near(text, b'>')?)?;
    parse_decimal(digits).filter(|n| *n < 192)?;
    Some((None, rest.get(1..)?))
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
    for word in text.split(|b| !b.is_ascii_alphabetic()) {
        let mut short = [0; 16];
        let verdict = match short.get_mut(..word.len()) {
            Some(capitals) => {
                capitals.copy_from_slice(word);
                capitals.make_ascii_uppercase();
                verdict_of_word(capitals)
            }
            None => verdict_of_word(&word.to_ascii_uppercase()),
        };
        match verdict {
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
