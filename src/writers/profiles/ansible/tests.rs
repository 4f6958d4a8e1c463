//! The playbook under the programs that read it, and under names as attackers choose them. In:
//! targets whose assets the policy names hosts for. Out: what stands in the playbook, what Ansible,
//! its linter and a YAML reader say of it.

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::model::policy::{AnsibleHosts, AssetMatch, AssetPolicy, Policy};
use crate::tickets::fixtures::{asset, policy, target};
use crate::tickets::tests::tools::{Tool, said, skip};
use crate::tickets::{Change, Standing};
use crate::writers::profiles::tests::{chosen, publish_under};

fn block(ip: &str, hosts: &[&str], firewall: HostFirewall) -> AssetPolicy {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    AssetPolicy {
        matches: vec![AssetMatch::Network(ip.parse().unwrap())],
        ansible: Some(AnsibleHosts { hosts, firewall }),
        ..AssetPolicy::default()
    }
}

/// Two named assets, one by each kind of firewall.
fn both() -> Policy {
    let mut policy = policy(&["10.20.0.0/16", "192.0.2.7/32", "2001:db8:1::/48"]);
    policy.assets.push(block("203.0.113.26/32", &["fw-b", "fw-a"], HostFirewall::Nftables));
    policy.assets.push(block("203.0.113.27/32", &["mx7"], HostFirewall::Firewalld));
    policy
}

fn target_at(ip: &str, name: &str) -> JudgedTarget {
    let role = crate::model::policy::AssetRole::None;
    JudgedTarget { asset: asset(ip, name, role), ..target() }
}

/// The playbook, if there is one, and what the operator is told.
fn playbook(policy: &Policy, targets: Vec<JudgedTarget>) -> (Option<String>, Vec<String>) {
    let standing = &Standing::without_state;
    let (mut set, notes) = publish_under(policy, &chosen("ansible"), targets, standing);
    (set.remove(FILE).map(|text| String::from_utf8(text).unwrap()), notes)
}

#[test]
fn only_named_hosts_stand_in_the_playbook() {
    let targets = ["203.0.113.25", "203.0.113.26", "203.0.113.27"];
    let targets = targets.map(|ip| target_at(ip, "mx1.example.com")).to_vec();
    let (text, notes) = playbook(&both(), targets);
    let text = text.unwrap();
    assert!(
        text.contains("  hosts:\n    - \"fw-a\"\n    - \"fw-b\"\n    - \"mx7\"\n  become:"),
        "{text}"
    );
    assert!(!text.contains("203.0.113.25"), "an asset that the policy names no host for");
    assert_eq!(text.matches("ip daddr 203.0.113.26 tcp dport 25 ip saddr != {\n").count(), 2);
    assert_eq!(
        text.matches("\n              destination address=\"203.0.113.27\" port").count(),
        3
    );
    assert_eq!(
        notes,
        [
            "ansible-playbook.yml closes the ports of 2 tickets on fw-a, fw-b, mx7: look at it, then run \
          it with --check --diff first"
        ]
    );
}

#[test]
fn without_a_rule_there_is_no_playbook_and_the_reason_is_told() {
    let mut closed = target_at("203.0.113.26", "mx1.example.com");
    closed.verdict = crate::model::judged::Verdict::Blocked;
    let (text, notes) = playbook(&both(), vec![target(), closed]);
    assert_eq!(text, None);
    assert!(notes[0].starts_with("profile ansible: no playbook, since no ticket has"), "{notes:?}");
    let why = "no rule for helo-203.0.113.26-25: it is blocked in all logs that were read";
    assert!(notes[1].ends_with(why), "{notes:?}");
}

#[test]
fn resolved_and_accepted_tickets_have_no_rule() {
    for status in [Status::Resolved, Status::AcceptedRisk] {
        let standing = move |target: &JudgedTarget| {
            Some(Standing { status, change: Change::Same, ..Standing::new(target) })
        };
        let targets = vec![target_at("203.0.113.26", "mx1.example.com")];
        let (set, _) = publish_under(&both(), &chosen("ansible"), targets, &standing);
        assert!(!set.contains_key(FILE));
    }
}

#[test]
fn a_family_without_networks_and_rules_of_one_name_are_told() {
    let mut policy = both();
    policy.networks.trusted = policy::only(&["10.20.0.0/16"]);
    let mut six = target_at("203.0.113.26", "mx1.example.com");
    six.asset.addresses.push("2001:db8::26".parse().unwrap());
    let mut twin = target_at("203.0.113.26", "mx1.example.com");
    six.asset.key = "a:b".to_owned();
    twin.asset.key = "a_b".to_owned();
    let (_, notes) = playbook(&policy, vec![six, twin]);
    assert!(notes[0].contains("over IPv6 it denies everybody: helo-a:b-25"), "{notes:?}");
    let why = "no rule for helo-a_b-25: another ticket's rule has the same name";
    assert!(notes[1].contains(why), "{notes:?}");
}

