//! Takes credentials out of quoted log lines. In: a raw line. Out: the same line with what follows
//! AUTH and its mechanism replaced by `[redacted]`, borrowed where nothing had to go.
//!
//! OpenSMTPD (`command="AUTH PLAIN <base64>"`), Courier, Haraka, Sendmail (`LogLevel` 15) and
//! MailEnable write credentials into their logs; Postfix does of clients that do not wait for an
//! answer. Continued AUTH stands alone in its line, so long base64 right after a server's or
//! client's arrow goes too. Nothing here decides what a
//! line means; every place that quotes a line uses this one function.

use std::borrow::Cow;

/// What stands for a credential.
const MARK: &[u8] = b"[redacted]";

/// Shortest text after an arrow that is taken for continued AUTH (`dXNlcg==` has eight).
const SHORTEST: usize = 8;

/// How SASL mechanisms begin, which some logs write in small letters; in capitals any name is one.
const MECHANISMS: &[&[u8]] = &[
    b"PLAIN",
    b"LOGIN",
    b"CRAM-",
    b"DIGEST-",
    b"NTLM",
    b"GSSAPI",
    b"GSS-",
    b"SCRAM-",
    b"XOAUTH",
    b"OAUTHBEARER",
    b"EXTERNAL",
    b"ANONYMOUS",
    b"KERBEROS",
    b"MSN",
];

/// Marks before a line that a client sent, in logs of the conversation.
const ARROWS: &[&[u8]] = &[b"<-- ", b"RECEIVED: ", b"C: ", b",<,", b"<<< "];

/// Postfix's words before the client whose text it quotes (`smtpd`), or before that text
/// (`postscreen`): what was sent too early after AUTH is a credential.
const EARLY: [(&[u8], &[u8]); 2] = [(b" after AUTH from ", b"]: "), (b" after AUTH", b": ")];

/// Longest name and address of a client.
const CLIENT: usize = 512;

/// The line without credentials.
pub fn redact(line: &[u8]) -> Cow<'_, [u8]> {
    let mut clean: Vec<u8> = Vec::new();
    let mut kept = 0usize;
    let mut from = 0usize;
    while let Some((start, end)) = next_secret(line, from) {
        clean.extend_from_slice(line.get(kept..start).unwrap_or_default());
        clean.extend_from_slice(MARK);
        kept = end;
        from = end.max(from.saturating_add(1));
    }
    if kept == 0 {
        return Cow::Borrowed(line);
    }
    clean.extend_from_slice(line.get(kept..).unwrap_or_default());
    Cow::Owned(clean)
}

/// The first secret at or after a place: its start and end.
fn next_secret(line: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at < line.len() {
        if let Some(secret) = secret_at(line, at) {
            return Some(secret);
        }
        at = at.saturating_add(1);
    }
    None
}

fn secret_at(line: &[u8], at: usize) -> Option<(usize, usize)> {
    after_auth(line, at).or_else(|| after_arrow(line, at)).or_else(|| after_early(line, at))
}

/// `improper command pipelining after AUTH from name[address]: what the client sent`, to the end.
fn after_early(line: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = line.get(at..)?;
    let (words, mark) = EARLY.iter().find(|(words, _)| rest.starts_with(words))?;
    let client = rest.get(words.len()..rest.len().min(CLIENT))?;
    let length = client.windows(mark.len()).position(|text| text == *mark)?;
    let start = at.saturating_add(words.len()).saturating_add(length).saturating_add(mark.len());
    let text = line.get(start..)?.trim_ascii_end();
    (!text.is_empty()).then(|| (start, start.saturating_add(text.len())))
}

