//! Names of every kind of hostility through every profile of the list. In: texts as attackers choose
//! them, in all places where a stranger's text can stand. Out: whole rows, and nothing in them that a
//! spreadsheet, an importer or a renderer would obey.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::{publish, table};
use crate::model::judged::{JudgedTarget, Verdict};
use crate::tickets::Standing;
use crate::tickets::fixtures::{target, with_sources};
use crate::writers::escape;
use crate::writers::profiles::{Chosen, PROFILES, owns};

/// The lines of GitLab Markdown that stand outside fences.
fn outside_fences(text: &str) -> Vec<&str> {
    let (mut outside, mut fence) = (Vec::new(), None);
    for line in text.lines() {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if ticks >= 3 => fence = Some(ticks),
            None => outside.push(line),
            Some(open) if ticks >= open && line.len() == ticks => fence = None,
            Some(_) => {}
        }
    }
    assert_eq!(fence, None, "a fence is left open: {text}");
    outside
}

/// Names as attackers choose them.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("=cmd|' /C calc'!A0".to_owned()),
        Just("\u{ff1d}HYPERLINK(\"http://x.example\")".to_owned()),
        Just("\u{2212}1".to_owned()),
        Just("+1-1".to_owned()),
        Just("@SUM(1)".to_owned()),
        Just("\t=1".to_owned()),
        Just("'-1".to_owned()),
        Just("\r\nP1,closed,\"".to_owned()),
        Just("\"; \"".to_owned()),
        Just("a\0b\u{1b}[31m".to_owned()),
        Just("\u{202e}gpj.exe\u{200b}".to_owned()),
        Just("\n/close\n/label ~x".to_owned()),
        Just("````\n/close\n```".to_owned()),
        Just("</pre><img src=http://x.example/a>".to_owned()),
        Just("!http://x.example/a.png! [~admin] {html}".to_owned()),
        Just("2026-01-01;admin;hello".to_owned()),
        Just("NULL".to_owned()),
        Just("<<!clear!>>".to_owned()),
        Just("x".repeat(2_000)),
        Just("\u{1f600}".repeat(600)),
    ];
    prop_oneof![
        pieces.clone(),
        (proptest::collection::vec(pieces, 0..3), any::<String>())
            .prop_map(|(pieces, any)| pieces.concat() + &any),
    ]
}

/// A target with these names in every place where a stranger's can stand.
fn named_by_strangers([helo, host, key, owner, banner, user]: [String; 6]) -> JudgedTarget {
    let mut target = with_sources(&[("198.51.100.7", &helo), ("198.51.100.8", &user)]);
    target.verdict = Verdict::Abused;
    target.top_sources[0].sasl_usernames = vec![user.as_str().into()];
    target.scan.detected_by[0].1 = banner.clone();
    target.scan.outputs = vec![banner];
    target.notes = vec![host.clone()];
    target.asset.ip = None;
    target.asset.names = vec![host.clone()];
    target.asset.fqdn = Some(host);
    target.asset.key = key;
    target.asset.owner = Some(owner);
    target
}

/// What no cell of any profile may hold.
fn check_cell(cell: &str) -> std::result::Result<(), TestCaseError> {
    let first = cell.trim_start().chars().next().unwrap_or('a');
    prop_assert!(!escape::starts_formula(first), "{}", cell);
    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{200b}';
    prop_assert!(!cell.contains(acts), "{}", cell);
    Ok(())
}

/// What the importers of single profiles would obey.
fn check_row(file: &str, cells: &BTreeMap<&str, &str>) -> std::result::Result<(), TestCaseError> {
    let clearing = match file {
        file if file.starts_with("servicenow") => "NULL",
        file if file.starts_with("jira") => "<<!clear!>>",
        _ => "\0",
    };
    prop_assert!(cells.values().all(|cell| *cell != clearing), "{}", file);
    if file.starts_with("gitlab") {
        let outside = outside_fences(cells["description"]);
        let actions: Vec<_> = outside.iter().filter(|line| line.starts_with('/')).collect();
        prop_assert_eq!(actions, [&"/label ~smtp-helo ~p2"]);
    }
    if file.starts_with("redmine") {
        let inside = cells["Description"].strip_prefix("<pre>").unwrap();
        let inside = inside.strip_suffix("</pre>").unwrap();
        prop_assert!(!inside.contains("</") && !inside.contains("<img"));
    }
    if file.starts_with("jira") {
        for markup in ["!http", "[~", "{html"] {
            let bare = cells["Description"].replace(&format!("\\{markup}"), "");
            prop_assert!(!bare.contains(markup));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn hostile_names_break_no_row_of_any_profile_and_act_nowhere(
        names in proptest::array::uniform6(hostile()),
        others in proptest::array::uniform6(hostile()),
    ) {
        let all = Chosen { profiles: PROFILES.to_vec(), ..Chosen::default() };
        let targets = vec![named_by_strangers(names), named_by_strangers(others), target()];
        let (set, _) = publish(&all, targets, &Standing::without_state);
        for (file, bytes) in set.iter().filter(|(file, _)| owns(file)) {
            let ending = file.rsplit_once('.').unwrap().1;
            if ending == "csv" {
                let table = table(bytes);
                prop_assert_eq!(table.1.len(), 3, "{}", file);
                for row in &table.1 {
                    for cell in row {
                        check_cell(cell)?;
                    }
                    let cells = table.0.iter().map(String::as_str).zip(row.iter().map(String::as_str));
                    check_row(file, &cells.collect())?;
                }
            } else if ending == "json" {
                let json: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                prop_assert_eq!(json["findings"].as_array().unwrap().len(), 3);
                let text = std::str::from_utf8(bytes).unwrap();
                for finding in json["findings"].as_array().unwrap() {
                    for key in ["impact", "mitigation", "steps_to_reproduce", "references"] {
                        let outside = outside_fences(finding[key].as_str().unwrap_or_default());
                        prop_assert_eq!(outside, [""; 0], "{}", key);
                    }
                    prop_assert!(!finding["description"].as_str().unwrap().contains(['!', '<', '[']));
                }
                let acts = ["\\u0000", "\u{202e}"].iter().any(|acting| text.contains(acting));
                prop_assert!(!acts, "{}", text);
            }
        }
    }
}
