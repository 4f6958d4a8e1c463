//! A ticket's life over several nights, with exports and logs written here: resolved only by a scan
//! that would have reported the finding, and only while the logs are silent; reopened, not retested,
//! and what the tickets say of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::program::{Ticket, helotriage, read_tickets, told};

pub(crate) const SERVER: &str = "203.0.113.25";
pub(crate) const ID: &str = "helo-203.0.113.25-25";

/// An export: hosts with their ports, at 02:00 on a day of November 2026.
pub(crate) struct Scan {
    name: &'static str,
    day: u32,
    hosts: Vec<(&'static str, Vec<u16>)>,
    preferences: &'static [(&'static str, &'static str)],
    /// Of every host.
    tags: &'static [(&'static str, &'static str)],
    end: End,
}

/// How the scan of each host ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Told,
    Stopped,
}

pub(crate) fn scan(day: u32, hosts: &[(&'static str, &[u16])]) -> Scan {
    let hosts = hosts.iter().map(|(ip, ports)| (*ip, ports.to_vec())).collect();
    Scan { name: "weekly", day, hosts, preferences: &[], tags: &[], end: End::Told }
}

impl Scan {
    pub(crate) fn write(&self, path: &Path) {
        let mut xml = String::from("<?xml version=\"1.0\" ?>\n<NessusClientData_v2>\n<Policy>");
        xml.push_str("<policyName>p</policyName><Preferences><ServerPreferences>\n");
        for (name, value) in self.preferences {
            writeln!(xml, "<preference><name>{name}</name><value>{value}</value></preference>")
                .unwrap();
        }
        xml.push_str("</ServerPreferences></Preferences></Policy>\n");
        writeln!(xml, "<Report name=\"{}\">", self.name).unwrap();
        for (ip, ports) in &self.hosts {
            let start = 1_793_404_800 + i64::from(self.day) * 86_400 + 7200;
            writeln!(xml, "<ReportHost name=\"{ip}\"><HostProperties>").unwrap();
            writeln!(xml, "<tag name=\"host-ip\">{ip}</tag>").unwrap();
            writeln!(xml, "<tag name=\"HOST_START_TIMESTAMP\">{start}</tag>").unwrap();
            if self.end == End::Told {
                let end = start + 60;
                writeln!(xml, "<tag name=\"HOST_END_TIMESTAMP\">{end}</tag>").unwrap();
            }
            for (name, value) in self.tags {
                writeln!(xml, "<tag name=\"{name}\">{value}</tag>").unwrap();
            }
            xml.push_str("</HostProperties>\n");
            for port in ports {
                writeln!(
                    xml,
                    "<ReportItem port=\"{port}\" svc_name=\"smtp\" protocol=\"tcp\" severity=\"0\" \
                     pluginID=\"10263\" pluginName=\"SMTP Server Detection\" \
                     pluginFamily=\"Service detection\"><risk_factor>None</risk_factor>\
                     <plugin_output>220 mx1.example.com ESMTP</plugin_output></ReportItem>"
                )
                .unwrap();
            }
            xml.push_str("</ReportHost>\n");
        }
        xml.push_str("</Report>\n</NessusClientData_v2>\n");
        fs::write(path, xml).unwrap();
    }
}

/// A connection of 198.51.100.7 to the server at noon.
pub(crate) fn connection(day: u32, word: &str) -> String {
    format!(
        "2026-11-{day:02}T12:00:00Z gw1 kernel: [UFW {word}] IN=eth0 OUT=eth1 \
             SRC=198.51.100.7 DST={SERVER} LEN=60 TOS=0x00 PREC=0x00 TTL=51 ID=1 DF PROTO=TCP \
             SPT=4{day:02} DPT=25 WINDOW=64240 RES=0x00 SYN URGP=0\n"
    )
}

/// Nights of one server: an export each, and a firewall log that grows.
pub(crate) struct Nights {
    temp: tempfile::TempDir,
    log: String,
    pub(crate) policy: &'static str,
    profile: &'static str,
    /// Further arguments.
    more: &'static [&'static str],
    /// The exit code that is expected.
    exit: i32,
}

impl Nights {
    pub(crate) fn new() -> Self {
        Self {
            temp: tempfile::tempdir().unwrap(),
            log: String::new(),
            policy: "",
            profile: "csv",
            more: &[],
            exit: 0,
        }
    }

    /// A connection of 198.51.100.7 at noon.
    pub(crate) fn connect(&mut self, day: u32, word: &str) -> &mut Self {
        self.log.push_str(&connection(day, word));
        self
    }

    /// The run of the next morning.
    pub(crate) fn run(&mut self, scan: &Scan) -> BTreeMap<String, Ticket> {
        let folder = self.temp.path();
        scan.write(&folder.join("scan.nessus"));
        fs::write(folder.join("fw.log"), &self.log).unwrap();
        fs::write(folder.join("policy.toml"), self.policy).unwrap();
        let now = format!("2026-11-{:02}T06:00:00Z", scan.day + 1);
        let arguments = [
            "run",
            "--scan",
            "scan.nessus",
            "--firewall",
            "fw.log",
            "--policy",
            "policy.toml",
            "--state",
            "state.db",
            "--out",
            "out",
            "--now",
            &now,
            "--profile",
            self.profile,
        ];
        let output = helotriage(folder, &[&arguments[..], self.more].concat());
        assert_eq!(output.status.code(), Some(self.exit), "{}", told(&output));
        read_tickets(&folder.join("out/tickets.csv"))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.temp.path()
    }

    /// The same; the server's status, empty where it has no ticket.
    fn status(&mut self, scan: &Scan) -> String {
        self.run(scan).get(ID).map(|ticket| ticket["status"].clone()).unwrap_or_default()
    }

    /// The import files of the last run.
    fn files(&self) -> Vec<String> {
        let all = ["tickets-new.csv", "tickets-changed.csv", "tickets-closed.csv"];
        let is_there = |name: &&str| self.temp.path().join("out").join(name).exists();
        all.iter().filter(|name| is_there(name)).map(|name| (*name).to_owned()).collect()
    }
}

pub(crate) const OPEN: &[(&str, &[u16])] = &[(SERVER, &[25])];
pub(crate) const GONE: &[(&str, &[u16])] = &[(SERVER, &[])];
const ELSEWHERE: &[(&str, &[u16])] = &[("203.0.113.26", &[])];

#[test]
fn gone_and_quiet_is_resolved_with_proof_and_seen_again_is_reopened() {
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    let first = nights.run(&scan(3, OPEN));
    assert_eq!(first[ID]["status"], "new");
    assert_eq!(nights.files(), ["tickets-new.csv"]);
    nights.connect(5, "BLOCK").connect(6, "BLOCK").connect(8, "BLOCK");
    let resolved = nights.run(&scan(7, GONE));
    let ticket = &resolved[ID];
    assert_eq!(ticket["status"], "resolved");
    assert_eq!(nights.files(), ["tickets-closed.csv"]);
    assert_eq!(ticket["due_date"], first[ID]["due_date"]);
    for proof in [
        "the scan \"weekly\" of the host, which ended 2026-11-07T02:01:00Z",
        "It was last seen open on 2026-11-03T02:01:00Z.",
        "denied on port 25 since 2026-11-05T12:00:00Z (fw.log:2); last known \
         2026-11-08T12:00:00Z (fw.log:4)",
        "they cover it until 2026-11-08T12:00:00Z",
    ] {
        assert!(ticket["verification"].contains(proof), "{proof}\n{}", ticket["verification"]);
    }
    assert!(ticket["evidence"].starts_with("fw.log:2; fw.log:4"), "{}", ticket["evidence"]);
    let explained = helotriage(nights.folder(), &["explain", ID, "--out", "out"]);
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("  - Firewall: denied on port 25 since"), "{explained}");
    assert_eq!(nights.status(&scan(9, GONE)), "");
    assert_eq!(nights.files(), [""; 0]);
    assert_eq!(nights.status(&scan(11, OPEN)), "reopened");
    assert_eq!(nights.files(), ["tickets-new.csv"]);
    assert_eq!(nights.status(&scan(12, OPEN)), "open");
    let again = nights.run(&scan(13, GONE));
    assert_eq!((&*again[ID]["status"], nights.files().len()), ("resolved", 1));
    assert_eq!(again[ID]["first_seen"], first[ID]["first_seen"]);
}

