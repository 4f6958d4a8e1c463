//! The snippets of tickets under the programs that they are for: nft, firewalld, a shell, Postfix,
//! Exim, OpenSMTPD, Sendmail, swaks. In: snippets cut out of rendered tickets. Out: what each
//! program says of them; where it can play a session (Exim, Sendmail), whether strangers are
//! refused and the policy's networks are not.
//!
//! ASA, FortiGate, PAN-OS and Exchange have no checker here: their nesting alone is tested.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::AssetRole;
use super::cut::{Cut, Snippet, tickets};
use super::tools::{Tool, said};

/// The source of the fixtures, in no trusted network.
const STRANGER: &str = "198.51.100.7";

/// Different texts of snippets under an item, by a word that they start with.
fn different(tickets: &[Cut], item: &str, start: &str) -> BTreeSet<String> {
    let under = tickets.iter().flat_map(|ticket| ticket.under(item));
    let texts = under.map(|snippet| snippet.text.clone()).filter(|text| text.starts_with(start));
    let texts: BTreeSet<String> = texts.collect();
    assert!(!texts.is_empty(), "{item} {start}");
    texts
}

fn joined(snippets: &[&Snippet], start: &[&str]) -> String {
    let wanted = snippets.iter().filter(|s| start.iter().any(|word| s.text.starts_with(word)));
    wanted.map(|snippet| snippet.text.as_str()).collect()
}

/// An address of a trusted network of the policy.
fn friend(networks: &[&str]) -> Option<String> {
    let net: ipnet::IpNet = networks.first()?.parse().unwrap();
    Some(net.hosts().nth(1).unwrap_or(net.addr()).to_string())
}

