//! The policy file as its users meet it: what is accepted, what it resolves to, and every error's
//! text.

use std::path::Path;

use super::*;
use crate::model::policy::{AssetRole, DuePlan};

const KNOWN: Known<'static> =
    Known { formats: &["netfilter", "cisco_asa", "postfix"], profiles: &["jira", "csv"] };

/// The policy of the design document, less what this version refuses.
const WHOLE: &str = r#"
[inputs]
scan = ["scan/*.nessus"]
firewall = ["firewall/*"]
mail = ["mail/*", "/var/log/mail.log"]
out = "out"
state = "state.db"

[outputs]
profiles = ["csv", "jira"]
jira_export = ["jira.csv", "/srv/jira.csv"]
csv_safe = false

[[input]]
path = "firewall/asa*.log"
format = "cisco_asa"
zone = "Europe/Berlin"
device = "fw-edge"
covers = ["203.0.113.0/24"]

[[input]]
path = "mail"
server = "MX1"
zone = "+02:00"

[[input]]
path = "firewall/asa-old.log"
zone = "UTC"
raw_field = "message"

[networks]
trusted = ["10.20.0.0/16"]
internal = ["203.0.113.0/24"]
scanners = ["10.9.9.9"]
proxies = []

[[asset]]
id = "mx1"
match = ["203.0.113.25", "mx1.example.com"]
addresses = ["198.51.100.25"]
log_names = ["MX1", "mail01"]
role = "mx"
expected = ["192.0.2.0/24"]
local_domains = ["example.com"]
owner = "mail-team"
critical = true

[templates]
dir = "words"

[verdicts]
"FWD-ACCEPT" = "allow"
FWD-DROP = "deny"

[correlation]
tolerance = "2m"
window = "90d"

[priority]
profile = "strict"

[[accepted_risk]]
ticket = "helo-MX1-25"
until = 2027-01-31
reason = "partner feed"
"#;

fn parse(text: &str) -> Result<Policy> {
    parse_policy(text, Path::new("/etc/ht/policy.toml"), KNOWN)
}

#[test]
fn a_whole_policy_is_read() {
    let policy = parse(WHOLE).unwrap();
    assert_eq!(policy.inputs.mail, ["/etc/ht/mail/*", "/var/log/mail.log"]);
    assert_eq!(policy.inputs.out.as_deref(), Some(Path::new("/etc/ht/out")));
    assert_eq!(policy.outputs.profiles, ["csv", "jira"]);
    let exports = ["/etc/ht/jira.csv", "/srv/jira.csv"].map(std::path::PathBuf::from);
    assert_eq!(
        (&policy.outputs.jira_export[..], policy.outputs.csv_safe),
        (&exports[..], Some(false))
    );
    assert!(policy.networks.trusted.contains("10.20.3.4".parse().unwrap()));
    let mx = policy.asset(&["203.0.113.25".parse().unwrap()], &[]).unwrap();
    assert_eq!((mx.role, mx.critical), (AssetRole::Mx, true));
    assert_eq!(mx.log_names, ["mx1", "mail01"]);
    assert_eq!(policy.templates.as_deref(), Some(Path::new("/etc/ht/words")));
    assert_eq!(policy.verdicts.len(), 2);
    assert_eq!((policy.inputs.state.is_some(), policy.accepted_risks.len()), (true, 1));
    assert_eq!(policy.correlation.tolerance_seconds, 120);
    assert_eq!(policy.correlation.window_days, Some(90));
    assert_eq!(policy.priority.days, [4, 14, 30, 180]);
}