#[test]
fn gone_but_reached_stays_open_and_says_so() {
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    nights.run(&scan(3, OPEN));
    nights.connect(8, "ALLOW");
    let tickets = nights.run(&scan(7, GONE));
    assert_eq!(tickets[ID]["status"], "open");
    let says = "The scan \"weekly\" of 2026-11-07T02:01:00Z no longer reports it, but an unexpected \
                source reached it on 2026-11-08T12:00:00Z, after that scan: the ticket stays open.";
    assert!(tickets[ID]["description"].contains(says), "{}", tickets[ID]["description"]);
    nights.connect(9, "BLOCK");
    assert_eq!(nights.status(&scan(10, GONE)), "resolved");
    nights.connect(12, "ALLOW");
    assert_eq!(nights.status(&scan(11, ELSEWHERE)), "reopened");
}

#[test]
fn only_a_scan_that_would_have_reported_it_resolves() {
    let cases: [(&str, Scan, &str); 11] = [
        ("the host is not in it", scan(7, ELSEWHERE), "not_retested"),
        ("it did not end", Scan { end: End::Stopped, ..scan(7, GONE) }, "not_retested"),
        (
            "the plugin is off",
            Scan { preferences: &[("plugin_set", "18528;19506")], ..scan(7, GONE) },
            "not_retested",
        ),
        (
            "the port is not in range",
            Scan { preferences: &[("port_range", "T:80,443")], ..scan(7, GONE) },
            "not_retested",
        ),
        (
            "plugin and port are there",
            Scan {
                preferences: &[("plugin_set", "10263;19506"), ("port_range", "1-1024")],
                ..scan(7, GONE)
            },
            "resolved",
        ),
        (
            "the login failed",
            Scan { tags: &[("Credentialed_Scan", "false")], ..scan(7, GONE) },
            "not_retested",
        ),
        (
            "the login worked",
            Scan { tags: &[("Credentialed_Scan", "true")], ..scan(7, GONE) },
            "resolved",
        ),
        (
            "the host was not reached",
            Scan { tags: &[("ping_failed", "true")], ..scan(7, GONE) },
            "not_retested",
        ),
        ("it is older", scan(1, GONE), "open"),
        ("it is the same", scan(3, OPEN), "open"),
        ("another port of the host is open", scan(7, &[(SERVER, &[587])]), "resolved"),
    ];
    for (what, second, expected) in cases {
        let mut nights = Nights::new();
        nights.connect(2, "ALLOW").connect(4, "BLOCK");
        let first = Scan { tags: &[("Credentialed_Scan", "true")], ..scan(3, OPEN) };
        assert_eq!(nights.status(&first), "new", "{what}");
        let tickets = nights.run(&second);
        assert_eq!(tickets[ID]["status"], expected, "{what}");
        let says = tickets[ID]["description"].contains("Note: Not retested: ");
        assert_eq!(says, expected == "not_retested", "{what}: {}", tickets[ID]["description"]);
        if expected == "not_retested" {
            assert_eq!(nights.files(), [""; 0], "{what}");
            assert_eq!(nights.status(&scan(8, OPEN)), "open", "{what}");
        }
    }
}

