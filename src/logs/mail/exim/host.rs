//! How Exim writes a client: `host (helo) [address]:port I=[local]:port`, any part but the address
//! missing. In: text that begins with it. Out: its parts, and what follows.
//!
//! The reverse name and the address are the server's; what stands between the parentheses is the
//! client's. Further on stand addresses and user names, which are the client's too and may hold
//! another `) [address]`.

use std::net::IpAddr;

use crate::logs::fields::find_near;
use crate::model::net::{parse_ip, parse_port, take_ipv4};

/// A client as a line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client<'a> {
    /// The verified host name.
    pub(super) host: Option<&'a [u8]>,
    /// What it said in HELO, where that differs from the host name.
    pub(super) helo: Option<&'a [u8]>,
    /// The address as written.
    pub(super) address: &'a [u8],
    /// The address; none where it was made unreadable.
    pub(super) ip: Option<IpAddr>,
    /// The port as written.
    pub(super) port_text: Option<&'a [u8]>,
    /// The client's port.
    pub(super) port: Option<u16>,
    /// The server's own address.
    pub(super) local_ip: Option<IpAddr>,
    /// The server's port.
    pub(super) local_port: Option<u16>,
}

/// Cuts a client off the start of the text.
pub(super) fn split_client(text: &[u8]) -> Option<(Client<'_>, &[u8])> {
    let (host, rest) = take_host(text);
    let (helo, (ends, rest)) = match rest {
        [b'(', inner @ ..] => {
            let (name, ends) = split_helo(inner)?;
            (Some(name), ends)
        }
        _ => (None, take_ends(rest)?),
    };
    let client = Client {
        host,
        helo: helo.filter(|name| !name.is_empty()),
        address: ends.address,
        ip: ends.ip,
        port_text: ends.port_text,
        port: ends.port_text.and_then(parse_port),
        local_ip: ends.local_ip,
        local_port: ends.local_port,
    };
    Some((client, rest))
}

/// A host name in front of the name or the address.
fn take_host(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    if matches!(text.first(), Some(b'(' | b'[')) {
        return (None, text);
    }
    match find_near(text, b' ').and_then(|end| text.split_at_checked(end)) {
        Some((host, [b' ', rest @ ..])) if matches!(rest, [b'(' | b'[', ..]) => (Some(host), rest),
        _ => (None, text),
    }
}

/// Where a client and the server meet: `[address]:port I=[local]:port`.
#[derive(Debug, Clone, Copy)]
struct Ends<'a> {
    address: &'a [u8],
    ip: Option<IpAddr>,
    port_text: Option<&'a [u8]>,
    local_ip: Option<IpAddr>,
    local_port: Option<u16>,
}

/// The ends, and what follows them.
type Located<'a> = (Ends<'a>, &'a [u8]);

fn take_ends(text: &[u8]) -> Option<Located<'_>> {
    let [b'[', inner @ ..] = text else { return None };
    take_address(inner).map(ends_at)
}

/// An address and the ends that follow it.
fn ends_at((address, ip, rest): Addressed<'_>) -> Located<'_> {
    let (port_text, rest) = take_port(rest);
    let (local_ip, local_port, rest) = take_local(rest).unwrap_or((None, None, rest));
    (Ends { address, ip, port_text, local_ip, local_port }, rest)
}

/// An address as written, the same as a number, and what follows its bracket.
type Addressed<'a> = (&'a [u8], Option<IpAddr>, &'a [u8]);

/// `address]`.
fn take_address(text: &[u8]) -> Option<Addressed<'_>> {
    // Most are read in one pass.
    take_plain_address(text).or_else(|| {
        let (address, behind) = take_bracketed(text)?;
        Some((address, parse_ip(address), behind))
    })
}

/// `192.0.2.1]`.
fn take_plain_address(text: &[u8]) -> Option<Addressed<'_>> {
    let (ip, [b']', behind @ ..]) = take_ipv4(text)? else { return None };
    let length = text.len().checked_sub(behind.len())?.checked_sub(1)?;
    Some((text.get(..length)?, Some(IpAddr::V4(ip)), behind))
}

/// Longest address that is read, in bytes: a client may write brackets by the thousand, and the next
/// closing one may be far.
const LONGEST_ADDRESS: usize = 64;

/// What stands before the closing bracket, and what follows it.
fn take_bracketed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let near = text.get(..=LONGEST_ADDRESS).unwrap_or(text);
    let (inner, rest) = text.split_at_checked(find_near(near, b']')?)?;
    Some((inner, rest.get(1..)?))
}

