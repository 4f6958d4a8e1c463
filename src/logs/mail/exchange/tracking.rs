//! Message tracking logs: what became of messages. In: a row. Out: the client that brought a message,
//! and where it went.

use std::net::IpAddr;

use super::cells::{Field, Row};
use super::receive::BAD_TIME;
use crate::logs::fields;
use crate::logs::line::{Line, Outcome};
use crate::logs::mail::{Answer, Fact, MailRecord, Subject, Weight, key};
use crate::model::net::{parse_decimal, parse_ip};

/// One row of a tracking log. An SMTP RECEIVE names the client of a message; where the protocol
/// log told of it already, only the message's way goes on.
pub(super) fn parse_tracking<'a>(
    line: &Line<'a>,
    row: &Row<'a, '_>,
    out: &mut Vec<MailRecord<'a>>,
) -> Outcome {
    let message = row.get(Field::Message);
    if row.get(Field::Source) != b"SMTP" || parse_decimal(message).is_none() {
        return Outcome::Ignored;
    }
    let Some(time) = row.time() else {
        return Outcome::Rejected(BAD_TIME);
    };
    let queue = key(&[message]);
    let record = |server, fact| MailRecord {
        time: Some(time),
        server: Some(unqualified(server)),
        ..MailRecord::new(line, Subject::Message(queue), fact)
    };
    match row.get(Field::EventId) {
        b"RECEIVE" => {
            let Some(client) = submitter(row) else { return Outcome::Ignored };
            let server = row.get(Field::ServerHost);
            let ends = |fact| MailRecord {
                client: Some(client),
                local_ip: parse_ip(row.get(Field::ServerIp)),
                ..record(server, fact)
            };
            out.push(ends(Fact::Queued { queue: Some(queue) }));
            // Exchange takes no MAIL before HELO.
            let (answer, weight) = (Answer::Accepted, Weight::Hint);
            out.push(ends(Fact::Helo { answer, weight, name: None }));
        }
        b"SEND" => {
            let server = row.get(Field::ClientHost);
            let next_hop = parse_ip(row.get(Field::ServerIp));
            for recipient in row.get(Field::Recipients).split(|&b| b == b';').take(64) {
                let at = memchr::memrchr(b'@', recipient).map(|at| at.saturating_add(1));
                let domain = at.and_then(|at| recipient.get(at..)).unwrap_or_default();
                let fact = Fact::Delivery { next_hop, domain, queued_as: None };
                out.push(record(server, fact));
            }
        }
        _ => return Outcome::Ignored,
    }
    Outcome::Event
}

/// Who brought a message: behind a Frontend service its client, else the client itself.
fn submitter(row: &Row<'_, '_>) -> Option<IpAddr> {
    let original = parse_ip(row.get(Field::OriginalClient));
    original.filter(|ip| !ip.is_loopback()).or_else(|| parse_ip(row.get(Field::ClientIp)))
}

/// A host name without its domain, as protocol logs write the server.
fn unqualified(host: &[u8]) -> &[u8] {
    if parse_ip(host).is_some() { host } else { fields::until_any(host, b".") }
}
