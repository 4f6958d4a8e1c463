//! What `inspect` prints of a log. In: one flow with its place. Out: one line of JSON in the public
//! shape, without the line end; absent facts are absent keys.
//!
//! ```text
//! {"kind":"flow","line":12,"time":"2026-11-02T10:00:00Z","action":"deny","src":"198.51.100.7",
//!  "src_port":40001,"dst":"203.0.113.25","dst_port":25,"nat_dst":"10.0.0.25","nat_dst_port":25,
//!  "device":"fw1","format":"netfilter"}
//! ```
//!
//! `action` is allow, deny, close or unknown; `nat_src`, `nat_src_port`, `nat_dst` and
//! `nat_dst_port` are the other address of that end; `"answered":false` stands where the record
//! proves that the server never answered.

use std::net::IpAddr;

use serde::Serialize;

use crate::model::flow::{Answer, FlowEvent, Host};
use crate::model::input::Devices;
use crate::model::net::Endpoint;
use crate::model::time::Timestamp;

/// The flow's line of JSON. Numbers are integers, times RFC 3339 in UTC, addresses canonical.
///
/// # Errors
/// None that a flow can cause; the serialiser's are passed on.
pub fn flow_line(event: &FlowEvent, devices: &Devices) -> serde_json::Result<String> {
    let flow = &event.flow;
    let device = devices.name(event.device);
    serde_json::to_string(&FlowShape {
        kind: "flow",
        line: event.at.line,
        time: flow.time,
        action: flow.action.word(),
        src: HostShape(&flow.src),
        src_port: flow.src_port,
        dst: HostShape(&flow.dst),
        dst_port: flow.dst_port,
        nat_src: ip_of(flow.nat_src),
        nat_src_port: port_of(flow.nat_src),
        nat_dst: ip_of(flow.nat_dst),
        nat_dst_port: port_of(flow.nat_dst),
        answered: (flow.answer != Answer::Untold).then_some(false),
        device: (!device.is_empty()).then_some(device),
        format: event.format,
    })
}

fn ip_of(end: Option<Endpoint>) -> Option<IpAddr> {
    end.map(|end| end.ip)
}

fn port_of(end: Option<Endpoint>) -> Option<u16> {
    end.map(|end| end.port)
}

/// The keys of a flow in their order.
#[derive(Serialize)]
struct FlowShape<'a> {
    kind: &'static str,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    action: &'static str,
    src: HostShape<'a>,
    src_port: u16,
    dst: HostShape<'a>,
    dst_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_src: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_dst: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_dst_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    format: &'static str,
}

/// A host as a JSON string.
struct HostShape<'a>(&'a Host);

impl Serialize for HostShape<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Host::Ip(ip) => serializer.collect_str(ip),
            Host::Name(name) => serializer.serialize_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::citation::Citation;
    use crate::model::flow::{Action, Flow, Packet};

    fn event() -> FlowEvent {
        FlowEvent {
            flow: Flow {
                time: Timestamp::parse_rfc3339("2026-11-02T10:00:00Z"),
                action: Action::Deny,
                src: Host::Ip("198.51.100.7".parse().unwrap()),
                src_port: 40001,
                dst: Host::Ip("203.0.113.25".parse().unwrap()),
                dst_port: 25,
                nat_src: None,
                nat_dst: Some(Endpoint::new("10.0.0.25".parse().unwrap(), 2525)),
                answer: Answer::Never,
                packet: Packet::Connection,
                count: 1,
            },
            at: Citation { input: 0, line: 12 },
            device: 0,
            format: "netfilter",
        }
    }

    #[test]
    fn the_public_shape_of_a_flow() {
        let mut devices = Devices::default();
        devices.index_of("fw1");
        let full = concat!(
            r#"{"kind":"flow","line":12,"time":"2026-11-02T10:00:00Z","action":"deny","#,
            r#""src":"198.51.100.7","src_port":40001,"dst":"203.0.113.25","dst_port":25,"#,
            r#""nat_dst":"10.0.0.25","nat_dst_port":2525,"answered":false,"#,
            r#""device":"fw1","format":"netfilter"}"#
        );
        assert_eq!(flow_line(&event(), &devices).unwrap(), full);
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let mut event = event();
        event.flow.time = None;
        event.flow.nat_dst = None;
        event.flow.answer = Answer::Untold;
        event.flow.dst = Host::Name("mx\"1".into());
        let short = concat!(
            r#"{"kind":"flow","line":12,"action":"deny","src":"198.51.100.7","src_port":40001,"#,
            r#""dst":"mx\"1","dst_port":25,"format":"netfilter"}"#
        );
        assert_eq!(flow_line(&event, &Devices::default()).unwrap(), short);
    }
}
