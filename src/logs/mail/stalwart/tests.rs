//! Events as Stalwart writes them, and that no client's text moves an end.

use proptest::prelude::*;

use super::*;
use crate::logs::envelope;
use crate::logs::mail::testing::{check, printed};

const ENDS: &str = " from 198.51.100.7:40001 to :25";

fn event(name: &str, more: &str) -> String {
    format!(
        "2026-11-02T10:00:00Z INFO Some event ({name}) listenerId = \"smtp\", localPort = 25, \
         remoteIp = 198.51.100.7, remotePort = 40001{more}"
    )
}

#[test]
fn session_events() {
    for (name, more, expected) in [
        ("smtp.connection-start", "", "Connect"),
        ("smtp.connection-end", ", elapsed = 5ms", "Disconnect Untold"),
        ("smtp.ehlo", ", domain = \"x\"", "Proof Accepted `x` | Ending(Untold)"),
        (
            "smtp.ehlo",
            ", domain = \"a\", b = \"c\"",
            "Proof Accepted `a\", b = \"c` | Ending(Untold)",
        ),
        ("smtp.ehlo", ", domain = \"\"", "Proof Accepted | Ending(Untold)"),
        ("smtp.invalid-ehlo", ", domain = \"x\"", "Proof Rejected `x`"),
        ("smtp.lhlo-expected", "", "Proof Rejected"),
        ("smtp.did-not-say-ehlo", "", "Proof NotSent | Refused"),
        ("smtp.mail-from", ", from = \"a@b\"", "Hint Accepted"),
        ("smtp.relay-not-allowed", ", to = \"a@b\"", "Refused"),
        ("smtp.spf-ehlo-fail", ", domain = \"x\"", "Seen"),
        ("tls.handshake", ", listenerId = \"smtp\"", "Seen"),
        ("auth.success", ", accountName = \"bob\", accountId = 6", "Auth Ok `bob`"),
        ("auth.failed", ", accountName = \"bob\"", "Auth Failed"),
        ("security.authentication-ban", "", "Auth Failed"),
        ("smtp.quit", "", "Ending(Orderly)"),
        ("network.closed", "", "Ending(Lost)"),
        ("security.ip-blocked", "", "Connect | Proof NotSent | Disconnect Lost"),
        ("queue.queue-message", ", queueId = 77, from = \"a@b\"", "Queued"),
    ] {
        let expected: Vec<String> =
            expected.split(" | ").map(|fact| format!("{fact}{ENDS}")).collect();
        check(&Format, &[(&event(name, more), &expected.join(" | "))]);
    }
}

#[test]
fn events_of_others() {
    let imap = event("auth.failed", "").replace("smtp", "imap").replace("= 25", "= 143");
    let other = "2026-11-02T10:00:00Z INFO Some event (imap.list) listenerId = \"imap\"";
    for (line, expected) in [
        (imap.as_str(), "ignored"),
        (other, "ignored"),
        (&event("smtp.raw-output", ", contents = \"250 ok\""), "ignored"),
        (&event("queue.queue-message", ""), "ignored"),
        (&event("smtp.ehlo", "").replace("198.51.100.7", "x"), "rejected remoteIp"),
        (&event("smtp", ""), "not recognised"),
        (&event("smtp.ehlo", "").replace("INFO", "NOTE"), "not recognised"),
        (&event("smtp.ehlo", "").replace("listenerId", "id"), "not recognised"),
        ("2026-11-02T10:00:00Z INFO x", "not recognised"),
        ("", "not recognised"),
    ] {
        check(&Format, &[(line, expected)]);
    }
}

#[test]
fn deliveries() {
    let line = |name: &str, more: &str| {
        format!(
            "2026-11-02T10:00:01Z INFO Some event (delivery.{name}) queueId = 77, from = \"a@b\", \
             to = [\"c@foreign.example\"], size = 9, total = 1{more}"
        )
    };
    let hop = ", hostname = \"mx.foreign.example\", to = \"c@Foreign.example\", code = 250, \
               details = \"ok\", elapsed = 5ms";
    for (line, expected) in [
        (line("delivered", hop), "Delivery of `Foreign.example` by ?"),
        (line("delivered", &hop.replace("mx.foreign.example", "localhost")), "Seen"),
        (
            line("delivered", &hop.replace("ok", "hostname = \"localhost\"")),
            "Delivery of `Foreign.example` by ?",
        ),
        (line("dsn-success", hop), "Seen"),
        (line("completed", ", elapsed = 0ms"), "Removed"),
        (line("completed", "").replace("77", "x"), "rejected queueId"),
    ] {
        check(&Format, &[(&line, expected)]);
    }
}

#[test]
fn heads_and_colours() {
    let told = format!("Proof Accepted `x`{ENDS} | Ending(Untold){ENDS}");
    let plain = event("smtp.ehlo", ", domain = \"x\"");
    let coloured = "\x1b[37m2026-11-02T10:00:00Z\x1b[0m \x1b[32;1mINFO\x1b[0m \x1b[37;1mSMTP EHLO \
                    command (smtp.ehlo) \x1b[36mlistenerId\x1b[0m = \"smtp\", \x1b[36mlocalPort = \
                    25, \x1b[36mremoteIp = 198.51.100.7, \x1b[36mremotePort = 40001, \
                    \x1b[36mdomain = \"x\"";
    let old = plain.replace("localPort = 25", "protocol = smtp");
    let journal = format!("Nov  2 10:00:00 mx1 stalwart[95]: {plain}");
    let docker = format!("stalwart  | {plain}");
    for line in [&plain, coloured, &journal, &docker] {
        check(&Format, &[(line, &told)]);
    }
    check(&Format, &[(&old, &told.replace(" to :25", ""))]);
    let found = printed(journal.as_bytes());
    assert!(found.contains("\"server_host\":\"mx1\""), "{found}");
    assert!(!printed(plain.as_bytes()).contains("server_host"));
}

proptest! {
    /// Whatever a client says in EHLO, the ends stay those that the server wrote before it.
    #[test]
    fn attribution_cannot_be_steered(
        text in prop_oneof![
            Just(b"192.0.2.66".to_vec()),
            Just(b"\", remoteIp = 192.0.2.66, remotePort = 1, domain = \"".to_vec()),
            Just(b"x) (smtp.ehlo) listenerId = \"y\", remoteIp = 192.0.2.66".to_vec()),
            Just(b"[192.0.2.66] relay=[192.0.2.66]\\r\\n\r".to_vec()),
            Just(vec![0xff; 2000]),
            proptest::collection::vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
        ],
    ) {
        let sample = event("smtp.ehlo", ", domain = \"canary\"");
        let parts: Vec<&[u8]> = sample.split("canary").map(str::as_bytes).collect();
        let raw = parts.join(text.as_slice());
        let line = envelope::open(&raw);
        prop_assert!(Format.recognises(&line));
        let mut records = Vec::new();
        Format.parse(&line, &Columns::NONE, &mut records);
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        prop_assert_eq!(records.len(), 2);
        for record in records {
            prop_assert_eq!(record.client, Some(address));
            prop_assert_eq!((record.client_port, record.local_port), (Some(40001), Some(25)));
        }
    }
}
