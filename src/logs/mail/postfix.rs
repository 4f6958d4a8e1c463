//! Postfix: smtpd, postscreen and the queue, in every instance (`postfix-in/smtpd`), service
//! (`postfix/submission/smtpd`) and appliance that is Postfix inside (Zimbra, Proxmox Mail Gateway).
//!
//! ```text
//! Nov  2 10:00:00 mx1 postfix/smtpd[411]: disconnect from unknown[198.51.100.7] ehlo=1 quit=1 commands=2
//! ```
//!
//! Document: <https://www.postfix.org/smtpd.8.html>, `src/smtpd/smtpd.c`, `smtpd_check.c`,
//! `src/postscreen/`, `src/smtp/`. What is not read: anvil, dnsblog, tlsproxy, local deliveries,
//! warnings that name no client. The HELO name of a session that did nothing else is in no line.

mod postscreen;
mod queue;
mod smtpd;

use std::net::IpAddr;

use crate::logs::line::{Columns, Line, Outcome};
use crate::logs::mail::{MailFormat, MailRecord, ShowsHelo, key};
use crate::model::net::{parse_ip, parse_port};

/// Postfix.
#[derive(Debug, Clone, Copy)]
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "postfix"
    }

    fn product(&self) -> &'static str {
        "Postfix smtpd and postscreen (also in Zimbra, Proxmox Mail Gateway)"
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Default(
            "Postfix 3.0 and later count HELO and EHLO in the disconnect line without any \
             setting; older versions cannot show them. smtpd_client_port_logging=yes adds the \
             client's port. postscreen's deep protocol tests answer HELO without a log line.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        line.tag.and_then(Daemon::parse).is_some()
    }

    /// `/smtp` is in the tags of smtpd and smtp, of every service.
    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"/smtp", b"/postscreen", b"/qmgr", b"/cleanup", b"/lmtp"]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let before = out.len();
        match line.tag.and_then(Daemon::parse) {
            Some(Daemon::Smtpd(service)) => smtpd::parse(line, service_port(service), out),
            Some(Daemon::Postscreen) => postscreen::parse(line, out),
            Some(Daemon::Smtp) => queue::parse_smtp(line, out),
            Some(Daemon::Lmtp) => queue::parse_lmtp(line, out),
            Some(Daemon::Qmgr) => queue::parse_qmgr(line, out),
            Some(Daemon::Cleanup) => queue::parse_cleanup(line, out),
            Some(Daemon::Other) | None => {}
        }
        if out.len() > before { Outcome::Event } else { Outcome::Ignored }
    }
}

/// Which program wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Daemon<'a> {
    /// With the service's name where the tag has one, else empty.
    Smtpd(&'a [u8]),
    Postscreen,
    Smtp,
    Lmtp,
    Qmgr,
    Cleanup,
    /// A program of Postfix that says nothing of sessions.
    Other,
}

impl<'a> Daemon<'a> {
    /// Reads `INSTANCE/PROGRAM` or `INSTANCE/SERVICE/PROGRAM`.
    fn parse(tag: &'a [u8]) -> Option<Self> {
        let slash = memchr::memrchr(b'/', tag)?;
        let program = tag.get(slash.checked_add(1)?..)?;
        let prefix = tag.get(..slash)?;
        let daemon = match program {
            b"smtpd" => {
                let service = memchr::memrchr(b'/', prefix).and_then(|at| prefix.get(at + 1..));
                Self::Smtpd(service.unwrap_or_default())
            }
            b"smtp" => Self::Smtp,
            b"lmtp" => Self::Lmtp,
            b"qmgr" | b"nqmgr" | b"oqmgr" => Self::Qmgr,
            b"cleanup" => Self::Cleanup,
            b"postscreen" => Self::Postscreen,
            b"anvil" | b"bounce" | b"defer" | b"discard" | b"dnsblog" | b"error" | b"flush"
            | b"local" | b"master" | b"pickup" | b"pipe" | b"postalias" | b"postdrop"
            | b"postfix-script" | b"postfix-tlsmgr" | b"postlog" | b"postlogd" | b"postmap"
            | b"postmulti" | b"postqueue" | b"postsuper" | b"proxymap" | b"qmqpd" | b"retry"
            | b"relay" | b"scache" | b"sendmail" | b"showq" | b"smtp-sink" | b"spawn"
            | b"tlsmgr" | b"tlsproxy" | b"trace" | b"trivial-rewrite" | b"verify" | b"virtual" => {
                Self::Other
            }
            _ => return None,
        };
        (!prefix.is_empty()).then_some(daemon)
    }
}

/// The port of a service by the name that `-o syslog_name=postfix/NAME` gives it; plain smtpd says
/// nothing of its port.
fn service_port(service: &[u8]) -> Option<u16> {
    match service {
        b"submission" => Some(587),
        b"smtps" | b"submissions" | b"smtp-ssl" | b"ssmtp" => Some(465),
        _ => parse_port(service).filter(|port| *port > 0),
    }
}

/// The client as Postfix writes it at the start of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Peer {
    /// None for `unknown[unknown]`: the client was gone before it was asked.
    ip: Option<IpAddr>,
    port: Option<u16>,
}

/// Reads `name[address]` or `name[address]:port` (smtpd; the name is one that DNS allows, so it
/// holds no bracket) or `[address]:port` (postscreen); gives what follows.
fn take_peer(text: &[u8]) -> Option<(Peer, &[u8])> {
    let open = memchr::memchr(b'[', text.get(..260).unwrap_or(text))?;
    let name = text.get(..open)?;
    if name.iter().any(|b| !(b.is_ascii_alphanumeric() || b"._-".contains(b) || *b >= 0x80)) {
        return None;
    }
    let inner = text.get(open.checked_add(1)?..)?;
    let close = memchr::memchr(b']', inner.get(..64).unwrap_or(inner))?;
    let address = inner.get(..close)?;
    let address = address.strip_prefix(b"IPv6:").unwrap_or(address);
    let mut rest = inner.get(close.checked_add(1)?..)?;
    let ip = match address {
        b"unknown" => None,
        _ => Some(parse_ip(address)?),
    };
    let mut port = None;
    if let Some(after) = rest.strip_prefix(b":") {
        let digits = after.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            port = parse_port(after.get(..digits)?);
            rest = after.get(digits..)?;
        }
    }
    Some((Peer { ip, port }, rest))
}

/// A queue id at the start of a text, and what follows `ID: `: hex digits, or with
/// `enable_long_queue_ids` letters without vowels and digits.
fn take_queue_id(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().take(32).take_while(|b| b.is_ascii_alphanumeric()).count();
    let id = text.get(..length).filter(|id| id.len() >= 5)?;
    let rest = text.get(length..)?.strip_prefix(b": ")?;
    id.iter().all(|b| b.is_ascii_digit() || b.is_ascii_alphabetic()).then(|| (key(&[id]), rest))
}

/// The HELO name at the end of a line: `helo=<NAME>`. Postfix writes it behind all envelope
/// text and takes `<`, `>` and blanks out of it, so the last one is the server's own field.
/// Some of nothing: the field is there and empty, or the line ends without it.
fn helo_name(text: &[u8]) -> Option<&[u8]> {
    const FIELD: &[u8] = b" helo=<";
    let Some(at) = memchr::memmem::rfind(text, FIELD) else {
        let protocol = [b" proto=SMTP".as_slice(), b" proto=ESMTP"];
        return protocol.iter().any(|end| text.ends_with(end)).then_some(b"");
    };
    let value = text.get(at.checked_add(FIELD.len())?..)?;
    let end = memchr::memchr(b'>', value)?;
    value.get(..end)
}
