//! What each event means. In: an event's name and the fields behind the session's ends. Out: facts.
//!
//! `smtp.ehlo` comes before the 250; refusals of HELO have events of their own. At the default
//! level neither the end of a session nor a failed AUTH is written, so what was reached last is
//! the end as far as the log goes.

use memchr::memmem;

use super::{Answer, End, Fact, Success, Weight, fields, key, parse_decimal, split_field};

/// Events of a command that was refused.
const REFUSALS: [&[u8]; 40] = [
    b"smtp.already-authenticated",
    b"smtp.command-not-implemented",
    b"smtp.concurrency-limit-exceeded",
    b"smtp.deliver-by-disabled",
    b"smtp.deliver-by-invalid",
    b"smtp.dsn-disabled",
    b"smtp.expn-disabled",
    b"smtp.expn-not-found",
    b"smtp.future-release-disabled",
    b"smtp.future-release-invalid",
    b"smtp.invalid-command",
    b"smtp.invalid-parameter",
    b"smtp.invalid-recipient-address",
    b"smtp.invalid-sender-address",
    b"smtp.loop-detected",
    b"smtp.mail-from-missing",
    b"smtp.mail-from-not-allowed",
    b"smtp.mail-from-unauthenticated",
    b"smtp.mail-from-unauthorized",
    b"smtp.mailbox-does-not-exist",
    b"smtp.message-parse-failed",
    b"smtp.message-too-large",
    b"smtp.mt-priority-disabled",
    b"smtp.mt-priority-invalid",
    b"smtp.multiple-mail-from",
    b"smtp.rate-limit-exceeded",
    b"smtp.rcpt-to-greylisted",
    b"smtp.rcpt-to-missing",
    b"smtp.relay-not-allowed",
    b"smtp.request-too-large",
    b"smtp.require-tls-disabled",
    b"smtp.start-tls-already",
    b"smtp.start-tls-unavailable",
    b"smtp.syntax-error",
    b"smtp.too-many-invalid-rcpt",
    b"smtp.too-many-messages",
    b"smtp.too-many-recipients",
    b"smtp.unsupported-parameter",
    b"smtp.vrfy-disabled",
    b"smtp.vrfy-not-found",
];

/// The facts of an event about a session; none where it says nothing of one.
pub(super) fn facts<'a>(name: &[u8], tail: &'a [u8]) -> Vec<Fact<&'a [u8]>> {
    let helo = |answer, weight, name| Fact::Helo { answer, weight, name };
    let proof = |answer, name| helo(answer, Weight::Proof, name);
    let failed = Fact::Auth { success: Success::Failed, user: None };
    match name {
        b"smtp.connection-start" => vec![Fact::Connect],
        b"smtp.connection-end" => vec![Fact::Disconnect { end: End::Untold, summary: None }],
        b"smtp.ehlo" => {
            vec![proof(Answer::Accepted, last_text(tail, b"domain")), Fact::Ending(End::Untold)]
        }
        b"smtp.invalid-ehlo" => vec![proof(Answer::Rejected, last_text(tail, b"domain"))],
        b"smtp.ehlo-expected" | b"smtp.lhlo-expected" => vec![proof(Answer::Rejected, None)],
        b"smtp.did-not-say-ehlo" => vec![proof(Answer::NotSent, None), Fact::Refused],
        // The server asks for EHLO first unless it is told not to.
        b"smtp.mail-from" | b"smtp.rcpt-to" => vec![helo(Answer::Accepted, Weight::Hint, None)],
        b"auth.success" => {
            vec![Fact::Auth { success: Success::Ok, user: first_text(tail, b"accountName") }]
        }
        b"auth.failed"
        | b"auth.banned"
        | b"auth.too-many-attempts"
        | b"auth.token-expired"
        | b"smtp.auth-not-allowed"
        | b"smtp.auth-mechanism-not-supported"
        | b"smtp.auth-exchange-too-long"
        | b"smtp.missing-auth-directory"
        | b"security.authentication-ban"
        | b"security.unauthorized" => vec![failed],
        b"smtp.quit" => vec![Fact::Ending(End::Orderly)],
        b"smtp.time-limit-exceeded" | b"smtp.transfer-limit-exceeded" => {
            vec![Fact::Refused, Fact::Ending(End::Lost)]
        }
        b"network.closed" | b"network.timeout" | b"network.read-error" => {
            vec![Fact::Ending(End::Lost)]
        }
        // Dropped before the greeting.
        b"security.ip-blocked" | b"network.drop-blocked" | b"limit.concurrent-connection" => vec![
            Fact::Connect,
            proof(Answer::NotSent, None),
            Fact::Disconnect { end: End::Lost, summary: None },
        ],
        b"milter.action-reject"
        | b"mta-hook.action-reject"
        | b"sieve.action-reject"
        | b"security.brute-force-ban" => vec![Fact::Refused],
        b"smtp.raw-input" | b"smtp.raw-output" => Vec::new(),
        _ if REFUSALS.contains(&name) => vec![Fact::Refused],
        _ if is_queued(name) => queue_id(tail)
            .map(|queue| vec![Fact::Queued { queue: Some(queue) }])
            .unwrap_or_default(),
        _ if name.starts_with(b"smtp.") || name.starts_with(b"tls.") => vec![Fact::Seen],
        _ => Vec::new(),
    }
}

