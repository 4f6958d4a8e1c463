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

mod peer;
mod postscreen;
mod queue;
mod smtpd;

use crate::logs::line::{Columns, Line, Outcome};
use crate::logs::mail::{MailFormat, MailRecord, Program, Say, ShowsHelo, key};
use crate::model::net::parse_port;

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

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"postfix", b"connect from ", b"client="]
    }

    fn shows_helo(&self) -> ShowsHelo {
        ShowsHelo::Default(
            "Postfix 3.0 and later count HELO and EHLO in the disconnect line without any \
             setting; older versions cannot show them. smtpd_client_port_logging=yes adds the \
             client's port. postscreen's deep protocol tests answer HELO without a log line.",
        )
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        line.tag.and_then(program).is_some()
    }

    /// `/smtp` is in the tags of smtpd and smtp, of every service.
    fn marks(&self) -> &'static [&'static [u8]] {
        &[b"/smtp", b"/postscreen", b"/qmgr", b"/cleanup", b"/lmtp"]
    }

    fn parse<'a>(
        &self,
        line: &Line<'a>,
        columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Outcome {
        self.parse_own(line, columns, out).unwrap_or(Outcome::Ignored)
    }

    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        _columns: &Columns,
        out: &mut Vec<MailRecord<'a>>,
    ) -> Option<Outcome> {
        Some(program(line.tag?)?.parse(line, out))
    }

    fn program(&self, tag: &[u8]) -> Option<Program> {
        program(tag)
    }
}

/// Reads `INSTANCE/PROGRAM` or `INSTANCE/SERVICE/PROGRAM`.
fn program(tag: &[u8]) -> Option<Program> {
    let slash = tag.iter().rposition(|&byte| byte == b'/')?;
    let name = tag.get(slash.checked_add(1)?..)?;
    let prefix = tag.get(..slash).filter(|prefix| !prefix.is_empty())?;
    let mut program = Program { read: ignore, port: None, key: 0 };
    program.read = match name {
        b"smtpd" => {
            let service = memchr::memrchr(b'/', prefix).and_then(|at| prefix.get(at + 1..));
            (program.port, program.key) = (service_port(service.unwrap_or_default()), key(&[tag]));
            smtpd::parse
        }
        b"smtp" => queue::parse_smtp,
        b"lmtp" => queue::parse_lmtp,
        b"qmgr" | b"nqmgr" | b"oqmgr" => queue::parse_qmgr,
        b"cleanup" => queue::parse_cleanup,
        b"postscreen" => postscreen::parse,
        b"anvil" | b"bounce" | b"defer" | b"discard" | b"dnsblog" | b"error" | b"flush"
        | b"local" | b"master" | b"pickup" | b"pipe" | b"postalias" | b"postdrop"
        | b"postfix-script" | b"postfix-tlsmgr" | b"postlog" | b"postlogd" | b"postmap"
        | b"postmulti" | b"postqueue" | b"postsuper" | b"proxymap" | b"qmqpd" | b"retry"
        | b"relay" | b"scache" | b"sendmail" | b"showq" | b"smtp-sink" | b"spawn" | b"tlsmgr"
        | b"tlsproxy" | b"trace" | b"trivial-rewrite" | b"verify" | b"virtual" => ignore,
        _ => return None,
    };
    Some(program)
}

/// Reads a line of a program of Postfix that says nothing of sessions.
fn ignore<'a>(_: &Program, _pid: Option<&[u8]>, _body: &'a [u8], _say: Say<'_, 'a>) {}

/// The port of a service by the name that `-o syslog_name=postfix/NAME` gives it; plain smtpd says
/// nothing of its port.
fn service_port(service: &[u8]) -> Option<u16> {
    match service {
        b"submission" => Some(587),
        b"smtps" | b"submissions" | b"smtp-ssl" | b"ssmtp" => Some(465),
        _ => parse_port(service).filter(|port| *port > 0),
    }
}

/// A queue id at the start of a text, and what follows `ID: `: hex digits, or with
/// `enable_long_queue_ids` letters without vowels and digits.
fn take_queue_id(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = alphanumerics(text.get(..32).unwrap_or(text));
    let id = text.get(..length).filter(|id| id.len() >= 5)?;
    let rest = text.get(length..)?.strip_prefix(b": ")?;
    Some((key(&[id]), rest))
}

