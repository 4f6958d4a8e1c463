//! Shorter ways through a stretch give what the long ways give.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Batch, Ending, Scan, Stretch};
use crate::logs::clock::Zone;
use crate::logs::detect::FormatSet;
use crate::logs::line::{Columns, LONGEST_LINE};
use crate::logs::mail::FactBatch;
use crate::logs::read::Selection;
use crate::logs::read::needles::{Needle, Search};
use crate::logs::read::recipe::{Recipe, Routing, Wanted};
use crate::logs::read::verdicts::Verdicts;
use crate::model::time::Timestamp;

fn recipe(formats: FormatSet, search: Search) -> Recipe {
    let reference = Timestamp::parse_rfc3339("2026-11-20T00:00:00Z").unwrap();
    Recipe {
        formats,
        routing: Routing::ByLine,
        wrapping: None,
        search: Arc::new(search),
        header: None,
        header_start: Vec::new(),
        zone: Zone::Guessed,
        reference,
        latest: reference,
        server: b"mx".as_slice().into(),
        wanted: Wanted::of(&Selection::Ports([25].into())),
        kept_rejects: 4,
        may_hold_mail: true,
        longest_line: LONGEST_LINE,
    }
}

/// A text by the short ways and by the long ones.
fn both_ways(text: &[u8], formats: FormatSet, search: Search) -> (Batch, Batch) {
    let (recipe, words) = (recipe(formats, search), BTreeMap::new());
    let verdicts = Verdicts::new(&words);
    let columns = Columns::NONE;
    let ending = Ending::Ends;
    let stretch = Stretch { text, offset: 0, ending, long_line: None, columns: &columns };
    let short = Scan::new(&recipe, &verdicts, &stretch, FactBatch::default());
    let mut long = Scan::new(&recipe, &verdicts, &stretch, FactBatch::default());
    (long.only, long.of_programs) = (None, None);
    (short.finish(), long.finish())
}

const PACKET: &str =
    "IN=eth0 OUT= SRC=198.51.100.7 DST=203.0.113.25 PROTO=TCP SPT=40001 DPT=25 SYN";

/// What a stranger may give as a HELO name.
const CEF: &str = "NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 no; proto=ESMTP \
    helo=<CEF:0|A|B|1|2|C|3|act=allow src=198.51.100.8 dst=203.0.113.25 proto=TCP spt=1 dpt=25 >";

/// Lines of a few servers and programs, at times before and after the latest, damaged or not.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let time = prop::sample::select(vec![
        "Nov  2 10:00:00",
        "Nov  2 10:00:01",
        "Nov  2 10:00:60",
        "Nov 21 10:00:00",
        "Nov 21 2026 10:00:00",
        "2026-11-02T10:00:00.123456+00:00",
        "2026-11-21T10:00:00Z",
        "2026-11-02 10:00:00",
        "Feb 30 10:00:00",
        "Nov 02 2025 10:00:00",
        "<22>Nov  2 10:00:00",
    ]);
    let host = prop::sample::select(vec![" mx1", " mx2", " mx1.example", " Mx1", ""]);
    let tag = prop::sample::select(vec![
        "postfix/smtpd[12]",
        "postfix/smtpd[13]",
        "postfix/submission/smtpd[12]",
        "postfix/qmgr[9]",
        "postfix/cleanup[10]",
        "postfix/local[8]",
        "postfix/smtp[7]",
        "postfix/lmtp[7]",
        "postfix/postscreen[6]",
        "postfix/anvil[5]",
        "dovecot/smtp[5]",
        "kernel",
        "x/unknown[1]",
    ]);
    let body = prop::sample::select(vec![
        "connect from unknown[198.51.100.7]",
        "connect from a.example[2001:db8::7]",
        "disconnect from unknown[198.51.100.7] ehlo=1 quit=1 commands=2",
        "lost connection after HELO from unknown[198.51.100.7]",
        "AB12C: client=unknown[198.51.100.7]",
        "AB12C: from=<a@example.net>, size=1, nrcpt=1 (queue active)",
        "AB12C: message-id=<1@example.net>",
        "AB12C: to=<a@d.example>, relay=m[192.0.2.25]:25, delay=1, dsn=2.0.0, status=sent (250 ok)",
        "AB12C: removed",
        "NOQUEUE: reject: RCPT from unknown[198.51.100.7]: 554 no; proto=ESMTP helo=<h>",
        "CONNECT from [198.51.100.7]:40001 to [203.0.113.25]:25",
        "PASS OLD [198.51.100.7]:40001",
        "statistics",
        PACKET,
        CEF,
    ]);
    let end = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", "\0\n"]);
    let damage = (0usize..90, prop::sample::select(b" :[]\0\xffaA9.".to_vec()), 0u8..6);
    (time, host, tag, body, end, damage).prop_map(
        |(time, host, tag, body, end, (at, byte, kind))| {
            let mut line = format!("{time}{host} {tag}: {body}").into_bytes();
            match (kind, line.get_mut(at)) {
                (0, Some(damaged)) => *damaged = byte,
                (1, _) => line.truncate(at),
                _ => {}
            }
            line.extend_from_slice(end.as_bytes());
            line
        },
    )
}