#[test]
fn nft_takes_the_tables() {
    let Some(nft) = Tool::find(&["nft"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(nft) = nft.with_network(folder.path()) else { return };
    let check = |text: &str| {
        fs::write(folder.path().join("a.nft"), text).unwrap();
        nft.run(folder.path(), &["-c", "-f", "a.nft"], "")
    };
    let tables = different(&tickets("postfix", "netfilter"), "- nftables", "table inet");
    for text in &tables {
        let output = check(text);
        assert!(output.status.success() && said(&output).is_empty(), "{}{text}", said(&output));
        let broken = text.replacen("tcp dport", "tcp dprot", 1);
        assert!(!check(&broken).status.success(), "{broken}");
    }
}

#[test]
fn firewalld_takes_the_rich_rules() {
    let Some(python) = Tool::find(&["python3"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let tools = Tool::file_of_tools("usr/lib/python3/dist-packages");
    let check = "import sys\nsys.path.insert(0, sys.argv[1])\nfrom firewall.core.rich import Rich_Rule\n\
                 for line in sys.stdin: Rich_Rule(rule_str=line.strip())\n";
    fs::write(folder.path().join("check.py"), check).unwrap();
    let run =
        |rules: &str| python.run(folder.path(), &["check.py", tools.to_str().unwrap()], rules);
    if said(&run("")).contains("No module named 'firewall'") {
        return super::tools::skip("no python3-firewall here");
    }
    let commands = different(&tickets("postfix", "netfilter"), "- Or, where", "firewall-cmd");
    for text in commands {
        let rules: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once("--add-rich-rule='")?.1.strip_suffix('\''))
            .collect();
        let rules = rules.join("\n");
        let output = run(&rules);
        assert!(output.status.success() && !rules.is_empty(), "{}{rules}", said(&output));
    }
}

#[test]
fn a_shell_takes_the_commands() {
    let Some(shell) = Tool::find(&["sh"]) else { return };
    let commands = [
        "cp ",
        "rm ",
        "nft ",
        "postconf ",
        "postfix ",
        "exim ",
        "make",
        "smtpd ",
        "swaks ",
        "firewall-cmd ",
    ];
    let folder = tempfile::tempdir().unwrap();
    for server in ["postfix", "exim", "sendmail", "opensmtpd", "haraka"] {
        let tickets = tickets(server, "netfilter");
        let all = tickets.iter().flat_map(|ticket| &ticket.snippets).map(|s| s.text.as_str());
        for text in all.collect::<BTreeSet<_>>() {
            if commands.iter().any(|word| text.starts_with(word)) {
                let output = shell.run(folder.path(), &["-n"], text);
                assert!(output.status.success(), "{}{text}", said(&output));
            }
        }
    }
}

#[test]
fn swaks_takes_its_options() {
    let Some(swaks) = Tool::find(&["swaks"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    for command in different(&tickets("postfix", "netfilter"), "- From", "swaks ") {
        // Whether this machine's Perl has the modules for TLS and IPv6 is not the question.
        let plain = command.replace("2001:db8::25", "203.0.113.25");
        let words = plain.split_whitespace().skip(1).filter(|word| *word != "-6");
        let words: Vec<_> = words.filter(|word| !word.starts_with("--tls")).collect();
        let output = swaks.run(folder.path(), &[&words[..], &["--dump", "all"]].concat(), "");
        let said = said(&output);
        assert!(output.status.success() && said.contains("Transport Info"), "{said}");
        let asked = command.contains("--quit-after HELO") || command.contains("--quit-after RCPT");
        assert!(asked && said.contains("quit after      = "), "{said}");
    }
}

/// A scratch folder with the services that the tickets speak of.
fn postfix_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("main.cf"), "compatibility_level = 3.6\n").unwrap();
    let services = ["smtp", "submission", "submissions", "2525"];
    let master = services.map(|name| format!("{name} inet n - n - - smtpd\n")).concat();
    fs::write(folder.path().join("master.cf"), master).unwrap();
    folder
}

#[test]
fn postfix_takes_the_settings() {
    let Some(postconf) = Tool::find(&["postconf"]) else { return };
    let tickets = tickets("postfix", "netfilter");
    let scripts: BTreeSet<(String, bool)> = tickets
        .iter()
        .map(|ticket| {
            let script = joined(&ticket.under("- Postfix"), &["postconf"]);
            let opens = matches!(ticket.role, AssetRole::Mx | AssetRole::Submission);
            (script, opens && !(ticket.role == AssetRole::Mx && ticket.port == 25))
        })
        .filter(|(script, _)| !script.is_empty())
        .collect();
    assert!(scripts.len() > 20);
    for (script, needs_login) in scripts {
        let folder = postfix_folder();
        // Files that changed within the last second make Postfix wait.
        let with_folder = "postfix() { :; }\nset -e\n\
             postconf() { touch -d @0 main.cf master.cf; \"$TOOL\" -c \"$PWD\" \"$@\"; }\n";
        let script = format!("{with_folder}{script}postconf -n\npostconf -P\n");
        let output = postconf.run_shell(folder.path(), &script);
        let said = said(&output);
        assert!(output.status.success(), "{said}{script}");
        for wrong in ["warning", "fatal", "error", "unused"] {
            assert!(!said.contains(wrong), "{wrong}: {said}{script}");
        }
        let wanted = if needs_login {
            "smtpd_relay_restrictions = permit_sasl_authenticated,reject"
        } else {
            "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth"
        };
        assert!(said.contains(wanted), "{said}{script}");
    }
}

/// An Exim configuration of a ticket's snippets; what it does not decide is accepted.
fn exim_configuration(ticket: &Cut) -> Option<String> {
    let snippets = ticket.under("- Exim");
    let main = joined(&snippets, &["hostlist", "auth_advertise_hosts"]);
    let rcpt = joined(&snippets, &["deny", "accept"]);
    let connect = joined(&snippets, &["drop"]);
    if rcpt.is_empty() {
        return None;
    }
    Some(format!(
        "primary_hostname = mx1.example.com\ndomainlist local_domains = example.com\n\
         domainlist relay_to_domains =\nkeep_environment =\n{main}\
         acl_smtp_connect = acl_connect\nacl_smtp_rcpt = acl_rcpt\n\
         begin acl\nacl_connect:\n{connect}accept\nacl_rcpt:\n{rcpt}accept\n"
    ))
}

#[test]
fn exim_refuses_strangers_and_nobody_else() {
    let Some(exim) = Tool::find(&["exim", "exim4"]) else { return };
    let mut seen = BTreeSet::new();
    for ticket in tickets("exim", "netfilter") {
        let Some(configuration) = exim_configuration(&ticket) else { continue };
        if !seen.insert((configuration.clone(), ticket.port)) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("exim.conf");
        fs::write(&file, &configuration).unwrap();
        let file = file.to_str().unwrap();
        let valid = exim.run(folder.path(), &["-bV", "-C", file], "");
        assert!(valid.status.success(), "{}{configuration}", said(&valid));
        let port = format!("192.0.2.2.{}", ticket.port);
        let ask = |client: &str, recipient: &str| {
            let session = format!(
                "HELO probe.example\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<{recipient}>\r\nQUIT\r\n"
            );
            let arguments = ["-bh", client, "-oMi", &port, "-C", file];
            let output = exim.run(folder.path(), &arguments, &session);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let codes = text.lines().filter_map(|line| line.get(..3)?.parse().ok());
            codes.collect::<Vec<u16>>()
        };
        let mx = ticket.role == AssetRole::Mx && ticket.port == 25;
        let login = !mx && matches!(ticket.role, AssetRole::Mx | AssetRole::Submission);
        let (refused, taken) = (vec![220, 250, 250, 550, 221], vec![220, 250, 250, 250, 221]);
        let foreign = ask(STRANGER, "probe@example.org");
        let own = ask(STRANGER, "info@example.com");
        if mx {
            assert_eq!((&foreign, &own), (&refused, &taken), "{configuration}");
        } else if login {
            assert_eq!((&foreign, &own), (&refused, &refused), "{configuration}");
        } else {
            assert_eq!((&foreign, &own), (&vec![550], &vec![550]), "{configuration}");
        }
        if let Some(friend) = friend(ticket.networks).filter(|_| !login) {
            assert_eq!(ask(&friend, "probe@example.org"), taken, "{friend} {configuration}");
        }
    }
    assert!(seen.len() > 10);
}

#[test]
fn opensmtpd_takes_the_lines() {
    let Some(smtpd) = Tool::find(&["smtpd"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificate = make_certificate(folder.path());
    let mut seen = BTreeSet::new();
    for ticket in tickets("opensmtpd", "netfilter") {
        let snippets = ticket.under("- OpenSMTPD");
        let first = joined(&snippets, &["match !from"]);
        let listen = joined(&snippets, &["listen"]);
        let (tables, matches): (Vec<&str>, Vec<&str>) = snippets
            .iter()
            .filter(|snippet| snippet.text.starts_with("table"))
            .flat_map(|snippet| snippet.text.lines())
            .partition(|line| line.starts_with("table"));
        let pki = if listen.is_empty() {
            ""
        } else if certificate {
            "pki NAME cert \"cert.pem\"\npki NAME key \"key.pem\"\n"
        } else {
            continue;
        };
        let configuration = format!(
            "{pki}{}\n{listen}action \"local\" \
             maildir\naction \"relay\" relay\n{first}match from any for domain \"example.com\" \
             action \"local\"\n{}\n",
            tables.join("\n"),
            matches.join("\n")
        );
        if (listen.is_empty() && tables.is_empty()) || !seen.insert(configuration.clone()) {
            continue;
        }
        fs::write(folder.path().join("smtpd.conf"), &configuration).unwrap();
        let output = smtpd.run(folder.path(), &["-n", "-f", "smtpd.conf"], "");
        let said = said(&output);
        assert!(said.contains("configuration OK"), "{said}{configuration}");
    }
    assert!(seen.len() > 10);
}

/// A certificate that smtpd can load; without openssl there is none.
fn make_certificate(folder: &Path) -> bool {
    let Some(openssl) = Tool::find(&["openssl"]) else { return false };
    let arguments = "req -x509 -newkey rsa:2048 -nodes -subj /CN=mx1.example.com -days 9 \
                     -keyout key.pem -out cert.pem";
    let made = openssl.run(folder, &arguments.split_whitespace().collect::<Vec<_>>(), "");
    made.status.success()
}

/// Builds sendmail.cf and the access map from a ticket's snippets.
fn sendmail_folder(m4: &Tool, makemap: &Tool, ticket: &Cut) -> Option<TempDir> {
    let snippets = ticket.under("- Sendmail");
    let options = joined(&snippets, &["FEATURE", "DAEMON_OPTIONS"]);
    let access = joined(&snippets, &["Connect"]);
    if options.is_empty() && access.is_empty() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let cf = m4.file("usr/share/sendmail/cf");
    let mc = format!(
        "include(`{}/m4/cf.m4')\nOSTYPE(`linux')\ndefine(`confDOMAIN_NAME', \
         `mx1.example.com')\ndefine(`confDONT_BLAME_SENDMAIL', `MapInUnsafeDirPath')\nFEATURE(`access_db', `hash -T<TMPF> -o \
         {}')dnl\n{options}MAILER(`smtp')\n",
        cf.display(),
        at("access")
    );
    let output = m4.run(folder.path(), &[&format!("-D_CF_DIR_={}/", cf.display())], &mc);
    assert!(output.status.success() && output.stderr.is_empty(), "{}{mc}", said(&output));
    fs::write(folder.path().join("sendmail.cf"), &output.stdout).unwrap();
    let output = makemap.run(folder.path(), &["-C", "sendmail.cf", "hash", "access"], &access);
    assert!(output.status.success(), "{}{access}", said(&output));
    Some(folder)
}

#[test]
fn sendmail_relays_for_the_networks_only() {
    let tools = [&["m4"][..], &["makemap"], &["sendmail/sendmail"]].map(Tool::find);
    let [Some(m4), Some(makemap), Some(sendmail)] = tools else { return };
    if !m4.file("usr/share/sendmail/cf/m4/cf.m4").is_file() {
        return super::tools::skip("no sendmail-cf here");
    }
    let mut seen = BTreeSet::new();
    for ticket in tickets("sendmail", "netfilter") {
        let text: String = ticket.under("- Sendmail").iter().map(|s| s.text.as_str()).collect();
        if !seen.insert(text) {
            continue;
        }
        let Some(folder) = sendmail_folder(&m4, &makemap, &ticket) else { continue };
        let questions = joined(&ticket.under("- Sendmail"), &[".D"]);
        if questions.is_empty() {
            continue;
        }
        let ask = |client: &str| {
            let questions = questions.replace(STRANGER, client);
            let file = folder.path().join("sendmail.cf");
            let file = format!("-C{}", file.display());
            said(&sendmail.run(folder.path(), &[&file, "-bt"], &questions))
        };
        assert!(ask(STRANGER).contains("550 Relaying denied"), "{}", ask(STRANGER));
        assert!(ask("127.0.0.1").contains("RELAY"));
        let friend = friend(ticket.networks);
        if let Some(friend) = friend.filter(|friend| !friend.contains(':')) {
            assert!(ask(&friend).contains("returns: RELAY"), "{}", ask(&friend));
        }
        if ticket.networks.contains(&"2001:db8:1::/48") {
            let said = ask("IPv6:2001:db8:1:0:0:0:0:9");
            assert!(said.contains("returns: RELAY"), "{said}");
        }
    }
    assert!(seen.len() > 10);
}

#[test]
fn fortigate_blocks_are_closed() {
    let tickets = tickets("postfix", "fortigate");
    for text in different(&tickets, "- FortiGate", "config") {
        let mut open = Vec::new();
        for line in text.lines() {
            match line.split_whitespace().next().unwrap() {
                word @ ("config" | "edit") => open.push(word),
                "next" => assert_eq!(open.pop(), Some("edit"), "{text}"),
                "end" => assert_eq!(open.pop(), Some("config"), "{text}"),
                "set" => assert_eq!(open.last(), Some(&"edit"), "{text}"),
                _ => assert_eq!(open.last(), Some(&"config"), "{text}"),
            }
        }
        assert!(open.is_empty(), "{text}");
    }
}

#[test]
fn a_rule_of_the_tickets_is_read_as_a_denial() {
    let line = "Nov  2 10:00:00 fw1 kernel: HELO-DROP IN=eth0 OUT=eth1 SRC=198.51.100.7 \
                DST=203.0.113.25 LEN=60 TOS=0x00 PREC=0x00 TTL=51 ID=1 DF PROTO=TCP SPT=40000 \
                DPT=25 WINDOW=64240 RES=0x00 SYN URGP=0";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kern.log");
    fs::write(&file, format!("{line}\n")).unwrap();
    assert_eq!(actions(&file), [crate::model::flow::Action::Deny]);
}

/// The actions of a log's flows.
fn actions(file: &Path) -> Vec<crate::model::flow::Action> {
    use crate::logs::read::{LogInput, ReadOptions, Selection, Sink, read_logs};
    use crate::model::flow::{Action, FlowEvent};
    use crate::model::input::{Devices, InputKind};
    use crate::model::session::SessionView;

    struct Seen(Vec<Action>);
    impl Sink for Seen {
        fn flow(&mut self, event: FlowEvent, _: &Devices) {
            self.0.push(event.flow.action);
        }
        fn session(&mut self, _: &SessionView<'_>, _: &'static str) {}
    }
    let input = LogInput {
        settings: crate::model::policy::InputSettings::default(),
        number: 0,
        path: file.to_path_buf(),
        kind: InputKind::Firewall,
    };
    let verdicts = std::collections::BTreeMap::new();
    let options = ReadOptions::new(Selection::Ports([25].into()), &verdicts);
    let mut seen = Seen(Vec::new());
    read_logs(vec![input], &options, &mut Devices::default(), &mut seen, &|_| {});
    seen.0
}