mod policy {
    use crate::model::net::NetSet;

    pub(super) fn only(networks: &[&str]) -> NetSet {
        NetSet::new(networks.iter().map(|net| net.parse().unwrap()).collect())
    }
}

/// Names that would act in YAML, Jinja, a shell or a terminal.
const HOSTILE: [&str; 12] = [
    "{{ lookup('pipe', 'id') }}",
    "{% for x in y %}",
    "{# x #}",
    "\"\n- hosts: all\n  tasks: []\n#",
    "' !!python/object/apply:os.system ['id'] '",
    "a: b # c",
    "&a *a <<: [x]",
    "\u{85}\u{2028}- hosts: all\u{2029}",
    "\\\"\\u0022",
    "$(id) `id` | tee",
    "\u{1f600}\u{202e}\u{feff}\0",
    "---\n...",
];

fn named_by_strangers(ip: &str, host: &str, key: &str) -> JudgedTarget {
    let mut target = target_at(ip, host);
    target.asset.key = key.to_owned();
    target.asset.owner = Some(host.to_owned());
    target.helo_names = vec![host.into()];
    target.top_sources[0].helo_names = vec![host.into()];
    target.notes = vec![host.to_owned()];
    target
}

/// The lines of a playbook with the quoted scalars of strangers taken out.
fn shape(text: &str) -> Vec<String> {
    let is_stranger = |line: &&str| {
        ["- ticket: ", "name: ", "server: "].iter().any(|key| line.trim_start().starts_with(key))
            && line.contains("!unsafe")
    };
    let strip = |line: &str| match Some(line).filter(is_stranger) {
        Some(line) => {
            let (key, scalar) = line.split_once(" !unsafe ").unwrap();
            let inner = scalar.strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap();
            let rest = inner.replace("\\\\", "").replace("\\\"", "");
            assert!(
                !rest.contains('"') && rest.bytes().all(|b| (b' '..=b'~').contains(&b)),
                "{line}"
            );
            assert!(line.len() <= 160, "{line}");
            key.to_owned()
        }
        None => line.to_owned(),
    };
    text.lines().map(strip).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_name_changes_the_shape_of_a_playbook(
        host in prop_oneof![proptest::sample::select(&HOSTILE[..]).prop_map(str::to_owned), any::<String>()],
        key in prop_oneof![proptest::sample::select(&HOSTILE[..]).prop_map(str::to_owned), any::<String>()],
    ) {
        let plain = playbook(&both(), vec![target_at("203.0.113.26", "mx1.example.com")]).0.unwrap();
        let name = crate::tickets::ticket_id(&key, 25).replace(':', "_");
        let name: String = name.chars().take(56).collect();
        let plain = plain.replace("helo-203.0.113.26-25", &name);
        let hostile = vec![named_by_strangers("203.0.113.26", &host, &key)];
        let hostile = playbook(&both(), hostile).0.unwrap();
        prop_assert_eq!(shape(&hostile), shape(&plain));
    }

    #[test]
    fn scalars_are_ascii_on_one_line(text in any::<String>()) {
        let scalar = quoted(&text);
        prop_assert!(scalar.bytes().all(|b| (b' '..=b'~').contains(&b)));
        prop_assert!(quoted(short(&text)).len() <= 130 + scalar.matches('\\').count());
    }
}

/// A playbook of hostile names in a folder.
fn hostile_playbook() -> (tempfile::TempDir, Vec<String>) {
    let mut policy = both();
    let (mut targets, mut hosts) = (Vec::new(), Vec::new());
    for (number, host) in (100..).zip(HOSTILE) {
        let ip = format!("203.0.113.{number}");
        let firewall = HostFirewall::ALL[number % 2];
        policy.assets.push(block(&format!("{ip}/32"), &["mx9"], firewall));
        let mut target = named_by_strangers(&ip, host, &format!("k{number}{host}"));
        target.asset.addresses.push("2001:db8::9".parse().unwrap());
        targets.push(target);
        hosts.push(host.to_owned());
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), playbook(&policy, targets).0.unwrap()).unwrap();
    (folder, hosts)
}

#[test]
fn ansible_takes_the_playbook() {
    let Some(ansible) = Tool::find(&["ansible-playbook"]) else { return };
    let (folder, _) = hostile_playbook();
    let check = ["--syntax-check", "-i", "mx9,", FILE];
    let output = ansible.run(folder.path(), &check, "");
    assert!(output.status.success(), "{}", said(&output));
    let tasks = ["--list-tasks", "-i", "mx9,other,", FILE];
    let output = ansible.run(folder.path(), &tasks, "");
    assert!(said(&output).contains("Unload the tables"), "{}", said(&output));
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    fs::write(folder.path().join(FILE), text.replacen("\n  tasks:\n", "\n  tasks_:\n", 1)).unwrap();
    assert!(!ansible.run(folder.path(), &check, "").status.success());
}

