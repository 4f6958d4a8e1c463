//! Cuts configuration snippets out of rendered tickets. In: targets of every kind of server,
//! firewall, role, port, address family and network. Out: the snippets of each ticket, with the
//! item that they stand under and the sentence above them.
//!
//! A snippet is a run of lines indented by four blanks or more; an item starts with `- `.

use super::{AssetRole, Texts, Verdict, ticket};
use crate::tickets::fixtures::{asset, inputs, policy, target};

/// A snippet as a ticket prints it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Snippet {
    /// The item's first line: the product.
    pub(super) item: String,
    /// The line before the snippet: what it is for.
    pub(super) above: String,
    /// Its lines, four blanks taken off.
    pub(super) text: String,
}

/// A ticket's snippets, and what it was written for.
#[derive(Debug, Clone)]
pub(super) struct Cut {
    pub(super) role: AssetRole,
    pub(super) port: u16,
    /// The policy's trusted networks.
    pub(super) networks: &'static [&'static str],
    /// Those of remediation, verification and rollback, in this order.
    pub(super) snippets: Vec<Snippet>,
}

impl Cut {
    /// The texts under items that start so, as one.
    pub(super) fn under(&self, item: &str) -> Vec<&Snippet> {
        self.snippets.iter().filter(|snippet| snippet.item.starts_with(item)).collect()
    }
}

const NETWORKS: [&[&str]; 4] = [
    &["10.20.0.0/16", "192.0.2.7/32"],
    &["2001:db8:1::/48", "2001:db8:2::7/128"],
    &["10.20.0.0/16", "192.0.2.64/26", "2001:db8:1::/48"],
    &[],
];

const PORTS: [u16; 4] = [25, 465, 587, 2525];

/// An IPv4 server, an IPv6 server, one of both families, one that is known by name only.
const ADDRESSES: [&[&str]; 4] =
    [&["203.0.113.25"], &["2001:db8::25"], &["203.0.113.25", "10.0.0.25", "2001:db8::25"], &[]];

/// The tickets of a kind of mail server behind a kind of firewall.
pub(super) fn tickets(server: &'static str, firewall: &'static str) -> Vec<Cut> {
    let inputs = inputs(firewall, server);
    let mut cuts = Vec::new();
    for networks in NETWORKS {
        let policy = policy(networks);
        for (role, port) in AssetRole::ALL.iter().flat_map(|role| PORTS.map(|port| (*role, port))) {
            for addresses in ADDRESSES {
                let mut target = target();
                target.scan.outputs.clear();
                target.verdict = Verdict::Abused;
                target.counts.auth_failed = 1;
                target.port = port;
                target.asset = asset(addresses.first().unwrap_or(&""), "mx1.example.com", role);
                target.asset.addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
                let Texts { remediation, verification, rollback, .. } =
                    ticket(&target, &policy, &inputs).texts;
                let texts = [&remediation, &verification, &rollback];
                let snippets = texts.into_iter().flat_map(|text| cut(text)).collect();
                cuts.push(Cut { role, port, networks, snippets });
            }
        }
    }
    cuts
}

/// The snippets of one text.
fn cut(text: &str) -> Vec<Snippet> {
    let mut snippets: Vec<Snippet> = Vec::new();
    let (mut item, mut above, mut inside) = ("", "", false);
    for line in text.lines() {
        if let Some(code) = line.strip_prefix("    ") {
            match snippets.last_mut().filter(|_| inside) {
                Some(open) => {
                    open.text.push_str(code);
                    open.text.push('\n');
                }
                None => snippets.push(Snippet {
                    item: item.to_owned(),
                    above: above.to_owned(),
                    text: format!("{code}\n"),
                }),
            }
            inside = true;
        } else {
            (above, inside) = (line, false);
            if line.starts_with("- ") {
                item = line;
            }
        }
    }
    snippets
}

#[test]
fn snippets_are_runs_of_indented_lines() {
    let text =
        "On the server:\n- Postfix.\n  First:\n    a\n      b\n  Then:\n    c\n- Other:\n    d";
    let cut: Vec<_> = cut(text).into_iter().map(|s| (s.item, s.above, s.text)).collect();
    let wanted = [
        ("- Postfix.", "  First:", "a\n  b\n"),
        ("- Postfix.", "  Then:", "c\n"),
        ("- Other:", "- Other:", "d\n"),
    ];
    assert_eq!(cut, wanted.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
}
