//! What a policy resolves to, for `policy check`. In: a checked policy. Out: text for people, one
//! fact a line; foreign text in it is not yet made safe for a terminal.

use std::fmt::Write;

use ipnet::IpNet;

use crate::model::net::NetSet;
use crate::model::policy::{
    AcceptedRisk, AnsibleHosts, AssetMatch, AssetPolicy, InputRule, Policy, Zone,
};

/// Describes inputs, networks, assets, words and due days of a policy.
pub fn describe(policy: &Policy) -> String {
    let mut text = String::new();
    let path = policy.path.as_deref().map_or("no file".into(), |p| p.display().to_string());
    line(&mut text, 0, "policy", &path);
    inputs(&mut text, policy);
    networks(&mut text, policy);
    for asset in &policy.assets {
        describe_asset(&mut text, asset);
    }
    for (word, action) in &policy.verdicts {
        line(&mut text, 0, "log prefix", &format!("{word:?} means {}", action.word()));
    }
    let seconds = policy.correlation.tolerance_seconds;
    line(&mut text, 0, "tolerance", &format!("{seconds} s between firewall and mail log"));
    if let Some(days) = policy.correlation.window_days {
        line(&mut text, 0, "window", &format!("{days} days of evidence"));
    }
    let [p1, p2, p3, p4] = policy.priority.days;
    let due = format!("{}: P1 {p1}, P2 {p2}, P3 {p3}, P4 {p4} days", policy.priority.name);
    line(&mut text, 0, "due", &due);
    for AcceptedRisk { ticket, until, reason } in &policy.accepted_risks {
        line(&mut text, 0, "accepted risk", &format!("{ticket} until {until}: {reason}"));
    }
    text
}

fn inputs(text: &mut String, policy: &Policy) {
    line(text, 0, "scan", &list(&policy.inputs.scan));
    line(text, 0, "firewall", &list(&policy.inputs.firewall));
    line(text, 0, "mail", &list(&policy.inputs.mail));
    let out = policy.inputs.out.as_ref().map(|out| out.display().to_string());
    line(text, 0, "out", &out.unwrap_or_else(|| "not set: give --out".to_owned()));
    if !policy.outputs.profiles.is_empty() {
        line(text, 0, "profiles", &list(&policy.outputs.profiles));
    }
    for export in &policy.outputs.jira_export {
        line(text, 0, "jira export", &export.display().to_string());
    }
    if policy.outputs.csv_safe == Some(false) {
        line(text, 0, "csv_safe", "formulas in CSV cells stand as they are");
    }
    if let Some(templates) = &policy.templates {
        line(text, 0, "templates", &templates.display().to_string());
    }
    let state = policy.inputs.state.as_ref().map(|state| state.display().to_string());
    line(text, 0, "state", &state.unwrap_or_else(|| "none".to_owned()));
    for rule in &policy.input_rules {
        describe_rule(text, rule);
    }
}

fn describe_rule(text: &mut String, rule: &InputRule) {
    line(text, 0, "input", &rule.pattern);
    line(text, 1, "matches", rule.glob.glob().glob());
    let settings = &rule.settings;
    let zone = settings.zone.map(|zone| match zone {
        Zone::Named(tz) => tz.name().to_owned(),
        Zone::Fixed(offset) => offset.to_string(),
    });
    let facts = [
        ("format", &settings.format),
        ("zone", &zone),
        ("server", &settings.server),
        ("device", &settings.device),
        ("raw field", &settings.raw_field),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            line(text, 1, name, value);
        }
    }
    if !settings.covers.is_empty() {
        line(text, 1, "covers", &nets(&settings.covers));
    }
}

fn networks(text: &mut String, policy: &Policy) {
    let networks = &policy.networks;
    line(text, 0, "trusted", &set(&networks.trusted));
    line(text, 0, "internal", &format!("private ranges, {}", set(&networks.internal)));
    line(text, 0, "scanners", &format!("those the scans name, {}", set(&networks.scanners)));
    line(text, 0, "proxies", &set(&networks.proxies));
}

fn describe_asset(text: &mut String, asset: &AssetPolicy) {
    let id = asset.id.as_deref().unwrap_or("each host that matches");
    line(text, 0, "asset", id);
    let matches = asset.matches.iter().map(|m| match m {
        AssetMatch::Network(net) => net_text(net),
        AssetMatch::Name(name) => name.clone(),
    });
    line(text, 1, "match", &matches.collect::<Vec<_>>().join(", "));
    line(text, 1, "role", asset.role.word());
    let addresses: Vec<String> = asset.addresses.iter().map(ToString::to_string).collect();
    let facts = [
        ("addresses", &addresses),
        ("log names", &asset.log_names),
        ("local domains", &asset.local_domains),
    ];
    for (name, values) in facts {
        if !values.is_empty() {
            line(text, 1, name, &list(values));
        }
    }
    line(text, 1, "expected", &set(&asset.expected));
    if let Some(owner) = &asset.owner {
        line(text, 1, "owner", owner);
    }
    if let Some(AnsibleHosts { hosts, firewall }) = &asset.ansible {
        line(text, 1, "ansible", &format!("{} on {}", firewall.word(), list(hosts)));
    }
    if asset.critical {
        line(text, 1, "critical", "one priority higher");
    }
}

fn line(text: &mut String, depth: usize, name: &str, value: &str) {
    let indent = "  ".repeat(depth);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{indent}{name}: {value}");
}

fn list(values: &[String]) -> String {
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

fn set(networks: &NetSet) -> String {
    nets(networks.networks())
}

fn nets(networks: &[IpNet]) -> String {
    list(&networks.iter().map(net_text).collect::<Vec<_>>())
}

/// A network as people write it: a single address without its length.
fn net_text(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}
