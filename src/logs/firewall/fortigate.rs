//! Fortinet FortiGate, `key=value` traffic logs of FortiOS 4.0 to 7.x.
//!
//! ```text
//! date=2026-11-02 time=10:00:00 devname="fw1" devid="FG100" logid="0000000013" type="traffic"
//! subtype="forward" tz="+0100" srcip=198.51.100.7 srcport=40001 dstip=203.0.113.25 dstport=25
//! sessionid=77 proto=6 action="close" trandisp="dnat" tranip=10.0.0.25 tranport=25
//! ```
//!
//! FortiOS Log Message Reference, traffic logs: `deny` is blocked by policy, `start` a permitted
//! session's start, every other action a permitted session and how it ended (`ip-conn`: the server
//! did not answer). `tranip`/`tranport` are the translated destination, `transip`/`transport` the
//! translated source. FortiOS 4 wrote `src`, `dst_port`, `status`, `tran_ip`. Skipped: UTM and event
//! logs (verdicts on content inside a session that has its own traffic record) and all but TCP.

use crate::logs::clock::LogTime;
use crate::logs::fields::Pairs;
use crate::logs::firewall::ends::{Parsed, conclude, end, other_end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::{Action, Answer};

/// The format.
pub(super) struct Format;

/// Between pairs: blanks, the commas of the CSV flavour, and the NULs that some relays leave.
const SEPARATORS: &[u8] = b" ,\t\0";

/// A long-lived session is told again every few minutes (logid 20).
const RETOLD_WITHIN_SECONDS: u32 = 3600;

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "fortigate"
    }

    fn product(&self) -> &'static str {
        "Fortinet FortiGate traffic log (key=value)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[
            b"logid=",
            b"type=",
            b"devname=",
            b"srcip=",
            b"dstip=",
            b"srcport=",
            b"dstport=",
            b"action=",
        ]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Nat, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        may_be_own(line) && is_own(&Pairs::read(line.body, SEPARATORS))
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        ["dstport=", "dst_port=", "tranport=", "tran_port="]
            .iter()
            .map(|key| format!("{key}{port}").into_bytes())
            .collect()
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        conclude(parse(line, &Pairs::read(line.body, SEPARATORS)), out)
    }

    fn parse_own<'a>(
        &self,
        line: &Line<'a>,
        _: &Columns,
        out: &mut Vec<FlowRecord<'a>>,
    ) -> Option<Outcome> {
        let fields = may_be_own(line).then(|| Pairs::read(line.body, SEPARATORS))?;
        is_own(&fields).then(|| conclude(parse(line, &fields), out))
    }
}

/// Other programs may quote such text; here the whole message is pairs.
fn may_be_own(line: &Line<'_>) -> bool {
    let mut first_words = line.body.splitn(3, |&b| b == b' ').take(2);
    line.tag.is_none() && first_words.any(|word| word.contains(&b'='))
}

/// Whether pairs are a FortiGate's: one of its types of log, and a number of a message or a unit.
fn is_own(fields: &Pairs<'_>) -> bool {
    let kind = fields.get("type");
    matches!(kind, Some(b"traffic" | b"utm" | b"event" | b"anomaly"))
        && fields.any(&["logid", "log_id", "devid", "device_id"]).is_some()
}

fn parse<'a>(line: &Line<'a>, fields: &Pairs<'a>) -> Parsed<'a> {
    if fields.get("type") != Some(b"traffic") {
        return Ok(None);
    }
    match fields.get("proto").ok_or(Reject::new("proto", "an IP protocol number"))? {
        b"6" | b"tcp" | b"TCP" => {}
        _ => return Ok(None),
    }
    let word = fields.any(&["action", "status"]).ok_or(Reject::new("action", "a word"))?;
    let action = match fields.get("subtype") {
        Some(b"sniffer") => Action::Unknown,
        _ => action_of(word),
    };
    let src = end(
        (fields.any(&["srcip", "src"]), "srcip"),
        (fields.any(&["srcport", "src_port"]), "srcport"),
    )?;
    let dst = end(
        (fields.any(&["dstip", "dst"]), "dstip"),
        (fields.any(&["dstport", "dst_port"]), "dstport"),
    )?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = own_time(fields).or(line.time);
    record.device = fields.any(&["devname", "devid", "device_id"]).or(line.host);
    record.answer = answer_of(action, word, fields);
    record.join = (action == Action::Allow).then(|| retold(fields)).flatten();
    translate(&mut record, fields);
    Ok(Some(record))
}

/// Date, time and zone as the unit writes them; where a relay ate the date, the event's epoch.
fn own_time(fields: &Pairs<'_>) -> Option<LogTime> {
    let own = fields.get("date").zip(fields.get("time"));
    own.and_then(|(date, time)| LogTime::parse_fields(date, time, fields.get("tz")))
        .or_else(|| fields.get("eventtime").and_then(LogTime::parse_epoch))
}

