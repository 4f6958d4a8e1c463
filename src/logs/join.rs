//! Pairs the records that a firewall writes of one connection. In: flows in the order of their
//! lines, each with the [`Join`] that its parser gave it. Out: whether the flow is told for the
//! first time, its ends turned where an earlier record knows better which one is the client.
//!
//! What is paired:
//! * a Cisco ASA's Teardown takes its direction from the Built of the same number and ends (the
//!   numbers start anew after a reload, so the ends must agree), and one that says that the server
//!   never answered says it of that Built too;
//! * a second record of the same key and action within the format's time is the same event: the two
//!   crossings of a routed packet, FortiGate's records of a session;
//! * a record without a verdict (UFW's AUDIT) after one of the same packet with a verdict is no event;
//! * an ASA connection told by an access list (106100) and then as Built (302013) is one. The Built
//!   is dropped only where it knows no second address of the server: with one, it is the record
//!   that a scan from outside matches, and both are kept.
//!
//! Memory is bounded: beyond a number of entries the oldest are forgotten, and what would have been
//! paired with them stands alone. Nothing here depends on threads or on the order of a hash map.

mod carried;

use std::collections::VecDeque;

use ahash::AHashMap;

use crate::logs::firewall::{HostText, Join, JoinRule};
use crate::model::flow::{Action, Answer, Flow, Host};
use crate::model::time::{SECOND, Timestamp};

pub use carried::CarriedPairs;

/// Entries kept of each kind: a busy firewall's permitted mail connections of an hour, 16 MiB.
const MOST_ENTRIES: usize = 1 << 17;

/// Whether an event is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Told for the first time.
    First,
    /// Another line had told it: a duplicate.
    Again,
}

/// The pairing of a run's firewall records.
#[derive(Debug)]
pub struct Joiner {
    built: Recent<(u32, u64), BuiltEnds>,
    once: Recent<(u32, u64, Action), Seen>,
}

/// The ends of a connection whose client is known, by hash.
#[derive(Debug, Clone, Copy)]
struct BuiltEnds {
    client: u64,
    server: u64,
}

/// When an event was last told, and for how many seconds it counts as told.
#[derive(Debug, Clone, Copy)]
struct Seen {
    time: Timestamp,
    within: u32,
}

impl Default for Joiner {
    fn default() -> Self {
        Self::with_room(MOST_ENTRIES)
    }
}

impl Joiner {
    /// A joiner that remembers so many connections and so many events.
    pub fn with_room(entries: usize) -> Self {
        Self { built: Recent::with_room(entries), once: Recent::with_room(entries) }
    }

    /// Takes the next flow of a device. A flow without a join is always told first.
    pub fn take(&mut self, device: u32, join: Option<Join>, flow: &mut Flow) -> Told {
        let Some(Join { key, rule }) = join else { return Told::First };
        match rule {
            JoinRule::Orients => self.orient(device, key, flow),
            JoinRule::AsBuilt => {
                self.turn_as_built(device, key, flow);
                Told::First
            }
            JoinRule::Once { within } => self.take_once(device, key, within, flow, &[flow.action]),
            JoinRule::Verdict { within } => {
                let verdicts = [Action::Allow, Action::Deny];
                let wanting = flow.action == Action::Unknown;
                self.take_once(device, key, within, flow, if wanting { &verdicts } else { &[] })
            }
        }
    }

    fn orient(&mut self, device: u32, key: u64, flow: &Flow) -> Told {
        let ends = BuiltEnds {
            client: hash_of_end(&flow.src, flow.src_port),
            server: hash_of_end(&flow.dst, flow.dst_port),
        };
        self.built.insert((device, key), ends);
        let permitted = Join::of_ends(
            JoinRule::Orients,
            (text_of(&flow.src), flow.src_port),
            (text_of(&flow.dst), flow.dst_port),
        );
        let seen = self.once.get(&(device, permitted.key, flow.action));
        let again = flow.nat_dst.is_none() && seen.is_some_and(|seen| seen.covers(flow.time));
        if again { Told::Again } else { Told::First }
    }

    /// Turns the flow where the Built of its number had the same ends the other way round, and
    /// notes where it ends a permitted connection that was never answered.
    fn turn_as_built(&mut self, device: u32, key: u64, flow: &mut Flow) {
        let Some(built) = self.built.get(&(device, key)) else { return };
        let (src, dst) =
            (hash_of_end(&flow.src, flow.src_port), hash_of_end(&flow.dst, flow.dst_port));
        let built = (built.client, built.server);
        if built == (dst, src) && src != dst {
            std::mem::swap(&mut flow.src, &mut flow.dst);
            std::mem::swap(&mut flow.src_port, &mut flow.dst_port);
            std::mem::swap(&mut flow.nat_src, &mut flow.nat_dst);
        }
        let is_its_end = built == (src, dst) || built == (dst, src);
        if is_its_end && flow.answer == Answer::Never {
            flow.answer = Answer::NeverOfPermitted;
        }
    }

