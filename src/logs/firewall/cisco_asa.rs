//! Cisco ASA, PIX, FWSM and the LINA messages of FTD.
//!
//! `Nov 02 2026 10:00:00 fw1 : %ASA-6-302013: Built inbound TCP connection 4711 for
//! outside:198.51.100.7/40001 (198.51.100.7/40001) to dmz:10.0.0.25/25 (203.0.113.25/25)`
//!
//! Document: Cisco Secure Firewall ASA Series Syslog Messages; for the order of the ends Cisco TAC
//! document 116149. Messages are told apart by their number, whatever product name stands before
//! it; 430001 to 430005 are `cisco_ftd`'s. Skipped: translations (305011), quoted packets (313005),
//! cluster stubs (302022), messages without ports, and what inspection engines add (338xxx,
//! 419xxx, 434xxx, 507003) to a connection that is told elsewhere.

use crate::logs::fields::{Mark, after, before, find, find_near};
use crate::logs::firewall::ends::{
    Parsed, conclude, names_of_port, read_host, read_port, unwrap_repetition,
};
use crate::logs::firewall::{FirewallFormat, FlowRecord, HostText, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer, Packet};
use crate::model::net::{Endpoint, parse_decimal, parse_ip, parse_port};
use memchr::memmem::Finder;

/// Cisco ASA and its relatives.
pub(super) struct Format;

static CONNECTION: Mark = Mark::new(|| Finder::new(b" TCP connection "));
static SOURCE: Mark = Mark::new(|| Finder::new(b" src "));

/// Seconds within which an access list's permission and the connection that it let through are
/// told (106100, then 302013).
const ACL_TO_BUILT: u32 = 5;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "cisco_asa"
    }

    fn product(&self) -> &'static str {
        "Cisco ASA, PIX, FWSM and FTD LINA messages"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"%ASA-", b"TCP connection", b" for ", b" to "]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        Message::find(line).is_some_and(|message| !message.is_connection_event())
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        let named = names_of_port(port).map(|name| [b"/", name].concat());
        let numbers = [format!("/{port}"), format!("({port})")];
        numbers.into_iter().map(String::into_bytes).chain(named).collect()
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        let Some(message) = Message::find(line) else { return Outcome::Ignored };
        conclude(parse_message(line, &message), out)
    }

    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Option<Outcome> {
        let message = Message::find(line).filter(|message| !message.is_connection_event())?;
        Some(conclude(parse_message(line, &message), out))
    }
}

/// Splits at the first occurrence of a byte that is near.
fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let (head, tail) = text.split_at_checked(find_near(text, byte)?)?;
    Some((head, tail.get(1..)?))
}

/// A message of the family: `%ASA-6-302013: text`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// The number, 302013.
    pub(super) id: u32,
    /// What follows the mark.
    pub(super) text: &'a [u8],
    /// The host's name before the mark, where the head's parser took it for a tag.
    pub(super) device: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Finds the mark behind the head: `%ASA-6-302013:`, `%ASA-session-6-106100:`,
    /// `%FTD--6-430003:`, `%ASA-6-302016 Teardown` (no colon). Nothing but a head may stand before
    /// it, so that a stranger's text in another program's line is not taken for a message.
    pub(super) fn find(line: &Line<'a>) -> Option<Self> {
        let text = line.from_tag();
        let at = memchr::memchr(b'%', text)?;
        let (head, rest) = text.split_at_checked(at)?;
        if head.len() > 80 || head.iter().any(|b| matches!(b, b'=' | b'"' | b'(' | b'{')) {
            return None;
        }
        let rest = rest.strip_prefix(b"%").map(|mark| mark.strip_prefix(b"%").unwrap_or(mark))?;
        let product = [b"ASA-".as_slice(), b"FTD-", b"PIX-", b"FWSM-", b"NGIPS-"];
        let rest = product.iter().find_map(|name| rest.strip_prefix(*name))?;
        let mark = rest.iter().take(32).position(|b| matches!(b, b':' | b' '))?;
        let (mark, text) = rest.split_at_checked(mark)?;
        let number = mark.rsplit(|&b| b == b'-').next().filter(|n| n.len() == 6)?;
        let id = u32::try_from(parse_decimal(number)?).ok()?;
        let text = text.strip_prefix(b":").unwrap_or(text).trim_ascii_start();
        let host_as_tag = line.tag.filter(|tag| line.pid.is_none() && !tag.starts_with(b"%"));
        Some(Self { id, text, device: line.host.or(host_as_tag) })
    }

    /// Whether it is one of FTD's connection events, which have a grammar of their own.
    pub(super) fn is_connection_event(&self) -> bool {
        (430_001..=430_005).contains(&self.id)
    }
}

