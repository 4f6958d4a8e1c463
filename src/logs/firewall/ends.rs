//! Reads the ends of a connection from a record's fields. In: the fields' text. Out: addresses,
//! ports, the other end of a translation, or a rejection that names the field; and the outcome of
//! a line from what was read of it.

use std::net::IpAddr;

use memchr::memmem::Finder;

use crate::logs::fields::{Mark, after, before};
use crate::logs::firewall::{FlowRecord, HostText};
use crate::logs::line::{Outcome, Reject};
use crate::model::net::{Endpoint, parse_decimal, parse_ip, parse_port};

/// What rsyslog writes before a message that was repeated.
pub(super) static REPEATED: Mark = Mark::new(|| Finder::new(b"message repeated "));

/// Ports that the Cisco ASA and tcpdump print as words: those of mail, and the firewall's own.
const SERVICES: [(&[u8], u16); 24] = [
    (b"smtp", 25),
    (b"submission", 587),
    (b"smtps", 465),
    (b"submissions", 465),
    (b"urd", 465),
    (b"ftp", 21),
    (b"ssh", 22),
    (b"telnet", 23),
    (b"domain", 53),
    (b"www", 80),
    (b"http", 80),
    (b"pop3", 110),
    (b"ident", 113),
    (b"netbios-ssn", 139),
    (b"imap", 143),
    (b"imap4", 143),
    (b"bgp", 179),
    (b"ldap", 389),
    (b"https", 443),
    (b"microsoft-ds", 445),
    (b"ldaps", 636),
    (b"imaps", 993),
    (b"pop3s", 995),
    (b"sip", 5060),
];

/// What a parser makes of a line: a record, nothing (the line is understood and no connection), or
/// a rejection.
pub(super) type Parsed<'a> = Result<Option<FlowRecord<'a>>, Reject>;

/// Hands a record to the caller's buffer and says how the line ended.
pub(super) fn conclude<'a>(parsed: Parsed<'a>, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
    match parsed {
        Ok(Some(record)) => {
            out.push(record);
            Outcome::Event
        }
        Ok(None) => Outcome::Ignored,
        Err(reject) => Outcome::Rejected(reject),
    }
}

/// Reads an address field.
pub(super) fn address(text: Option<&[u8]>, field: &'static str) -> Result<IpAddr, Reject> {
    text.and_then(parse_ip).ok_or(Reject::new(field, "an IPv4 or IPv6 address"))
}

/// Reads a port field.
pub(super) fn port(text: Option<&[u8]>, field: &'static str) -> Result<u16, Reject> {
    text.and_then(parse_port).ok_or(Reject::new(field, "a port from 0 to 65535"))
}

/// A field's text, and its name for a rejection.
pub(super) type Field<'a> = (Option<&'a [u8]>, &'static str);

/// Reads both fields of an end.
pub(super) fn end<'a>(ip: Field<'a>, number: Field<'a>) -> Result<(HostText<'a>, u16), Reject> {
    Ok((HostText::Ip(address(ip.0, ip.1)?), port(number.0, number.1)?))
}

/// The other address of a translated end: none where the field is missing, no address or
/// unspecified, or where it is the main end again. A port that is missing or 0 is the main one.
pub(super) fn other_end(
    main: (HostText<'_>, u16),
    ip: Option<&[u8]>,
    number: Option<&[u8]>,
) -> Option<Endpoint> {
    let ip = parse_ip(ip?).filter(|ip| !ip.is_unspecified())?;
    let port = number.and_then(parse_port).filter(|&port| port != 0).unwrap_or(main.1);
    let differs = main != (HostText::Ip(ip), port);
    differs.then(|| Endpoint::new(ip, port))
}

/// Reads a host: an address, or a name where the firewall prints names.
pub(super) fn read_host(text: &[u8]) -> Option<HostText<'_>> {
    if let Some(ip) = parse_ip(text) {
        return Some(HostText::Ip(ip));
    }
    let is_name = !text.is_empty()
        && text.len() <= 255
        && text.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        && text.iter().any(u8::is_ascii_alphabetic);
    is_name.then_some(HostText::Name(text))
}

/// Reads a port: a number, or the name of a service.
pub(super) fn read_port(text: &[u8]) -> Option<u16> {
    let named = || SERVICES.iter().find(|(name, _)| *name == text).map(|(_, port)| *port);
    parse_port(text).or_else(named)
}

/// The names of services that stand for a port.
pub(super) fn names_of_port(port: u16) -> impl Iterator<Item = &'static [u8]> {
    SERVICES.iter().filter(move |(_, number)| *number == port).map(|(name, _)| *name)
}

/// rsyslog's `message repeated 3 times: [ ... ]`: the original message and how often.
pub(super) fn unwrap_repetition(text: &[u8]) -> (&[u8], u32) {
    let at = REPEATED.find(text).and_then(|at| at.checked_add(17));
    let repeated = at.and_then(|at| text.get(at..)).and_then(|rest| {
        let digits = before(rest, b" times: [")?;
        let count = u32::try_from(parse_decimal(digits)?).ok()?;
        let inner = after(rest, b" times: [")?;
        Some((inner.strip_suffix(b"]").unwrap_or(inner).trim_ascii_start(), count.max(1)))
    });
    repeated.unwrap_or((text, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_by_name() {
        assert_eq!(read_host(b"mx-1.example.com"), Some(HostText::Name(b"mx-1.example.com")));
        assert_eq!(read_host(b"192.0.2"), None);
        assert_eq!(read_host(b"mx 1"), None);
        assert_eq!(read_port(b"smtp"), Some(25));
        assert_eq!(read_port(b"gopher"), None);
        assert_eq!(names_of_port(465).count(), 3);
    }

    #[test]
    fn the_other_end_is_there_only_where_it_differs() {
        let main = (HostText::Ip("192.0.2.25".parse().unwrap()), 25);
        let cases: [(Option<&str>, Option<&str>, Option<&str>); 7] = [
            (Some("10.0.0.25"), Some("2525"), Some("10.0.0.25 2525")),
            (Some("10.0.0.25"), Some("0"), Some("10.0.0.25 25")),
            (Some("192.0.2.25"), Some("2525"), Some("192.0.2.25 2525")),
            (Some("192.0.2.25"), Some("25"), None),
            (Some("0.0.0.0"), Some("2525"), None),
            (Some("N/A"), None, None),
            (None, Some("25"), None),
        ];
        for (ip, port, expected) in cases {
            let got = other_end(main, ip.map(str::as_bytes), port.map(str::as_bytes));
            let got = got.map(|end| format!("{} {}", end.ip, end.port));
            assert_eq!(got.as_deref(), expected, "{ip:?} {port:?}");
        }
    }

    #[test]
    fn rejections_name_the_field() {
        let reject = port(Some(b"65536"), "dstport").unwrap_err();
        assert_eq!((reject.field, reject.expected), ("dstport", "a port from 0 to 65535"));
        assert!(address(None, "srcip").is_err());
    }
}
