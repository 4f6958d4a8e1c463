//! Sessions across lines, inputs and limits.

use super::{Assembler, CarriedSessions, Finished, Keep, Limits};
use crate::logs::mail::testing::{into, sessions};
use crate::logs::mail::{Answer, Deed, End, Fact, FactBatch, MailRecord, Subject, Weight};
use crate::model::session::Outcome;
use crate::model::time::Timestamp;

const CUT: &str = "\
Nov  2 10:00:00 mx1 postfix/smtpd[9]: connect from x[198.51.100.7]
Nov  2 10:00:00 mx1 postfix/smtpd[9]: AB12C: client=x[198.51.100.7]
Nov  2 10:00:00 mx1 postfix/qmgr[7]: AB12C: from=<a@example.com>, size=1, nrcpt=1 (queue active)
Nov  2 10:00:01 mx1 postfix/smtpd[9]: disconnect from x[198.51.100.7] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5
Nov  2 10:09:00 mx1 postfix/smtp[6]: AB12C: to=<v@foreign.example>, relay=m[192.0.2.25]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
Nov  2 10:09:00 mx1 postfix/qmgr[7]: AB12C: removed
";

fn summed(found: &[Finished]) -> Vec<(Option<std::net::IpAddr>, Outcome, usize)> {
    found.iter().map(|f| (f.session.client, f.session.outcome, f.session.lines.len())).collect()
}

#[test]
fn a_session_goes_on_in_the_next_input_wherever_it_is_cut() {
    let whole = sessions(&[CUT.as_bytes()]);
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].session.outcome, Outcome::Relayed);
    assert_eq!(whole[0].session.end, Timestamp::parse_rfc3339("2026-11-02T10:00:01Z"));
    for (at, _) in CUT.match_indices('\n') {
        let (head, tail) = CUT.as_bytes().split_at(at + 1);
        let cut = sessions(&[head, tail]);
        assert_eq!(summed(&cut), summed(&whole), "cut at byte {at}");
    }
}

#[test]
fn what_another_input_told_is_not_told_again() {
    let mixed = CUT.replace("Nov  2 10:00:01", "Nov  2 10:00:00 mx1 sshd[1]: x\nNov  2 10:00:01");
    let both = sessions(&[CUT.as_bytes(), mixed.as_bytes()]);
    assert_eq!(summed(&both), summed(&sessions(&[CUT.as_bytes()])));
}

#[test]
fn a_client_that_comes_twice_in_one_second_came_twice() {
    let once = "\
Nov  2 10:00:00 mx1 postfix/smtpd[9]: connect from x[198.51.100.7]
Nov  2 10:00:00 mx1 postfix/smtpd[9]: disconnect from x[198.51.100.7] ehlo=1 quit=1 commands=2
";
    assert_eq!(sessions(&[once.repeat(3).as_bytes()]).len(), 3);
    assert_eq!(sessions(&[once.repeat(3).as_bytes(), once.repeat(3).as_bytes()]).len(), 3);
}

#[test]
fn a_lost_session_ends_by_the_time_of_the_log() {
    let log = "\
Nov  2 10:00:00 mx1 postfix/smtpd[9]: connect from x[198.51.100.7]
Nov  2 10:00:00 mx1 postfix/smtpd[8]: connect from x[198.51.100.8]
Nov  2 12:00:00 mx1 postfix/smtpd[9]: lost connection after EHLO from x[198.51.100.7]
Nov  2 12:00:01 mx1 postfix/smtpd[8]: connect from x[198.51.100.8]
";
    assert_eq!(sessions(&[log.as_bytes()]).len(), 4);
}

/// An assembler, fed one record at a time.
struct Feed {
    assembler: Assembler,
    out: Vec<Finished>,
    line: u64,
}

impl Feed {
    fn new(limits: Limits) -> Self {
        Self { assembler: Assembler::new(Keep::Proofs, limits), out: Vec::new(), line: 0 }
    }

    fn give(&mut self, subject: Subject, fact: Fact<&[u8]>) {
        self.line += 1;
        let mut batch = FactBatch::default();
        let line = crate::logs::line::Line::bare(b"");
        let record = MailRecord::new(&line, subject, fact);
        let time = Some(Timestamp::from_seconds(1_800_000_000 + self.line as i64));
        let server = batch.server(b"mx1");
        batch.add(&record.said(), 0, 0, time, server);
        self.assembler.take(&batch, 0, self.line, &mut into(&mut self.out));
    }
}

#[test]
fn a_line_alone_tells_what_its_facts_tell_one_by_one() {
    let helo_of = |answer| {
        let fact = Fact::Helo { answer, weight: Weight::Hint, name: Some(b"x".as_slice()) };
        Some((answer, fact))
    };
    let refused = (Fact::Refused, Deed::Refused);
    let queued = (Fact::Queued { queue: Some(7) }, Deed::Queued { queue: 7 });
    for (fact, deed) in [refused, queued] {
        for told in [helo_of(Answer::Accepted), helo_of(Answer::Rejected), None] {
            let (answer, helo) = told.unzip();
            let end = Fact::Disconnect { end: End::Untold, summary: None };
            let facts: Vec<_> = helo.into_iter().chain([fact, end]).collect();
            let name = helo.map(|_| b"x".as_slice());
            let alone = [Fact::Alone { helo: answer, name, deed }];
            let [expected, told, whole] =
                [(&facts[..], false), (&alone, false), (&alone, true)].map(of_one_line);
            assert_eq!(told, expected);
            assert_eq!(whole, expected);
        }
    }
}

