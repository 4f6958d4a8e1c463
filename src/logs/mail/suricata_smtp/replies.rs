//! The server's replies in the payload of an alert. In: an event whose packet the server sent.
//! Out: what the replies prove.
//!
//! `payload` is base64, `payload_printable` has every byte that cannot be shown as a dot; either is
//! the packet or the stream up to it (`stream`), so it may begin in the middle of a session. Which
//! command a reply answers is known only behind the greeting, for the codes that one command alone
//! has (235, 534, 535) and after 334 and 354.

use crate::logs::json::Json;
use crate::logs::mail::{Answer, Fact, Success, Weight};
use crate::model::net::parse_decimal;

/// Replies of one payload that are read.
const MOST_REPLIES: usize = 256;

/// Whether the client sent HELO, as the event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helo {
    /// It did.
    Sent,
    /// None was seen.
    Unseen,
}

/// What the payload of an event proves.
pub(super) fn read<'a>(event: Json<'_>, helo: Helo) -> impl Iterator<Item = Fact<&'a [u8]>> {
    let text = match event.text_of("payload") {
        Some(payload) => decode(payload),
        None => event.text_of("payload_printable").map(unescape).unwrap_or_default(),
    };
    let codes = final_codes(&text);
    let answer = match helo {
        Helo::Sent => helo_answer(&codes),
        Helo::Unseen => None,
    };
    let answered = answer.map(|answer| Fact::Helo { answer, weight: Weight::Proof, name: None });
    let others: Vec<_> = codes
        .iter()
        .enumerate()
        .filter_map(|(at, &code)| {
            let before = at.checked_sub(1).and_then(|at| codes.get(at));
            fact_of(code, before.copied())
        })
        .collect();
    answered.into_iter().chain(others)
}

/// What a reply proves by its code and by the one before it.
fn fact_of<'a>(code: u16, before: Option<u16>) -> Option<Fact<&'a [u8]>> {
    match (code, before) {
        (235, _) => Some(Fact::Auth { success: Success::Ok, user: None }),
        (534 | 535, _) | (400.., Some(334)) => {
            Some(Fact::Auth { success: Success::Failed, user: None })
        }
        (200..=299, Some(354)) => Some(Fact::Queued { queue: None }),
        (400.., _) => Some(Fact::Refused),
        _ => None,
    }
}

/// The answer to HELO: the first reply behind the greeting where it is 250; refused where every
/// reply up to the end is a refusal.
fn helo_answer(codes: &[u16]) -> Option<Answer> {
    let [220, rest @ ..] = codes else { return None };
    let rest = rest.strip_suffix(&[221]).unwrap_or(rest);
    match rest.first() {
        Some(250) => Some(Answer::Accepted),
        Some(_) if rest.iter().all(|code| (500..=599).contains(code)) => Some(Answer::Rejected),
        _ => None,
    }
}

/// The codes of the whole replies in a text, in order: lines `250-` that continue are passed over,
/// and so is a last line without its end.
fn final_codes(text: &[u8]) -> Vec<u16> {
    let whole = memchr::memrchr(b'\n', text).and_then(|end| text.get(..end)).unwrap_or_default();
    whole.split(|&b| b == b'\n').filter_map(final_code).take(MOST_REPLIES).collect()
}

fn final_code(line: &[u8]) -> Option<u16> {
    let (code, rest) = line.trim_ascii_end().split_at_checked(3)?;
    let ends = rest.is_empty() || rest.starts_with(b" ");
    let code = u16::try_from(parse_decimal(code)?).ok()?;
    (ends && (200..=599).contains(&code)).then_some(code)
}

/// The text of a JSON string as far as line ends matter.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => b'.',
            },
            _ => byte,
        });
    }
    out
}

/// Decodes base64 up to the first byte that is none.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for value in text.iter().map_while(|&byte| sextet(byte)) {
        bits = (bits << 6 | value) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    out
}

/// The six bits of a base64 digit (RFC 4648, section 4).
fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reply_behind_the_greeting_answers_helo() {
        let cases: [(&[u16], Option<Answer>); 8] = [
            (&[220, 250, 334, 535], Some(Answer::Accepted)),
            (&[220, 501, 221], Some(Answer::Rejected)),
            (&[220, 502, 250], None),
            (&[220, 421], None),
            (&[220, 221], None),
            (&[220], None),
            (&[250], None),
            (&[], None),
        ];
        for (codes, expected) in cases {
            assert_eq!(helo_answer(codes), expected, "{codes:?}");
        }
    }

    #[test]
    fn replies_end_where_their_lines_end() {
        let text = b"220 mx\r\n250-mx hello\r\n250 SIZE\r\nnoise\r\n535 no\r\n250 torn";
        assert_eq!(final_codes(text), [220, 250, 535]);
        assert!(final_codes(b"354").is_empty());
        assert_eq!(final_codes(b"354\n999 x\n"), [354]);
        assert_eq!(unescape(br"220 a\r\n\\n\n"), b"220 a\r\n.n\n");
        assert_eq!(decode(b"MjIwIG14DQo="), b"220 mx\r\n");
        assert_eq!(decode(b"MjIw IG14"), b"220");
        assert_eq!(decode(b"=="), b"");
    }
}
