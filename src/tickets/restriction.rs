//! The firewall part of a ticket as data, for programs that apply it. In: a judged target and the
//! policy. Out: rules for the hosts that the policy names for its asset, or why there are none.
//!
//! Only addresses, networks and numbers come into the rules, as in `firewall`; the templates have no
//! part in them. A port that has to stay open for its role gets no rule.

use crate::model::judged::{JudgedTarget, Priority};
use crate::model::policy::{AnsibleHosts, HostFirewall};
use crate::tickets::advice::{Approach, allowed_networks};
use crate::tickets::{Author, commands, firewall, ticket_id, words};

/// What a program may do about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restricted {
    /// Nothing: the policy names no host for its asset.
    NotNamed,
    /// Nothing, though the policy names hosts, for this reason.
    LeftOpen(&'static str),
    /// Apply these rules.
    By(Restriction),
}

/// Rules that close a port to everybody but the policy's networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restriction {
    /// The ticket.
    pub ticket_id: String,
    /// The ticket's id as firewalls and file names take it: letters, digits, dots, hyphens, `_`.
    pub name: String,
    /// The server's name: foreign text on one line.
    pub server: String,
    /// The port.
    pub port: u16,
    /// How urgent the ticket is.
    pub priority: Priority,
    /// The hosts that may get the rules, and how.
    pub on: AnsibleHosts,
    /// The lines of an nftables file, or firewalld's rich rules, in the order of their applying.
    pub rules: Vec<String>,
    /// The address family in which nobody keeps his access, where there is one.
    pub unlisted: Option<&'static str>,
}

impl Author<'_> {
    /// What a program may do about a target.
    pub fn restricted(&self, target: &JudgedTarget) -> Restricted {
        let policy = self.policy();
        let asset = &target.asset;
        let names: Vec<&str> = asset.names.iter().map(String::as_str).collect();
        let block = policy.asset(&asset.addresses, &names);
        let Some(on) = block.and_then(|block| block.ansible.clone()) else {
            return Restricted::NotNamed;
        };
        let why = match Approach::of(target) {
            Approach::Restrict if target.looks_like_mx() => {
                Some("it looks like an mx, which has to stay open: give it a role")
            }
            Approach::Restrict => None,
            Approach::CloseRelay | Approach::RequireAuth => {
                Some("its role needs the port open: the ticket says what to do on the server")
            }
            Approach::ConfirmBlock => Some("it is blocked in all logs that were read"),
            Approach::FindLogs => Some("no log says who uses it"),
        };
        if let Some(why) = why {
            return Restricted::LeftOpen(why);
        }
        let networks = allowed_networks(target, policy);
        let ticket_id = ticket_id(&asset.key, target.port);
        let name = commands::object_name(&ticket_id);
        let rules = match on.firewall {
            HostFirewall::Nftables => {
                firewall::nft_file(&name, target.port, &firewall::nft_rules(asset, &networks))
            }
            HostFirewall::Firewalld => firewall::rich_rules(asset, &networks, target.port),
        };
        if rules.is_empty() {
            return Restricted::LeftOpen(
                "the policy names no network that keeps its access, or the server has no address of \
                 such a network's family",
            );
        }
        Restricted::By(Restriction {
            ticket_id,
            name,
            server: words::host(asset, 60),
            port: target.port,
            priority: target.priority,
            on,
            rules,
            unlisted: firewall::unlisted(asset, &networks),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::judged::Verdict;
    use crate::model::policy::{AssetRole, Policy};
    use crate::tickets::fixtures::{inputs, policy, target};
    use crate::tickets::{Setting, Templates};

    fn restricted(target: &JudgedTarget, policy: &Policy) -> Restricted {
        let templates = Templates::built_in().unwrap();
        let inputs = inputs("netfilter", "postfix");
        Author::new(Setting { policy, inputs: &inputs, templates: &templates }).restricted(target)
    }

    fn named(trusted: &[&str], firewall: HostFirewall) -> Policy {
        let mut policy = policy(trusted);
        policy.assets[0].ansible = Some(AnsibleHosts { hosts: vec!["mx1".to_owned()], firewall });
        policy
    }

    #[test]
    fn only_named_assets_whose_port_is_to_be_closed_get_rules() {
        let here = named(&["10.20.0.0/16"], HostFirewall::Nftables);
        assert_eq!(restricted(&target(), &policy(&["10.20.0.0/16"])), Restricted::NotNamed);
        assert!(matches!(restricted(&target(), &here), Restricted::By(_)));
        let left = |change: &dyn Fn(&mut JudgedTarget)| {
            let mut target = target();
            change(&mut target);
            matches!(restricted(&target, &here), Restricted::LeftOpen(_))
        };
        assert!(left(&|target| target.asset.role = AssetRole::Mx));
        assert!(left(&|target| target.asset.role = AssetRole::Submission));
        assert!(left(&|target| target.verdict = Verdict::Blocked));
        assert!(left(&|target| target.verdict = Verdict::Uncovered));
        assert!(left(&|target| target
            .reasons
            .insert(1, crate::model::judged::LOOKS_LIKE_MX.into())));
        assert!(left(&|target| {
            target.asset.ip = None;
            target.asset.addresses.clear();
        }));
        let nobody = named(&[], HostFirewall::Firewalld);
        assert!(matches!(restricted(&target(), &nobody), Restricted::LeftOpen(_)));
    }

    #[test]
    fn the_nftables_file_is_the_one_that_the_ticket_shows() {
        let policy =
            named(&["10.20.0.0/16", "192.0.2.7/32", "2001:db8:1::/48"], HostFirewall::Nftables);
        let mut target = target();
        target.asset.addresses.extend(
            ["10.0.0.25", "2001:db8::25"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap()),
        );
        let Restricted::By(restriction) = restricted(&target, &policy) else { panic!() };
        let templates = Templates::built_in().unwrap();
        let inputs = inputs("netfilter", "postfix");
        let author =
            Author::new(Setting { policy: &policy, inputs: &inputs, templates: &templates });
        let ticket = author.ticket(&target, crate::tickets::Standing::new(&target)).unwrap();
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let shown = words(&ticket.texts.remediation);
        let file = words(&restriction.rules.join("\n"));
        assert!(shown.contains(&file), "{file}\nnot in\n{shown}");
        assert!(restriction.rules.iter().all(|line| line.len() < 120));
    }

    #[test]
    fn rich_rules_permit_before_they_drop_and_name_the_server() {
        let policy = named(&["10.20.0.0/16", "192.0.2.7/32"], HostFirewall::Firewalld);
        let mut target = target();
        target.asset.addresses.push("2001:db8::25".parse().unwrap());
        let Restricted::By(restriction) = restricted(&target, &policy) else { panic!() };
        let port = "port port=\"25\" protocol=\"tcp\"";
        let four = "destination address=\"203.0.113.25\"";
        let log = "log prefix=\"HELO-DROP \" level=\"info\" drop";
        let expected = [
            format!(
                "rule priority=\"-10\" family=\"ipv4\" source address=\"10.20.0.0/16\" {four} {port} accept"
            ),
            format!(
                "rule priority=\"-10\" family=\"ipv4\" source address=\"192.0.2.7\" {four} {port} accept"
            ),
            format!("rule priority=\"-5\" family=\"ipv4\" {four} {port} {log}"),
            format!(
                "rule priority=\"-5\" family=\"ipv6\" destination address=\"2001:db8::25\" {port} {log}"
            ),
        ];
        assert_eq!(restriction.rules, expected);
        assert_eq!(restriction.unlisted, Some("IPv6"));
    }
}
