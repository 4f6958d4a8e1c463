//! Microsoft Azure: network security group (NSG) flow logs and virtual network (VNet) flow logs.
//!
//! ```text
//! {"records":[{"time":"...","macAddress":"000D3AD53B86","category":"NetworkSecurityGroupFlowEvent",
//! "properties":{"Version":2,"flows":[{"rule":"r","flows":[{"mac":"...","flowTuples":[
//! "1793613600,198.51.100.7,10.0.0.25,40001,25,T,I,A,B,,,,"]}]}]}}]}
//! ```
//!
//! Azure Network Watcher documentation. A line holds any number of tuples; pretty-printed, one. NSG:
//! `epoch,src,dst,sport,dport,T|U,I|O,A|D` and since version 2 `B|C|E` (begin, continue, end) with
//! counters; VNet: `epoch ms,src,dst,sport,dport,protocol,I|O,B|C|E|D,encryption,...`. A connection
//! continues to be told while it lasts. Skipped: all but TCP.

use memchr::memmem;

use crate::logs::clock::LogTime;
use crate::logs::firewall::ends::{Parsed, end};
use crate::logs::firewall::{FirewallFormat, FlowRecord, Join, JoinRule, Shows};
use crate::logs::json::Json;
use crate::logs::line::{Columns, Line, Outcome, Reject};
use crate::model::flow::Action;

/// The format.
pub(super) struct Format;

/// A connection that goes on is told every five minutes.
const RETOLD_WITHIN_SECONDS: u32 = 900;

/// A blob holds the flows of an hour, mostly in one line.
const LONGEST_DOCUMENT: usize = 32 << 20;

const TUPLES_KEY: &[u8] = b"\"flowTuples\"";

impl FirewallFormat for Format {
    fn name(&self) -> &'static str {
        "azure_nsg"
    }

    fn product(&self) -> &'static str {
        "Azure NSG and VNet flow logs (JSON)"
    }

    fn words(&self) -> &'static [&'static [u8]] {
        &[b"\"flowTuples\"", b"\"macAddress\"", b"\"flows\"", b",T,"]
    }

    fn shows(&self) -> &'static [Shows] {
        &[Shows::Allow, Shows::Deny, Shows::Close, Shows::Zone]
    }

    fn recognises(&self, line: &Line<'_>) -> bool {
        memmem::find(line.raw, TUPLES_KEY).is_some()
            || memmem::find(line.raw, b"FlowEvent\"").is_some()
            || lone_tuple(line.raw).is_some()
    }

    fn longest_line(&self) -> usize {
        LONGEST_DOCUMENT
    }

    fn needles(&self, port: u16) -> Vec<Vec<u8>> {
        vec![format!(",{port},").into_bytes()]
    }

    fn parse<'a>(&self, line: &Line<'a>, _: &Columns, out: &mut Vec<FlowRecord<'a>>) -> Outcome {
        let before = out.len();
        let mut rejected = None;
        for (device, tuple) in tuples(line.raw) {
            match parse_tuple(line, tuple) {
                Ok(Some(record)) => out.push(FlowRecord { device, ..record }),
                Ok(None) => {}
                Err(reject) => rejected = Some(reject),
            }
        }
        match rejected {
            _ if out.len() > before => Outcome::Event,
            Some(reject) => Outcome::Rejected(reject),
            None => Outcome::Ignored,
        }
    }
}

/// The tuples of a line in order, each with the address of the network interface before it.
fn tuples(raw: &[u8]) -> impl Iterator<Item = (Option<&[u8]>, &[u8])> {
    let mut rest = raw;
    let mut interface = None;
    let arrays = std::iter::from_fn(move || {
        let (before, tail) = rest.split_at_checked(memmem::find(rest, TUPLES_KEY)?)?;
        interface = last_interface(before).or(interface);
        let array = tail.get(TUPLES_KEY.len()..)?.trim_ascii_start().strip_prefix(b":")?;
        let (array, after) = Json::split(array)?;
        rest = after;
        Some((interface, array))
    });
    let listed = arrays.flat_map(|(interface, array)| {
        array.elements().filter_map(move |tuple| Some((interface, tuple.text()?)))
    });
    listed.chain(lone_tuple(raw).map(|tuple| (None, tuple)))
}

