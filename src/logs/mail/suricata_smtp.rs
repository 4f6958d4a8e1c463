//! Suricata EVE JSON: what the sensor saw of SMTP sessions (`smtp` events, and alerts and
//! `fileinfo` events that carry an `smtp` object).
//!
//! ```text
//! {"timestamp":"2026-11-02T10:00:00.1+0100","flow_id":7,"event_type":"smtp","src_ip":
//! "198.51.100.7","src_port":40001,"dest_ip":"203.0.113.25","dest_port":25,"smtp":{"helo":"x"}}
//! ```
//!
//! Suricata User Guide, "Eve JSON Format", SMTP and Alert. `helo` is what the client sent; the
//! answer stands nowhere but in the payload of an alert on the server's side. Message content
//! (`email`) is read only after the server's 354. Skipped: events without an `smtp` object.

use std::net::IpAddr;

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::{Answer, Fact, MailFormat, MailRecord, ShowsHelo, Subject, Weight, key};
use crate::model::net::{Endpoint, parse_ip, parse_port};

mod replies;

/// The format.
#[derive(Debug, Clone, Copy)]
pub struct Format;

/// Before the object of an SMTP session.
const MARKS: &[&[u8]] = &[b"\"smtp\":{", b"\"smtp\": {"];

/// Ports of mail servers: they tell the server's side of a packet where nothing else does.
const MAIL_PORTS: [u16; 4] = [25, 465, 587, 2525];

/// Signatures of Suricata's own (`smtp-events.rules`) for a refusal: TLS rejected, DATA rejected.
const REFUSALS: [&[u8]; 2] = [b"2220007", b"2220008"];

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "suricata_smtp"
    }

    fn product(&self) -> &'static str {
        "Suricata EVE JSON (smtp, alert, fileinfo)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"\"event_type\"", b"\"smtp\"", b"\"helo\"", b"\"flow_id\""]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Never(
            "Suricata writes the HELO that a client sent, not the server's answer, and sees \
             nothing after STARTTLS or on port 465; use the mail server's own log.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        let has = |mark: &[u8]| memmem::find(line.raw, mark).is_some();
        has(b"\"event_type\":") && has(b"\"flow_id\":") && MARKS.iter().any(|mark| has(mark))
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        MARKS
    }

    fn idle_seconds(&self) -> i64 {
        // The events of a flow come out when it is given up, with times hours apart.
        6 * 3600
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<MailRecord<'a>>) -> Outcome {
        match parse(line, out) {
            Ok(outcome) => outcome,
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

fn parse<'a>(line: &Line<'a>, out: &mut Vec<MailRecord<'a>>) -> Result<Outcome, Reject> {
    let broken = Reject::new("event", "one JSON object on the line");
    let event = Json::read_object(line.raw).and_then(|event| event.holding("event_type"));
    let event = event.ok_or(broken)?;
    let Some(smtp) = event.get("smtp").filter(|smtp| smtp.is_object()) else {
        return Ok(Outcome::Ignored);
    };
    let flow = event.text_of("flow_id").ok_or(Reject::new("flow_id", "a number"))?;
    let ends = Ends::of(event)?;
    let sensor = event.text_of("host").or(line.host).unwrap_or_default();
    let time = event.text_of("timestamp").and_then(LogTime::parse_iso).map(|(time, _)| time);
    let record = |fact| MailRecord {
        time: time.or(line.time),
        // The head's host is the sensor, not the mail server.
        server: None,
        client: Some(ends.client.ip),
        client_port: Some(ends.client.port),
        local_ip: Some(ends.server.ip),
        local_port: Some(ends.server.port),
        ..MailRecord::new(line, Subject::Session(key(&[flow, sensor])), fact)
    };
    let helo = smtp.text_of("helo");
    out.push(record(match helo {
        Some(_) => Fact::Helo { answer: Answer::Sent, weight: Weight::Proof, name: helo },
        None => Fact::Seen,
    }));
    if helo.is_some() && event.get("email").is_some_and(Json::is_object) {
        let (answer, weight) = (Answer::Accepted, Weight::Hint);
        out.push(record(Fact::Helo { answer, weight, name: None }));
    }
    if is_refusal(event) {
        out.push(record(Fact::Refused));
    }
    if ends.sender == Side::Server {
        let greeted = if helo.is_some() { replies::Helo::Sent } else { replies::Helo::Unseen };
        replies::read(event, greeted).for_each(|fact| out.push(record(fact)));
    }
    Ok(Outcome::Event)
}

/// Whether an alert is one of Suricata's own for a refused command.
fn is_refusal(event: Json<'_>) -> bool {
    let text = |key| event.at(&["alert", key]).and_then(Json::text);
    text("gid") == Some(b"1") && text("signature_id").is_some_and(|id| REFUSALS.contains(&id))
}

/// Who sent the packet that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// The ends of a session, and the side that the event's packet came from.
#[derive(Debug, Clone, Copy)]
struct Ends {
    client: Endpoint,
    server: Endpoint,
    sender: Side,
}

impl Ends {
    /// Reads the ends. The source of an `smtp` event is the client; that of an alert is whoever
    /// sent the packet, and the ends of its flow (since Suricata 7), its direction (since 5) or
    /// the ports tell which side that was. A flow whose beginning was not seen can have its ends
    /// the wrong way round, so a mail server's port goes before all of them.
    fn of(event: Json<'_>) -> Result<Self, Reject> {
        let source = end(event, ("src_ip", "src_port"))?;
        let other = end(event, ("dest_ip", "dest_port"))?;
        let is_mail = |end: Endpoint| MAIL_PORTS.contains(&end.port);
        let flow = event.get("flow").and_then(|flow| end(flow, ("src_ip", "src_port")).ok());
        let sender = match (is_mail(source), is_mail(other)) {
            (true, false) => Side::Server,
            (false, true) => Side::Client,
            _ if flow == Some(other) => Side::Server,
            _ if flow == Some(source) => Side::Client,
            _ if event.text_of("direction") == Some(b"to_client") => Side::Server,
            _ => Side::Client,
        };
        Ok(match sender {
            Side::Client => Self { client: source, server: other, sender },
            Side::Server => Self { client: other, server: source, sender },
        })
    }
}

fn end(event: Json<'_>, (ip, port): (&'static str, &'static str)) -> Result<Endpoint, Reject> {
    let address: Option<IpAddr> = event.text_of(ip).and_then(parse_ip);
    let address = address.ok_or(Reject::new(ip, "an IPv4 or IPv6 address"))?;
    let number = event.text_of(port).and_then(parse_port);
    Ok(Endpoint::new(address, number.ok_or(Reject::new(port, "a port from 0 to 65535"))?))
}

#[cfg(test)]
mod tests;
