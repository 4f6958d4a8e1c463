//! The same state over several runs: what tickets become from night to night.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::program::{Ticket, helotriage, read_tickets, told};

/// A run over the demo with further policy lines.
fn night(folder: &Path, policy: &str, now: &str) -> BTreeMap<String, Ticket> {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/demo");
    let inside = |name: &str| demo.join(name).to_string_lossy().into_owned();
    fs::write(folder.join("policy.toml"), policy).unwrap();
    let (scan, firewall, mail) = (inside("scan"), inside("firewall"), inside("mail"));
    let inputs = ["--scan", &scan, "--firewall", &firewall, "--mail", &mail];
    let rest = ["--policy", "policy.toml", "--state", "state.db", "--out", "out", "--now", now];
    let output = helotriage(folder, &[&["run"], &inputs[..], &rest[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    read_tickets(&folder.join("out/tickets.csv"))
}

const FIRST: &str = "2026-12-01T00:00:00Z";

#[test]
fn a_ticket_is_new_once_and_a_risk_is_accepted_to_its_day() {
    let temp = tempfile::tempdir().unwrap();
    let first = night(temp.path(), "", FIRST);
    assert!(!first.is_empty() && first.values().all(|t| t["status"] == "new"));
    let second = night(temp.path(), "", "2026-12-02T00:00:00Z");
    assert!(second.values().all(|t| t["status"] == "open"), "{second:?}");
    let id = first.keys().next().unwrap();
    let accepted = format!(
        "[[accepted_risk]]\nticket = \"{id}\"\nuntil = 2026-12-03\nreason = \"reviewed\"\n"
    );
    let third = night(temp.path(), &accepted, "2026-12-03T23:00:00Z");
    assert_eq!(third[id]["status"], "accepted_risk");
    let fourth = night(temp.path(), &accepted, "2026-12-04T00:00:00Z");
    assert_eq!(fourth[id]["status"], "open");
    for (id, ticket) in &first {
        assert_eq!(fourth[id]["due_date"], ticket["due_date"], "{id}");
    }
}

#[test]
fn an_id_given_later_keeps_the_ticket() {
    let temp = tempfile::tempdir().unwrap();
    let first = night(temp.path(), "", FIRST);
    let (old, ticket) = first.iter().find(|(_, t)| !t["ip"].is_empty()).unwrap();
    let (ip, port) = (&ticket["ip"], &ticket["port"]);
    let named = format!("[[asset]]\nid = \"the-server\"\nmatch = [\"{ip}\"]\n");
    let second = night(temp.path(), &named, "2026-12-02T00:00:00Z");
    let renamed = &second[&format!("helo-the-server-{port}")];
    assert_eq!(renamed["status"], "open");
    assert_eq!(renamed["due_date"], ticket["due_date"]);
    assert!(!second.contains_key(old));
}

#[test]
fn a_raised_priority_brings_the_due_date_forward_and_nothing_puts_it_off() {
    let temp = tempfile::tempdir().unwrap();
    let first = night(temp.path(), "", FIRST);
    let (id, ticket) = first.iter().find(|(_, t)| t["priority"] == "P4").unwrap();
    let critical = format!("[[asset]]\nmatch = [\"{}\"]\ncritical = true\n", ticket["ip"]);
    let raised = night(temp.path(), &critical, "2026-12-02T00:00:00Z");
    assert_eq!(
        (&*raised[id]["priority"], &*raised[id]["due_date"]),
        ("P3", "2027-01-31T00:00:00Z")
    );
    let lowered = night(temp.path(), "", "2026-12-03T00:00:00Z");
    assert_eq!(
        (&*lowered[id]["priority"], &*lowered[id]["due_date"]),
        ("P4", "2027-01-31T00:00:00Z")
    );
}