fn last_interface(text: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"\"macAddress\"";
    let rest = text.get(memmem::rfind(text, KEY)?..)?.get(KEY.len()..)?;
    Json::read(rest.trim_ascii_start().strip_prefix(b":")?)?.text()
}

/// The tuple of a pretty-printed document's line: a string alone that starts with an epoch.
fn lone_tuple(raw: &[u8]) -> Option<&[u8]> {
    let text =
        Json::read(raw.trim_ascii()).filter(|_| raw.trim_ascii().starts_with(b"\""))?.text()?;
    let time = text.split(|&b| b == b',').next()?;
    (text.len() > time.len()).then_some(())?;
    LogTime::parse_epoch(time).map(|_| text)
}

fn parse_tuple<'a>(line: &Line<'a>, tuple: &'a [u8]) -> Parsed<'a> {
    let mut fields = tuple.split(|&b| b == b',');
    let [time, src_ip, dst_ip, src_port, dst_port, protocol, _, decision, state] =
        std::array::from_fn(|_| fields.next());
    let action = match (protocol, decision, state) {
        (Some(b"T" | b"6"), Some(b"D"), _) => Action::Deny,
        (Some(b"T"), Some(b"A"), Some(b"E")) | (Some(b"6"), Some(b"E"), _) => Action::Close,
        (Some(b"T"), Some(b"A"), _) | (Some(b"6"), Some(b"B" | b"C"), _) => Action::Allow,
        (Some(b"T" | b"6") | None, ..) => {
            return Err(Reject::new("flowTuples", "a decision and a state"));
        }
        _ => return Ok(None),
    };
    let src = end((src_ip, "source address"), (src_port, "source port"))?;
    let dst = end((dst_ip, "destination address"), (dst_port, "destination port"))?;
    let mut record = FlowRecord::new(line, action, src, dst);
    record.time = time.and_then(LogTime::parse_epoch);
    if action == Action::Allow {
        let rule = JoinRule::Once { within: RETOLD_WITHIN_SECONDS };
        record.join = Some(Join::new(rule, (src, dst)));
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::Format;
    use crate::logs::firewall::testing::check;

    #[test]
    fn documents_on_one_line() {
        let nsg = |tuples: &str| {
            format!(
                "{{\"records\":[{{\"macAddress\":\"000D3A000001\",\"category\":\
                 \"NetworkSecurityGroupFlowEvent\",\"properties\":{{\"Version\":2,\"flows\":[{{\
                 \"rule\":\"r\",\"flows\":[{{\"mac\":\"000D3A000001\",\"flowTuples\":[{tuples}]}}]}}\
                 ]}}}}]}}"
            )
        };
        let ends = "198.51.100.7:40001 > 10.0.0.25:25";
        let at = "2026-11-02T10:00:00Z";
        let tuple = |end: &str| format!("\"1793613600,198.51.100.7,10.0.0.25,40001,25,{end}\"");
        check(
            &Format,
            &[
                (
                    &nsg(&[tuple("T,I,A,B,,,,"), tuple("T,I,A,E,9,1599,12,1178"), tuple("U,I,A")]
                        .join(",")),
                    &format!("{at} allow {ends} @000D3A000001 | {at} close {ends} @000D3A000001"),
                ),
                (&nsg(&tuple("T,I,D")), &format!("{at} deny {ends} @000D3A000001")),
                (&nsg(&tuple("U,I,D")), "ignored"),
                (&nsg(&tuple("T,I")), "rejected flowTuples"),
                (&nsg(""), "ignored"),
            ],
        );
    }

    #[test]
    fn pretty_printed_and_virtual_network() {
        let ends = "2001:db8::7:40001 > 2001:db8::25:25";
        let vnet = |state: &str| {
            format!(
                "    \"1793613600123,2001:db8::7,2001:db8::25,40001,25,6,I,{state},NX,1,60,0,0\","
            )
        };
        let at = "2026-11-02T10:00:00Z";
        check(
            &Format,
            &[
                (&vnet("B"), &format!("{at} allow {ends}")),
                (&vnet("C"), &format!("{at} allow {ends}")),
                (&vnet("E"), &format!("{at} close {ends}")),
                (&vnet("D"), &format!("{at} deny {ends}")),
                (&vnet("D").replace(",6,", ",17,"), "ignored"),
                ("\"1793613600\"", "not recognised"),
            ],
        );
    }
}
