//! One `ReportItem` of a catalogue plugin. In: its markup, already known to be well-formed. Out:
//! the finding, and from 19506 ("Nessus Scan Information") the scanner's address and zone:
//!
//! ```text
//! <ReportItem port="25" svc_name="smtp" protocol="tcp" severity="0" pluginID="10263" …>
//! <plugin_output>Remote SMTP server banner : 220 mx1.example.com ESMTP</plugin_output>
//! ```
//!
//! Severity is the item's own: scans follow CVSS 2, 3 or 4 as they are set. All other children
//! are skipped; some exports lack them.

use std::net::IpAddr;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::model::finding::{Finding, Role};
use crate::model::net::{parse_decimal, parse_ip, parse_port};
use crate::scan::catalogue::{Catalogue, ItemText};
use crate::scan::clock;
use crate::scan::text;

/// How much of an output is kept, in characters.
const OUTPUT_CHARS: usize = 512;
/// How much of a plugin's name is kept, in characters.
const NAME_CHARS: usize = 256;

/// What one catalogue item says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// The finding.
    pub(super) finding: Finding,
    /// The scanner's addresses, from 19506.
    pub(super) scanners: Vec<IpAddr>,
    /// The scanner's zone, from 19506, in seconds east of UTC.
    pub(super) zone: Option<i64>,
    /// Characters that were replaced.
    pub(super) replaced: u64,
}

/// The attributes and the output, as text.
#[derive(Debug, Default)]
struct Raw {
    port: String,
    protocol: String,
    severity: String,
    plugin_id: String,
    name: String,
    family: String,
    output: String,
    replaced: u64,
}

/// Reads an item. None if it does not count (22964 about another service); the error says why it
/// cannot be read.
pub(super) fn parse_item(
    markup: &[u8],
    catalogue: &Catalogue,
) -> Result<Option<Item>, &'static str> {
    let raw = read_raw(markup)?;
    let id = parse_decimal(raw.plugin_id.trim().as_bytes()).and_then(|n| u32::try_from(n).ok());
    let Some(plugin) = id.and_then(|id| catalogue.get(id)) else { return Ok(None) };
    let port = parse_port(raw.port.trim().as_bytes()).ok_or("port is no number up to 65535")?;
    let severity = parse_decimal(raw.severity.trim().as_bytes())
        .and_then(|n| u8::try_from(n).ok())
        .ok_or("severity is no number from 0 to 4")?;
    let item = ItemText {
        port,
        protocol: &raw.protocol,
        name: &raw.name,
        family: &raw.family,
        output: &raw.output,
    };
    if !plugin.counts(&item) {
        return Ok(None);
    }
    let about_scanner = plugin.roles.contains(&Role::Scanner);
    let finding = Finding {
        port,
        plugin_id: plugin.id,
        plugin_name: text::first_chars(&raw.name, NAME_CHARS),
        roles: plugin.roles.clone(),
        severity,
        scan_helo: plugin.scan_helo(&item),
        output: text::first_chars(raw.output.trim(), OUTPUT_CHARS),
        set_aside: plugin.set_aside(&item),
    };
    Ok(Some(Item {
        finding,
        scanners: if about_scanner { parse_scanners(&raw.output) } else { Vec::new() },
        zone: if about_scanner { parse_zone(&raw.output) } else { None },
        replaced: raw.replaced,
    }))
}