    /// Whether one of these actions was told of the key; an event without a time is never taken
    /// for another.
    fn take_once(
        &mut self,
        device: u32,
        key: u64,
        within: u32,
        flow: &Flow,
        same: &[Action],
    ) -> Told {
        let Some(time) = flow.time else { return Told::First };
        let again = same.iter().any(|action| {
            let seen = self.once.get(&(device, key, *action));
            seen.is_some_and(|seen| seen.covers(flow.time))
        });
        self.once.insert((device, key, flow.action), Seen { time, within });
        if again { Told::Again } else { Told::First }
    }
}

impl Seen {
    /// Whether an event of that time is this one; lines may be slightly out of order. Less than,
    /// so that one second means the same second where logs have no fractions.
    fn covers(self, time: Option<Timestamp>) -> bool {
        let apart = time.map(|time| time.0.abs_diff(self.time.0));
        apart.is_some_and(|apart| apart < u64::from(self.within) * SECOND.unsigned_abs())
    }
}

fn text_of(host: &Host) -> HostText<'_> {
    match host {
        Host::Ip(ip) => HostText::Ip(*ip),
        Host::Name(name) => HostText::Name(name.as_bytes()),
    }
}

fn hash_of_end(host: &Host, port: u16) -> u64 {
    Join::new(JoinRule::Orients, (text_of(host), port)).key
}

/// A map that forgets its oldest entries.
#[derive(Debug)]
struct Recent<K, V> {
    entries: AHashMap<K, (u64, V)>,
    /// Keys in the order in which they were set, each with its turn: an entry that was set again
    /// since has a later turn and stays.
    order: VecDeque<(u64, K)>,
    turn: u64,
    room: usize,
}

impl<K: Copy + Eq + std::hash::Hash, V: Copy> Recent<K, V> {
    fn with_room(room: usize) -> Self {
        Self { entries: AHashMap::new(), order: VecDeque::new(), turn: 0, room: room.max(1) }
    }

    fn get(&self, key: &K) -> Option<V> {
        self.entries.get(key).map(|(_, value)| *value)
    }

