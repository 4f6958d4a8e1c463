//! What an export says of a host as a whole. In: the markup of `HostProperties`, of a start tag,
//! or of a policy's `preference`, already known to be well-formed. Out: address, names and times;
//! the name of a host or report; the plugins that the policy enabled.
//!
//! ```text
//! <HostProperties><tag name="host-ip">192.0.2.25</tag><tag name="HOST_END">Mon Nov  2 …</tag>
//! ```
//!
//! Hosts carry hundreds of tags (connections, patches); all others are skipped. Where a tag
//! stands twice, the first counts.

use std::net::IpAddr;

use memchr::memmem;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use crate::model::finding::Login;
use crate::model::net::{parse_decimal, parse_ip};
use crate::scan::catalogue::Catalogue;
use crate::scan::clock::{self, HostTimes};
use crate::scan::text;

/// Longest name that is kept: what is longer than a domain name can be is none (RFC 1035).
const NAME_BYTES: usize = 255;

/// The properties that identify a host and say when it was scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Properties {
    pub(super) ip: Option<IpAddr>,
    pub(super) fqdn: Option<String>,
    pub(super) fqdns: Vec<String>,
    pub(super) rdns: Option<String>,
    pub(super) hostname: Option<String>,
    pub(super) netbios: Option<String>,
    pub(super) times: HostTimes,
    /// `Credentialed_Scan`.
    pub(super) login: Login,
    /// Whether the host answered no ping (`ping_failed`), so that nothing of it was scanned.
    pub(super) unreached: bool,
    /// Whether `host-fqdns` is no JSON list.
    pub(super) fqdns_broken: bool,
    /// Characters that were replaced.
    pub(super) replaced: u64,
}

/// One entry of `host-fqdns`: `[{"FQDN":"mx1.example.com","sources":["get_host_fqdn()"]}]`.
#[derive(Deserialize)]
struct FqdnEntry {
    #[serde(rename = "FQDN")]
    fqdn: String,
}

/// Reads `HostProperties`.
pub(super) fn parse_properties(markup: &[u8]) -> Properties {
    let (decoded, replaced) = text::decode(markup);
    let mut properties = Properties { replaced, ..Properties::default() };
    let mut bad_references = 0;
    for_each_child(&decoded, &mut bad_references, |name, value| properties.take(name, value));
    properties.replaced = properties.replaced.saturating_add(bad_references);
    properties
}

impl Properties {
    fn take(&mut self, tag: &str, value: &str) {
        let value = value.trim();
        let name = || (!value.is_empty() && value.len() <= NAME_BYTES).then(|| value.to_string());
        match tag {
            "host-ip" if self.ip.is_none() => self.ip = parse_ip(value.as_bytes()),
            "host-fqdn" if self.fqdn.is_none() => self.fqdn = name(),
            "host-rdns" if self.rdns.is_none() => self.rdns = name(),
            "hostname" if self.hostname.is_none() => self.hostname = name(),
            "netbios-name" if self.netbios.is_none() => self.netbios = name(),
            "Credentialed_Scan" if self.login == Login::Unknown => {
                self.login = match value {
                    "true" => Login::Yes,
                    "false" => Login::No,
                    _ => Login::Unknown,
                };
            }
            "ping_failed" => self.unreached |= value != "false",
            "host-fqdns" if self.fqdns.is_empty() => self.take_fqdns(value),
            "HOST_START" if self.times.start.is_none() => {
                self.times.start = clock::parse_host_time(value);
            }
            "HOST_END" if self.times.end.is_none() => {
                self.times.end = clock::parse_host_time(value);
            }
            "HOST_START_TIMESTAMP" if self.times.start_stamp.is_none() => {
                self.times.start_stamp = clock::parse_stamp(value);
            }
            "HOST_END_TIMESTAMP" if self.times.end_stamp.is_none() => {
                self.times.end_stamp = clock::parse_stamp(value);
            }
            _ => {}
        }
    }