fn read_raw(markup: &[u8]) -> Result<Raw, &'static str> {
    let (decoded, replaced) = text::decode(markup);
    let mut raw = Raw { replaced, ..Raw::default() };
    let mut reader = Reader::from_str(&decoded);
    let (mut depth, mut in_output) = (0usize, false);
    loop {
        match reader.read_event().map_err(|_| "cannot be read as XML")? {
            Event::Start(tag) => {
                depth = depth.saturating_add(1);
                if depth == 1 {
                    raw.take_attributes(&tag);
                }
                in_output |= depth == 2 && tag.name().as_ref() == "plugin_output";
            }
            Event::Empty(tag) if depth == 0 => raw.take_attributes(&tag),
            Event::End(_) => {
                in_output &= depth != 2;
                depth = depth.saturating_sub(1);
            }
            Event::Text(words) if in_output => raw.output.push_str(&words),
            Event::CData(words) if in_output => raw.output.push_str(&words),
            Event::GeneralRef(name) if in_output => {
                raw.output.push(text::resolve(&name, &mut raw.replaced));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    raw.output = text::unify_lines(&raw.output);
    Ok(raw)
}

impl Raw {
    fn take_attributes(&mut self, tag: &BytesStart) {
        for attribute in tag.attributes().flatten() {
            let value = text::unescape(&attribute.value, &mut self.replaced);
            match attribute.key.as_ref() {
                "port" => self.port = value,
                "protocol" => self.protocol = value,
                "severity" => self.severity = value,
                "pluginID" => self.plugin_id = value,
                "pluginName" => self.name = value,
                "pluginFamily" => self.family = value,
                _ => {}
            }
        }
    }
}

/// The lines of an output; Nessus 4 and older write line ends as the two characters `\n`.
fn lines(output: &str) -> impl Iterator<Item = &str> {
    output.split('\n').flat_map(|line| line.split("\\n"))
}

/// What follows `key :` in the first line that begins with the key.
fn field<'a>(output: &'a str, key: &str) -> Option<&'a str> {
    lines(output).find_map(|line| {
        let rest = line.trim().strip_prefix(key)?.trim_start();
        rest.strip_prefix(':').map(str::trim)
    })
}

/// The scanner's address; loopback (agents) and what is no address ("tenable.io Scanner") tell
/// nothing about logs.
fn parse_scanners(output: &str) -> Vec<IpAddr> {
    let ip = field(output, "Scanner IP").and_then(|value| parse_ip(value.as_bytes()));
    ip.filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).into_iter().collect()
}

fn parse_zone(output: &str) -> Option<i64> {
    field(output, "Scan Start Date").and_then(clock::parse_scan_zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::ScanHelo;
    use crate::scan::catalogue::PluginSelection;

    fn parse(markup: &[u8]) -> Result<Option<Item>, &'static str> {
        parse_item(markup, &Catalogue::new(&PluginSelection::Smtp))
    }

    #[test]
    fn an_item_with_references_cdata_and_bad_bytes() {
        let markup = b"<ReportItem severity='1' port=\"25\" protocol=\"tcp\" pluginID=\"10263\" \
            pluginName=\"SMTP &amp; more\"><description>no</description><plugin_output>\r\n\
            220 &lt;mx&gt;&#xd;\n<![CDATA[<b>]]>\xff\x01</plugin_output><x/></ReportItem>";
        let item = parse(markup).unwrap().unwrap();
        assert_eq!(item.finding.plugin_name, "SMTP & more");
        assert_eq!(item.finding.output, "220 <mx>\n<b>\u{fffd}\u{fffd}");
        assert_eq!((item.finding.severity, item.finding.port, item.replaced), (1, 25, 2));
        assert_eq!(item.finding.scan_helo, ScanHelo::Unknown);
    }

    #[test]
    fn a_banner_in_a_nested_element_or_another_child_is_no_output() {
        let markup = b"<ReportItem port=\"25\" severity=\"0\" pluginID=\"22964\"><description>An SMTP \
            server is running on this port.</description><plugin_output>A web server</plugin_output>\
            </ReportItem>";
        assert_eq!(parse(markup), Ok(None));
    }

    #[test]
    fn the_scanner_is_an_address_or_nobody() {
        let cases = [
            ("Scanner IP : 192.0.2.9\nPort range : default", Some("192.0.2.9")),
            ("Plugin feed\\nScanner IP : 192.0.2.9\\nPort range", Some("192.0.2.9")),
            (" Scanner IP: 2001:db8::9", Some("2001:db8::9")),
            ("Scanner IP : 127.0.0.1", None),
            ("Scanner IP : tenable.io Scanner", None),
            ("Scanner IP : 192.0.2.9.1", None),
            ("Policy : Scanner IP : 192.0.2.9", None),
        ];
        for (output, expected) in cases {
            let got = parse_scanners(output).first().map(ToString::to_string);
            assert_eq!(got.as_deref(), expected, "{output}");
        }
        assert_eq!(
            parse_zone("x\nScan Start Date : 2026/11/2 1:00 CET (UTC +01:00)\n"),
            Some(3600)
        );
    }
}
