//! Courier: courieresmtpd, and the queue's daemons for what became of a message.
//!
//! `Nov  2 10:00:00 mx1 courieresmtpd: error,relay=::ffff:198.51.100.7,port=40001,msg="535 Authentication failed.",cmd: AUTH PLAIN`
//!
//! Document: the source, `module.esmtp/courieresmtpd.c` and `cdmsgq.C`. `started` is a connection,
//! `error` a refusal; an accepted HELO is not logged until a message is accepted (`newmsg`), and
//! there is no line at the end. Versions before 1.0 leave the port out: then the sessions of one
//! address are told apart by their `started` lines. Skipped: the dialogue that
//! `ESMTP_LOG_DIALOG=1` adds, which names no client.

use std::net::IpAddr;

use memchr::memmem;

use crate::logs::fields::{after, before, split_once, until_any};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::logs::mail::fact::{Answer, End, Fact, MailRecord, Subject, Success, Verb, Weight, key};
use crate::logs::mail::{MailFormat, ShowsHelo};
use crate::model::net::{parse_ip, parse_port};

/// The format.
pub struct Format;

impl MailFormat for Format {
    fn name(&self) -> &'static str {
        "courier"
    }

    fn product(&self) -> &'static str {
        "Courier (courieresmtpd, courierd)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"courieresmtpd", b"ip=[", b"port=["]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Never(
            "Courier logs no accepted HELO that nothing follows; use a packet capture or Suricata \
             (smtp events) in front of it",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        daemon(line).is_some()
    }

    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"started,ip=[", b"error,relay=", b"newmsg,id=", b"completed,id=", b",success: "]
    }

    fn idle_seconds(&self) -> i64 {
        900
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        let before = out.len();
        match daemon(line) {
            Some(Daemon::Server) | None => {
                if let Err(reject) = parse_server(line, out) {
                    return Outcome::Rejected(reject);
                }
            }
            Some(Daemon::Queue) => parse_queue(line, out),
            Some(Daemon::Sender) => parse_delivery(line, out),
            Some(Daemon::Other) => {}
        }
        if out.len() > before { Outcome::Event } else { Outcome::Ignored }
    }
}

/// Courier's programs.
enum Daemon {
    /// `courieresmtpd`, `courieresmtpd-ssl`, `courieresmtpd-msa`.
    Server,
    /// `courierd`.
    Queue,
    /// `courieresmtp`.
    Sender,
    /// The senders that bring nothing to other hosts.
    Other,
}

fn daemon(line: &Line<'_>) -> Option<Daemon> {
    let tag = line.tag?;
    match tag {
        b"courierd" => Some(Daemon::Queue),
        b"courieresmtp" => Some(Daemon::Sender),
        b"courierlocal" | b"courierdsn" | b"courierfax" | b"courieruucp" => Some(Daemon::Other),
        _ if tag.starts_with(b"courieresmtpd") => Some(Daemon::Server),
        _ => None,
    }
}

/// The client of a line.
struct Client {
    ip: IpAddr,
    port: Option<u16>,
}

impl Client {
    /// The client's session. Without a port the sessions of one address share their key, and each
    /// `started` begins a new one.
    fn subject(&self) -> Subject {
        let ip = self.ip.to_string();
        let port = self.port.unwrap_or_default().to_be_bytes();
        Subject::Session(key(&[b"courier", ip.as_bytes(), &port]))
    }
}

/// A line of courieresmtpd.
fn parse_server<'a>(line: &Line<'a>, out: &mut Vec<MailRecord<'a>>) -> Result<(), Reject> {
    const NO_CLIENT: Reject = Reject::new("relay", "the client's address");
    if let Some(started) = line.body.strip_prefix(b"started,ip=[") {
        let (address, rest) = split_once(started, b']').ok_or(NO_CLIENT)?;
        let ip = parse_ip(address).ok_or(NO_CLIENT)?;
        let port = rest.strip_prefix(b",port=[").map(|port| until_any(port, b"]"));
        let client = Client { ip, port: port.and_then(parse_port) };
        push(line, &client, Fact::Connect, out);
        return Ok(());
    }
    let Some(error) = line.body.strip_prefix(b"error,relay=") else { return Ok(()) };
    let address = until_any(error, b",");
    let ip = parse_ip(address).ok_or(NO_CLIENT)?;
    let rest = error.get(address.len()..).unwrap_or_default();
    let (port, rest) = take_port(rest);
    let client = Client { ip, port };
    match after(rest, b",msg=\"") {
        Some(message) if !rest.starts_with(b",from=") => tell_error(line, &client, message, out),
        // `,from=<sender>,to=<recipient>: 550 User unknown.`
        _ => push(line, &client, Fact::Refused, out),
    }
    Ok(())
}

/// `,port=40001`.
fn take_port(text: &[u8]) -> (Option<u16>, &[u8]) {
    let Some(rest) = text.strip_prefix(b",port=") else { return (None, text) };
    let digits = until_any(rest, b",");
    (parse_port(digits), rest.get(digits.len()..).unwrap_or_default())
}

