//! MikroTik `RouterOS` firewall log.
//!
//! `2026-11-02T10:00:00+01:00 gw firewall,info drop-in forward: in:ether1 out:bridge,
//! connection-state:new,dnat src-mac 02:00:00:00:00:01, proto TCP (SYN), 198.51.100.7:40001->
//! 10.0.0.25:25, NAT 198.51.100.7:40001->(203.0.113.25:25->10.0.0.25:25), len 60`
//!
//! Document: MikroTik `RouterOS`, "Log" and "Filter". `action=log` decides nothing: the verdict is in
//! the administrator's log prefix, before the chain's name, or nowhere. The addresses are the
//! packet's where the rule sees it; the pair in parentheses is an end before and after
//! translation. Skipped: everything but TCP.

use crate::logs::clock::LogTime;
use crate::logs::fields::{after, before};
use crate::logs::firewall::ends::{Parsed, conclude, other_end, port};
use crate::logs::firewall::netfilter::action_of_words;
use crate::logs::firewall::{FirewallFormat, FlowRecord, HostText, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Packet;
use crate::model::net::{Endpoint, parse_ip};
use memchr::memmem;

/// MikroTik `RouterOS`.
pub(super) struct Format;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "mikrotik"
    }

    fn product(&self) -> &'static str {
        "MikroTik RouterOS firewall"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"in:", b" out:", b", proto TCP", b"->"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Nat]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        // A program with a pid may quote text of strangers that looks like a packet.
        line.pid.is_none() && Parts::find(line.from_tag()).is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        [",", ")", "->"].iter().map(|end| format!(":{port}{end}").into_bytes()).collect()
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        match Parts::find(line.from_tag()) {
            Some(parts) => conclude(parse_packet(line, &parts), out),
            None => Outcome::Ignored,
        }
    }
}

/// A line cut at its marks: what stands before `in:`, and behind `proto `.
struct Parts<'a> {
    head: &'a [u8],
    packet: &'a [u8],
}

impl<'a> Parts<'a> {
    fn find(text: &'a [u8]) -> Option<Self> {
        let head = before(text, b": in:")?;
        let rest = after(text, b": in:")?;
        let rest = after(rest, b" out:")?;
        Some(Self { head, packet: after(rest, b" proto ")? })
    }

    /// The administrator's prefix: between the topics (`firewall,info`) and the chain's name.
    fn prefix(&self) -> &'a [u8] {
        let chain = memchr::memrchr(b' ', self.head).unwrap_or(0);
        let text = self.head.get(..chain).unwrap_or_default().trim_ascii();
        let topics = memmem::rfind(text, b"firewall,");
        let text = topics.and_then(|at| text.get(at..)).unwrap_or(text);
        match memchr::memchr(b' ', text) {
            Some(blank) if topics.is_some() => text.get(blank..).unwrap_or_default().trim_ascii(),
            None if topics.is_some() => b"",
            _ => text,
        }
    }
}

fn parse_packet<'a>(line: &Line<'a>, parts: &Parts<'a>) -> Parsed<'a> {
    let Some(rest) = parts.packet.strip_prefix(b"TCP") else { return Ok(None) };
    let flags = before(rest, b", ").unwrap_or_default().trim_ascii();
    let rest = after(rest, b", ").unwrap_or_default();
    let ends = before(rest, b", ").unwrap_or(rest);
    let (src, dst) =
        read_pair(ends).ok_or(Reject::new("addresses", "address:port->address:port"))?;
    let (src, dst) = (read_end(src, "source")?, read_end(dst, "destination")?);
    let prefix = parts.prefix();
    let mut record = FlowRecord::new(line, action_of_words(prefix), src, dst);
    record.time = line.time.or_else(|| own_time(parts.head));
    record.packet = packet_of(flags);
    record.prefix = Some(prefix);
    if let Some(nat) = after(rest, b", NAT ") {
        (record.nat_src, record.nat_dst) = (source_nat(nat, src), destination_nat(nat, dst));
    }
    Ok(Some(record))
}

/// The time of the unit's own log, `nov/02/2026 10:00:00` or `nov/02 10:00:00`; lines of the same day
/// have the hour only, which is no time without the day.
fn own_time(head: &[u8]) -> Option<LogTime> {
    let mut words = head.split(|&b| b == b' ');
    let (date, time) = (words.next()?, words.next()?);
    let mut text = date.split(|&b| b == b'/').collect::<Vec<_>>();
    text.push(time);
    LogTime::parse_rfc3164(&text.join(&b' ')).map(|(time, _)| time)
}

type End<'a> = (HostText<'a>, u16);

fn read_pair(text: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((before(text, b"->")?, after(text, b"->")?))
}

/// `198.51.100.7:40001` or `[2001:db8::7]:40001`.
fn split_end(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memrchr(b':', text)?;
    Some((text.get(..colon)?, text.get(colon.checked_add(1)?..)?))
}

fn read_end<'a>(text: &'a [u8], field: &'static str) -> Result<End<'a>, Reject> {
    let bad = Reject::new(field, "address:port");
    let (host, number) = split_end(text).ok_or(bad)?;
    let ip = parse_ip(host).ok_or(bad)?;
    Ok((HostText::Ip(ip), port(Some(number), field)?))
}

