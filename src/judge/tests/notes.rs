//! Tests of notes and warnings: what a reader is told besides the figures.

use super::play::{Deed, LAST_DAY, Play, SERVER, host, ip, noon};
use super::{EXTERNAL, INTERNAL};
use crate::model::flow::{Action, Host};
use crate::model::input::Span;
use crate::model::judged::Unmatched;

#[test]
fn a_server_for_many_strangers_looks_like_an_mx() {
    let mut play = Play::new(25).mail_log("shows");
    for client in ["198.51.100.1", "198.51.100.2", "198.51.100.3"] {
        play = play.session(client, noon(50), Deed::LocalMail);
    }
    assert_eq!(play.judge().reasons[1], "looks like an mx: give it a role");
    let play = play.session("198.51.100.4", noon(50), Deed::AuthOk);
    assert!(!play.judge().reasons.join(" ").contains("looks like"));
}

#[test]
fn the_scanner_is_a_control_sample() {
    let during = noon(30).plus_seconds(-300);
    let mut play = Play::new(25).mail_log("shows").flow(Action::Allow, "10.9.9.9", during);
    play.hosts.push(host("203.0.113.26", "mx2.example.com", &[25]));
    let notes = |play: &Play| {
        let judged = play.judgement();
        let told = judged.targets.iter().map(|target| {
            let controls = target.notes.iter().filter(|note| note.starts_with("Control: "));
            (target.asset.key.clone(), controls.cloned().collect::<Vec<_>>())
        });
        told.collect::<Vec<_>>()
    };
    let window = "from 2024-11-03T11:50:00Z to 2024-11-03T12:00:00Z";
    let firewall = format!(
        "Control: while this host was scanned, {window}, the firewall logs show the scanner \
         10.9.9.9 on other servers but not here: a time zone, the NAT addresses or the set of \
         logs is wrong, or the scan does not cross the firewall."
    );
    assert_eq!(
        notes(&play),
        [(SERVER.to_owned(), vec![]), ("203.0.113.26".to_owned(), vec![firewall])]
    );
    let mut play = play.session("10.9.9.9", during, Deed::Helo);
    play.sessions[0].server = "mx2".into();
    let mail = format!(
        "Control: while this host was scanned, {window}, the mail logs show the scanner 10.9.9.9 \
         on other servers but not here: a time zone, the server's name or the set of logs is \
         wrong."
    );
    assert_eq!(notes(&play)[0], (SERVER.to_owned(), vec![mail]));
    play.sessions[0].start = Some(noon(29));
    play.sessions[0].end = None;
    assert_eq!(notes(&play)[0].1.len(), 0, "outside of the window");
}

#[test]
fn an_ambiguous_name_is_reported_and_never_chosen() {
    let mut play = Play::new(25).mail_log("shows");
    play.hosts.push(host("10.0.0.25", "mx1.other.example", &[25]));
    play = play.session(EXTERNAL, noon(50), Deed::Relay);
    let judged = play.judgement();
    assert!(judged.targets.iter().all(|target| target.unexpected_sources == 0));
    let [lost] = judged.unmatched.as_slice() else { panic!("{:?}", judged.unmatched) };
    assert_eq!((lost.why, lost.sessions), (Unmatched::AmbiguousName, 1));
    let note = "1 session of the mail server mx1 count nowhere: the name fits 10.0.0.25, \
                203.0.113.25; tell them apart by log_names in the policy.";
    assert!(judged.targets.iter().all(|target| target.notes.iter().any(|n| n == note)));
    let warning = "mx1: several assets have this name (10.0.0.25, 203.0.113.25): 1 session.";
    assert_eq!(judged.warnings, [warning]);
}

#[test]
fn sessions_without_a_target_are_reported_by_server() {
    let mut play = Play::new(587).mail_log("shows");
    play.hosts = vec![host(SERVER, "mx1.example.com", &[465, 587])];
    for _ in 0..3 {
        play = play.session(EXTERNAL, noon(50), Deed::Helo);
    }
    play.sessions[1].server = "elsewhere.example.net".into();
    play.sessions[2].local_port = Some(25);
    let judged = play.judgement();
    let told: Vec<_> =
        judged.unmatched.iter().map(|s| (s.server.as_str(), s.port, s.why, s.sessions)).collect();
    assert_eq!(
        told,
        [
            ("elsewhere.example.net", None, Unmatched::NotInScan, 1),
            ("mx1", None, Unmatched::UnclearPort, 1),
            ("mx1", Some(25), Unmatched::NoFinding, 1),
        ]
    );
    assert_eq!(
        judged.warnings[0],
        "elsewhere.example.net: mail server seen in logs, not in the scan: 1 session."
    );
    let note = "1 session of the mail server mx1 count nowhere: the log names no port, and the \
                host has several SMTP ports.";
    assert!(judged.targets.iter().all(|target| target.notes == [note]));
}