fn parse_message<'a>(line: &Line<'a>, message: &Message<'a>) -> Parsed<'a> {
    let repeated = message.text.starts_with(b"message repeated ");
    let (text, count) = if repeated { unwrap_repetition(message.text) } else { (message.text, 1) };
    let record = match message.id {
        302_013 => parse_built(line, text),
        302_014 => parse_teardown(line, text),
        302_303 | 302_304 => parse_state_bypass(line, text),
        106_100 | 106_102 | 106_103 => parse_access_list(line, text),
        106_010 | 106_011 | 106_023 => parse_deny(line, text),
        106_001 | 106_015 => parse_refused_packet(line, text, message.id),
        710_002 | 710_003 | 710_005 => parse_to_the_box(line, text, message.id),
        _ => Ok(None),
    };
    let told = |record: FlowRecord<'a>| FlowRecord {
        device: message.device,
        count: record.count.saturating_mul(count),
        ..record
    };
    record.map(|found| found.map(told))
}

/// Whether a message names the interface before the address. It cannot be told from the text: an
/// interface may be called `d`, and so may begin an IPv6 address.
#[derive(Debug, Clone, Copy)]
enum Style {
    /// `outside:198.51.100.7/40001`.
    Interface,
    /// `198.51.100.7/40001`.
    Bare,
}

const INTERFACES: (Style, Style) = (Style::Interface, Style::Interface);

/// One end as the ASA prints it.
#[derive(Debug, Clone, Copy)]
struct End<'a> {
    host: HostText<'a>,
    port: u16,
    /// The mapped address, where it is printed and differs.
    mapped: Option<Endpoint>,
}

impl<'a> End<'a> {
    /// `host/port` or `interface:host/port` at the start of the text, then `(mapped/port)` with or
    /// without a blank before it, then users in parentheses; gives what follows.
    fn read(text: &'a [u8], style: Style, field: &'static str) -> Result<(Self, &'a [u8]), Reject> {
        let bad = || Reject::new(field, "address/port");
        let (place, rest) = split_once(text, b'/').ok_or_else(bad)?;
        let host = match style {
            Style::Interface => read_host_at_interface(place),
            Style::Bare => read_host(place),
        };
        let host = host.ok_or_else(bad)?;
        let digits = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        let (port, rest) = rest.split_at_checked(digits).ok_or_else(bad)?;
        let port = read_port(port).ok_or(Reject::new(field, "a port from 0 to 65535"))?;
        let (mapped, rest) = read_mapped(rest);
        let mapped = mapped.filter(|m| host != HostText::Ip(m.ip) || m.port != port);
        Ok((Self { host, port, mapped }, rest))
    }

    fn pair(&self) -> (HostText<'a>, u16) {
        (self.host, self.port)
    }
}

/// `outside:198.51.100.7`. The interface's name may hold blanks (`NP Identity Ifc`), and one colon
/// where a context or a version stands before it (`v1:outside`).
fn read_host_at_interface(place: &[u8]) -> Option<HostText<'_>> {
    let (_, host) = split_once(place, b':')?;
    read_host(host).or_else(|| split_once(host, b':').and_then(|(_, host)| read_host(host)))
}