#[test]
fn the_last_matching_rule_wins_key_by_key() {
    let policy = parse(WHOLE).unwrap();
    let of = |path: &str| policy.input_settings(Path::new(path));
    let show = |path: &str| {
        let s = of(path);
        (s.format.unwrap_or_default(), s.zone.map(|z| format!("{z:?}")).unwrap_or_default())
    };
    let berlin = "Named(Europe/Berlin)".to_owned();
    assert_eq!(show("/etc/ht/firewall/asa1.log"), ("cisco_asa".to_owned(), berlin));
    let utc = "Named(UTC)".to_owned();
    assert_eq!(show("/etc/ht/firewall/./asa-old.log"), ("cisco_asa".to_owned(), utc));
    assert_eq!(of("/etc/ht/firewall/asa-old.log").device.as_deref(), Some("fw-edge"));
    assert_eq!(of("/etc/ht/mail/2026/mail.log.gz").server.as_deref(), Some("mx1"));
    assert_eq!(of("/etc/ht/other"), InputSettings::default());
}

#[test]
fn flags_override_the_file() {
    let mut policy = parse(WHOLE).unwrap();
    for (flag, text) in [
        (InputFlag::Zone, "asa*.log=America/New_York"),
        (InputFlag::Format, "/etc/ht/firewall/*=netfilter"),
        (InputFlag::Server, "-=MX9"),
    ] {
        policy.input_rules.push(parse_input_flag(flag, text, KNOWN.formats).unwrap());
    }
    let asa = policy.input_settings(Path::new("/etc/ht/firewall/asa1.log"));
    assert_eq!(format!("{:?}", asa.zone.unwrap()), "Named(America/New_York)");
    assert_eq!(asa.format.as_deref(), Some("netfilter"));
    assert_eq!(policy.input_settings(Path::new("-")).server.as_deref(), Some("mx9"));
}

#[test]
fn wrong_flags_are_told() {
    let cases = [
        (
            InputFlag::Zone,
            "x",
            "--zone GLOB=Area/City: \"x\" has no GLOB=VALUE; expected for example --zone GLOB=Area/City",
        ),
        (
            InputFlag::Format,
            "*=postfx",
            "--format GLOB=NAME: unknown format \"postfx\"; expected \"postfix\", the nearest of netfilter, cisco_asa, postfix",
        ),
        (
            InputFlag::Server,
            "[=h",
            "--server GLOB=HOST: \"/**/[\" is no glob: unclosed character class; missing ']'; expected one such as \"firewall/asa*.log\"",
        ),
    ];
    for (flag, text, expected) in cases {
        let error = parse_input_flag(flag, text, KNOWN.formats).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 2));
    }
}