/// `(A:p->N:p)->B:p`: the source before and after translation.
fn source_nat(nat: &[u8], src: End<'_>) -> Option<Endpoint> {
    let pair = before(nat.strip_prefix(b"(")?, b")")?;
    the_other(pair, src)
}

/// `A:p->(D:p->B:p)`: the destination before and after translation.
fn destination_nat(nat: &[u8], dst: End<'_>) -> Option<Endpoint> {
    let pair = before(after(nat, b"->(")?, b")")?;
    the_other(pair, dst)
}

/// Of the two ends of a translation, the one that is not the main one.
fn the_other(pair: &[u8], main: End<'_>) -> Option<Endpoint> {
    let (first, second) = read_pair(pair)?;
    [first, second].into_iter().find_map(|text| {
        let (host, number) = split_end(text)?;
        other_end(main, Some(host), Some(number))
    })
}

/// `(SYN)`, `(ACK,FIN,PSH)`.
fn packet_of(flags: &[u8]) -> Packet {
    let named = |name: &[u8]| flags.split(|b| !b.is_ascii_alphabetic()).any(|flag| flag == name);
    match (named(b"SYN"), named(b"ACK")) {
        (true, false) => Packet::Syn,
        _ if flags.is_empty() => Packet::Connection,
        _ => Packet::Stray,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::firewall::testing::told;

    const HEAD: &str = "2026-11-02T10:00:00Z gw ";
    const PACKET: &str = "in:ether1 WAN out:(unknown 0), connection-state:new src-mac \
        02:00:00:00:00:01, proto TCP (SYN), 198.51.100.7:40001->203.0.113.25:25, len 60";

    #[test]
    fn prefixes_stand_between_topics_and_chain() {
        let cases = [
            ("firewall,info drop-in input: ", "deny", "drop-in"),
            ("firewall,info ACCEPT mail in forward: ", "allow", "ACCEPT mail in"),
            ("firewall,info input: ", "unknown", ""),
            ("firewall,warning A|mail| forward: ", "unknown", "A|mail|"),
            ("input: ", "unknown", ""),
            ("DENY: input: ", "deny", "DENY:"),
        ];
        for (prefix, action, shown) in cases {
            let flow = "198.51.100.7:40001 > 203.0.113.25:25";
            let expected = format!("2026-11-02T10:00:00Z {action} {flow} syn @gw prefix={shown}");
            assert_eq!(told(&Format, &format!("{HEAD}{prefix}{PACKET}")), expected, "{prefix}");
        }
    }

    #[test]
    fn times_of_the_units_own_log() {
        let flow = "unknown 198.51.100.7:40001 > 203.0.113.25:25 syn prefix=";
        let cases = [
            ("nov/02/2026 10:00:00", "2026-11-02T10:00:00Z"),
            ("nov/02 10:00:00", "2026-11-02T10:00:00Z"),
            ("10:00:00", "-"),
        ];
        for (time, expected) in cases {
            let line = format!("{time} firewall,info input: {PACKET}");
            assert_eq!(told(&Format, &line), format!("{expected} {flow}"), "{time}");
        }
    }

    #[test]
    fn packets() {
        let packet = |text: &str| {
            let line = format!("{HEAD}firewall,info x forward: in:a out:b, {text}, len 60");
            told(&Format, &line).replace("2026-11-02T10:00:00Z unknown ", "")
        };
        let cases = [
            (
                "proto TCP (ACK,FIN,PSH), [2001:db8::7]:40001->[2001:db8::25]:25",
                "2001:db8::7:40001 > 2001:db8::25:25 stray @gw prefix=x",
            ),
            (
                "proto TCP (SYN), 198.51.100.7:4->10.0.0.25:25, NAT 198.51.100.7:4->(203.0.113.25:2525->10.0.0.25:25)",
                "198.51.100.7:4 > 10.0.0.25:25 nat_dst=203.0.113.25:2525 syn @gw prefix=x",
            ),
            (
                "proto TCP (SYN), 10.0.0.25:4->198.51.100.7:25, NAT (10.0.0.25:4->203.0.113.1:5)->198.51.100.7:25",
                "10.0.0.25:4 > 198.51.100.7:25 nat_src=203.0.113.1:5 syn @gw prefix=x",
            ),
            ("proto UDP, 198.51.100.7:4->203.0.113.25:25", "ignored"),
            ("proto ICMP (type 8, code 0), 198.51.100.7->203.0.113.25", "ignored"),
            ("proto TCP (SYN), 198.51.100.7:4->203.0.113.25:65536", "rejected destination"),
            ("proto TCP (SYN), 198.51.100.7:4", "rejected addresses"),
        ];
        for (text, expected) in cases {
            assert_eq!(packet(text), expected, "{text}");
        }
        let quoting = format!("Nov  2 10:00:00 mx1 postfix/smtpd[7]: x: {PACKET}");
        assert_eq!(told(&Format, &quoting), "not recognised");
        assert_eq!(told(&Format, "2026-11-02T10:00:00Z gw system,info login"), "not recognised");
    }
}
