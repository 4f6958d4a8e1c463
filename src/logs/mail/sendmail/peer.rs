//! How Sendmail writes a client: `host [address]`, `[address]`, `user@host [address]` where ident
//! answered, and `(may be forged)` behind. In: text that begins or ends with it. Out: the address.
//!
//! The host name is DNS's and the user ident's, so both may be chosen by the client: of the
//! brackets the last ones before the server's own words are the address.

use std::net::IpAddr;

use memchr::memmem;

use crate::logs::fields::{after, split_once};
use crate::model::net::parse_ip;

/// A client as a line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) ip: IpAddr,
}

/// Reads a client that ends the text.
pub(super) fn peer_at_end(text: &[u8]) -> Option<Peer> {
    let text = skip_remark(text.trim_ascii_end()).strip_suffix(b"]")?;
    let open = memchr::memrchr(b'[', text)?;
    read_address(text.get(open.checked_add(1)?..)?)
}

/// Reads a client that begins the text; gives what follows it.
pub(super) fn peer_at_start(text: &[u8]) -> Option<(Peer, &[u8])> {
    let (host, rest) = split_once(text, b'[')?;
    let named = host.is_empty() || (host.ends_with(b" ") && !host.contains(&b','));
    let (address, rest) = split_once(rest, b']').filter(|_| named)?;
    let peer = read_address(address)?;
    let remark = rest.strip_prefix(b" (").and_then(|inner| split_once(inner, b')'));
    Some((peer, remark.map_or(rest, |(_, rest)| rest)))
}

/// The client of `ruleset=check_rcpt, arg1=<a>, relay=host [address], reject=550 ... <a> ...`. The
/// argument, which the reply may repeat, is the client's text; where it is an address it is skipped
/// as one, else all places that look like the server's have to agree.
pub(super) fn relay_of_ruleset(text: &[u8]) -> Option<Peer> {
    let argument = after(text, b", arg1=")?;
    if argument.starts_with(b"<")
        && let Some(rest) = skip_address(argument)
        && let Some(rest) = rest.strip_prefix(RELAY)
        && let Some(peer) = peer_before_reject(rest)
    {
        return Some(peer);
    }
    let mut places = memmem::find_iter(argument, RELAY)
        .filter_map(|at| peer_before_reject(argument.get(at..)?.strip_prefix(RELAY)?));
    let first = places.next()?;
    places.all(|other| other == first).then_some(first)
}

/// What stands behind an address in angle brackets. A `>` inside quotes or comments, or behind a
/// backslash, does not end it.
pub(super) fn skip_address(text: &[u8]) -> Option<&[u8]> {
    let (mut quoted, mut escaped, mut comments) = (false, false, 0u32);
    let end = text.iter().position(|&b| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match b {
            b'\\' => escaped = true,
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments = comments.saturating_add(1),
            b')' if !quoted => comments = comments.saturating_sub(1),
            b'>' => return !quoted && comments == 0,
            _ => {}
        }
        false
    })?;
    text.get(end.checked_add(1)?..)
}

const RELAY: &[u8] = b", relay=";

/// `host [address] (may be forged), reject=550`: a client that the reply follows.
fn peer_before_reject(text: &[u8]) -> Option<Peer> {
    let (peer, rest) = peer_at_start(text)?;
    let reply = rest.strip_prefix(b", reject=")?;
    reply.first_chunk::<3>()?.iter().all(u8::is_ascii_digit).then_some(peer)
}

/// Cuts ` (may be forged)` off the end.
fn skip_remark(text: &[u8]) -> &[u8] {
    let open = text.strip_suffix(b")").and_then(|inner| memmem::rfind(inner, b" ("));
    open.and_then(|at| text.get(..at)).unwrap_or(text)
}

fn read_address(address: &[u8]) -> Option<Peer> {
    let plain = address.strip_prefix(b"IPv6:").unwrap_or(address);
    Some(Peer { ip: parse_ip(plain)? })
}