#[test]
fn a_log_that_hides_helos_says_what_would_show_them() {
    let target = Play::new(25).mail_log("hides").judge();
    assert_eq!(target.coverage.hidden_helo, Some("Capture packets instead."));
    assert_eq!(
        target.notes,
        ["This server's log does not show every accepted HELO, so their absence proves nothing. \
          Capture packets instead."]
    );
    // A server of a format that shows them, but of which every short session is undecided.
    let play = Play::new(25).mail_log("shows").session(INTERNAL, noon(50), Deed::Undecided);
    assert_eq!(play.judge().coverage.hidden_helo, Some("Nothing to change."));
}

#[test]
fn gaps_between_logs_are_told() {
    let mut play = Play::new(25).mail_log("shows").mail_log("shows");
    play.reports[1].servers.insert("mx1".into(), Span { first: noon(0), last: noon(40) });
    play.reports[2].servers.insert("mx1".into(), Span { first: noon(45), last: noon(LAST_DAY) });
    let target = play.judge();
    assert_eq!(
        target.notes,
        ["The mail log has 1 gap between 2024-10-04T12:00:00Z and 2024-12-03T12:00:00Z."]
    );
    let play = play.flow(Action::Allow, EXTERNAL, noon(42));
    assert_eq!(play.judge().top_sources[0].step_down, None, "a gap makes nobody silent");
}

#[test]
fn flow_logs_of_one_firewall_may_not_overlap() {
    let mut play = Play::new(25).flow(Action::Allow, EXTERNAL, noon(1));
    play = play.flow(Action::Allow, EXTERNAL, noon(2)).mail_log("shows");
    play.flows[1].at.input = 1;
    play.reports[1].path = "copy.log".into();
    let overlap = "The logs copy.log and fw.log of the firewall fw-a overlap in time: connections \
                   that both hold count twice.";
    assert_eq!(play.judgement().warnings, [overlap]);
    play.reports[0].span = Some(Span { first: noon(0), last: noon(9) });
    play.reports[1].span = Some(Span { first: noon(9), last: noon(12) });
    assert!(play.judgement().warnings.is_empty());
}

#[test]
fn names_where_addresses_are_needed_are_counted() {
    let mut play = Play::new(25).flow(Action::Allow, EXTERNAL, noon(1));
    play = play.flow(Action::Allow, EXTERNAL, noon(1));
    play.flows[0].flow.dst = Host::Name("mail-gw".into());
    play.flows[1].flow.src = Host::Name("partner".into());
    let judged = play.judgement();
    assert_eq!(judged.targets[0].unexpected_sources, 0);
    assert_eq!(
        judged.warnings,
        ["2 firewall records name an end that should be an address and count nowhere: mail-gw, \
          partner."]
    );
}

#[test]
fn a_shared_address_counts_for_each_asset() {
    let mut play = Play::new(25).flow(Action::Allow, EXTERNAL, noon(1));
    play.hosts.push(host("10.0.0.25", "inner.example.com", &[25]));
    play = play.role(crate::model::policy::AssetRole::None);
    play.policy.assets[0].addresses = vec![ip("10.0.0.25")];
    play.flows[0].flow.dst = Host::Ip(ip("10.0.0.25"));
    let judged = play.judgement();
    assert!(judged.targets.iter().all(|target| target.counts.fw_permitted == 1));
    assert_eq!(judged.targets[0].matched, ["10.0.0.25:25"]);
    assert_eq!(
        judged.warnings,
        ["The address 10.0.0.25 belongs to several assets, and its evidence counts for each: \
          10.0.0.25, 203.0.113.25."]
    );
}

#[test]
fn assets_with_one_ticket_id_are_told() {
    let mut play = Play::new(25);
    play.hosts.push(host("10.0.0.25", "inner.example.com", &[25]));
    play = play.role(crate::model::policy::AssetRole::None);
    play.policy.assets[0].id = Some("10.0.0.25".to_owned());
    assert_eq!(
        play.judgement().warnings,
        ["Assets have one ticket id on port 25, give them others in the policy: 10.0.0.25 \
          (10.0.0.25), 10.0.0.25 (203.0.113.25)."]
    );
}

#[test]
fn both_answers_of_the_scan_are_told() {
    let mut play = Play::new(25).mail_log("shows");
    play.hosts[0].targets[0].also_refused = true;
    assert_eq!(
        play.judge().notes,
        ["The scan holds both answers: the server refused the scanner, and it accepted HELO."]
    );
}