#[test]
fn a_ticket_whose_logs_turn_quiet_stays_until_it_is_scanned() {
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    nights.run(&scan(3, OPEN));
    nights.policy = "[networks]\ntrusted = [\"198.51.100.7\"]\n";
    let tickets = nights.run(&scan(4, OPEN));
    assert_eq!((&*tickets[ID]["status"], &*tickets[ID]["verdict"]), ("open", "quiet"));
    assert!(tickets[ID]["description"].contains("nothing unexpected any more"));
    assert_eq!(nights.status(&scan(5, GONE)), "resolved");
}

#[test]
fn exports_in_any_order_tell_the_same() {
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    nights.run(&scan(3, OPEN));
    assert_eq!(nights.status(&scan(7, GONE)), "resolved");
    assert_eq!(nights.status(&scan(3, OPEN)), "");
    assert_eq!(nights.status(&scan(5, OPEN)), "");
}

#[test]
fn hosts_that_become_one_asset_are_one_ticket_and_it_is_gone_when_all_are() {
    let both: &[(&str, &[u16])] = &[(SERVER, &[25]), ("203.0.113.26", &[25])];
    let one_gone: &[(&str, &[u16])] = &[(SERVER, &[]), ("203.0.113.26", &[25])];
    let all_gone: &[(&str, &[u16])] = &[(SERVER, &[]), ("203.0.113.26", &[])];
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    assert_eq!(nights.run(&scan(3, both)).len(), 2);
    nights.policy = "[[asset]]\nid = \"mx\"\nmatch = [\"203.0.113.25\", \"203.0.113.26\"]\n";
    let joined = nights.run(&scan(4, both));
    assert_eq!(joined.keys().collect::<Vec<_>>(), ["helo-mx-25"]);
    assert_eq!(joined["helo-mx-25"]["status"], "open");
    assert_eq!(nights.run(&scan(5, one_gone))["helo-mx-25"]["status"], "open");
    assert_eq!(nights.run(&scan(6, all_gone))["helo-mx-25"]["status"], "resolved");
    nights.policy = "";
    assert_eq!(nights.run(&scan(7, all_gone)).len(), 0);
}

