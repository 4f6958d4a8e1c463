//! pf's log as tcpdump prints it: OpenBSD, FreeBSD, old pfSense.
//!
//! ` 00:00:00.013365 rule 3/0(match): block in on em0: 198.51.100.7.40001 > 203.0.113.25.25:
//! Flags [S], seq 3665560187, win 65535`
//!
//! Document: OpenBSD pflogd(8) and tcpdump(8). The port stands after the last dot, as a number or
//! as a service's name. `-ttt` prints the time since the last packet, which is no time of day.
//! Skipped: everything but TCP. With `-v` the ends stand on the next line, which is put behind this
//! one where it is indented (`source::records`); behind syslog heads such lines are rejected.

use crate::logs::fields::{after, before};
use crate::logs::firewall::ends::{Parsed, conclude, names_of_port, read_host, read_port};
use crate::logs::firewall::{FirewallFormat, FlowRecord, HostText, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Packet};
use memchr::memmem;

/// pf through tcpdump.
pub(super) struct Format;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "pf_tcpdump"
    }

    fn product(&self) -> &'static str {
        "OpenBSD and FreeBSD pf, printed by tcpdump"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"(match)", b" on ", b" > ", b"Flags ["]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        is_packet_logger(line) && Decision::find(line.raw).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        let named = names_of_port(port).map(|name| [b".", name, b":"].concat());
        std::iter::once(format!(".{port}:").into_bytes()).chain(named).collect()
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        match Decision::find(line.raw) {
            Some(decision) => conclude(parse_packet(line, &decision), out),
            None => Outcome::Ignored,
        }
    }
}

/// A program with a pid that is no logger of packets may quote text of strangers.
fn is_packet_logger(line: &Line<'_>) -> bool {
    const LOGGERS: [&[u8]; 4] = [b"pf", b"pflogd", b"tcpdump", b"logger"];
    line.pid.is_none() || line.tag.is_some_and(|tag| LOGGERS.contains(&tag))
}

/// What pf decided, and the packet's text.
struct Decision<'a> {
    action: &'a [u8],
    packet: &'a [u8],
}

impl<'a> Decision<'a> {
    /// `rule 5/0(match): block in on em0: ..`; OpenBSD writes `rule 5/(match) [uid 0, pid 1] block
    /// in on em0: ..`.
    fn find(text: &'a [u8]) -> Option<Self> {
        let at = memmem::find(text, b"rule ")?;
        let (head, rest) = text.split_at_checked(at)?;
        if head.len() > 120 || head.iter().any(|b| matches!(b, b'=' | b'"' | b'(')) {
            return None;
        }
        // The reason is `match` but for packets that pf drops by itself (`short`, `ip-option`).
        let rest = rest.strip_prefix(b"rule ")?;
        let (number, rest) = (before(rest, b"(")?, after(rest, b"(")?);
        let (reason, rest) = (before(rest, b")")?, after(rest, b")")?);
        let named = number.len() < 80 && !number.contains(&b' ');
        let worded = reason.iter().all(|b| b.is_ascii_lowercase() || b"- ".contains(b));
        (named && worded && !reason.is_empty()).then_some(())?;
        let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
        let rest = match rest.strip_prefix(b"[") {
            Some(owner) => after(owner, b"] ")?,
            None => rest,
        };
        let (decided, rest) = (before(rest, b" on ")?, after(rest, b" on ")?);
        let mut words = decided.split(|&b| b == b' ');
        let action = words.next()?;
        matches!(words.next(), Some(b"in" | b"out")).then_some(())?;
        let packet = after(rest, b":")?.trim_ascii_start();
        let packet = packet.strip_prefix(b"IP ").or(packet.strip_prefix(b"IP6 ")).unwrap_or(packet);
        Some(Self { action, packet })
    }
}