/// `(address/port)` at the start; a user in its place (`(LOCAL\alice)`) is left where it is.
fn read_mapped(text: &[u8]) -> (Option<Endpoint>, &[u8]) {
    let inner = text.trim_ascii_start().strip_prefix(b"(").and_then(|inner| {
        let (mapped, rest) = split_once(inner, b')')?;
        let (host, port) = split_once(mapped, b'/')?;
        let port = parse_port(port)?;
        Some((parse_ip(host).map(|ip| Endpoint::new(ip, port)), rest))
    });
    inner.unwrap_or((None, text))
}

/// Two ends parted by this word; users in parentheses may stand before it.
fn read_ends<'a>(
    text: &'a [u8],
    styles: (Style, Style),
    word: &[u8],
) -> Result<(End<'a>, End<'a>, &'a [u8]), Reject> {
    let (first, rest) = End::read(text, styles.0, "source")?;
    let at_once = rest.strip_prefix(word).or_else(|| after(rest, word));
    let rest = at_once.ok_or(Reject::new("destination", "a second end"))?;
    let (second, rest) = End::read(rest, styles.1, "destination")?;
    Ok((first, second, rest))
}

/// A record from the client's end to the server's.
fn record_of<'a>(
    line: &Line<'a>,
    action: Action,
    client: &End<'a>,
    server: &End<'a>,
) -> FlowRecord<'a> {
    let record = FlowRecord::new(line, action, client.pair(), server.pair());
    FlowRecord { nat_src: client.mapped, nat_dst: server.mapped, ..record }
}

/// `Built {inbound|outbound} [Probe] TCP connection N for A (mapped) to B (mapped)`. Outbound
/// connections print the server first.
fn parse_built<'a>(line: &Line<'a>, text: &'a [u8]) -> Parsed<'a> {
    let outbound = find(text.get(..20).unwrap_or(text), b"outbound").is_some();
    let (id, ends) = read_connection(text)?;
    let (first, second, _) = read_ends(ends, INTERFACES, b" to ")?;
    let (client, server) = if outbound { (second, first) } else { (first, second) };
    let mut record = record_of(line, Action::Allow, &client, &server);
    record.join = Some(Join::new(JoinRule::Orients, id));
    Ok(Some(record))
}

/// `Teardown [Probe] TCP connection N for A to B duration H:MM:SS bytes N [reason] [from
/// interface]`: printed in the order of its 302013, which alone names the client.
fn parse_teardown<'a>(line: &Line<'a>, text: &'a [u8]) -> Parsed<'a> {
    let (id, ends) = read_connection(text)?;
    let (first, second, rest) = read_ends(ends, INTERFACES, b" to ")?;
    // The guess, where the 302013 is not in the log: servers have the lower port.
    let first_is_client = first.port >= second.port;
    let (client, server) = if first_is_client { (first, second) } else { (second, first) };
    let mut record = record_of(line, Action::Close, &client, &server);
    record.answer = answer_of(rest);
    record.join = Some(Join::new(JoinRule::AsBuilt, id));
    Ok(Some(record))
}

/// `SYN Timeout` after no byte: the server never answered.
fn answer_of(tail: &[u8]) -> Answer {
    let silent = after(tail, b" bytes ").is_some_and(|rest| rest.starts_with(b"0 SYN Timeout"));
    if silent { Answer::Never } else { Answer::Untold }
}

/// The connection's number and what follows ` for `.
fn read_connection(text: &[u8]) -> Result<(&[u8], &[u8]), Reject> {
    let mark = CONNECTION.find(text).and_then(|at| text.get(at.checked_add(16)?..));
    let rest = mark.ok_or(Reject::new("connection", "TCP connection and its number"))?;
    let (id, rest) = split_once(rest, b' ').unwrap_or((rest, b""));
    let ends = rest.strip_prefix(b"for ").ok_or(Reject::new("connection", "for and two ends"))?;
    Ok((id, ends))
}

