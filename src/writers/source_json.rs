//! A source as tickets.jsonl has it. In: one judged source. Out: one JSON object, its keys always
//! all there and in one order.
//!
//! Written without a serialiser, as a ticket may have millions of sources and each has forty keys; a
//! test holds it against one.

use std::io;
use std::ops::Range;

use crate::model::judged::{CitedLine, JudgedSource, Rule};
use crate::model::time::Timestamp;
use crate::writers::cited::CitedFiles;
use crate::writers::typed::{in_order, push_ip, push_number, push_time, step_down};

/// What stands before each count: its key, that of its column in sources.csv.
const COUNTS: [&str; 11] = [
    "\"helo_accepted\":",
    ",\"corroborated\":",
    ",\"mail_accepted\":",
    ",\"relayed\":",
    ",\"auth_ok\":",
    ",\"auth_failed\":",
    ",\"helo_rejected\":",
    ",\"sessions\":",
    ",\"fw_permitted\":",
    ",\"fw_denied\":",
    ",\"fw_other\":",
];

/// Appends a source.
pub(super) fn push_source(
    to: &mut Vec<u8>,
    source: &JudgedSource,
    files: &CitedFiles,
) -> io::Result<()> {
    push(to, "{\"ip\":\"");
    push_ip(to, source.ip);
    push(to, "\",\"class\":");
    push_word(to, Some(source.class.word()));
    push(to, ",\"rule\":");
    push_word(to, source.rule.map(Rule::word));
    push(to, ",\"step_down\":");
    push_word(to, source.step_down.map(step_down));
    push(to, ",\"counts\":{");
    for (key, count) in COUNTS.iter().zip(in_order(&source.counts)) {
        push(to, key);
        push_number(to, count);
    }
    push(to, "},\"first_seen\":");
    let first = push_moment(to, source.first_seen);
    push(to, ",\"last_seen\":");
    let last = push_moment(to, source.last_seen);
    push(to, ",\"helo_names\":");
    serde_json::to_writer(&mut *to, &source.helo_names)?;
    push(to, ",\"sasl_usernames\":");
    serde_json::to_writer(&mut *to, &source.sasl_usernames)?;
    push(to, ",\"citations\":[");
    push_citations(to, &source.citations, files, &[first, last]);
    push(to, "]}");
    Ok(())
}

/// Most lines are cited for the first or the last time that a source was seen: `known`.
fn push_citations(to: &mut Vec<u8>, citations: &[CitedLine], files: &CitedFiles, known: &[Moment]) {
    let named = citations.iter().filter_map(|line| Some((line, files.of(line.at)?)));
    for (place, (line, file)) in named.enumerate() {
        push(to, if place == 0 { "{\"kind\":\"" } else { ",{\"kind\":\"" });
        push(to, line.kind.word());
        push(to, "\",\"time\":");
        match known.iter().find(|known| known.time == line.time) {
            Some(known) => to.extend_from_within(known.text.clone()),
            None => _ = push_moment(to, line.time),
        }
        push(to, &file.json);
        push_number(to, line.at.line);
        push(to, if file.is_gone { ",\"gone\":true}" } else { "}" });
    }
}

fn push(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(text.as_bytes());
}

/// A word of our own: none has a character to escape.
fn push_word(to: &mut Vec<u8>, word: Option<&'static str>) {
    let Some(word) = word else { return push(to, "null") };
    to.push(b'"');
    push(to, word);
    to.push(b'"');
}

/// A time, and where its text stands in the output.
struct Moment {
    time: Option<Timestamp>,
    text: Range<usize>,
}