/// `AUTH PLAIN secret` at this place: the word, in any case, blanks or tabs, a mechanism, then the
/// secret up to a blank, quote or bracket. Of `AUTH LOGIN user` the user goes too.
fn after_auth(line: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = line.get(at..)?;
    if !matches!(rest.first(), Some(b'A' | b'a')) || !starts_with(rest, b"AUTH") {
        return None;
    }
    let before = at.checked_sub(1).and_then(|before| line.get(before));
    if before.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-') {
        return None;
    }
    let blanks = |text: &[u8]| {
        let escaped = text.starts_with(b"\\t");
        if escaped { 2 } else { text.iter().take_while(|b| b" \t,:=\"'".contains(b)).count() }
    };
    let mut length = 4;
    // A second AUTH: `AUTH<TAB>AUTH PLAIN x` in tables of command and argument.
    for _ in 0..2 {
        let gap = blanks(rest.get(length..)?);
        if gap == 0 {
            return None;
        }
        length = length.saturating_add(gap);
        if !starts_with(rest.get(length..)?, b"AUTH") {
            break;
        }
        length = length.saturating_add(4);
    }
    let name = rest.get(length..)?;
    let capitals = word_length(name, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-');
    let unknown = capitals > 1 && matches!(name.get(capitals), Some(b' ' | b'\t'));
    if !unknown && !MECHANISMS.iter().any(|mechanism| starts_with(name, mechanism)) {
        return None;
    }
    length = length
        .saturating_add(word_length(name, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    let gap = blanks(rest.get(length..)?);
    let secret = rest.get(length.saturating_add(gap)..)?;
    let end = word_length(secret, is_base64);
    let start = at.saturating_add(length).saturating_add(gap);
    // A word of a sentence (`AUTH LOGIN failed`) is no secret; base64 has capitals or digits.
    let word = secret.get(..end)?;
    let long = end >= SHORTEST && end % 4 == 0 && !word.iter().all(u8::is_ascii_uppercase);
    (gap > 0 && end > 0 && (long || !is_plain_word(word)))
        .then(|| (start, start.saturating_add(end)))
}

/// Continued AUTH: nothing but base64 behind a client's arrow, up to a quote or the line's end.
fn after_arrow(line: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = line.get(at..)?;
    let arrow = ARROWS.iter().find(|arrow| rest.starts_with(arrow))?;
    let text = rest.get(arrow.len()..)?;
    let length = word_length(text, is_base64);
    let ends = matches!(text.get(length), None | Some(b'"' | b',' | b'\r' | b'\n'));
    let word = text.get(..length)?;
    let secret = ends && length >= SHORTEST && length % 4 == 0 && !is_plain_word(word);
    let start = at.saturating_add(arrow.len());
    secret.then(|| (start, start.saturating_add(length)))
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
}

fn word_length(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|b| belongs(**b)).count()
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)
}

/// Only small letters, or only capitals: a word of a log or an SMTP command.
fn is_plain_word(word: &[u8]) -> bool {
    word.iter().all(u8::is_ascii_lowercase) || word.iter().all(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_auth_is_not_quoted() {
        let cases = [
            (
                "smtp failed-command command=\"AUTH PLAIN AGJvYgBzZWNyZXQ=\" result=\"535 no\"",
                "smtp failed-command command=\"AUTH PLAIN [redacted]\" result=\"535 no\"",
            ),
            ("error,cmd: auth plain AGJvYgBz", "error,cmd: auth plain [redacted]"),
            ("x <-- AUTH LOGIN dXNlcg==", "x <-- AUTH LOGIN [redacted]"),
            ("x <-- dXNlcm5hbWU=", "x <-- [redacted]"),
            ("\"RECEIVED: AUTH LOGIN\"", "\"RECEIVED: AUTH LOGIN\""),
            ("\"RECEIVED: c2VjcmV0MTI=\"", "\"RECEIVED: [redacted]\""),
            ("AUTH\tAUTH LOGIN dXNlcjE=\t334", "AUTH\tAUTH LOGIN [redacted]\t334"),
            ("AUTH PLAIN Ax1 AUTH PLAIN Bx2", "AUTH PLAIN [redacted] AUTH PLAIN [redacted]"),
            ("AUTH X-OWN a1b2", "AUTH X-OWN [redacted]"),
            ("AUTH PLAIN abcdefgh", "AUTH PLAIN [redacted]"),
            (
                "improper command pipelining after AUTH from x[192.0.2.7]: AGJvYgBz\\r\\nMAIL",
                "improper command pipelining after AUTH from x[192.0.2.7]: [redacted]",
            ),
            (
                "COMMAND PIPELINING from [192.0.2.7]:4711 after AUTH: AGJvYgBz",
                "COMMAND PIPELINING from [192.0.2.7]:4711 after AUTH: [redacted]",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(redact(line.as_bytes()), expected.as_bytes(), "{line}");
        }
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        for line in [
            "Inbound AUTH LOGIN failed because of LogonDenied",
            "lost connection after AUTH from mail7.example.com[198.51.100.7]",
            "improper command pipelining after AUTH from x[192.0.2.7]",
            "improper command pipelining after EHLO from x[192.0.2.7]: QUIT\\r\\n",
            "disconnect from x[198.51.100.7] ehlo=1 auth=0/1 commands=1/2",
            "250 SIZE 37748736 AUTH NTLM LOGIN X-EXPS GSSAPI NTLM 8BITMIME",
            "x <-- EHLO probe.example",
            "x <-- STARTTLS",
            "<-- QUIT",
            "authentication plain text",
            "AUTH",
            "AUTH PLAIN",
            "",
        ] {
            assert!(matches!(redact(line.as_bytes()), Cow::Borrowed(_)), "{line}");
        }
        assert_eq!(&*redact(b"AUTH PLAIN \xff\xfe"), b"AUTH PLAIN \xff\xfe");
    }

    #[test]
    fn a_long_line_takes_no_longer_than_its_length() {
        let line = b"AUTH ".repeat(20_000);
        assert_eq!(redact(&line).len(), line.len());
    }
}