#[test]
fn a_profile_that_comes_later_gets_every_open_ticket_once() {
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    nights.profile = "jira";
    assert_eq!(nights.status(&scan(3, OPEN)), "new");
    nights.profile = "csv";
    assert_eq!(nights.status(&scan(4, OPEN)), "open");
    assert_eq!(nights.files(), ["tickets-new.csv"]);
    assert_eq!(nights.status(&scan(5, OPEN)), "open");
    assert_eq!(nights.files(), [""; 0]);
    nights.profile = "gitlab";
    assert_eq!(nights.status(&scan(6, GONE)), "resolved");
    assert!(!nights.temp.path().join("out/gitlab-closed-001.csv").exists());
}

#[test]
fn a_risk_accepted_for_no_ticket_is_told() {
    let mut nights = Nights::new();
    nights.policy = "[[accepted_risk]]\nticket = \"helo-203.0.113.52-25\"\nuntil = 2027-01-31\n\
                     reason = \"a slip\"\n[[accepted_risk]]\nticket = \"helo-203.0.113.25-25\"\n\
                     until = 2027-01-31\nreason = \"reviewed\"\n";
    assert_eq!(nights.status(&scan(3, OPEN)), "accepted_risk");
    let run = fs::read_to_string(nights.temp.path().join("out/run.json")).unwrap();
    let warning = "the policy accepts the risk of helo-203.0.113.52-25, but no ticket has this id";
    assert_eq!(run.matches("the policy accepts the risk").count(), 1, "{run}");
    assert!(run.contains(warning), "{run}");
    assert!(run.contains("\"accepted_risk\": 1"), "{run}");
}

fn state(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["state"], arguments, &["--state", "state.db"]].concat();
    let output = helotriage(folder, &arguments);
    let text = String::from_utf8(output.stdout.clone()).unwrap() + &told(&output);
    (output.status.code(), text)
}

