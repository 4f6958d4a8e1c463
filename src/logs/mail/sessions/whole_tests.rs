//! Sessions that workers finish are those that the assembler would have made, wherever blocks end and
//! whatever else the log holds.

use proptest::prelude::*;

use super::{Assembler, Finished, Keep, Limits};
use crate::logs::mail::testing::{facts, into};

/// What one process of a server says of one client or message; `{P}` is a pid, `{C}` a client,
/// `{Q}` and `{R}` are queue ids, `{N}` is a port.
const LINES: &[&str] = &[
    "postfix/smtpd[{P}]: connect from x[{C}]",
    "postfix/smtpd[{P}]: disconnect from x[{C}] ehlo=1 mail=1 quit=1 commands=3",
    "postfix/smtpd[{P}]: disconnect from x[{C}] ehlo=1 mail=1 data=0/1 commands=2/3",
    "postfix/smtpd[{P}]: connect from x[{C}]",
    "postfix/smtpd[{P}]: disconnect from x[{C}] ehlo=1 quit=1 commands=2",
    "postfix/smtpd[{P}]: lost connection after DATA from x[{C}]",
    "postfix/smtpd[{P}]: disconnect from unknown[unknown]",
    "postfix/smtpd[{P}]: {Q}: client=x[{C}], sasl_method=PLAIN, sasl_username=a",
    "postfix/smtpd[{P}]: {Q}: client=x[{C}]",
    "postfix/smtpd[{P}]: NOQUEUE: reject: RCPT from x[{C}]: 554 no; from=<> to=<b@d> proto=ESMTP helo=<h{R}>",
    "postfix/cleanup[5]: {Q}: message-id=<x>",
    "postfix/cleanup[5]: {Q}: milter-reject: END-OF-MESSAGE from x[{C}]: 5.7.1 no; proto=ESMTP helo=<k{R}>",
    "postfix/qmgr[7]: {Q}: from=<a>, size=1, nrcpt=1 (queue active)",
    "postfix/qmgr[7]: {Q}: removed",
    "postfix/qmgr[7]: {Q}: removed",
    "postfix/smtp[6]: {Q}: to=<v@d.example>, relay=m[192.0.2.25]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)",
    "postfix/smtp[6]: {Q}: to=<v@d.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 queued as {R})",
    "postfix/lmtp[6]: {Q}: to=<v@d.example>, relay=127.0.0.1[127.0.0.1]:24, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 queued as {R})",
    "postfix/postscreen[8]: CONNECT from [{C}]:{N} to [203.0.113.25]:25",
    "postfix/postscreen[8]: PASS OLD [{C}]:{N}",
    "postfix/postscreen[8]: DISCONNECT [{C}]:{N}",
    "exim: H=(h{R}) [{C}] F=<a> rejected RCPT <b@d>: no",
    "exim: rejected MAIL from [{C}]: no HELO/EHLO given",
    "exim: H=(h{R}) [{C}] rejected EHLO or HELO h{R}: no",
    "exim: rejected EHLO from [{C}]: syntactically invalid argument(s): _x",
    "exim: AAAAA{Q}-AAAAAA-AA <= a@b H=x [{C}] P=esmtp S=1",
    "exim: AAAAA{Q}-AAAAAA-AA => v@d.example R=remote T=smtp H=m [192.0.2.25]",
    "exim: AAAAA{Q}-AAAAAA-AA Completed",
];

#[derive(Debug, Clone)]
struct Said {
    line: usize,
    pid: u8,
    client: u8,
    queue: u8,
    other: u8,
    /// Seconds since the line before.
    later: i64,
    server: u8,
}

impl Said {
    fn text(&self, second: i64) -> String {
        let (minutes, seconds) = (second.div_euclid(60), second.rem_euclid(60));
        let (hours, minutes) = (minutes.div_euclid(60), minutes.rem_euclid(60));
        let (days, hours) = (hours.div_euclid(24), hours.rem_euclid(24));
        let text = LINES[self.line % LINES.len()]
            .replace("{P}", &self.pid.to_string())
            .replace("{C}", &format!("198.51.100.{}", self.client))
            .replace("{Q}", &format!("AAAA{}", self.queue))
            .replace("{R}", &format!("AAAA{}", self.other))
            .replace("{N}", &(4000 + u32::from(self.pid)).to_string());
        format!("Nov {:2} {hours:02}:{minutes:02}:{seconds:02} mx{} {text}", 2 + days, self.server)
    }
}

