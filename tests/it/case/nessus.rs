//! Writes the scan: a Nessus v2 export with one host for each asset (two where the policy joins
//! them), and hosts that have nothing to do with mail. In: the world. Out: the export's bytes.

use std::fmt::Write;

use super::stamp::{HOUR, Seconds};
use super::world::{Asset, Target, World};

/// One `ReportItem`.
struct Item<'a> {
    port: u16,
    id: u32,
    name: &'a str,
    family: &'a str,
    severity: u8,
    output: &'a str,
}

/// The export.
pub(crate) fn export(world: &World) -> Vec<u8> {
    let mut xml = String::from(
        "<?xml version=\"1.0\" ?>\n<NessusClientData_v2>\n<Policy><policyName>Mail</policyName>\
         </Policy>\n<Report name=\"Mail servers\" xmlns:cm=\"http://www.nessus.org/cm\">\n",
    );
    for (index, asset) in world.assets.iter().enumerate() {
        let time = world.scan_time + 60 * index as Seconds;
        let name = asset.report_name.clone().or(asset.host_ip.map(|ip| ip.to_string())).unwrap();
        let ip = asset.host_ip.map(|ip| ip.to_string());
        host(&mut xml, &name, ip.as_deref(), asset.fqdn.as_deref(), time, &items(asset, index));
        if let Some(twin) = asset.twin_ip {
            let ip = twin.to_string();
            let items = target_items(&asset.targets[0]);
            host(&mut xml, &ip, Some(&ip), None, time + 20, &items);
        }
    }
    let web = Item {
        port: 80,
        id: 22964,
        name: "Service Detection",
        family: "Service detection",
        severity: 0,
        output: "A web server is running on this port.",
    };
    host(&mut xml, "10.0.9.80", Some("10.0.9.80"), None, world.scan_time + HOUR, &[web]);
    xml.push_str("</Report>\n</NessusClientData_v2>\n");
    xml.into_bytes()
}

fn host(
    xml: &mut String,
    name: &str,
    ip: Option<&str>,
    fqdn: Option<&str>,
    time: Seconds,
    items: &[Item],
) {
    let tag = |name: &str, value: &str| format!("<tag name=\"{name}\">{value}</tag>\n");
    let _ = writeln!(xml, "<ReportHost name=\"{name}\"><HostProperties>");
    xml.push_str(&tag("HOST_START_TIMESTAMP", &(time - 50).to_string()));
    xml.push_str(&tag("HOST_END_TIMESTAMP", &(time + 50).to_string()));
    if let Some(ip) = ip {
        xml.push_str(&tag("host-ip", ip));
    }
    if let Some(fqdn) = fqdn {
        xml.push_str(&tag("host-fqdn", fqdn));
    }
    xml.push_str("</HostProperties>\n");
    for item in items {
        let Item { port, id, name, family, severity, output } = item;
        let _ = write!(
            xml,
            "<ReportItem port=\"{port}\" svc_name=\"smtp\" protocol=\"tcp\" severity=\"{severity}\" \
             pluginID=\"{id}\" pluginName=\"{name}\" pluginFamily=\"{family}\">\n\
             <risk_factor>None</risk_factor>\n<plugin_output>{output}</plugin_output>\n\
             </ReportItem>\n"
        );
    }
    xml.push_str("</ReportHost>\n");
}

fn items(asset: &Asset, index: usize) -> Vec<Item<'static>> {
    let mut items = vec![Item {
        port: 0,
        id: 19506,
        name: "Nessus Scan Information",
        family: "Settings",
        severity: 0,
        output: "Information about this scan :\n\nNessus version : 10.8.3\nScanner IP : 10.9.9.9\n",
    }];
    if index.is_multiple_of(4) {
        items.push(Item {
            port: 0,
            id: 34861,
            name: "AIX 610000 : U819688",
            family: "AIX Local Security Checks",
            severity: 3,
            output: "",
        });
    }
    items.extend(asset.targets.iter().flat_map(target_items));
    items
}

fn target_items(target: &Target) -> Vec<Item<'static>> {
    let port = target.port;
    let smtp = |id, name, severity, output| Item {
        port,
        id,
        name,
        family: "SMTP problems",
        severity,
        output,
    };
    let check = |id, output| smtp(id, "SMTP Server Connection Check", 0, output);
    let seen = || Item {
        family: "Service detection",
        ..smtp(10263, "SMTP Server Detection", 0, "Remote SMTP server banner :\n\n220 mail ESMTP")
    };
    let service = || Item {
        family: "Service detection",
        ..smtp(22964, "Service Detection", 0, "An SMTP server is running on this port.")
    };
    let mut items = match target.mix {
        0 => vec![check(34861, "The remote SMTP server accepted HELO.")],
        1 => vec![check(
            18528,
            "The SMTP server on this port answered with a 554 code.\nThis means that it is \
             permanently unavailable because the Nessus server IP is not authorized, \
             blacklisted, etc.\n\n** Nessus tests will be incomplete.",
        )],
        2 => vec![seen()],
        3 => vec![service(), smtp(54580, "SMTP Authentication Methods", 0, "PLAIN, LOGIN")],
        4 => vec![
            smtp(42088, "SMTP Service STARTTLS Command Support", 0, ""),
            smtp(52611, "SMTP Service STARTTLS Plaintext Command Injection", 2, ""),
        ],
        _ => vec![
            seen(),
            check(34861, ""),
            smtp(54582, "SMTP Service Cleartext Login Permitted", 1, ""),
        ],
    };
    if target.relay_plugin {
        items.push(match target.mix % 3 {
            0 => smtp(10262, "MTA Open Mail Relaying Allowed", 3, "MAIL FROM: test_1"),
            1 => smtp(54581, "Anonymous SMTP Authentication Enabled", 0, ""),
            _ => smtp(118_017, "MTA Open Mail Relaying Allowed (internal)", 3, ""),
        });
    }
    items
}