#[test]
fn the_state_is_shown_exported_and_forgets() {
    let mut nights = Nights::new();
    let folder = nights.temp.path().to_owned();
    let (code, text) = state(&folder, &["show"]);
    assert_eq!((code, text.contains("state.db: there is no state")), (Some(2), true), "{text}");
    assert!(!folder.join("state.db.lock").exists());
    nights.connect(2, "ALLOW");
    nights.run(&scan(3, OPEN));
    nights.connect(5, "BLOCK");
    nights.run(&scan(7, GONE));
    let (code, text) = state(&folder, &["show"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("2 runs from 2026-11-04T06:00:00Z to 2026-11-08T06:00:00Z"), "{text}");
    let line = "resolved: 1\n  P3 helo-203.0.113.25-25: reachable, first seen 2026-11-02T12:00:00Z, \
                last seen 2026-11-05T12:00:00Z, due 2026-11-17T02:01:00Z\n";
    assert!(text.ends_with(line), "{text}");

    let (_, text) = state(&folder, &["show", ID]);
    let history =
        "2026-11-04T06:00:00Z P2 new\n2026-11-08T06:00:00Z P3 resolved (before: P2 new)\n";
    assert_eq!(text, history);
    let (code, text) = state(&folder, &["show", "helo-nobody-25"]);
    assert_eq!((code, text.contains("\"helo-nobody-25\" is no ticket")), (Some(2), true), "{text}");

    let (code, text) = state(&folder, &["export"]);
    assert_eq!(code, Some(0), "{text}");
    let rows: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |table: &'static str| rows.iter().filter(move |row| row["table"] == table);
    let steps: Vec<_> = of("ticket_event").map(|row| (&row["at"], &row["new_status"])).collect();
    assert_eq!(steps[0].0, "2026-11-04T06:00:00Z");
    assert_eq!((steps[0].1, steps[1].1, steps.len()), (&"new".into(), &"resolved".into(), 2));
    let finding = of("finding").next().unwrap();
    assert_eq!(
        (&finding["gone_scan"], &finding["facts"]["detected_by"][0]),
        (&"weekly".into(), &10263.into())
    );
    assert_eq!(of("evidence").count(), 2);
    let imports: Vec<_> = of("scan_import").map(|row| (&row["ended"], &row["run"])).collect();
    let expected = [("2026-11-03T02:01:00Z", 1), ("2026-11-07T02:01:00Z", 2)];
    let expected = expected.map(|(ended, run)| (ended.into(), run.into()));
    assert_eq!(imports, expected.each_ref().map(|(ended, run)| (ended, run)));

    let (code, text) = state(&folder, &["forget", ID, "helo-nobody-25"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("\"helo-nobody-25\" is no ticket and no logged server"), "{text}");
    let (_, text) = state(&folder, &["show"]);
    assert!(text.contains("resolved: 1"), "{text}");
    assert_eq!(state(&folder, &["forget", ID, SERVER]).0, Some(0));
    let (_, text) = state(&folder, &["export"]);
    assert!(!text.contains("203.0.113.25"), "{text}");
    assert_eq!(nights.status(&scan(8, OPEN)), "new");
}

#[test]
fn an_asset_that_gets_another_address_keeps_its_ticket() {
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    nights.policy = "[[asset]]\nid = \"mx\"\nmatch = [\"mx1.example.com\"]\n";
    let named =
        |day, ip| Scan { tags: &[("host-fqdn", "mx1.example.com")], ..scan(day, &[(ip, &[25])]) };
    assert_eq!(nights.run(&named(3, SERVER))["helo-mx-25"]["status"], "new");
    let moved = nights.run(&named(4, "203.0.113.27"));
    assert_eq!(moved.keys().collect::<Vec<_>>(), ["helo-mx-25"]);
    assert_eq!(
        (&*moved["helo-mx-25"]["status"], &*moved["helo-mx-25"]["ip"]),
        ("open", "203.0.113.27")
    );
    assert_eq!(nights.run(&named(5, "203.0.113.27")).len(), 1);
}

#[test]
fn logs_that_cannot_be_read_to_their_ends_resolve_nothing() {
    let mut nights = Nights::new();
    nights.connect(2, "ALLOW");
    nights.run(&scan(3, OPEN));
    let folder = nights.temp.path().to_owned();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gz, connection(4, "BLOCK").repeat(500).as_bytes()).unwrap();
    let whole = gz.finish().unwrap();
    fs::write(folder.join("fw.log.1.gz"), &whole[..whole.len() - 9]).unwrap();
    nights.more = &["--firewall", "fw.log.1.gz"];
    nights.exit = 3;
    let tickets = nights.run(&scan(5, GONE));
    assert_eq!(tickets[ID]["status"], "open");
    let says = "no longer reports it, but this run could not read all its logs to their ends";
    assert!(tickets[ID]["description"].contains(says), "{}", tickets[ID]["description"]);
    fs::write(folder.join("fw.log.1.gz"), &whole).unwrap();
    nights.exit = 0;
    assert_eq!(nights.status(&scan(5, GONE)), "resolved");
}