fn said() -> impl Strategy<Value = Said> {
    let later = prop_oneof![20 => 0i64..3, 2 => 100i64..400, 1 => 500i64..9000, 1 => -300i64..0];
    let server = prop_oneof![6 => Just(1u8), 1 => Just(2u8)];
    (0..LINES.len(), 1u8..4, 1u8..4, 0u8..5, 0u8..5, later, server).prop_map(
        |(line, pid, client, queue, other, later, server)| Said {
            line,
            pid,
            client,
            queue,
            other,
            later,
            server,
        },
    )
}

/// A log of whole conversations with other lines between them.
fn log() -> impl Strategy<Value = Vec<Said>> {
    let usual = (said(), prop::sample::subsequence(vec![0usize, 9, 8, 10, 12, 13, 1], 3..=7));
    let usual = usual.prop_map(|(said, lines)| {
        let told = |line| Said { line, later: said.later.clamp(0, 3), ..said.clone() };
        lines.into_iter().map(told).collect::<Vec<_>>()
    });
    let single = said().prop_map(|said| vec![said]);
    let talks = prop::collection::vec(prop_oneof![2 => usual, 1 => single], 1..14);
    (talks, any::<u64>()).prop_map(|(talks, order)| {
        let mut lines: Vec<Said> = talks.into_iter().flatten().collect();
        // Neighbours of different conversations change places now and then.
        for at in 1..lines.len() {
            if lines[at].pid != lines[at - 1].pid && order >> (at % 64) & 1 == 1 {
                lines.swap(at, at - 1);
            }
        }
        lines
    })
}

/// How the sessions of blocks are put together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    FactByFact,
    WholeFirst,
}

/// The sessions of a log that is cut into blocks, and how many lines were told again. The log is read
/// twice, as two inputs tell the same.
fn sessions(lines: &[String], block: usize, limits: Limits, way: Way) -> (Vec<Finished>, u64) {
    let mut assembler = Assembler::new(Keep::Proofs, limits);
    let (mut out, mut again) = (Vec::new(), 0);
    for input in 0..2 {
        for (number, part) in (0u64..).zip(lines.chunks(block)) {
            let mut batch = facts(part.join("\n").as_bytes());
            if way == Way::WholeFirst {
                batch.finish_sessions();
            }
            let first_line = number * block as u64 + 1;
            again += assembler.take(&batch, input, first_line, &mut into(&mut out));
        }
    }
    assembler.finish(&mut into(&mut out));
    // What is still open at the end is given out in no order of its own.
    out.sort_by_cached_key(|finished| format!("{finished:?}"));
    (out, again)
}

fn texts(log: &[Said]) -> Vec<String> {
    let mut second = 3600;
    log.iter()
        .map(|said| {
            second += said.later;
            said.text(second.max(0))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whole_sessions_are_those_that_facts_make_one_by_one(
        log in log(),
        block in 1usize..60,
        small in any::<bool>(),
    ) {
        let lines = texts(&log);
        let limits =
            if small { Limits { sessions: 40, messages: 40 } } else { Limits::default() };
        let expected = sessions(&lines, block, limits, Way::FactByFact);
        let got = sessions(&lines, block, limits, Way::WholeFirst);
        prop_assert_eq!(&got, &expected, "{}", lines.join("\n"));
        // In a block of one line no two facts are one.
        let line_by_line = sessions(&lines, 1, limits, Way::FactByFact);
        prop_assert_eq!(line_by_line, expected, "{}", lines.join("\n"));
    }
}

#[test]
fn a_usual_session_is_whole() {
    let lines: Vec<String> = [0usize, 9, 8, 10, 12, 1, 13]
        .map(|line| Said { line, pid: 1, client: 2, queue: 3, other: 4, later: 1, server: 1 })
        .iter()
        .map(|said| said.text(3600))
        .collect();
    let mut batch = facts(lines.join("\n").as_bytes());
    batch.finish_sessions();
    let whole = (0..batch.len()).filter_map(|fact| batch.wholes().of_fact(fact)).count();
    assert_eq!(whole, batch.len());
}