fn parse_packet<'a>(line: &Line<'a>, decision: &Decision<'a>) -> Parsed<'a> {
    let (is_tcp, packet) = skip_ip_header(decision.packet);
    let Some((src, rest)) = split_word(packet, b" > ") else {
        // With -v the ends follow on a line of their own.
        let expected = "both ends on the line (tcpdump without -v)";
        return if is_tcp { Err(Reject::new("addresses", expected)) } else { Ok(None) };
    };
    let Some((dst, text)) = split_word(rest, b": ") else { return Ok(None) };
    let Some(packet) = packet_of(text) else { return Ok(None) };
    let (src, dst) = (read_end(src, "source")?, read_end(dst, "destination")?);
    let mut record = FlowRecord::new(line, action_of(decision.action), src, dst);
    record.packet = packet;
    // A head that is nothing but a time takes the word `rule` for a host.
    record.device = line.host.filter(|host| *host != b"rule");
    Ok(Some(record))
}

fn split_word<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    Some((before(text, mark)?, after(text, mark)?))
}

/// `(tos 0x0, ttl 64, .., proto TCP (6), length 60) ` of tcpdump -v, `(hlim 64, next-header TCP (6)
/// payload length: 40) ` of IPv6: whether it says TCP, and what follows it.
fn skip_ip_header(text: &[u8]) -> (bool, &[u8]) {
    if !text.starts_with(b"(") {
        return (false, text);
    }
    let mut depth = 0_usize;
    let end = text.iter().position(|&b| {
        match b {
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    let (header, rest) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, b""));
    let has = |mark: &[u8]| memmem::find(header, mark).is_some();
    let rest = rest.strip_prefix(b")").unwrap_or_default();
    (has(b"proto TCP") || has(b"next-header TCP"), rest.trim_ascii_start())
}

/// `198.51.100.7.40001`, `2001:db8::7.40001`, `mx1.example.com.smtp`.
fn read_end<'a>(text: &'a [u8], field: &'static str) -> Result<(HostText<'a>, u16), Reject> {
    let bad = Reject::new(field, "address.port");
    let dot = memchr::memrchr(b'.', text).ok_or(bad)?;
    let (host, number) = text.split_at_checked(dot).ok_or(bad)?;
    let host = read_host(host).ok_or(bad)?;
    let number = number.get(1..).unwrap_or_default();
    let port = read_port(number).ok_or(Reject::new(field, "a port from 0 to 65535"))?;
    Ok((host, port))
}

/// `nat` and `rdr` rules log too, and decide nothing.
fn action_of(word: &[u8]) -> Action {
    match word {
        b"pass" => Action::Allow,
        b"block" => Action::Deny,
        _ => Action::Unknown,
    }
}