/// Lines of Exim, at times before and after the latest.
fn bare_line() -> impl Strategy<Value = String> {
    let head = prop::sample::select(vec![
        "2026-11-02 10:00:00 ",
        "2026-11-02 10:00:00 ",
        "2026-11-02 10:00:01 ",
        "2026-11-02 10:00:00.5 +0100 ",
        "2026-11-21 10:00:00 ",
        "2026-02-30 10:00:00 ",
        "Nov  2 10:00:00 mx1 exim[9]: ",
    ]);
    let text = prop::sample::select(vec![
        "H=(a.example) [198.51.100.7] F=<x@a.example> rejected RCPT <b@c.example>: no",
        "1xVg28-00002a-3D <= x@a.example H=mail.example [198.51.100.7] P=esmtp S=1",
        "1xVg28-00002a-3D <= root@a.example U=root P=local S=1",
        "1xVg28-00002a-3D => a@c.example R=local_user T=maildir_home",
        "1xVg28-00002a-3D Completed",
        "H=(a.example) [198.51.100.7 rejected",
        "Start queue run: pid=80",
        "",
    ]);
    (head, text).prop_map(|(head, text)| format!("{head}{text}\n"))
}

proptest! {
    #[test]
    fn the_only_format_of_an_input_reads_as_one_of_many(
        lines in prop::collection::vec(line(), 1..60),
    ) {
        let text = lines.concat();
        let marks = || [b"/smtp".as_slice(), b"/postscreen", b"/qmgr", b"/cleanup", b"/lmtp"];
        let some = || Search::any_of(marks().map(Needle::plain).to_vec());
        for formats in [FormatSet::named("postfix"), FormatSet::all()] {
            for search in [Search::every_line(), some()] {
                let (short, long) = both_ways(&text, formats, search);
                prop_assert_eq!(format!("{short:#?}"), format!("{long:#?}"));
            }
        }
    }

    #[test]
    fn lines_with_heads_of_their_own_are_read_as_if_they_were_opened(
        lines in prop::collection::vec(bare_line(), 1..60),
    ) {
        let text = lines.concat();
        let (short, long) = both_ways(text.as_bytes(), FormatSet::named("exim"), Search::every_line());
        prop_assert_eq!(format!("{short:#?}"), format!("{long:#?}"));
    }
}

#[test]
fn what_a_mail_server_quotes_is_no_flow() {
    let head = "Nov  2 10:00:00 mx1";
    let text = format!("{head} postfix/smtpd[12]: {CEF}\n{head} kernel: {PACKET}\n").repeat(2);
    for batch in
        <[Batch; 2]>::from(both_ways(text.as_bytes(), FormatSet::all(), Search::every_line()))
    {
        assert_eq!((batch.flows.len(), batch.facts.len(), batch.events), (2, 4, 4));
    }
}
