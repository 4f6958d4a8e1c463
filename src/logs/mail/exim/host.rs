//! How Exim writes a client: `host (helo) [address]:port I=[local]:port`, any part but the address
//! missing. In: text that begins with it. Out: its parts, and what follows.
//!
//! The reverse name and the address are the server's; what stands between the parentheses is the
//! client's. Further on stand addresses and user names, which are the client's too and may hold
//! another `) [address]`.

use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem;

use crate::logs::fields::split_once;
use crate::model::net::{parse_ip, parse_port};

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
    let (helo, rest) = match rest.strip_prefix(b"(") {
        Some(inner) => {
            let end = end_of_helo(inner)?;
            (inner.get(..end), inner.get(end.checked_add(2)?..)?)
        }
        None => (None, rest),
    };
    let (address, rest) = split_once(rest.strip_prefix(b"[")?, b']')?;
    let (port_text, rest) = take_port(rest);
    let (local_ip, local_port, rest) = take_local(rest).unwrap_or((None, None, rest));
    let client = Client {
        host,
        helo: helo.filter(|name| !name.is_empty()),
        address,
        ip: parse_ip(address),
        port_text,
        port: port_text.and_then(parse_port),
        local_ip,
        local_port,
    };
    Some((client, rest))
}

/// A host name in front of the name or the address.
fn take_host(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    if matches!(text.first(), Some(b'(' | b'[')) {
        return (None, text);
    }
    match split_once(text, b' ') {
        Some((host, rest)) if matches!(rest.first(), Some(b'(' | b'[')) => (Some(host), rest),
        _ => (None, text),
    }
}

/// What the server writes behind a client, in the lines that this program reads.
const CONTINUATIONS: &[&[u8]] = &[
    b" F=<",
    b" P=",
    b" X=",
    b" CV=",
    b" A=",
    b" D=",
    b" U=",
    b" PRX=",
    b" (TCP/IP connection count",
    b" closed by ",
    b" lost",
    b" rejected ",
    b" temporarily rejected ",
    b" sender verify ",
    b" Warning: ",
    b" incomplete transaction ",
    b" AUTH ",
    b" dropped: ",
    b": ",
];

/// Where the HELO text ends: at the first `) [address]` behind which the server goes on, since
/// HELO names hold no parentheses unless `helo_accept_junk_hosts` lets them; else at the last.
fn end_of_helo(inner: &[u8]) -> Option<usize> {
    static FIND_END: LazyLock<memmem::Finder<'static>> =
        LazyLock::new(|| memmem::Finder::new(b") ["));
    let mut last = None;
    for at in FIND_END.find_iter(inner) {
        let Some(rest) = behind_address(inner.get(at..).unwrap_or_default()) else { continue };
        let rest = take_port(rest).1;
        let rest = take_local(rest).map_or(rest, |(_, _, rest)| rest);
        if rest.is_empty() || CONTINUATIONS.iter().any(|words| rest.starts_with(words)) {
            return Some(at);
        }
        last = Some(at);
    }
    last
}

/// What stands behind `) [address]`, if it is something that the server writes there.
fn behind_address(text: &[u8]) -> Option<&[u8]> {
    let (address, rest) = split_once(text.get(3..)?, b']')?;
    let readable = address.iter().all(|b| b.is_ascii_alphanumeric() || b".:%".contains(b));
    let closes = matches!(rest.first(), None | Some(b' ' | b':' | b','));
    (readable && !address.is_empty() && closes).then_some(rest)
}

fn take_port(text: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(rest) = text.strip_prefix(b":") else { return (None, text) };
    let digits = rest.iter().take(5).take_while(|b| b.is_ascii_digit()).count();
    match (rest.get(..digits), rest.get(digits..)) {
        (Some(port), Some(after)) if digits > 0 => (Some(port), after),
        _ => (None, text),
    }
}

/// ` I=[address]:port`.
fn take_local(text: &[u8]) -> Option<(Option<IpAddr>, Option<u16>, &[u8])> {
    let (address, rest) = split_once(text.strip_prefix(b" I=[")?, b']')?;
    let (port, rest) = take_port(rest);
    Some((parse_ip(address), port.and_then(parse_port), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