/// Which packet a TCP description is of; none where it is not TCP. `Flags [S.], seq ..` today,
/// `S 1:1(0) ack 2 win ..` on OpenBSD, `tcp 0` with -q.
fn packet_of(text: &[u8]) -> Option<Packet> {
    let kind = |syn: bool, ack: bool| if syn && !ack { Packet::Syn } else { Packet::Stray };
    if let Some(flags) = text.strip_prefix(b"Flags [") {
        let flags = before(flags, b"]")?;
        return Some(kind(flags.contains(&b'S'), flags.contains(&b'.')));
    }
    if text.starts_with(b"tcp ") {
        return Some(Packet::Connection);
    }
    let (flags, rest) = split_word(text, b" ")?;
    // `-v` tells of the checksum first: `S [tcp sum ok] 1:1(0)`.
    let rest = rest.strip_prefix(b"[").and_then(|sum| after(sum, b"] ")).unwrap_or(rest);
    let are_flags = !flags.is_empty() && flags.iter().all(|b| b"SFPRWEU.".contains(b));
    let numbered = rest.first().is_some_and(u8::is_ascii_digit) || rest.starts_with(b"ack ");
    let acknowledges = memmem::find(rest, b"ack ").is_some();
    (are_flags && numbered).then(|| kind(flags.contains(&b'S'), acknowledges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::firewall::testing::told;

    #[test]
    fn packets() {
        let ends = "198.51.100.7.40001 > 203.0.113.25.25";
        let flow = "198.51.100.7:40001 > 203.0.113.25:25";
        let cases = [
            (format!("block in on em0: {ends}: Flags [S], seq 1"), format!("deny {flow} syn")),
            (format!("pass out on em0: {ends}: Flags [S.], seq 1"), format!("allow {flow} stray")),
            (format!("pass in on em0: {ends}: Flags [none], seq 1"), format!("allow {flow} stray")),
            (format!("rdr in on em0: {ends}: Flags [SEW], seq 1"), format!("unknown {flow} syn")),
            (format!("block in on em0: {ends}: S 1:1(0) win 9"), format!("deny {flow} syn")),
            (
                format!("block in on em0: {ends}: S 1:1(0) ack 2 win 9"),
                format!("deny {flow} stray"),
            ),
            (format!("block in on em0: {ends}: tcp 0"), format!("deny {flow}")),
            (format!("block in on em0: IP {ends}: Flags [S]"), format!("deny {flow} syn")),
            (
                format!("pass in on em0: {ends}: S [tcp sum ok] 1:1(0) win 9 (ttl 64, len 60)"),
                format!("allow {flow} syn"),
            ),
            (
                format!(
                    "block in on em0: (tos 0x0, ttl 4, flags [DF], proto TCP (6), length 60) {ends}: Flags [S]"
                ),
                format!("deny {flow} syn"),
            ),
            (
                "block in on em0: (hlim 64, next-header TCP (6) payload length: 40) \
                 2001:db8::7.40001 > 2001:db8::25.25: Flags [S], cksum 0x1 (correct), seq 1"
                    .to_owned(),
                "deny 2001:db8::7:40001 > 2001:db8::25:25 syn".to_owned(),
            ),
            (
                "block in on em0: 2001:db8::7.40001 > mx1.example.com.smtp: Flags [S], seq 1"
                    .to_owned(),
                "deny 2001:db8::7:40001 > mx1.example.com:25 syn".to_owned(),
            ),
            (format!("block in on em0: {ends}: UDP, length 16"), "ignored".to_owned()),
            (format!("block in on em0: {ends}: 9340+[|domain]"), "ignored".to_owned()),
            (
                "block in on em0: 198.51.100.7 > 203.0.113.25: ICMP echo request".to_owned(),
                "ignored".to_owned(),
            ),
            (
                "block in on em0: (tos 0x0, ttl 64, proto TCP (6), length 60)".to_owned(),
                "rejected addresses".to_owned(),
            ),
            (
                "block in on em0: 198.51.100.7.40001 > 203.0.113.25.65536: Flags [S]".to_owned(),
                "rejected destination".to_owned(),
            ),
            ("block sideways on em0: x".to_owned(), "not recognised".to_owned()),
        ];
        for (text, expected) in cases {
            let time = if expected.contains('>') { "- " } else { "" };
            let raw = format!(" 00:00:00.013365 rule 3/0(match): {text}");
            assert_eq!(told(&Format, &raw), format!("{time}{expected}"), "{text}");
        }
    }

    #[test]
    fn heads() {
        let packet = "198.51.100.7.40001 > 203.0.113.25.25: Flags [S], seq 1";
        let flow = "deny 198.51.100.7:40001 > 203.0.113.25:25 syn";
        let cases = [
            (
                "2026-11-02 10:00:00.006704 rule 1/0(match): block in on em0: ",
                "2026-11-02T10:00:00Z",
                "",
            ),
            (
                "Nov 02 10:00:00.263703 rule 5/(match) [uid 0, pid 7] block in on em1: ",
                "2026-11-02T10:00:00Z",
                "",
            ),
            (
                "Nov  2 10:00:00 fw1 pf: 00:00:00.1 rule 5.a.2/0(match): block in on em1: ",
                "2026-11-02T10:00:00Z",
                " @fw1",
            ),
            (
                "Nov  2 10:00:00 fw1 pflogd[9]: rule 5/0(match): block in on em1: ",
                "2026-11-02T10:00:00Z",
                " @fw1",
            ),
            ("rule 5/0(match): block in on em1: ", "-", ""),
            ("rule def/(match) block in on em1: ", "-", ""),
            ("00:00:00.1 rule 5.a.2/8(ip-option): block in on em1: ", "-", ""),
        ];
        for (head, time, device) in cases {
            let raw = format!("{head}{packet}");
            assert_eq!(told(&Format, &raw), format!("{time} {flow}{device}"), "{head}");
        }
        let quoting =
            format!("Nov  2 10:00:00 mx1 exim[9]: rule 5/0(match): block in on a: {packet}");
        assert_eq!(told(&Format, &quoting), "not recognised");
        let sentence = format!("rule that (so they say): block in on a: {packet}");
        assert_eq!(told(&Format, &sentence), "not recognised");
    }
}
