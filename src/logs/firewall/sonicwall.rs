//! SonicWall SonicOS, default and enhanced syslog.
//!
//! ```text
//! <134>  id=firewall sn=0040103CE114 time="2026-11-02 10:00:00 UTC" fw=203.0.113.1 pri=6 c=262144
//! m=98 msg="Connection Opened" src=198.51.100.7:40001:X1 dst=203.0.113.25:25:X0 natDst=10.0.0.25:25
//! proto=tcp/smtp
//! ```
//!
//! SonicOS Log Events Reference Guide: `m` is the event's number, `src` and `dst` are
//! `ip:port:interface:name` (an IPv6 address stands in `srcV6`, `src` then has the port only). 98
//! opens and 537 closes a connection, 36 drops a TCP packet; some other events are refusals by
//! their meaning, any other one is a connection's only where `fw_action` says forward or drop. A
//! note names the TCP flags of a packet. The time is local unless UTC logging is on. Skipped: web, VPN and
//! management events (a connection's own records stand beside them), all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::fields::{Pairs, after, split_once, starts_soon};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, HostText, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer, Packet};
use crate::model::net::{Endpoint, parse_ip};

/// The format.
pub(super) struct Format;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "sonicwall"
    }

    fn product(&self) -> &'static str {
        "SonicWall SonicOS syslog"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"sn=", b"fw=", b" m=", b"src=", b"dst=", b"proto="]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        let has = |mark: &[u8]| memmem::find(line.body, mark).is_some();
        line.pid.is_none()
            && starts_soon(line.body, b"id=")
            && has(b" sn=")
            && has(b" time=\"")
            && has(b" m=")
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!(":{port}:").into_bytes(), format!(":{port} ").into_bytes()]
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line), out)
    }
}

fn parse<'a>(line: &Line<'a>) -> Parsed<'a> {
    let fields = Pairs::read(line.body, b" ");
    let event = fields.get("m").ok_or(Reject::new("m", "an event's number"))?;
    let Some(action) = action_of(event, fields.get("fw_action")) else { return Ok(None) };
    let is_tcp = match fields.get("proto") {
        Some(proto) => matches!(proto.split(|&b| b == b'/').next(), Some(b"tcp" | b"TCP" | b"6")),
        None => event == b"36",
    };
    if !is_tcp {
        return Ok(None);
    }
    let src = read_end(&fields, ["src", "srcV6"], "src")?;
    let dst = read_end(&fields, ["dst", "dstV6"], "dst")?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = own_time(&fields).or(line.time);
    record.device = fields.get("sn").or(line.host);
    record.nat_src = read_nat(src, fields.any(&["natSrc", "natSrcV6"]));
    record.nat_dst = read_nat(dst, fields.any(&["natDst", "natDstV6"]));
    record.packet = packet_of(fields.get("note").unwrap_or_default());
    if action == Action::Close && fields.get("rpkt") == Some(b"0") {
        record.answer = Answer::Never;
    }
    Ok(Some(record))
}

/// Web access (14, 97), management (526) and SSL VPN (1153) tell what is done inside a connection.
pub(super) fn action_of(event: &[u8], fw_action: Option<&[u8]>) -> Option<Action> {
    match (event, fw_action) {
        (b"14" | b"97" | b"526" | b"1153", _) => None,
        (b"537", _) => Some(Action::Close),
        (b"98", _) | (_, Some(b"forward")) => Some(Action::Allow),
        (b"36", _) | (_, Some(b"drop")) => Some(Action::Deny),
        (number, _) if REFUSALS.contains(&number) => Some(Action::Deny),
        _ => None,
    }
}

/// "TCP connection from LAN denied", "Packet dropped; connection limit ... reached" (for source and
/// destination), "Outbound/Inbound connection ... RBL-listed SMTP server dropped", "Initiator or
/// Responder from country blocked", "Suspected Botnet initiator or responder blocked".
const REFUSALS: [&[u8]; 15] = [
    b"173", b"646", b"647", b"797", b"798", b"1198", b"1199", b"1200", b"1201", b"1474", b"1475",
    b"1476", b"1477", b"1518", b"1519",
];

fn read_end<'a>(
    fields: &Pairs<'a>,
    keys: [&str; 2],
    field: &'static str,
) -> Result<(HostText<'a>, u16), Reject> {
    let [main, v6] = keys.map(|key| fields.get(key).map(split_end).unwrap_or_default());
    let ip = main.0.filter(|text| !text.is_empty()).or(v6.0);
    end((ip, field), (main.1.or(v6.1), field))
}