/// (policy, the error after its path)
const WRONG: [(&str, &str); 33] = [
    (
        "[[asset]]\nmatch = [\"a\"]\nansible_hosts = [\"mx*\"]",
        "line 3: ansible_hosts: \"mx*\" is no host of an inventory; expected its name there, such as \"mx1\": letters, digits, dots, hyphens and _, no group and no pattern",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\nansible_hosts = [\"all\"]",
        "line 3: ansible_hosts: \"all\" is no host of an inventory; expected its name there, such as \"mx1\": letters, digits, dots, hyphens and _, no group and no pattern",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\nansible_hosts = [\"a\"]\nansible_firewall = \"iptables\"",
        "line 4: ansible_firewall: unknown firewall \"iptables\"; expected \"nftables\", the nearest of nftables, firewalld",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\nansible_firewall = \"nftables\"",
        "line 1: [[asset]] has ansible_firewall but no host; expected ansible_hosts = [...]",
    ),
    (
        "[templates]\n",
        "line 1: [templates] has no dir; expected dir = \"FOLDER\" of your templates",
    ),
    (
        "[networks]\ntrusted = [\"10.0.0.0/8\",\n\"010.1.0.0/16\"]",
        "line 3: trusted: \"010.1.0.0/16\" is no network; expected an address or a network such as 192.0.2.0/24 or 2001:db8::/32, without leading zeros",
    ),
    (
        "[network]\n",
        "line 1: unknown key \"network\"; expected \"networks\", the nearest of inputs, input, outputs, templates, networks, asset, verdicts, correlation, priority, accepted_risk",
    ),
    (
        "\n[[asset]]\nmatch = [\"a\"]\nrolle = \"mx\"",
        "line 4: unknown key \"rolle\" in [[asset]]; expected \"role\", the nearest of id, match, addresses, log_names, role, expected, local_domains, owner, critical, ansible_hosts, ansible_firewall",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\nrole = \"MX\"",
        "line 3: role: unknown role \"MX\"; expected \"mx\", the nearest of mx, relay, submission, internal, none",
    ),
    (
        "[[asset]]\nrole = \"mx\"",
        "line 1: [[asset]] matches nothing; expected match = [...] with addresses, networks or names",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\nid = \"x\"\n[[asset]]\nmatch = [\"b\"]\nid = \"x\"",
        "line 4: [[asset]] repeats the id of a block above, or gives the same ticket ids; expected one block for each id, with all its addresses and names in match",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\nid = \"mx 1\"\n[[asset]]\nmatch = [\"b\"]\nid = \"MX_1\"",
        "line 4: [[asset]] repeats the id of a block above, or gives the same ticket ids; expected one block for each id, with all its addresses and names in match",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\naddresses = [\"10.0.0.0/8\"]",
        "line 3: addresses: \"10.0.0.0/8\" is no address; expected one such as 192.0.2.25 or 2001:db8::25, without leading zeros",
    ),
    (
        "[[asset]]\nmatch = [\"a\"]\ncritical = \"yes\"",
        "line 3: critical is a text; expected true or false",
    ),
    (
        "[asset]\nmatch = [\"a\"]",
        "line 1: asset is a section; expected a block [[asset]], with two brackets",
    ),
    (
        "[[asset]]\nmatch = \"a\"",
        "line 2: match is a text; expected a list of texts such as [\"a\", \"b\"]",
    ),
    ("networks = 5", "line 1: networks is a number; expected a section [networks]"),
    (
        "[[input]]\nzone = \"UTC\"",
        "line 1: [[input]] has no path; expected path = \"GLOB\" of its inputs",
    ),
    (
        "[[input]]\npath = \"a[\"",
        "line 2: path: \"a[\" is no glob: unclosed character class; missing ']'; expected one such as \"firewall/asa*.log\"",
    ),
    (
        "[[input]]\npath = \"a\"\nformat = \"cisco-asa\"",
        "line 3: format: unknown format \"cisco-asa\"; expected \"cisco_asa\", the nearest of netfilter, cisco_asa, postfix",
    ),
    (
        "[[input]]\npath = \"a\"\nzone = \"CEST\"",
        "line 3: zone: unknown zone \"CEST\"; expected \"CET\", an IANA name such as \"Europe/Berlin\" or a fixed offset such as \"+02:00\"",
    ),
    (
        "[priority]\nprofile = \"quick\"",
        "line 2: profile: unknown profile \"quick\"; expected one of bod-26-04, strict, classic",
    ),
    (
        "[priority]\ndays = [1, 2]",
        "line 2: days: [1, 2] are no due days; expected four numbers from 1 to 3650, none smaller than the one before, such as [3, 14, 60, 180]",
    ),
    (
        "[priority]\nprofile = \"strict\"\ndays = [1, 2, 3, 4]",
        "line 1: [priority] has profile and days; expected one of them",
    ),
    (
        "[correlation]\ntolerance = \"2 weeks\"",
        "line 2: tolerance: \"2 weeks\" is no tolerance; expected a duration of at most a day such as \"120s\"",
    ),
    ("[correlation]\ntolerance = 120", "line 2: tolerance is a number; expected a text in quotes"),
    (
        "[verdicts]\nX = \"accept\"",
        "line 2: X: unknown verdict \"accept\"; expected one of allow, deny",
    ),
    (
        "[[accepted_risk]]\nticket = \"x\"",
        "line 2: ticket: \"x\" is no ticket id; expected one of tickets.csv such as \"helo-192.0.2.25-25\"",
    ),
    (
        "[[accepted_risk]]\nticket = \"helo-mx1-25\"",
        "line 1: [[accepted_risk]] has no until; expected the last day that it holds, until = 2027-01-31",
    ),
    (
        "[[accepted_risk]]\nticket = \"helo-mx1-25\"\nuntil = \"2027-01-31\"",
        "line 3: until is a text; expected a date such as 2027-01-31, without quotes",
    ),
    (
        "[[accepted_risk]]\nticket = \"helo-mx1-25\"\nuntil = 2027-01-31",
        "line 1: [[accepted_risk]] has no reason; expected reason = \"why, and who says so\"",
    ),
    (
        "[inputs]\nscan = [\"a\"",
        "line 2: no valid TOML: unclosed array, expected `]`; expected for example key = \"text\"",
    ),
    ("a = 1\na = 2", "line 2: no valid TOML: duplicate key; expected for example key = \"text\""),
];

#[test]
fn every_error_is_one_line_with_its_place() {
    for (text, expected) in WRONG {
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), format!("/etc/ht/policy.toml: {expected}"), "{text}");
        assert_eq!(error.exit_code(), 2);
    }
}

#[test]
fn a_key_cannot_break_the_line() {
    let error = parse("[verdicts]\n\"a\\nb\" = \"x\"").unwrap_err();
    let expected = "line 2: \"a\\nb\": unknown verdict \"x\"; expected one of allow, deny";
    assert_eq!(error.to_string(), format!("/etc/ht/policy.toml: {expected}"));
}

proptest::proptest! {
    #[test]
    fn any_damage_is_told_in_one_line(at in 0..WHOLE.len(), with in ".{0,4}", cut in 0..9usize) {
        let head: String = WHOLE.chars().take(at).collect();
        let tail: String = WHOLE.chars().skip(at + cut).collect();
        if let Err(error) = parse(&format!("{head}{with}{tail}")) {
            assert!(!error.to_string().contains(char::is_control), "{error}");
        }
    }
}

#[test]
fn the_starter_is_a_valid_policy_in_both_forms() {
    let policy = parse(STARTER).unwrap();
    assert_eq!(policy.priority, DuePlan::default());
    let keys = [
        "[[",
        "path =",
        "format",
        "zone",
        "device",
        "covers",
        "server =",
        "id =",
        "match",
        "addresses",
        "log_names",
        "role",
        "expected",
        "local_domains",
        "owner",
        "critical",
        "ansible_",
        "state =",
        "ticket =",
        "until =",
        "reason =",
        "dir =",
        "[templates]",
        "\"",
    ];
    let uncommented: String = STARTER
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if keys.iter().any(|key| rest.starts_with(key)) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let policy = parse(&uncommented).unwrap();
    assert_eq!((policy.assets.len(), policy.input_rules.len()), (1, 2));
    assert_eq!(policy.verdicts.len(), 2);
}

#[test]
fn a_policy_is_described() {
    let text = describe(&parse(WHOLE).unwrap());
    for expected in [
        "policy: /etc/ht/policy.toml\n",
        "mail: /etc/ht/mail/*, /var/log/mail.log\n",
        "input: firewall/asa*.log\n  matches: /etc/ht/firewall/asa*.log\n  format: cisco_asa\n",
        "trusted: 10.20.0.0/16\n",
        "asset: mx1\n  match: 203.0.113.25, mx1.example.com\n  role: mx\n",
        "log prefix: \"FWD-ACCEPT\" means allow\n",
        "templates: /etc/ht/words\n",
        "state: /etc/ht/state.db\n",
        "accepted risk: helo-mx1-25 until 2027-01-31: partner feed\n",
        "due: strict: P1 4, P2 14, P3 30, P4 180 days\n",
    ] {
        assert!(text.contains(expected), "{expected:?} not in\n{text}");
    }
}

#[test]
fn an_unreadable_file_is_told() {
    let error = read_policy(Path::new("/nonexistent/p.toml"), KNOWN).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/p.toml: cannot read the policy: "));
    assert_eq!(error.exit_code(), 2);
}