/// `535 Authentication failed.",cmd: AUTH PLAIN`: the server's reply, or what went wrong on the
/// connection (`writev: Broken pipe`), and the client's last command.
fn tell_error<'a>(
    line: &Line<'a>,
    client: &Client,
    message: &'a [u8],
    out: &mut Vec<MailRecord<'a>>,
) {
    let command = after(message, b"\",cmd: ").unwrap_or_default();
    let (verb, argument) = Verb::parse(command);
    let code = message.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit));
    match code {
        None => return push(line, client, Fact::Ending(End::Lost), out),
        // `252 VRFY disabled` is logged as an error too.
        Some(code) if !code.starts_with(b"4") && !code.starts_with(b"5") => {
            return push(line, client, Fact::Seen, out);
        }
        Some(_) => {}
    }
    if verb == Verb::Helo {
        let name = (!argument.is_empty()).then_some(argument);
        let (answer, weight) = (Answer::Rejected, Weight::Proof);
        push(line, client, Fact::Helo { answer, weight, name }, out);
    }
    // Not `535 Authentication required.`, which answers other commands.
    let failed = [b"535 Authentication failed".as_slice(), b"535 Authentication rejected"];
    if failed.iter().any(|text| message.starts_with(text)) {
        push(line, client, Fact::Auth { success: Success::Failed, user: None }, out);
    }
    push(line, client, Fact::Refused, out);
}

fn push<'a>(line: &Line<'a>, client: &Client, fact: Fact<&'a [u8]>, out: &mut Vec<MailRecord<'a>>) {
    let tag = line.tag.unwrap_or_default();
    let local_port = if tag.ends_with(b"-ssl") {
        Some(465)
    } else if tag.ends_with(b"-msa") {
        Some(587)
    } else {
        None
    };
    out.push(MailRecord {
        client: Some(client.ip),
        client_port: client.port,
        local_port,
        ..MailRecord::new(line, client.subject(), fact)
    });
}

/// A line of courierd: a message came into the queue or left it.
fn parse_queue<'a>(line: &Line<'a>, out: &mut Vec<MailRecord<'a>>) {
    if let Some(id) = line.body.strip_prefix(b"completed,id=") {
        if let Some((queue, _)) = take_id(id) {
            out.push(MailRecord::new(line, Subject::Message(queue), Fact::Removed));
        }
        return;
    }
    let Some((queue, rest)) = line.body.strip_prefix(b"newmsg,id=").and_then(take_id) else {
        return;
    };
    // `, auth=user: dns; helo (host [address])`; other sources than SMTP name no address.
    let (auth, origin) = match rest.strip_prefix(b", auth=") {
        Some(rest) => (before(rest, b": dns; "), after(rest, b": dns; ")),
        None => (None, rest.strip_prefix(b": dns; ")),
    };
    let Some((name, ip)) = origin.and_then(take_origin) else { return };
    let mut say = |fact| {
        let subject = Subject::Message(queue);
        out.push(MailRecord { client: Some(ip), ..MailRecord::new(line, subject, fact) });
    };
    say(Fact::Queued { queue: Some(queue) });
    let (answer, weight) = (Answer::Accepted, Weight::Hint);
    say(Fact::Helo { answer, weight, name: Some(name) });
    if auth.is_some() {
        say(Fact::Auth { success: Success::Ok, user: auth });
    }
}

/// `helo (host [address])`. The name is the client's and has no blanks; the rest stands at the end.
fn take_origin(text: &[u8]) -> Option<(&[u8], IpAddr)> {
    let head = text.strip_suffix(b"])")?;
    let at = memchr::memrchr(b'[', head)?;
    let ip = parse_ip(head.get(at.checked_add(1)?..)?)?;
    let name = head.get(..memmem::rfind(head.get(..at)?, b" (")?)?;
    Some((name, ip))
}

/// A message's id, three hexadecimal numbers with dots between them, and what follows.
fn take_id(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().take_while(|b| b.is_ascii_hexdigit() || **b == b'.').count();
    let (id, rest) = text.split_at_checked(length).filter(|(id, _)| !id.is_empty())?;
    Some((key(&[b"courier", id]), rest))
}

/// `id=...,from=<sender>,addr=<recipient>,size=329,success: delivered: host [address]`. The two
/// addresses are the client's and stand in front of what the server says.
fn parse_delivery<'a>(line: &Line<'a>, out: &mut Vec<MailRecord<'a>>) {
    const DELIVERED: &[u8] = b",success: delivered: ";
    let Some((queue, rest)) = line.body.strip_prefix(b"id=").and_then(take_id) else {
        return;
    };
    let Some(at) = memmem::rfind(rest, DELIVERED) else { return };
    let host = rest.get(at.saturating_add(DELIVERED.len())..).unwrap_or_default();
    let head = rest.get(..at).unwrap_or_default();
    let addresses = memmem::rfind(head, b">,size=").and_then(|end| head.get(..end));
    // The next hop's own words stand behind `>: `.
    let Some(addresses) = addresses.filter(|text| memmem::find(text, b">: ").is_none()) else {
        return;
    };
    let domain = memchr::memrchr(b'@', addresses)
        .and_then(|at| addresses.get(at.saturating_add(1)..))
        .unwrap_or_default();
    let hop = host.strip_suffix(b"]").and_then(|host| {
        let at = memchr::memrchr(b'[', host)?;
        parse_ip(host.get(at.checked_add(1)?..)?)
    });
    let fact = Fact::Delivery { next_hop: hop, domain, queued_as: None };
    out.push(MailRecord::new(line, Subject::Message(queue), fact));
}

#[cfg(test)]
mod tests;