/// How many ASCII letters and digits a text begins with. Eight bytes are looked at as one number.
#[inline]
fn alphanumerics(text: &[u8]) -> usize {
    let repeated = |byte: u8| u64::from_le_bytes([byte; 8]);
    let high = repeated(0x80);
    // The highest bit of each byte that lies between two others; none of them is beyond ASCII, so
    // nothing is carried into the next.
    let between = |word: u64, least: u8, most: u8| {
        word.wrapping_add(repeated(0x80 - least)) & !word.wrapping_add(repeated(0x7f - most))
    };
    let (words, rest) = text.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let ascii = word & !high;
        let known = between(ascii, b'0', b'9') | between(ascii | repeated(0x20), b'a', b'z');
        let others = (!known | word) & high;
        if others != 0 {
            return length + (others.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count()
}

/// Classes of bytes, as bits of [`CLASSES`].
const DIGIT: u8 = 1;
const NAME: u8 = 2;
const ADDRESS: u8 = 4;
const WORDS: u8 = 8;

/// Every byte's classes: looked up once a byte, where several tests would cost as many.
static CLASSES: [u8; 256] = classes();

#[allow(clippy::indexing_slicing, reason = "the index is at most 255, and this runs when built")]
const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut at = 0usize;
    while at < 256 {
        let byte = at as u8;
        if byte.is_ascii_digit() {
            table[at] |= DIGIT;
        }
        if byte.is_ascii_alphanumeric() {
            table[at] |= NAME | ADDRESS | WORDS;
        }
        if matches!(byte, b'.' | b'-' | b'_') || byte >= 0x80 {
            table[at] |= NAME;
        }
        if matches!(byte, b'.' | b':' | b'%' | b'-' | b'_') {
            table[at] |= ADDRESS;
        }
        if matches!(byte, b' ' | b':' | b'.' | b'-') {
            table[at] |= WORDS;
        }
        at += 1;
    }
    table
}

/// How many bytes at the start of the text are of a class, at most `most`.
fn run_length(text: &[u8], most: usize, class: u8) -> usize {
    let text = text.get(..most).unwrap_or(text);
    let of_class = |byte: u8| CLASSES.get(usize::from(byte)).is_some_and(|c| c & class != 0);
    text.iter().position(|&byte| !of_class(byte)).unwrap_or(text.len())
}

/// The HELO name at the end of a line: `helo=<NAME>`. Postfix writes it behind all envelope
/// text and takes `<`, `>` and blanks out of it, so the last one is the server's own field.
/// Some of nothing: the field is there and empty, or the line ends without it.
fn helo_name(text: &[u8]) -> Option<&[u8]> {
    const FIELD: &[u8] = b" helo=<";
    let Some(at) = rfind_field(text, FIELD) else {
        let protocol = [b" proto=SMTP".as_slice(), b" proto=ESMTP"];
        return protocol.iter().any(|end| text.ends_with(end)).then_some(b"");
    };
    let value = text.get(at.checked_add(FIELD.len())?..)?;
    let end = memchr::memchr(b'>', value)?;
    value.get(..end)
}

/// The last place of a field whose last byte is `<`: found by that byte, which is rare.
fn rfind_field(text: &[u8], field: &[u8]) -> Option<usize> {
    let mut end = text.len();
    while let Some(at) = memchr::memrchr(b'<', text.get(..end)?) {
        if text.get(..=at)?.ends_with(field) {
            return at.checked_add(1)?.checked_sub(field.len());
        }
        end = at;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Format, alphanumerics};
    use crate::logs::mail::testing::{check, printed};

    const HEAD: &str = "Nov  2 10:00:00 mx1 postfix/";

    fn check_bodies(cases: &[(&str, &str)]) {
        for (body, expected) in cases {
            check(&Format, &[(&format!("{HEAD}{body}"), expected)]);
        }
    }

    #[test]
    fn lines_of_smtpd() {
        check_bodies(&[
            ("smtpd[9]: connect from unknown[198.51.100.7]", "Connect from 198.51.100.7"),
            ("smtpd[9]: connect from a.example[2001:db8::7]", "Connect from 2001:db8::7"),
            ("smtpd[9]: connect from a.example[::ffff:192.0.2.7]:5", "Connect from 192.0.2.7:5"),
            ("smtpd[9]: connect from unknown[unknown]", "Connect"),
            ("smtpd[9]: connect from un known[198.51.100.7]", "ignored"),
            (
                "submission/smtpd[9]: connect from unknown[198.51.100.7]",
                "Connect from 198.51.100.7 to :587",
            ),
            ("2525/smtpd[9]: connect from x[198.51.100.7]", "Connect from 198.51.100.7 to :2525"),
            ("dkim/smtpd[9]: connect from x[198.51.100.7]", "Connect from 198.51.100.7"),
            (
                "smtpd[9]: disconnect from x[198.51.100.7] ehlo=2 starttls=1 quit=1 commands=4",
                "Disconnect Orderly Some(Accepted) None Some(0) fine from 198.51.100.7",
            ),
            (
                "smtpd[9]: disconnect from x[198.51.100.7] helo=0/1 auth=1/2 bdat=3 commands=4/6",
                "Disconnect Lost Some(Rejected) Some(Ok) Some(1) refused from 198.51.100.7",
            ),
            ("smtpd[9]: disconnect from x[198.51.100.7]", "Disconnect Orderly from 198.51.100.7"),
            (
                "smtpd[9]: disconnect from x[198.51.100.7] ehlo=99999999999999999999 commands=1",
                "Disconnect Orderly from 198.51.100.7",
            ),
            (
                "smtpd[9]: NOQUEUE: lost connection after HELO from x[198.51.100.7]",
                "Ending(Lost) from 198.51.100.7 | Hint Accepted from 198.51.100.7",
            ),
            (
                "smtpd[9]: lost connection after DATA (20 bytes) from x[198.51.100.7]",
                "Ending(Lost) from 198.51.100.7",
            ),
            (
                "smtpd[9]: AB12C: client=x[198.51.100.7], sasl_method=PLAIN, sasl_username=a, b",
                "Announced from 198.51.100.7 | Auth Ok `a, b` from 198.51.100.7",
            ),
            (
                "smtpd[9]: NOQUEUE: reject: MAIL from x[198.51.100.7]: 550 no; proto=SMTP",
                "Refused from 198.51.100.7 | Hint NotSent from 198.51.100.7",
            ),
            (
                "smtpd[9]: NOQUEUE: filter: RCPT from x[198.51.100.7]: <x>: go; helo=<h helo=<k>",
                "Seen from 198.51.100.7 | Proof Accepted `k` from 198.51.100.7",
            ),
            (
                "smtpd[9]: warning: x[198.51.100.7]: SASL LOGIN authentication failed: UGE6",
                "Auth Failed from 198.51.100.7 | Hint Accepted from 198.51.100.7",
            ),
            ("smtpd[9]: warning: hostname a.example does not resolve to address b", "ignored"),
            ("anvil[9]: statistics: max connection rate 1/60s for (smtpd:x[192.0.2.1])", "ignored"),
        ]);
    }

    #[test]
    fn lines_of_postscreen() {
        check_bodies(&[
            (
                "postscreen[8]: CONNECT from [198.51.100.7]:40001 to [203.0.113.25]:25",
                "Connect from 198.51.100.7:40001 to 203.0.113.25:25",
            ),
            ("postscreen[8]: PASS OLD [198.51.100.7]:40001", "HandOver from 198.51.100.7:40001"),
            ("postscreen[8]: WHITELIST VETO [198.51.100.7]:40001", "Seen from 198.51.100.7:40001"),
            (
                "postscreen[8]: PREGREET 9 after 0 from [198.51.100.7]:40001: ehlo x[y\\r\\n",
                "Proof Sent `x[y` from 198.51.100.7:40001",
            ),
            (
                "postscreen[8]: COMMAND TIME LIMIT from [198.51.100.7]:40001 after EHLO",
                "Seen from 198.51.100.7:40001 | Hint Accepted from 198.51.100.7:40001",
            ),
            (
                "postscreen[8]: COMMAND TIME LIMIT from [198.51.100.7]:40001 after CONNECT",
                "Seen from 198.51.100.7:40001",
            ),
            ("postscreen[8]: cache btree:/x full cleanup: retained=0 dropped=0", "ignored"),
        ]);
    }

    #[test]
    fn lines_of_the_queue() {
        let sent = "delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent";
        let cases = [
            ("qmgr[7]: AB12C: removed".to_owned(), "Removed"),
            ("qmgr[7]: AB12C: from=<a>, size=1, nrcpt=1 (queue active)".to_owned(), "Queued"),
            ("qmgr[7]: AB12C: from=<a>, status=expired".to_owned(), "Seen"),
            (
                format!("smtp[6]: AB12C: to=<a@D.example>, relay=m[192.0.2.25]:25, {sent} (250 ok)"),
                "Delivery of `D.example` by 192.0.2.25",
            ),
            (
                format!("smtp[6]: AB12C: to=<a@d>, orig_to=<b@e>, relay=m[192.0.2.25]:25, {sent} ()"),
                "Delivery of `e` by 192.0.2.25",
            ),
            (
                format!(
                    "smtp[6]: AB12C: to=<x>, relay=m[10.0.0.1]:25, {sent} (\"@d>, \
                     relay=m[192.0.2.25]:25, {sent} (250 ok)"
                ),
                "Delivery of `` by ?",
            ),
            (
                format!(
                    "smtp[6]: AB12C: to=<a@d>, relay=127.0.0.1[127.0.0.1]:10024, {sent} \
                     (250 from MTA(x): 250 Ok: queued as DE34F)"
                ),
                "Delivery of `d` by 127.0.0.1 and back",
            ),
            (
                "smtp[6]: AB12C: to=<a@d>, relay=none, delay=1, dsn=4.4.1, status=deferred (x)"
                    .to_owned(),
                "Seen",
            ),
            ("smtp[6]: connect to m[192.0.2.25]:25: Connection refused".to_owned(), "ignored"),
            (
                format!("lmtp[6]: AB12C: to=<a@d>, relay=l[127.0.0.1]:10024, {sent} (queued as AB1)"),
                "Seen",
            ),
            (
                format!("lmtp[6]: AB12C: to=<a@d>, relay=l[127.0.0.1]:10024, {sent} (queued as DE34F)"),
                "Renamed",
            ),
            (
                "cleanup[5]: AB12C: reject: header X: helo=<no> from x[192.0.2.1]; from=<a> to=<b> \
                 proto=ESMTP helo=<h>: 5.7.1 no"
                    .to_owned(),
                "Refused | Proof Accepted `h`",
            ),
        ];
        for (body, expected) in cases {
            check_bodies(&[(&body, expected)]);
        }
    }

    #[test]
    fn tags_that_are_no_postfix() {
        check(
            &Format,
            &[
                ("Nov  2 10:00:00 mx1 smtpd[9]: connect from x[198.51.100.7]", "not recognised"),
                ("Nov  2 10:00:00 mx1 a/b[9]: connect from x[198.51.100.7]", "not recognised"),
                ("connect from x[198.51.100.7]", "not recognised"),
                (
                    "Nov  2 10:00:00 mx1 postfix-in/smtpd[9]: connect from x[198.51.100.7]",
                    "Connect from 198.51.100.7",
                ),
            ],
        );
    }

    #[test]
    fn counters_overrule_what_other_lines_imply() {
        let log = "\
Nov  2 10:00:00 mx1 postfix/smtpd[9]: connect from x[198.51.100.7]
Nov  2 10:00:00 mx1 postfix/smtpd[9]: lost connection after EHLO from x[198.51.100.7]
Nov  2 10:00:00 mx1 postfix/smtpd[9]: disconnect from x[198.51.100.7] ehlo=0/1 commands=0/1
";
        assert!(
            printed(log.as_bytes())
                .contains(r#""helo":"rejected","auth":"none","outcome":"rejected""#)
        );
    }

    proptest! {
        #[test]
        fn letters_and_digits_are_counted(text in "[0-9A-Za-z]{0,40}[ -~\u{80}\u{ff}]{0,9}") {
            let count = text.bytes().take_while(u8::is_ascii_alphanumeric).count();
            prop_assert_eq!(alphanumerics(text.as_bytes()), count);
        }

        #[test]
        fn each_byte_is_a_letter_or_a_digit_or_is_not(byte in any::<u8>(), at in 0usize..8) {
            let mut text = *b"aZ09zA19";
            text[at] = byte;
            let expected = if byte.is_ascii_alphanumeric() { 8 } else { at };
            prop_assert_eq!(alphanumerics(&text), expected);
        }
    }
}
