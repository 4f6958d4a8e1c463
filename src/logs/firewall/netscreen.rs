//! Juniper NetScreen, SSG and ISG (`ScreenOS`) traffic log.
//!
//! `Nov  2 10:00:05 relay ns1: NetScreen device_id=ns1 [Root]system-notification-00257(traffic):
//! start_time="2026-11-02 10:00:00" duration=5 policy_id=244 service=smtp proto=6 src zone=Untrust
//! dst zone=DMZ action=Permit sent=900 rcvd=700 src=198.51.100.7 dst=203.0.113.25 src_port=40001
//! dst_port=25 src-xlated ip=.. port=.. dst-xlated ip=10.0.0.25 port=25 reason=Close - TCP FIN`
//!
//! Document: Juniper, `ScreenOS` Message Log Reference Guide, message 00257. A policy that logs writes
//! at the end of a session and, if asked, at its creation. The time is the session's start. Skipped:
//! all other messages, and everything but TCP.

use crate::logs::clock::LogTime;
use crate::logs::fields::{after, value};
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer};
use memchr::memmem;

/// Juniper NetScreen.
pub(super) struct Format;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "netscreen"
    }

    fn product(&self) -> &'static str {
        "Juniper NetScreen, SSG and ISG (ScreenOS)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"NetScreen device_id=", b"proto=", b"src=", b"dst=", b"dst_port=", b"action="]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        line.pid.is_none() && memmem::find(line.raw, b"NetScreen device_id=").is_some()
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!("port={port}").into_bytes()]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Outcome {
        match after(line.raw, b"(traffic):") {
            Some(text) => conclude(parse_traffic(line, text), out),
            None => Outcome::Ignored,
        }
    }
}

fn parse_traffic<'a>(line: &Line<'a>, text: &'a [u8]) -> Parsed<'a> {
    let field = |key: &[u8]| value(text, key, b" ");
    if field(b"proto") != Some(b"6") {
        return Ok(None);
    }
    let src = end((field(b"src"), "src"), (field(b"src_port"), "src_port"))?;
    let dst = end((field(b"dst"), "dst"), (field(b"dst_port"), "dst_port"))?;
    let reason = after(text, b" reason=").unwrap_or_default();
    let action = match field(b"action") {
        Some(b"Permit") if reason.starts_with(b"Creation") => Action::Allow,
        Some(b"Permit") => Action::Close,
        Some(b"Deny" | b"Reject") => Action::Deny,
        _ => return Err(Reject::new("action", "Permit, Deny or Reject")),
    };
    let mut record = FlowRecord::new(line, action, src, dst);
    let started = field(b"start_time").and_then(LogTime::parse_iso);
    record.time = started.map(|(time, _)| time).or(line.time);
    record.device = after(text_from_device(line), b"device_id=").and_then(|rest| {
        let name = rest.split(|b| matches!(b, b' ' | b'[')).next();
        name.filter(|name| !name.is_empty())
    });
    let translated = |mark: &[u8]| {
        let rest = after(text, mark)?;
        Some((value(rest, b"ip", b" ")?, value(rest, b"port", b" ")))
    };
    record.nat_src =
        translated(b"src-xlated ").and_then(|(ip, port)| other_end(src, Some(ip), port));
    record.nat_dst =
        translated(b"dst-xlated ").and_then(|(ip, port)| other_end(dst, Some(ip), port));
    // A session that aged out without a byte from the server.
    let silent = reason.starts_with(b"Close - AGE OUT") && field(b"rcvd") == Some(b"0");
    if action == Action::Close && silent {
        record.answer = Answer::Never;
    }
    Ok(Some(record))
}

fn text_from_device<'a>(line: &Line<'a>) -> &'a [u8] {
    let at = memmem::find(line.raw, b"NetScreen ").unwrap_or(0);
    line.raw.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::firewall::testing::told;

    #[test]
    fn traffic() {
        let line = |action: &str, more: &str| {
            format!(
                "Nov  2 10:00:05 relay ns1: NetScreen device_id=ns1  [Root]system-notification-\
                 00257(traffic): start_time=\"2026-11-02 10:00:00\" duration=5 policy_id=2 \
                 service=SMTP mail(tcp) proto=6 src zone=Untrust dst zone=DMZ action={action} \
                 sent=9 rcvd=0 src=198.51.100.7 dst=203.0.113.25 src_port=4 dst_port=25{more}"
            )
        };
        let xlated = " src-xlated ip=198.51.100.7 port=4 dst-xlated ip=10.0.0.25 port=2525 \
                      session_id=7 reason=Creation";
        let flow = "198.51.100.7:4 > 203.0.113.25:25";
        let cases = [
            (line("Permit", xlated), format!("allow {flow} nat_dst=10.0.0.25:2525 @ns1")),
            (line("Permit", " reason=Close - TCP FIN"), format!("close {flow} @ns1")),
            (line("Permit", " reason=Close - AGE OUT"), format!("close {flow} unanswered @ns1")),
            (line("Permit", ""), format!("close {flow} @ns1")),
            (line("Deny", " reason=Traffic Denied"), format!("deny {flow} @ns1")),
            (line("Deny", "").replace("proto=6", "proto=17"), "ignored".to_owned()),
            (line("Deny", "").replace("(traffic)", "(other)"), "ignored".to_owned()),
            (line("Deny", "").replace(" dst_port=25", ""), "rejected dst_port".to_owned()),
            (line("Tunnel", ""), "rejected action".to_owned()),
            (line("Deny", "").replace("NetScreen ", ""), "not recognised".to_owned()),
        ];
        for (raw, expected) in cases {
            let time = if expected.contains('>') { "2026-11-02T10:00:00Z " } else { "" };
            assert_eq!(told(&Format, &raw), format!("{time}{expected}"), "{raw}");
        }
    }
}