fn read_nat(main: (HostText<'_>, u16), text: Option<&[u8]>) -> Option<Endpoint> {
    let (ip, port) = split_end(text?);
    other_end(main, ip, port)
}

/// `192.0.2.1:25:X0:name`, `[2001:db8::1]:25:X0`, or an address alone.
fn split_end(text: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    if let Some((ip, rest)) = text.strip_prefix(b"[").and_then(|inner| split_once(inner, b']')) {
        return (Some(ip), rest.split(|&b| b == b':').nth(1));
    }
    if parse_ip(text).is_some() {
        return (Some(text), None);
    }
    let mut parts = text.split(|&b| b == b':');
    (parts.next(), parts.next())
}

/// `2026-11-02 10:00:00`, with ` UTC` where the unit is set to it.
fn own_time(fields: &Pairs<'_>) -> Option<LogTime> {
    let mut words = fields.get("time")?.split(|&b| b == b' ');
    LogTime::parse_fields(words.next()?, words.next()?, words.next())
}

/// `TCP Flag(s): RST`.
fn packet_of(note: &[u8]) -> Packet {
    let Some(flags) = after(note, b"TCP Flag(s):") else { return Packet::Connection };
    let has = |flag: &[u8]| memmem::find(flags, flag).is_some();
    if has(b"SYN") && !has(b"ACK") { Packet::Syn } else { Packet::Stray }
}

#[cfg(test)]
mod tests {
    use super::{Format, split_end};
    use crate::logs::firewall::testing::check;

    fn line(event: &str, more: &str) -> String {
        format!(
            "<134>  id=firewall sn=00401 time=\"2026-11-02 10:00:00 UTC\" fw=203.0.113.1 pri=6 c=1 \
             m={event} msg=\"a m=9 b\" src=198.51.100.7:40001:X1 dst=203.0.113.25:25:X0:mx1.example \
             {more}"
        )
    }

    #[test]
    fn events() {
        let ends = "198.51.100.7:40001 > 203.0.113.25:25";
        let at = "2026-11-02T10:00:00Z";
        let cases = [
            ("98", "proto=tcp/smtp fw_action=\"NA\"", format!("{at} allow {ends} @00401")),
            (
                "98",
                "natSrc=192.0.2.1:555 natDst=10.0.0.25:2525 proto=tcp/25",
                format!("{at} allow {ends} nat_src=192.0.2.1:555 nat_dst=10.0.0.25:2525 @00401"),
            ),
            ("537", "proto=tcp/smtp rpkt=0", format!("{at} close {ends} unanswered @00401")),
            ("36", "note=\"TCP Flag(s): SYN\"", format!("{at} deny {ends} syn @00401")),
            (
                "713",
                "proto=tcp/smtp note=\"TCP Flag(s): RST\" fw_action=\"drop\"",
                format!("{at} deny {ends} stray @00401"),
            ),
            ("1235", "proto=tcp/smtp fw_action=\"forward\"", format!("{at} allow {ends} @00401")),
            ("1382", "proto=tcp/smtp fw_action=\"NA\"", "ignored".to_owned()),
            ("526", "proto=tcp/https fw_action=\"forward\"", "ignored".to_owned()),
            ("98", "proto=udp/dns", "ignored".to_owned()),
            ("798", "proto=tcp/smtp", format!("{at} deny {ends} @00401")),
            ("1198", "proto=tcp/smtp fw_action=\"NA\"", format!("{at} deny {ends} @00401")),
            ("1198", "proto=udp/dns", "ignored".to_owned()),
            ("37", "fw_action=\"drop\"", "ignored".to_owned()),
        ];
        for (event, more, expected) in cases {
            check(&Format, &[(&line(event, more), &expected)]);
        }
        let broken = line("98", "proto=tcp/smtp").replace(":25:", ":x:");
        check(&Format, &[(&broken, "rejected dst"), ("id=fw m=98 proto=tcp", "not recognised")]);
        let v6 = line("98", "proto=tcp/smtp srcV6=2001:db8::7 dstV6=2001:db8::25")
            .replace("198.51.100.7", "")
            .replace("203.0.113.25", "");
        let relayed = v6.replace("<134>  ", "<134>1 2026-11-02T10:00:05Z fw1 sonicwall - - - ");
        let expected = format!("{at} allow 2001:db8::7:40001 > 2001:db8::25:25 @00401");
        check(&Format, &[(&v6, &expected), (&relayed, &expected)]);
    }

    #[test]
    fn ends() {
        let cases = [
            ("192.0.2.1:25:X0:mx1", "192.0.2.1", Some("25")),
            ("192.0.2.1", "192.0.2.1", None),
            ("[2001:db8::1]:25:X0", "2001:db8::1", Some("25")),
            ("2001:db8::1", "2001:db8::1", None),
            ("2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:1", None),
            ("", "", None),
        ];
        for (text, ip, port) in cases {
            let expected = (Some(ip.as_bytes()), port.map(str::as_bytes));
            assert_eq!(split_end(text.as_bytes()), expected, "{text}");
        }
    }
}