/// `Built|Teardown TCP state-bypass connection N from A (mapped) to B (mapped)`: A is the client.
fn parse_state_bypass<'a>(line: &Line<'a>, text: &'a [u8]) -> Parsed<'a> {
    let action = if text.starts_with(b"Teardown") { Action::Close } else { Action::Allow };
    let ends = after(text, b" from ").ok_or(Reject::new("source", "from and two ends"))?;
    let (client, server, _) = read_ends(ends, INTERFACES, b" to ")?;
    Ok(Some(record_of(line, action, &client, &server)))
}

/// `access-list NAME {permitted|denied|est-allowed} tcp [for user U] if/A(port) -> if/B(port)
/// hit-cnt N {first hit|N-second interval}`.
fn parse_access_list<'a>(line: &Line<'a>, text: &'a [u8]) -> Parsed<'a> {
    let mut words = text.splitn(5, |&b| b == b' ').skip(2);
    let verdict = words.next().unwrap_or_default();
    if !matches!(words.next(), Some(b"tcp" | b"6")) {
        return Ok(None);
    }
    let ends = words.next().unwrap_or_default();
    let action = match verdict {
        b"permitted" | b"est-allowed" => Action::Allow,
        b"denied" => Action::Deny,
        _ => return Err(Reject::new("access-list", "permitted, denied or est-allowed")),
    };
    let (client, rest) = read_access_list_end(ends, "source")?;
    let rest = after(rest, b"->").ok_or(Reject::new("destination", "-> and a second end"))?;
    let (server, rest) = read_access_list_end(rest, "destination")?;
    let mut record = FlowRecord::new(line, action, client, server);
    record.count = hits(rest);
    // A packet of an established session passed although the list denies it: a reply.
    if verdict == b"est-allowed" {
        record.packet = Packet::Stray;
    } else if action == Action::Allow && after(rest, b"first hit").is_some() {
        let rule = JoinRule::Once { within: ACL_TO_BUILT };
        record.join = Some(Join::of_ends(rule, client, server));
    }
    Ok(Some(record))
}