/// The sessions of one line that says this, and of the line that tells of its message's end,
/// finished by a worker or not.
fn of_one_line((facts, by_worker): (&[Fact<&[u8]>], bool)) -> Vec<Finished> {
    let mut batch = FactBatch::default();
    let line = crate::logs::line::Line::bare(b"");
    let removed = (1, Subject::Message(7), Fact::Removed);
    let facts = facts.iter().map(|fact| (0, Subject::Session(1), *fact)).chain([removed]);
    for (number, subject, fact) in facts {
        let record = MailRecord::new(&line, subject, fact);
        let (server, time) = (batch.server(b"mx1"), Timestamp::from_seconds(1_800_000_000));
        batch.add(&record.said(), 0, number, Some(time), server);
    }
    if by_worker {
        batch.finish_sessions();
    }
    let mut assembler = Assembler::new(Keep::AllLines, Limits::default());
    let mut out = Vec::new();
    assembler.take(&batch, 0, 1, &mut into(&mut out));
    assembler.finish(&mut into(&mut out));
    out
}

#[test]
fn what_is_open_is_bounded() {
    let limits = Limits { sessions: 64, messages: 64 };
    let mut feed = Feed::new(limits);
    for number in 0..1000 {
        feed.give(Subject::Session(number), Fact::Connect);
        feed.give(Subject::Session(number), Fact::Announced { queue: number });
        if number % 2 == 0 {
            let end = Fact::Disconnect { end: End::Orderly, summary: None };
            feed.give(Subject::Session(number), end);
        }
    }
    assert!(feed.out.len() >= 1000 - 64);
    feed.assembler.finish(&mut into(&mut feed.out));
    assert_eq!(feed.out.len(), 1000);
}

#[test]
fn proofs_stay_few() {
    let mut feed = Feed::new(Limits::default());
    for _ in 0..500 {
        feed.give(Subject::Session(1), Fact::Refused);
        feed.give(Subject::Session(1), Fact::Reply { code: 250 });
    }
    feed.assembler.finish(&mut into(&mut feed.out));
    let lines: Vec<u64> = feed.out[0].session.lines.iter().map(|line| line.line).collect();
    assert_eq!(lines, [1, 1000]);
}

#[test]
fn a_session_goes_on_in_the_next_run_wherever_the_night_cuts_it() {
    let whole = sessions(&[CUT.as_bytes()]);
    for (at, _) in CUT.match_indices('\n') {
        let (evening, morning) = CUT.split_at(at + 1);
        let mut assembler = Assembler::new(Keep::AllLines, Limits::default());
        let mut out = take(&mut assembler, evening, 3);
        let finished = out.len();
        // Out and in again as the state file has it, the input under another number by then.
        let text = serde_json::to_string(&assembler.carried()).unwrap();
        let mut carried: CarriedSessions = serde_json::from_str(&text).unwrap();
        carried.put_told(assembler.carried().take_told());
        carried.renumber(&|number| (number == 3).then_some(0));
        let mut assembler = Assembler::restored(Keep::AllLines, Limits::default(), carried);
        out.extend(take(&mut assembler, morning, 1));
        assembler.finish(&mut into(&mut out));
        assert_eq!(summed(&out), summed(&whole), "cut at byte {at}: {text}");
        let mut later = out[finished..].iter().flat_map(|session| &session.session.lines);
        assert!(later.all(|line| line.input < 2), "{out:?}");
    }
}

#[test]
fn two_logs_of_the_same_lines_tell_once_wherever_a_rotation_or_a_night_cuts_both() {
    // What both say of a message is said of one session, twice.
    let summed = |found: &[Finished]| -> Vec<_> {
        summed(found).into_iter().map(|(client, outcome, _)| (client, outcome)).collect()
    };
    let whole = sessions(&[CUT.as_bytes()]);
    for (at, _) in CUT.match_indices('\n') {
        let (head, tail) = CUT.as_bytes().split_at(at + 1);
        let both = sessions(&[head, head, tail, tail]);
        assert_eq!(summed(&both), summed(&whole), "cut at byte {at}");
        // The second night's lines are more of the same two inputs, or of what followed them.
        for morning in [[0, 1], [1, 0], [2, 3]] {
            let (evening, rest) = CUT.split_at(at + 1);
            let mut assembler = Assembler::new(Keep::AllLines, Limits::default());
            let mut out = take(&mut assembler, evening, 0);
            out.extend(take(&mut assembler, evening, 1));
            let text = serde_json::to_string(&assembler.carried()).unwrap();
            let mut carried: CarriedSessions = serde_json::from_str(&text).unwrap();
            carried.put_told(assembler.carried().take_told());
            let mut assembler = Assembler::restored(Keep::AllLines, Limits::default(), carried);
            for input in morning {
                out.extend(take(&mut assembler, rest, input));
            }
            assembler.finish(&mut into(&mut out));
            assert_eq!(summed(&out), summed(&whole), "cut at byte {at}, then {morning:?}");
        }
    }
}

#[test]
fn what_an_earlier_run_told_is_not_told_again() {
    let mut assembler = Assembler::new(Keep::Proofs, Limits::default());
    assert_eq!(take(&mut assembler, CUT, 0).len(), 1);
    let carried = assembler.carried();
    let mut assembler = Assembler::restored(Keep::Proofs, Limits::default(), carried);
    assert_eq!(take(&mut assembler, CUT, 1), []);
    assembler.finish(&mut |_, _| {});
}

/// What an assembler gives out while it takes these lines of an input.
fn take(assembler: &mut Assembler, text: &str, input: u32) -> Vec<Finished> {
    let mut out = Vec::new();
    assembler.take(
        &crate::logs::mail::testing::facts(text.as_bytes()),
        input,
        1,
        &mut into(&mut out),
    );
    out
}