    fn take_fqdns(&mut self, json: &str) {
        match serde_json::from_str::<Vec<FqdnEntry>>(json) {
            Ok(entries) => {
                let names = entries.into_iter().map(|entry| entry.fqdn.trim().to_string());
                self.fqdns = names.filter(|n| !n.is_empty() && n.len() <= NAME_BYTES).collect();
            }
            Err(_) => self.fqdns_broken = true,
        }
    }
}

/// Calls `take` with the `name` attribute (or else the element's name) and the text of every
/// child of the outermost element.
fn for_each_child(decoded: &str, replaced: &mut u64, mut take: impl FnMut(&str, &str)) {
    let mut reader = Reader::from_str(decoded);
    let (mut depth, mut name, mut value) = (0usize, String::new(), String::new());
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(tag) => {
                depth = depth.saturating_add(1);
                if depth == 2 {
                    value.clear();
                    name = match tag.try_get_attribute("name") {
                        Ok(Some(attribute)) => text::unescape(&attribute.value, replaced),
                        _ => tag.name().as_ref().to_string(),
                    };
                }
            }
            Event::End(_) => {
                if depth == 2 {
                    take(&name, &value);
                }
                depth = depth.saturating_sub(1);
            }
            Event::Text(words) if depth == 2 => value.push_str(&words),
            Event::CData(words) if depth == 2 => value.push_str(&words),
            Event::GeneralRef(reference) if depth == 2 => {
                value.push(text::resolve(&reference, replaced));
            }
            Event::Eof => break,
            _ => {}
        }
    }
}

/// The `name` attribute of a start tag, trimmed; empty where it has none.
pub(super) fn name_attribute(tag: &[u8]) -> String {
    let (decoded, _) = text::decode(tag);
    let mut reader = Reader::from_str(&decoded);
    let Ok(Event::Start(start) | Event::Empty(start)) = reader.read_event() else {
        return String::new();
    };
    match start.try_get_attribute("name") {
        Ok(Some(attribute)) => {
            let name = text::unescape(&attribute.value, &mut 0);
            text::first_chars(name.trim(), NAME_BYTES)
        }
        _ => String::new(),
    }
}

/// Reads a `preference`: if it is `plugin_set`, those of its plugins that are looked for, sorted.
/// None for every other preference, and for a list that holds no plugin id at all.
pub(super) fn parse_plugin_set(markup: &[u8], catalogue: &Catalogue) -> Option<Vec<u32>> {
    let list = preference(markup, "plugin_set")?;
    let ids: Vec<u32> = list
        .split(';')
        .filter_map(|id| parse_decimal(id.trim().as_bytes()))
        .filter_map(|id| u32::try_from(id).ok())
        .collect();
    let mut enabled: Vec<u32> =
        ids.iter().copied().filter(|&id| catalogue.get(id).is_some()).collect();
    enabled.sort_unstable();
    enabled.dedup();
    (!ids.is_empty()).then_some(enabled)
}