/// "All others" than deny and start are permitted sessions that ended; `accept` is told while the
/// session lasts.
pub(super) fn action_of(word: &[u8]) -> Action {
    match word {
        b"deny" | b"block" | b"blocked" | b"drop" | b"dropped" | b"reject" => Action::Deny,
        b"start" | b"accept" => Action::Allow,
        _ => Action::Close,
    }
}

fn answer_of(action: Action, word: &[u8], fields: &Pairs<'_>) -> Answer {
    let silent = word == b"ip-conn" || fields.any(&["rcvdpkt", "rcvd_pkt"]) == Some(b"0");
    if action == Action::Close && silent { Answer::Never } else { Answer::Untold }
}

/// Start and interim records of one session count once.
fn retold(fields: &Pairs<'_>) -> Option<Join> {
    let session = fields.any(&["sessionid", "SN"])?;
    let source = fields.any(&["srcip", "src"]).zip(fields.any(&["srcport", "src_port"]));
    let rule = JoinRule::Once { within: RETOLD_WITHIN_SECONDS };
    Some(Join::new(rule, (fields.get("vd"), session, source)))
}

/// FortiOS 4 has one pair of translation fields, and `tran_disp` says for which end.
fn translate(record: &mut FlowRecord<'_>, fields: &Pairs<'_>) {
    let ip = fields.any(&["tranip", "tran_ip"]);
    let port = fields.any(&["tranport", "tran_port"]);
    let source_ip = fields.any(&["transip", "tran_sip"]);
    let source_port = fields.any(&["transport", "tran_sport"]);
    let only_source = fields.any(&["trandisp", "tran_disp"]) == Some(b"snat");
    let (src, dst) = ((record.src, record.src_port), (record.dst, record.dst_port));
    if only_source && source_ip.is_none() {
        record.nat_src = other_end(src, ip, port);
    } else {
        record.nat_src = other_end(src, source_ip, source_port);
        record.nat_dst = other_end(dst, ip, port);
    }
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    #[test]
    fn records() {
        check(
            &Format,
            &[
                (
                    "date=2026-11-02 time=10:00:00 devname=\"fw1\" logid=\"0000000013\" \
                     type=\"traffic\" subtype=\"forward\" tz=\"+0100\" srcip=198.51.100.7 \
                     srcport=40001 dstip=203.0.113.25 dstport=25 proto=6 action=\"close\" \
                     tranip=10.0.0.25 tranport=2525 transip=10.0.0.1 transport=61000 rcvdpkt=9",
                    "2026-11-02T09:00:00Z close 198.51.100.7:40001 > 203.0.113.25:25 \
                     nat_src=10.0.0.1:61000 nat_dst=10.0.0.25:2525 @fw1",
                ),
                (
                    "logid=\"0000000011\" type=\"traffic\" eventtime=1793696400123456789 \
                     srcip=2001:db8::7 srcport=40001 dstip=2001:db8::25 dstport=25 proto=6 \
                     action=\"ip-conn\"",
                    "2026-11-03T09:00:00Z close 2001:db8::7:40001 > 2001:db8::25:25 unanswered",
                ),
                (
                    "date=2012-11-02,time=10:00:00,device_id=FG1,log_id=0021000002,type=traffic,\
                     status=accept,proto=6,src=10.0.0.7,src_port=40001,dst=203.0.113.25,\
                     dst_port=25,SN=9,tran_disp=snat,tran_ip=192.0.2.1,tran_port=61000",
                    "2012-11-02T10:00:00Z allow 10.0.0.7:40001 > 203.0.113.25:25 \
                     nat_src=192.0.2.1:61000 @FG1",
                ),
            ],
        );
    }

    #[test]
    fn actions() {
        let words = [
            ("deny", "deny"),
            ("start", "allow"),
            ("accept", "allow"),
            ("close", "close"),
            ("timeout", "close"),
            ("client-rst", "close"),
            ("server-rst", "close"),
        ];
        for (word, expected) in words {
            assert_eq!(super::action_of(word.as_bytes()).word(), expected, "{word}");
        }
    }

    #[test]
    fn lines_without_a_record() {
        check(
            &Format,
            &[
                ("logid=\"1\" type=\"utm\" dstip=203.0.113.25 dstport=25 proto=6", "ignored"),
                ("logid=\"1\" type=\"traffic\" proto=17 action=\"accept\"", "ignored"),
                ("logid=1 type=traffic proto=6 action=deny srcip=x srcport=1", "rejected srcip"),
                ("logid=\"1\" type=\"traffic\" srcip=198.51.100.7", "rejected proto"),
                ("type=\"traffic\" dstport=25", "not recognised"),
                ("logid=\"1\" msg=\"x type=traffic y\"", "not recognised"),
            ],
        );
    }
}
