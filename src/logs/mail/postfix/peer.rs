//! The client of a line of Postfix. In: a text that begins with it. Out: its address and port, and
//! what follows.

use std::cell::RefCell;
use std::net::IpAddr;

use super::{ADDRESS, DIGIT, NAME, run_length};
use crate::model::net::{parse_ip, parse_port, take_ipv4};

/// Longest reverse name that DNS allows, and a little more.
const LONGEST_NAME: usize = 260;

/// Longest text between the brackets.
const LONGEST_ADDRESS: usize = 64;

/// The client as Postfix writes it at the start of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// None for `unknown[unknown]`: the client was gone before it was asked.
    pub(super) ip: Option<IpAddr>,
    pub(super) port: Option<u16>,
}

/// Reads `name[address]` or `name[address]:port` (smtpd; the name is one that DNS allows, so it
/// holds no bracket) or `[address]:port` (postscreen); gives what follows.
pub(super) fn take_peer(text: &[u8]) -> Option<(Peer, &[u8])> {
    // Most strangers have no name.
    let inner = match text.strip_prefix(b"unknown[") {
        Some(inner) => inner,
        None => text.get(run_length(text, LONGEST_NAME, NAME)..)?.strip_prefix(b"[")?,
    };
    let (ip, mut rest) = take_address(inner)?;
    let mut port = None;
    if let Some(after) = rest.strip_prefix(b":") {
        let digits = run_length(after, 6, DIGIT);
        if digits > 0 {
            port = parse_port(after.get(..digits)?);
            rest = after.get(digits..)?;
        }
    }
    Some((Peer { ip, port }, rest))
}

/// The address at the start of a text, none for `unknown`, and what follows the bracket behind it.
fn take_address(text: &[u8]) -> Option<(Option<IpAddr>, &[u8])> {
    if let Some((ip, [b']', rest @ ..])) = take_ipv4(text) {
        return Some((Some(IpAddr::V4(ip)), rest));
    }
    let length = run_length(text, LONGEST_ADDRESS, ADDRESS);
    let address = text.get(..length)?;
    let rest = text.get(length..)?.strip_prefix(b"]")?;
    let address = address.strip_prefix(b"IPv6:").unwrap_or(address);
    match address {
        b"unknown" => Some((None, rest)),
        _ => Some((Some(parse_ip(address)?), rest)),
    }
}

thread_local! {
    /// The clients that the thread read last, by sessions: most lines of a session begin with the
    /// same.
    static PEERS: RefCell<[KnownPeer; KNOWN]> = const { RefCell::new([KnownPeer::NONE; KNOWN]) };
}

/// Clients that are remembered.
const KNOWN: usize = 64;

/// Longest text of a client that is remembered.
const LONGEST_KNOWN: usize = 64;

/// A client, and the text that it was read from.
#[derive(Clone, Copy)]
struct KnownPeer {
    text: [u8; LONGEST_KNOWN],
    length: usize,
    peer: Peer,
}

impl KnownPeer {
    const NONE: Self =
        Self { text: [0; LONGEST_KNOWN], length: 0, peer: Peer { ip: None, port: None } };

    /// What follows the client where a text begins with it. A port could go on, so that is read.
    fn follows<'t>(&self, text: &'t [u8]) -> Option<&'t [u8]> {
        let (start, rest) = text.split_at_checked(self.length)?;
        let goes_on = rest.first().is_some_and(|&byte| byte == b':' || byte.is_ascii_digit());
        let is_same = self.length > 0 && !goes_on && self.text.get(..self.length) == Some(start);
        is_same.then_some(rest)
    }

    /// Reads the client at the start of a text, and remembers it.
    fn take<'t>(&mut self, text: &'t [u8]) -> Option<(Peer, &'t [u8])> {
        let (peer, rest) = take_peer(text)?;
        let taken = text.get(..text.len().saturating_sub(rest.len()))?;
        self.length = 0;
        if let Some(place) = self.text.get_mut(..taken.len()) {
            place.copy_from_slice(taken);
            (self.length, self.peer) = (taken.len(), peer);
        }
        Some((peer, rest))
    }
}

/// What [`take_peer`] gives, which is asked where the text does not begin as the last one did of
/// this session.
pub(super) fn known_peer(session: u64, text: &[u8]) -> Option<(Peer, &[u8])> {
    PEERS.with_borrow_mut(|all| {
        let known = all.get_mut(session as usize % KNOWN)?;
        known.follows(text).map(|rest| (known.peer, rest)).or_else(|| known.take(text))
    })
}

/// The same of a session that begins: its client is mostly another than the last one's.
pub(super) fn new_peer(session: u64, text: &[u8]) -> Option<(Peer, &[u8])> {
    PEERS.with_borrow_mut(|all| all.get_mut(session as usize % KNOWN)?.take(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{known_peer, new_peer, take_peer};

    proptest! {
        #[test]
        fn remembered_clients_are_those_that_stand_there(
            texts in prop::collection::vec(
                "(unknown|a\\.example|[a-z]{60})\\[(192\\.0\\.2\\.[1-3]|2001:db8::[12]|unknown)\\]?(:[0-9]{0,7})?(: | )?x?",
                1..40,
            ),
            sessions in prop::collection::vec(0u64..2, 40),
        ) {
            for (text, session) in texts.iter().chain(&texts).zip(sessions.iter().cycle()) {
                let text = text.as_bytes();
                if text.len() % 5 == 0 {
                    prop_assert_eq!(new_peer(*session, text), take_peer(text));
                }
                prop_assert_eq!(known_peer(*session, text), take_peer(text));
            }
        }
    }
}
