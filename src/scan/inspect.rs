//! The findings of an export as `inspect` prints them. In: a scan. Out: one JSON object per
//! finding, in the order of the export's hosts.
//!
//! Findings that are set aside (the AIX patch under the check's number, port 0) are no findings
//! about SMTP: they are in the account, not here.

use std::net::IpAddr;

use serde::Serialize;

use crate::model::finding::{Finding, Scan, ScannedHost};

/// One finding as `inspect` prints it: `{"kind":"finding","host":"mx1.example.com",
/// "ip":"203.0.113.25","port":25,"plugin_id":34861,"roles":["check"],"scan_helo":"accepted"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingLine<'a> {
    kind: &'static str,
    host: &'a str,
    /// `host-ip`; missing where the export has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    port: u16,
    plugin_id: u32,
    roles: Vec<&'static str>,
    scan_helo: &'static str,
}

/// The findings of a scan, each to be written as one JSON line.
pub fn finding_lines(scan: &Scan) -> impl Iterator<Item = FindingLine<'_>> {
    scan.hosts.iter().flat_map(|host| {
        host.findings.iter().filter(|f| f.set_aside.is_none()).map(|f| finding_line(host, f))
    })
}

fn finding_line<'a>(host: &'a ScannedHost, finding: &Finding) -> FindingLine<'a> {
    FindingLine {
        kind: "finding",
        host: &host.name,
        ip: host.ip,
        port: finding.port,
        plugin_id: finding.plugin_id,
        roles: finding.roles.iter().map(|role| role.word()).collect(),
        scan_helo: finding.scan_helo.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{Role, ScanHelo, SetAside};

    #[test]
    fn a_line_per_finding_that_is_not_set_aside() {
        let finding = Finding {
            port: 25,
            plugin_id: 34861,
            plugin_name: String::new(),
            roles: vec![Role::Check],
            severity: 0,
            scan_helo: ScanHelo::Accepted,
            output: String::new(),
            set_aside: None,
        };
        let aside = Finding { set_aside: Some(SetAside::NotSmtp), ..finding.clone() };
        let name = "mx1.example.com".to_string();
        let ip = "203.0.113.25".parse().ok();
        let findings = vec![finding, aside];
        let host = ScannedHost { name, ip, findings, ..ScannedHost::default() };
        let nameless = ScannedHost { ip: None, ..host.clone() };
        let scan = Scan { hosts: vec![host, nameless], ..Scan::default() };
        let lines: Vec<String> =
            finding_lines(&scan).map(|line| serde_json::to_string(&line).unwrap()).collect();
        assert_eq!(
            lines,
            [
                r#"{"kind":"finding","host":"mx1.example.com","ip":"203.0.113.25","port":25,"plugin_id":34861,"roles":["check"],"scan_helo":"accepted"}"#,
                r#"{"kind":"finding","host":"mx1.example.com","port":25,"plugin_id":34861,"roles":["check"],"scan_helo":"accepted"}"#,
            ]
        );
    }
}