/// `interface/address(port)` and the user behind it; gives what follows the port.
fn read_access_list_end<'a>(
    text: &'a [u8],
    field: &'static str,
) -> Result<((HostText<'a>, u16), &'a [u8]), Reject> {
    let bad = || Reject::new(field, "interface/address(port)");
    let (place, rest) = split_once(text, b'(').ok_or_else(bad)?;
    let host = place.rsplit(|&b| b == b'/').next().and_then(read_host).ok_or_else(bad)?;
    let (port, rest) = split_once(rest, b')').ok_or_else(bad)?;
    let port = read_port(port).ok_or(Reject::new(field, "a port from 0 to 65535"))?;
    Ok(((host, port), rest))
}

fn hits(text: &[u8]) -> u32 {
    let digits = after(text, b"hit-cnt ").and_then(|rest| before(rest, b" "));
    let number = digits.and_then(parse_decimal).and_then(|n| u32::try_from(n).ok());
    number.unwrap_or(1).max(1)
}

/// `Deny tcp src if:A/port dst if:B/port by access-group "NAME"`, `Deny inbound (No xlate) tcp
/// src ..`: one line a packet.
fn parse_deny<'a>(line: &Line<'a>, text: &'a [u8]) -> Parsed<'a> {
    let Some((protocol, ends)) = SOURCE.find(text).and_then(|at| text.split_at_checked(at)) else {
        return Ok(None);
    };
    if !protocol.ends_with(b" tcp") && !protocol.ends_with(b" 6") {
        return Ok(None);
    }
    let ends = ends.get(5..).unwrap_or_default();
    let (client, server, _) = read_ends(ends, INTERFACES, b" dst ")?;
    Ok(Some(record_of(line, Action::Deny, &client, &server)))
}

/// `Inbound TCP connection denied from A to B flags F` and `Deny TCP (no connection) from A to B
/// flags F`; the latter is late or stray traffic, whatever its flags.
fn parse_refused_packet<'a>(line: &Line<'a>, text: &'a [u8], id: u32) -> Parsed<'a> {
    let ends = after(text, b" from ").ok_or(Reject::new("source", "from and two ends"))?;
    let (client, server, rest) = read_ends(ends, (Style::Bare, Style::Bare), b" to ")?;
    let flags = after(rest, b" flags ").unwrap_or_default();
    let flags = before(flags, b" on interface").unwrap_or(flags);
    let mut flags = flags.split(|b| matches!(b, b' ' | b'+')).filter(|flag| !flag.is_empty());
    let is_syn = flags.clone().any(|flag| flag == b"SYN") && flags.all(|flag| flag != b"ACK");
    let mut record = record_of(line, Action::Deny, &client, &server);
    record.packet = if is_syn && id == 106_001 { Packet::Syn } else { Packet::Stray };
    Ok(Some(record))
}

/// `TCP access permitted|denied by ACL from A to if:B/service`, `TCP request discarded from ..`:
/// traffic to the firewall itself.
fn parse_to_the_box<'a>(line: &Line<'a>, text: &'a [u8], id: u32) -> Parsed<'a> {
    if !text.starts_with(b"TCP ") {
        return Ok(None);
    }
    let action = if id == 710_002 { Action::Allow } else { Action::Deny };
    let ends = after(text, b" from ").ok_or(Reject::new("source", "from and two ends"))?;
    let (client, server, _) = read_ends(ends, (Style::Bare, Style::Interface), b" to ")?;
    Ok(Some(record_of(line, action, &client, &server)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::envelope;
    use crate::logs::firewall::testing::told;

    fn check(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let raw = format!("Nov  2 2026 10:00:00 fw1 : %ASA-{text}");
            let expected = match *expected {
                "ignored" | "not recognised" => (*expected).to_owned(),
                text if text.starts_with("rejected") => text.to_owned(),
                text => format!("2026-11-02T10:00:00Z {text} @fw1"),
            };
            assert_eq!(told(&Format, &raw), expected, "{text}");
        }
    }

    #[test]
    fn connections_have_their_client_first() {
        check(&[
            (
                "6-302013: Built inbound TCP connection 1 for o:198.51.100.7/4 (198.51.100.7/4) to d:10.0.0.25/25 (203.0.113.25/25)",
                "allow 198.51.100.7:4 > 10.0.0.25:25 nat_dst=203.0.113.25:25",
            ),
            (
                "6-302013: Built outbound TCP connection 1 for o:198.51.100.25/25 (198.51.100.25/25) to d:10.0.0.25/41000 (203.0.113.1/31000)",
                "allow 10.0.0.25:41000 > 198.51.100.25:25 nat_src=203.0.113.1:31000",
            ),
            (
                "6-302014: Teardown TCP connection 1 for o:198.51.100.25/25 to d:10.0.0.25/41000 duration 0:00:01 bytes 10 TCP FINs",
                "close 10.0.0.25:41000 > 198.51.100.25:25",
            ),
            (
                "6-302014: Teardown TCP connection 1 for o:198.51.100.7/41000 to d:10.0.0.25/25 duration 0:00:30 bytes 0 SYN Timeout",
                "close 198.51.100.7:41000 > 10.0.0.25:25 unanswered",
            ),
            (
                "6-302304: Teardown TCP state-bypass connection 1 from o:198.51.100.7/25 to d:10.0.0.25/4000 duration 1:00:02 bytes 245",
                "close 198.51.100.7:25 > 10.0.0.25:4000",
            ),
        ]);
    }

    #[test]
    fn access_lists_count_their_hits() {
        check(&[
            (
                "6-106100: access-list a permitted tcp o/198.51.100.7(4) -> d/mx1(25) hit-cnt 7 300-second interval",
                "allow 198.51.100.7:4 > mx1:25 x7",
            ),
            (
                "6-106100: access-list a est-allowed tcp d/10.0.0.25(25) -> o/198.51.100.7(4) hit-cnt 1 first hit",
                "allow 10.0.0.25:25 > 198.51.100.7:4 stray",
            ),
            (
                "6-106103: access-list a denied tcp for user u o/198.51.100.7(4) -> d/10.0.0.25(25) hit-cnt 1 first hit",
                "deny 198.51.100.7:4 > 10.0.0.25:25",
            ),
            (
                "6-106100: access-list a permitted icmp o/1.2.3.4(8) -> d/1.2.3.5(0) hit-cnt 1",
                "ignored",
            ),
            (
                "6-106100: access-list a ##p## tcp o/1.2.3.4(8) -> d/1.2.3.5(0)",
                "rejected access-list",
            ),
            (
                "6-106100: access-list a denied tcp o/1.2.3.4(8) d/1.2.3.5(0)",
                "rejected destination",
            ),
        ]);
    }

    #[test]
    fn denials_and_stray_packets() {
        check(&[
            (
                "4-106023: Deny tcp src o:2001:db8::7/4(LOCAL\\u) dst d:2001:db8::25/25 by access-group \"a\"",
                "deny 2001:db8::7:4 > 2001:db8::25:25",
            ),
            (
                "2-106001: Inbound TCP connection denied from 198.51.100.7/4 to 203.0.113.25/25 flags SYN  on interface o",
                "deny 198.51.100.7:4 > 203.0.113.25:25 syn",
            ),
            (
                "2-106001: Inbound TCP connection denied from 198.51.100.7/4 to 203.0.113.25/25 flags ACK+SYN on interface o",
                "deny 198.51.100.7:4 > 203.0.113.25:25 stray",
            ),
            (
                "6-106015: Deny TCP (no connection) from 198.51.100.7/4 to mx1/25 flags SYN  on interface o",
                "deny 198.51.100.7:4 > mx1:25 stray",
            ),
            (
                "7-710005: TCP request discarded from 198.51.100.7/4 to o:203.0.113.1/smtp",
                "deny 198.51.100.7:4 > 203.0.113.1:25",
            ),
            (
                "4-106023: message repeated 2 times: [ Deny tcp src v1:o:198.51.100.7/4 dst v2:dmz:2001:db8::25/25 by access-group \"a\"]",
                "deny 198.51.100.7:4 > 2001:db8::25:25 x2",
            ),
            ("7-710005: UDP request discarded from 198.51.100.7/4 to o:203.0.113.1/25", "ignored"),
            ("4-106023: Deny udp src o:1.2.3.4/4 dst d:1.2.3.5/25 by access-group", "ignored"),
            (
                "4-106023: Deny tcp src o:1.2.3.4/4 dst d:1.2.3.5/65536 by access-group",
                "rejected destination",
            ),
            (
                "4-106023: Deny tcp src o:1.2.3/4 dst d:1.2.3.5/25 by access-group",
                "rejected source",
            ),
        ]);
    }

    #[test]
    fn marks_of_the_family() {
        let text = "Deny tcp src o:198.51.100.7/4 dst d:203.0.113.25/25 by access-group \"a\"";
        let cases = [
            ("%ASA-session-4-106023: ", true),
            ("%FTD--4-106023: ", true),
            ("%%PIX-4-106023: ", true),
            ("%ASA-4-106023 ", true),
            ("Nov  2 10:00:00 fw1 asa[12]: %ASA-4-106023: ", true),
            ("Nov  2 10:00:00 <fw>: %ASA-4-106023: ", true),
            ("%FTD-6-430003: ", false),
            ("%SEC-6-IPACCESSLOGP: ", false),
            ("Nov  2 10:00:00 mx1 postfix/smtpd[1]: NOQUEUE: helo=<%ASA-4-106023: ", false),
        ];
        for (mark, expected) in cases {
            let raw = format!("{mark}{text}");
            let line = envelope::open(raw.as_bytes());
            assert_eq!(Format.recognises(&line), expected, "{mark}");
        }
    }
}