fn push_moment(to: &mut Vec<u8>, time: Option<Timestamp>) -> Moment {
    let start = to.len();
    match time {
        Some(time) => {
            to.push(b'"');
            push_time(to, time);
            to.push(b'"');
        }
        None => push(to, "null"),
    }
    Moment { time, text: start..to.len() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::citation::Citation;
    use crate::model::input::Status;
    use crate::model::judged::{CitationKind, Class, Counts, StepDown};
    use crate::tickets::fixtures::{inputs, source};
    use crate::tickets::{Place, file_name};
    use crate::writers::escape::CsvCells;

    /// The same as a serialiser of values has it, whose keys are sorted.
    fn value(source: &JudgedSource, inputs: &[crate::model::input::InputReport]) -> Value {
        let citation = |line: &CitedLine| {
            let input = inputs.get(line.at.input as usize)?;
            let Place { file, line: number } = Place::of(line.at, inputs)?;
            let mut value = json!({
                "kind": line.kind.word(), "time": line.time, "file": file, "line": number,
            });
            if input.status == Status::Gone {
                value["gone"] = true.into();
            }
            Some(value)
        };
        let counts = &source.counts;
        json!({
            "ip": source.ip,
            "class": source.class.word(),
            "rule": source.rule.map(Rule::word),
            "step_down": source.step_down.map(step_down),
            "counts": {
                "helo_accepted": counts.helo_accepted,
                "corroborated": counts.corroborated,
                "mail_accepted": counts.mail_accepted,
                "relayed": counts.relayed,
                "auth_ok": counts.auth_ok,
                "auth_failed": counts.auth_failed,
                "helo_rejected": counts.helo_rejected,
                "sessions": counts.sessions,
                "fw_permitted": counts.fw_permitted,
                "fw_denied": counts.fw_denied,
                "fw_other": counts.fw_other,
            },
            "first_seen": source.first_seen,
            "last_seen": source.last_seen,
            "helo_names": source.helo_names,
            "sasl_usernames": source.sasl_usernames,
            "citations": source.citations.iter().filter_map(citation).collect::<Vec<_>>(),
        })
    }

    fn text(source: &JudgedSource, files: &CitedFiles) -> String {
        let mut text = Vec::new();
        push_source(&mut text, source, files).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn keys_stand_in_their_order() {
        let mut inputs = inputs("netfilter", "postfix");
        inputs[1].status = Status::Gone;
        let files = CitedFiles::new(&inputs, &CsvCells::default());
        let expected = "{\"ip\":\"198.51.100.7\",\"class\":\"external\",\"rule\":\"R7\",\
            \"step_down\":null,\"counts\":{\"helo_accepted\":3,\"corroborated\":2,\
            \"mail_accepted\":0,\"relayed\":0,\"auth_ok\":0,\"auth_failed\":0,\
            \"helo_rejected\":0,\"sessions\":3,\"fw_permitted\":4,\"fw_denied\":1,\
            \"fw_other\":0},\"first_seen\":\"2026-11-02T10:00:00Z\",\
            \"last_seen\":\"2026-11-02T11:00:00Z\",\"helo_names\":[\"a\\\"b\"],\
            \"sasl_usernames\":[],\"citations\":[{\"kind\":\"permitted\",\
            \"time\":\"2026-11-02T10:00:00Z\",\"file\":\"fw/edge.log\",\"line\":3},\
            {\"kind\":\"helo\",\"time\":\"2026-11-02T10:00:00Z\",\
            \"file\":\"mail/mail.log.1.gz\",\"line\":12,\"gone\":true}]}";
        assert_eq!(text(&source("198.51.100.7", "a\"b"), &files), expected);
    }

    proptest! {
        #[test]
        fn it_is_what_a_serialiser_would_write(
            ip in any::<std::net::IpAddr>(), names in any::<[String; 3]>(), file in any::<String>(),
            counts in any::<[u64; 11]>(), times in any::<[Option<i64>; 3]>(), input in 0u32..4,
            line in any::<u64>(), internal in any::<bool>(), step in any::<bool>(),
        ) {
            let mut inputs = inputs("netfilter", "postfix");
            inputs[1].path = file.into();
            inputs[1].status = Status::Gone;
            let [a, b, c, d, e, f, g, h, i, j, k] = counts;
            let [first, last, time] = times.map(|time| time.map(Timestamp));
            let at = Citation { input, line };
            let names = names.map(String::into_boxed_str);
            let source = JudgedSource {
                ip,
                class: if internal { Class::Internal } else { Class::External },
                rule: (!step).then_some(Rule::R11),
                step_down: step.then_some(StepDown::BlockedSince),
                counts: Counts {
                    helo_accepted: a, corroborated: b, mail_accepted: c, relayed: d, auth_ok: e,
                    auth_failed: f, helo_rejected: g, sessions: h, fw_permitted: i, fw_denied: j,
                    fw_other: k,
                },
                first_seen: first,
                last_seen: last,
                helo_names: names[..2].to_vec(),
                sasl_usernames: names[2..].to_vec(),
                citations: [CitationKind::Seen, CitationKind::Denied]
                    .map(|kind| CitedLine { kind, time, at }).to_vec(),
            };
            let files = CitedFiles::new(&inputs, &CsvCells::default());
            let text = text(&source, &files);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value(&source, &inputs));
            // Strings are escaped in the same way too.
            for name in source.helo_names.iter().chain(&source.sasl_usernames) {
                prop_assert!(text.contains(&Value::from(&**name).to_string()));
            }
            let file = format!("\"file\":{}", Value::from(&*file_name(&inputs[1])));
            prop_assert_eq!(text.contains(&file), input == 1);
        }
    }
}