/// A message of a client's entered the queue; reports and bounces have no client.
fn is_queued(name: &[u8]) -> bool {
    matches!(
        name,
        b"queue.queue-message"
            | b"queue.queue-message-authenticated"
            | b"queue.queue-message-submission"
            | b"queue.message-queued"
            | b"queue.authenticated-message-queued"
    )
}

/// The queue id where it is the first field.
pub(super) fn queue_id(tail: &[u8]) -> Option<u64> {
    let (name, value) = split_field(tail)?;
    let digits = fields::until_any(value, b", ");
    (name == b"queueId").then_some(())?;
    parse_decimal(digits).map(|_| key(&[digits]))
}

/// A delivery over SMTP or LMTP that the next hop answered with 250. The fields of the message
/// (`from`, `to = [...]`) stand before those of the delivery.
pub(super) fn delivery(tail: &[u8]) -> Fact<&[u8]> {
    // The next hop's own words come last and may hold anything.
    let fields = fields::after(tail, b"], size = ").unwrap_or(tail);
    let hop = memmem::find(fields, b"hostname = ").and_then(|at| fields.get(at..));
    let hop = hop.unwrap_or_default();
    let host = first_text(hop, b"hostname").unwrap_or_default();
    // The host's own message store and its filters are no next hop.
    if matches!(host, b"localhost" | b"127.0.0.1" | b"::1" | b"") {
        return Fact::Seen;
    }
    let to = memmem::find(hop, b"to = ").and_then(|at| hop.get(at..)).unwrap_or_default();
    let recipient = first_text(to, b"to").unwrap_or_default();
    let at = memchr::memrchr(b'@', recipient).map(|at| at.saturating_add(1));
    let domain = at.and_then(|at| recipient.get(at..)).unwrap_or_default();
    Fact::Delivery { next_hop: None, domain, queued_as: None }
}

/// The text of the first field, if it has that name: up to the quote before the next field.
fn first_text<'a>(tail: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let text = text_after(tail, name)?;
    let end = memmem::find(text, b"\", ").or_else(|| memchr::memrchr(b'"', text));
    text.get(..end.unwrap_or(text.len())).filter(|text| !text.is_empty())
}

/// The text of the last field, if it has that name: up to the last quote of the line, whatever
/// stands in it.
fn last_text<'a>(tail: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let text = text_after(tail, name)?;
    let end = memchr::memrchr(b'"', text).unwrap_or(text.len());
    text.get(..end).filter(|text| !text.is_empty())
}

fn text_after<'a>(tail: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = split_field(tail)?;
    (found == name).then_some(value)?.strip_prefix(b"\"")
}