    fn insert(&mut self, key: K, value: V) {
        self.turn += 1;
        self.entries.insert(key, (self.turn, value));
        self.order.push_back((self.turn, key));
        while self.order.len() > self.room {
            let Some((turn, oldest)) = self.order.pop_front() else { break };
            if self.entries.get(&oldest).is_some_and(|(last, _)| *last == turn) {
                self.entries.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::envelope;
    use crate::logs::firewall::FORMATS;
    use crate::logs::firewall::testing::clock;
    use crate::logs::line::Columns;
    use crate::model::input::Devices;

    /// What the joiner makes of the flows of these lines: `first|again ACTION CLIENT > SERVER`.
    fn taken(joiner: &mut Joiner, device: u32, lines: &[&str]) -> Vec<(Told, Flow)> {
        let mut flows = Vec::new();
        for raw in lines {
            let line = envelope::open(raw.as_bytes());
            let format = FORMATS.iter().find(|format| format.recognises(&line)).unwrap();
            let mut records = Vec::new();
            format.parse(&line, &Columns::NONE, &mut records);
            for record in records {
                let mut flow = record.to_flow(&clock());
                flows.push((joiner.take(device, record.join, &mut flow), flow));
            }
        }
        flows
    }

    fn joined(joiner: &mut Joiner, device: u32, lines: &[&str]) -> Vec<String> {
        let told = taken(joiner, device, lines).into_iter().map(|(told, flow)| {
            let word = if told == Told::First { "first" } else { "again" };
            format!("{word} {} {} > {}", flow.action.word(), flow.src_port, flow.dst_port)
        });
        told.collect()
    }

    const BUILT: &str = "Nov  2 10:00:00 fw : %ASA-6-302013: Built inbound TCP connection 7 for \
        o:198.51.100.7/20 (198.51.100.7/20) to d:10.0.0.25/25 (10.0.0.25/25)";
    const TEARDOWN: &str = "Nov  2 10:00:09 fw : %ASA-6-302014: Teardown TCP connection 7 for \
        o:198.51.100.7/20 to d:10.0.0.25/25 duration 0:00:09 bytes 9 TCP FINs";

    #[test]
    fn teardowns_take_their_direction_from_built() {
        // The client's port is the lower one: alone, the Teardown is guessed wrongly.
        let alone = joined(&mut Joiner::default(), 0, &[TEARDOWN]);
        assert_eq!(alone, ["first close 25 > 20"]);
        let mut joiner = Joiner::default();
        let pair = joined(&mut joiner, 0, &[BUILT, TEARDOWN]);
        assert_eq!(pair, ["first allow 20 > 25", "first close 20 > 25"]);
        assert_eq!(joined(&mut joiner, 1, &[TEARDOWN]), ["first close 25 > 20"]);
    }

    #[test]
    fn an_unanswered_teardown_is_of_the_built_that_it_ends() {
        let answers = |lines: &[&str]| -> Vec<Answer> {
            let flows = taken(&mut Joiner::default(), 0, lines).into_iter();
            flows.map(|(_, flow)| flow.answer).collect()
        };
        let silent = TEARDOWN.replace("bytes 9 TCP FINs", "bytes 0 SYN Timeout");
        assert_ne!(silent, TEARDOWN);
        assert_eq!(answers(&[&silent]), [Answer::Never]);
        assert_eq!(answers(&[BUILT, &silent]), [Answer::Untold, Answer::NeverOfPermitted]);
        assert_eq!(answers(&[BUILT, TEARDOWN]), [Answer::Untold, Answer::Untold]);
        let other = silent.replace("198.51.100.7", "198.51.100.8");
        assert_eq!(answers(&[BUILT, &other]), [Answer::Untold, Answer::Never]);
    }

    #[test]
    fn reused_numbers_of_other_ends_do_not_turn() {
        let other = TEARDOWN.replace("198.51.100.7", "198.51.100.8");
        let got = joined(&mut Joiner::default(), 0, &[BUILT, &other]);
        assert_eq!(got, ["first allow 20 > 25", "first close 25 > 20"]);
    }

    #[test]
    fn access_list_and_built_are_one_connection() {
        let acl = "Nov  2 10:00:00 fw : %ASA-6-106100: access-list a permitted tcp \
            o/198.51.100.7(20) -> d/10.0.0.25(25) hit-cnt 1 first hit";
        let got = joined(&mut Joiner::default(), 0, &[acl, BUILT, TEARDOWN]);
        assert_eq!(got, ["first allow 20 > 25", "again allow 20 > 25", "first close 20 > 25"]);
        let translated = BUILT.replace("(10.0.0.25/25)", "(203.0.113.25/25)");
        let got = joined(&mut Joiner::default(), 0, &[acl, &translated]);
        assert_eq!(got, ["first allow 20 > 25", "first allow 20 > 25"]);
        let later = BUILT.replace("10:00:00", "10:00:06");
        let got = joined(&mut Joiner::default(), 0, &[acl, &later]);
        assert_eq!(got, ["first allow 20 > 25", "first allow 20 > 25"]);
    }

    #[test]
    fn audit_twins_are_told_once() {
        let packet = "IN=e OUT= SRC=198.51.100.7 DST=203.0.113.25 LEN=60 ID=4711 PROTO=TCP SPT=20 \
            DPT=25 WINDOW=1 RES=0x00 SYN URGP=0";
        let line = |word: &str, second: u32| {
            format!("Nov  2 10:00:{second:02} fw kernel: [UFW {word}] {packet}")
        };
        let lines = [line("BLOCK", 0), line("AUDIT", 0), line("BLOCK", 1), line("AUDIT", 3)];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let got = joined(&mut Joiner::default(), 0, &lines);
        let expected = [
            "first deny 20 > 25",
            "again unknown 20 > 25",
            "first deny 20 > 25",
            "first unknown 20 > 25",
        ];
        assert_eq!(got, expected);
        let audit_first = [line("AUDIT", 0), line("ALLOW", 0)];
        let audit_first: Vec<&str> = audit_first.iter().map(String::as_str).collect();
        let got = joined(&mut Joiner::default(), 0, &audit_first);
        assert_eq!(got, ["first unknown 20 > 25", "first allow 20 > 25"]);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut recent = Recent::with_room(2);
        for key in [1, 2, 1, 3] {
            recent.insert(key, key * 10);
        }
        assert_eq!(recent.get(&1), Some(10));
        assert_eq!(recent.get(&2), None);
        assert_eq!(recent.get(&3), Some(30));
        assert_eq!(recent.entries.len(), 2);
    }

    #[test]
    fn what_may_still_be_paired_outlives_a_run() {
        let mut devices = Devices::default();
        let mut joiner = Joiner::default();
        let device = devices.index_of("fw1");
        joined(&mut joiner, device, &[BUILT]);
        let text = serde_json::to_string(&joiner.carried(&devices)).unwrap();
        let mut devices = Devices::default();
        devices.index_of("another");
        let carried = serde_json::from_str(&text).unwrap();
        let mut joiner = Joiner::restored(carried, &mut devices);
        let device = devices.index_of("fw1");
        assert_eq!(device, 1, "{text}");
        assert_eq!(joined(&mut joiner, device, &[TEARDOWN]), ["first close 20 > 25"]);
        assert_eq!(joined(&mut joiner, 0, &[TEARDOWN]), ["first close 25 > 20"]);
    }
}