#[test]
fn ansible_lint_has_no_objection() {
    let Some(lint) = Tool::find(&["ansible-lint"]) else { return };
    let (folder, _) = hostile_playbook();
    let output = lint.run(folder.path(), &["--offline", "--strict", "--nocolor", FILE], "");
    assert!(output.status.success(), "{}", said(&output));
}

/// Server, table and rich rules of an entry.
type Entry = (String, String, Vec<String>);

/// Reads a playbook and prints its hosts, and the server, table and rich rules of each entry.
const LOAD: &str = "\
import json, sys
sys.path.append(sys.argv[1])
import yaml
class Loader(yaml.SafeLoader): pass
Loader.add_constructor('!unsafe', lambda loader, node: loader.construct_scalar(node))
documents = list(yaml.load_all(open(sys.argv[2]), Loader))
assert len(documents) == 1 and len(documents[0]) == 1
play = documents[0][0]
assert sorted(play['vars']['helotriage_rules']) == play['hosts']
print(json.dumps([play['hosts'], [[r['server'], r.get('table', ''), r.get('rich_rules', [])]
                  for r in play['vars']['helotriage_rules']['mx9']]]))
";

#[test]
fn yaml_reads_back_what_was_written() {
    let Some(python) = Tool::find(&["python3"]) else { return };
    let (folder, hosts) = hostile_playbook();
    fs::write(folder.path().join("load.py"), LOAD).unwrap();
    let packages = Tool::file_of_tools("usr/lib/python3/dist-packages");
    let output = python.run(folder.path(), &["load.py", packages.to_str().unwrap(), FILE], "");
    if said(&output).contains("No module named 'yaml'") {
        return skip("no python3-yaml here");
    }
    assert!(output.status.success(), "{}", said(&output));
    let (named, entries): (Vec<String>, Vec<Entry>) =
        serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(named, ["mx9"]);
    let servers: Vec<&String> = entries.iter().map(|entry| &entry.0).collect();
    let expected: Vec<String> =
        hosts.iter().map(|host| crate::model::text::shown_short(host, 60).into_owned()).collect();
    assert_eq!(servers, expected.iter().collect::<Vec<_>>());
    for (_, table, rich) in &entries {
        assert!(table.is_empty() != rich.is_empty());
        assert!(
            table.is_empty() || table.starts_with("table inet helo-k1") && table.ends_with("}\n")
        );
        assert!(rich.iter().all(|rule| rule.starts_with("rule priority") && !rule.contains("  ")));
    }
}

#[test]
fn firewalld_takes_the_rich_rules() {
    let Some(python) = Tool::find(&["python3"]) else { return };
    let policy = both();
    let mut target = target_at("203.0.113.27", "mx1.example.com");
    target.asset.addresses.push("2001:db8::27".parse().unwrap());
    let text = playbook(&policy, vec![target]).0.unwrap();
    let rules: Vec<String> = text
        .split("- !unsafe >-\n")
        .skip(1)
        .map(|rest| rest.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(rules.len(), 5);
    let folder = tempfile::tempdir().unwrap();
    let check = "import sys\nsys.path.insert(0, sys.argv[1])\nfrom firewall.core.rich import Rich_Rule\n\
                 for line in sys.stdin: print(Rich_Rule(rule_str=line.strip()).priority)\n";
    fs::write(folder.path().join("check.py"), check).unwrap();
    let packages = Tool::file_of_tools("usr/lib/python3/dist-packages");
    let arguments = ["check.py", packages.to_str().unwrap()];
    let output = python.run(folder.path(), &arguments, &rules.join("\n"));
    if said(&output).contains("No module named 'firewall'") {
        return skip("no python3-firewall here");
    }
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "-10\n-10\n-10\n-5\n-5\n",
        "{}",
        said(&output)
    );
}

#[test]
fn nft_takes_the_tables() {
    let Some(nft) = Tool::find(&["nft"]) else { return };
    let (folder, _) = hostile_playbook();
    let Some(nft) = nft.with_network(folder.path()) else { return };
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    let tables = text.split("table: !unsafe |\n").skip(1);
    let tables: Vec<String> = tables
        .map(|rest| {
            rest.lines()
                .take_while(|line| line.starts_with("            "))
                .map(str::trim)
                .collect::<Vec<_>>()
                .join("\n")
                + "\n"
        })
        .collect();
    assert_eq!(tables.len(), HOSTILE.len() / 2);
    for table in tables {
        fs::write(folder.path().join("a.nft"), &table).unwrap();
        let output = nft.run(folder.path(), &["-c", "-f", "a.nft"], "");
        assert!(output.status.success(), "{}{table}", said(&output));
    }
}