/// Words that the server writes behind a client, in the lines that this program reads; fields
/// aside.
const CONTINUATIONS: &[&[u8]] = &[
    b" rejected ",
    b" temporarily rejected ",
    b" (TCP/IP connection count",
    b" closed by ",
    b" lost",
    b" sender verify ",
    b" Warning: ",
    b" incomplete transaction ",
    b" AUTH ",
    b" dropped: ",
];

/// Whether the server goes on like this behind a client.
fn continues(rest: &[u8]) -> bool {
    match rest {
        []
        | [b' ', b'F', b'=', b'<', ..]
        | [b' ', b'P' | b'X' | b'A' | b'D' | b'U', b'=', ..]
        | [b' ', b'C', b'V', b'=', ..]
        | [b' ', b'P', b'R', b'X', b'=', ..]
        | [b':', b' ', ..] => true,
        _ => CONTINUATIONS.iter().any(|words| rest.starts_with(words)),
    }
}

/// Parts the HELO text from what stands behind it: at the first `) [address]` behind which the
/// server goes on, since HELO names hold no parentheses unless `helo_accept_junk_hosts` lets them;
/// else at the last.
fn split_helo(inner: &[u8]) -> Option<(&[u8], Located<'_>)> {
    let mut last = None;
    let mut from = 0usize;
    while let Some(found) = find_near(inner.get(from..)?, b')') {
        let at = from.checked_add(found)?;
        from = at.checked_add(1)?;
        let [b' ', behind @ ..] = inner.get(from..)? else { continue };
        let Some(ends) = take_servers_ends(behind) else { continue };
        let split = (inner.get(..at)?, ends);
        if continues(ends.1) {
            return Some(split);
        }
        last = Some(split);
    }
    last
}

/// The ends, if they are something that the server writes.
fn take_servers_ends(text: &[u8]) -> Option<Located<'_>> {
    let [b'[', inner @ ..] = text else { return None };
    let found = take_plain_address(inner).or_else(|| take_readable_address(inner))?;
    matches!(found.2.first(), None | Some(b' ' | b':' | b',')).then(|| ends_at(found))
}

/// `address]`, if all of it may be an address.
fn take_readable_address(text: &[u8]) -> Option<Addressed<'_>> {
    let (address, behind) = take_bracketed(text)?;
    let is_readable = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'%');
    let readable = !address.is_empty() && address.iter().all(is_readable);
    readable.then(|| (address, parse_ip(address), behind))
}

fn take_port(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let [b':', rest @ ..] = text else { return (None, text) };
    let digits = rest.iter().take(5).take_while(|b| b.is_ascii_digit()).count();
    match (rest.get(..digits), rest.get(digits..)) {
        (Some(port), Some(after)) if digits > 0 => (Some(port), after),
        _ => (None, text),
    }
}