/// Reads a `preference`: if it is `port_range` and lists ports (`T:1-1024,8025`), the TCP ones as
/// ranges. None for every other preference, and for words such as `default`, which list nothing.
pub(super) fn parse_ports(markup: &[u8]) -> Option<Vec<(u16, u16)>> {
    let list = preference(markup, "port_range")?;
    let (mut ranges, mut tcp) = (Vec::new(), true);
    for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (kind, ports) = entry.split_once(':').unwrap_or(("", entry));
        tcp = match kind {
            "" => tcp,
            "T" | "t" => true,
            _ => false,
        };
        let number = |text: &str| u16::try_from(parse_decimal(text.trim().as_bytes())?).ok();
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let range = (number(first)?, number(last)?);
        if tcp {
            ranges.push(range);
        }
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// The value of a `preference`, if it is the one of that name.
fn preference(markup: &[u8], wanted: &str) -> Option<String> {
    memmem::find(markup, wanted.as_bytes())?;
    let (decoded, _) = text::decode(markup);
    let (mut fits, mut found) = (false, String::new());
    for_each_child(&decoded, &mut 0, |name, value| match name {
        "name" => fits = value.trim() == wanted,
        "value" => found = value.to_string(),
        _ => {}
    });
    fits.then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::catalogue::PluginSelection;

    #[test]
    fn properties_of_a_host() {
        let markup = br#"<HostProperties><tag name="host-ip">::ffff:192.0.2.25</tag>
            <tag name="host-fqdns">[{&quot;FQDN&quot;:&quot;mx1.example.com&quot;,&quot;sources&quot;:[]},{"FQDN":"192.0.2.25"}]</tag>
            <tag name="host-rdns">mx1</tag><tag name="host-rdns">second</tag><tag name="x"/>
            <tag name="HOST_END_TIMESTAMP">1793613600</tag></HostProperties>"#;
        let got = parse_properties(markup);
        assert_eq!(got.ip, "192.0.2.25".parse().ok());
        assert_eq!(got.fqdns, ["mx1.example.com", "192.0.2.25"]);
        assert_eq!(got.rdns.as_deref(), Some("mx1"));
        assert_eq!(
            got.times.resolve(None, None).ended.unwrap().to_string(),
            "2026-11-02T10:00:00Z"
        );
        assert!(!got.fqdns_broken);
    }

    #[test]
    fn odd_properties_cost_only_themselves() {
        let markup = b"<HostProperties><tag name='host-ip'>192.0.2`.4</tag><tag \
            name='host-fqdns'>[{\"FQDN\"</tag><tag name='hostname'>\xff</tag></HostProperties>";
        let got = parse_properties(markup);
        assert_eq!((got.ip, got.fqdns_broken, got.replaced), (None, true, 1));
        assert_eq!(got.hostname.as_deref(), Some("\u{fffd}"));
        assert_eq!(parse_properties(b"<HostProperties/>"), Properties::default());
    }

    #[test]
    fn names_of_hosts_and_reports() {
        let cases: [(&[u8], &str); 4] = [
            (b"<ReportHost name=\" mx1.example.com \">", "mx1.example.com"),
            (b"<ReportHost a='b' name='x&amp;y'/>", "x&y"),
            (b"<ReportHost>", ""),
            (b"", ""),
        ];
        for (tag, expected) in cases {
            assert_eq!(name_attribute(tag), expected);
        }
    }

    #[test]
    fn the_plugin_list_of_a_policy() {
        let catalogue = Catalogue::new(&PluginSelection::Smtp);
        let set = |name: &str, value: &str| {
            let markup = format!("<preference><name>{name}</name>{value}</preference>");
            parse_plugin_set(markup.as_bytes(), &catalogue)
        };
        let value = "<value>18528;10287;10263;18528;</value>";
        assert_eq!(set("plugin_set", value), Some(vec![10263, 18528]));
        assert_eq!(set("plugin_set", "<value>10287</value>"), Some(vec![]));
        assert_eq!(set("plugin_set", ""), None);
        assert_eq!(set("other", value), None);
    }

    #[test]
    fn the_port_range_of_a_policy() {
        type Case = (&'static str, Option<&'static [(u16, u16)]>);
        let ports = |name: &str, value: &str| {
            let value = format!("<value>{value}</value>");
            let markup = format!("<preference><name>{name}</name>{value}</preference>");
            parse_ports(markup.as_bytes())
        };
        let cases: [Case; 8] = [
            ("1-65535", Some(&[(1, 65_535)])),
            ("25, 80,110-143", Some(&[(25, 25), (80, 80), (110, 143)])),
            ("T:1-1024,2525,U:53,161", Some(&[(1, 1024), (2525, 2525)])),
            ("U:53", None),
            ("default", None),
            ("all", None),
            ("25-99999", None),
            ("", None),
        ];
        for (value, expected) in cases {
            assert_eq!(ports("port_range", value).as_deref(), expected, "{value}");
        }
        assert_eq!(ports("udp_range", "25"), None);
    }
}
