//! Rules of Linux firewalls. In: an asset's addresses and the networks that keep their access.
//! Out: the pieces of nftables and firewalld rules, both address families, that the templates and
//! the playbook put together.
//!
//! Only addresses, networks, numbers and the ticket's id in its plain form come in here: no foreign text can come into a rule.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::judged::JudgedAsset;
use crate::tickets::advice::of_family;
use crate::tickets::commands;

/// Most addresses of an asset that a rule names.
const MOST_ADDRESSES: usize = 64;

/// What one nftables rule of an address family says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NftRule {
    /// `ip` or `ip6`.
    pub(super) family: &'static str,
    /// The server's addresses: one, or a set.
    pub(super) to: String,
    /// The networks that keep their access; none where there are none of this family.
    pub(super) from: Option<String>,
}

/// A rule for each family of the asset's addresses; nothing where no network could keep its access.
pub(super) fn nft_rules(asset: &JudgedAsset, networks: &[IpNet]) -> Vec<NftRule> {
    let rules: Vec<NftRule> = families(asset)
        .map(|(family, addresses)| NftRule {
            family: if family.is_ipv4() { "ip" } else { "ip6" },
            to: nft_set(&addresses.iter().map(ToString::to_string).collect::<Vec<_>>()),
            from: Some(commands::plain(&of_family(networks, family)))
                .filter(|from| !from.is_empty())
                .map(|from| nft_set(&from)),
        })
        .collect();
    if rules.iter().all(|rule| rule.from.is_none()) { Vec::new() } else { rules }
}

/// The family of the asset's addresses of which no network keeps its access, where one is.
pub(super) fn unlisted(asset: &JudgedAsset, networks: &[IpNet]) -> Option<&'static str> {
    let missing = |family: &IpAddr| of_family(networks, *family).is_empty();
    let family = families(asset).map(|(family, _)| family).find(missing)?;
    Some(if family.is_ipv4() { "IPv4" } else { "IPv6" })
}

/// The asset's addresses by family, IPv4 first; the first stands for the family.
fn families(asset: &JudgedAsset) -> impl Iterator<Item = (IpAddr, Vec<IpAddr>)> {
    let mut all: Vec<IpAddr> = asset.ip.into_iter().chain(asset.addresses.clone()).collect();
    all.retain(|ip| !ip.is_loopback());
    all.sort_unstable();
    all.dedup();
    all.truncate(MOST_ADDRESSES);
    let (four, six): (Vec<IpAddr>, Vec<IpAddr>) = all.into_iter().partition(IpAddr::is_ipv4);
    [four, six].into_iter().filter_map(|addresses| Some((*addresses.first()?, addresses)))
}

/// One element as it is, several as an anonymous set.
fn nft_set(elements: &[String]) -> String {
    match elements {
        [one] => one.clone(),
        several => format!("{{ {} }}", several.join(", ")),
    }
}

/// The lines of a file that loads these rules in a table of their own, an element of a set a line;
/// none where there are no rules.
pub(super) fn nft_file(table: &str, port: u16, rules: &[NftRule]) -> Vec<String> {
    if rules.is_empty() {
        return Vec::new();
    }
    let mut text = format!(
        "table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n  chain strangers {{\n"
    );
    for NftRule { family, to, from } in rules {
        let from = from.as_deref().map(|from| format!(" {family} saddr != {}", over_lines(from)));
        let (to, from) = (over_lines(to), from.unwrap_or_default());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "    {family} daddr {to} tcp dport {port}{from} counter log prefix \"HELO-DROP \" drop"
        );
    }
    text += "  }\n  chain forward {\n    type filter hook forward priority -10; policy accept;\n    \
             ct state new jump strangers\n  }\n  chain input {\n    type filter hook input priority \
             -10; policy accept;\n    iifname != \"lo\" ct state new jump strangers\n  }\n}";
    text.lines().map(str::to_owned).collect()
}

/// A set with each element on a line of its own.
fn over_lines(set: &str) -> String {
    set.replace("{ ", "{\n      ").replace(", ", ",\n      ").replace(" }", "\n    }")
}

/// firewalld's rich rules that close a port of the asset's addresses to all but the networks,
/// whatever else its zone permits: those that permit come first. None where no network could keep
/// its access. Priorities: firewalld 0.7 or later.
pub(super) fn rich_rules(asset: &JudgedAsset, networks: &[IpNet], port: u16) -> Vec<String> {
    let (mut permit, mut drop) = (Vec::new(), Vec::new());
    for (family, addresses) in families(asset) {
        let word = if family.is_ipv4() { "ipv4" } else { "ipv6" };
        let to = |address: &IpAddr| {
            format!("destination address=\"{address}\" port port=\"{port}\" protocol=\"tcp\"")
        };
        for (address, from) in addresses.iter().flat_map(|address| {
            commands::plain(&of_family(networks, family))
                .into_iter()
                .map(move |from| (address, from))
        }) {
            permit.push(format!(
                "rule priority=\"-10\" family=\"{word}\" source address=\"{from}\" {} accept",
                to(address)
            ));
        }
        drop.extend(addresses.iter().map(|address| {
            format!(
                "rule priority=\"-5\" family=\"{word}\" {} log prefix=\"HELO-DROP \" \
                 level=\"info\" drop",
                to(address)
            )
        }));
    }
    if permit.is_empty() { Vec::new() } else { [permit, drop].concat() }
}

/// firewalld's rich rules that permit the networks on a port.
pub(super) fn firewalld_rules(networks: &[IpNet], port: u16) -> Vec<String> {
    let rule = |(net, text): (&IpNet, String)| {
        let family = if net.addr().is_ipv4() { "ipv4" } else { "ipv6" };
        format!(
            "rule family=\"{family}\" source address=\"{text}\" port port=\"{port}\" \
             protocol=\"tcp\" accept"
        )
    };
    networks.iter().zip(commands::plain(networks)).map(rule).collect()
}

/// The name that firewalld has for a port's service.
pub(super) fn firewalld_service(port: u16) -> Option<&'static str> {
    match port {
        25 => Some("smtp"),
        465 => Some("smtps"),
        587 => Some("smtp-submission"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::AssetRole;
    use crate::tickets::fixtures::asset;

    #[test]
    fn each_family_has_its_rule() {
        let mut both = asset("203.0.113.25", "mx1.example.com", AssetRole::None);
        both.addresses.extend(["10.0.0.25", "2001:db8::25", "127.0.0.1"].map(ip));
        let nets: Vec<IpNet> =
            ["10.20.0.0/16", "192.0.2.7/32"].map(|net| net.parse().unwrap()).into();
        let rules = nft_rules(&both, &nets);
        let shown: Vec<_> = rules.iter().map(|r| (r.family, &*r.to, r.from.as_deref())).collect();
        let from = Some("{ 10.20.0.0/16, 192.0.2.7 }");
        let expected = [("ip", "{ 10.0.0.25, 203.0.113.25 }", from), ("ip6", "2001:db8::25", None)];
        assert_eq!(shown, expected);
        assert_eq!(unlisted(&both, &nets), Some("IPv6"));
        let six = asset("2001:db8::25", "mx6.example.com", AssetRole::None);
        assert_eq!(nft_rules(&six, &nets), []);
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }
}