/// ` I=[address]:port`.
fn take_local(text: &[u8]) -> Option<(Option<IpAddr>, Option<u16>, &[u8])> {
    let [b' ', b'I', b'=', b'[', inner @ ..] = text else { return None };
    let (address, rest) = take_bracketed(inner)?;
    let (port, rest) = take_port(rest);
    Some((parse_ip(address), port.and_then(parse_port), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::logs::fields::split_once;

    fn shown(text: &str) -> String {
        let Some((client, rest)) = split_client(text.as_bytes()) else { return "none".into() };
        let part = |p: Option<&[u8]>| String::from_utf8_lossy(p.unwrap_or(b"-")).into_owned();
        let local = match (client.local_ip, client.local_port) {
            (Some(ip), Some(port)) => format!("{ip}:{port}"),
            _ => "-".into(),
        };
        format!(
            "{} {} {} {} {local}|{}",
            part(client.host),
            part(client.helo),
            part(Some(client.address)),
            part(client.port_text),
            part(Some(rest))
        )
    }

    #[test]
    fn every_shape_of_a_client() {
        let cases = [
            ("(probe.example) [198.51.100.7]", "- probe.example 198.51.100.7 - -|"),
            ("mx.example [198.51.100.7] P=smtp", "mx.example - 198.51.100.7 - -| P=smtp"),
            (
                "mx.example (helo) [198.51.100.7]:4001 I=[203.0.113.25]:25 F=<>",
                "mx.example helo 198.51.100.7 4001 203.0.113.25:25| F=<>",
            ),
            ("[2001:db8::1]:4001: x", "- - 2001:db8::1 4001 -|: x"),
            ("([10.9.8.7]) [198.51.100.7]", "- [10.9.8.7] 198.51.100.7 - -|"),
            ("(a) [9.9.9.9] b) [198.51.100.7]:1 x", "- a) [9.9.9.9] b 198.51.100.7 1 -| x"),
            (
                "(a) [198.51.100.7] F=<\") [9.9.9.9]\"@x.example> rejected",
                "- a 198.51.100.7 - -| F=<\") [9.9.9.9]\"@x.example> rejected",
            ),
            (
                "(a) [9.9.9.9]) [198.51.100.7]:1 rejected EHLO or HELO a) [9.9.9.9]: no",
                "- a) [9.9.9.9] 198.51.100.7 1 -| rejected EHLO or HELO a) [9.9.9.9]: no",
            ),
            (
                "(a) [198.51.100.7] F=<b@c> rejected RCPT <d) [9.9.9.9]:1 rejected x>: no",
                "- a 198.51.100.7 - -| F=<b@c> rejected RCPT <d) [9.9.9.9]:1 rejected x>: no",
            ),
            ("(a) b", "none"),
            ("root", "none"),
            ("", "none"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    /// A client may write as many brackets as its line is long: a search for the closing one from
    /// each of them, or a look at all that stands between, would take minutes for these lines.
    #[test]
    fn brackets_without_end_cost_one_pass() {
        for part in [") [", ") [a", ") [1.2.3.4] I=[", ") [::1]:1 I=["] {
            let text = format!("({}] rejected", part.repeat(1 << 18));
            let _ = split_client(text.as_bytes());
        }
    }

    /// Where the HELO text ends, by all that may stand behind it.
    fn end_of_helo(inner: &[u8]) -> Option<usize> {
        const FIELDS: [&[u8]; 9] =
            [b" F=<", b" P=", b" X=", b" CV=", b" A=", b" D=", b" U=", b" PRX=", b": "];
        let mut last = None;
        for at in memchr::memmem::find_iter(inner, b") [") {
            let Some((address, rest)) = split_once(&inner[at + 3..], b']') else { continue };
            if address.len() > LONGEST_ADDRESS {
                continue;
            }
            let readable = address.iter().all(|b| b.is_ascii_alphanumeric() || b".:%".contains(b));
            let closes = matches!(rest.first(), None | Some(b' ' | b':' | b','));
            if !readable || address.is_empty() || !closes {
                continue;
            }
            let rest = take_port(rest).1;
            let rest = take_local(rest).map_or(rest, |(_, _, rest)| rest);
            let mut words = CONTINUATIONS.iter().chain(&FIELDS);
            if rest.is_empty() || words.any(|words| rest.starts_with(words)) {
                return Some(at);
            }
            last = Some(at);
        }
        last
    }

    proptest! {
        #[test]
        fn addresses_are_read_alike(
            address in prop_oneof![
                any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
                any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
                "[0-9]{0,4}([.:][0-9a-f]{0,3}){2,4}",
                "[0-9a-f%:.]{60,70}",
            ],
            behind in "[x.]?\\]?[:0-9]{0,5}\\]?",
        ) {
            let text = format!("{address}{behind}").into_bytes();
            let expected = split_once(&text, b']')
                .filter(|(address, _)| address.len() <= LONGEST_ADDRESS)
                .map(|(address, rest)| (address, parse_ip(address), rest));
            prop_assert_eq!(take_address(&text), expected);
            let readable = |b: &u8| b.is_ascii_alphanumeric() || b".:%".contains(b);
            let servers = expected.filter(|(address, _, rest)| {
                let closes = matches!(rest.first(), None | Some(b' ' | b':' | b','));
                !address.is_empty() && address.iter().all(readable) && closes
            });
            let bracketed = [b"[".as_slice(), &text].concat();
            let found = take_servers_ends(&bracketed).map(|(ends, _)| (ends.address, ends.ip));
            prop_assert_eq!(found, servers.map(|(address, ip, _)| (address, ip)));
        }

        #[test]
        fn helo_ends_at_the_same_place(
            text in "([a)]|\\) |\\[|\\) \\[(1\\.2\\.3\\.4|::1|a b|)\\](:25|)( I=\\[1\\.2\\.3\\.4\\](:25|)|)( F=<|,| P=| A|: | PRX=| D=| CV|)){0,5}",
        ) {
            let inner = text.as_bytes();
            let expected = end_of_helo(inner).map(|end| {
                (&inner[..end], take_ends(&inner[end + 2..]).unwrap().1)
            });
            prop_assert_eq!(split_helo(inner).map(|(name, ends)| (name, ends.1)), expected);
        }
    }
}
