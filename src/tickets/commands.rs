//! Pieces of command lines. In: a judged target and the networks that keep their access. Out:
//! words that can be pasted: addresses, networks in the notation of each product, plain names.
//!
//! Foreign text never comes into a command, but for host names of letters, digits, dots and
//! hyphens.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::judged::{JudgedAsset, JudgedTarget};
use crate::model::net::is_public;
use crate::model::policy::Policy;
use crate::tickets::words;

/// The address to write into rules and tests: host-ip, else the first that is known.
pub(super) fn address(asset: &JudgedAsset) -> Option<IpAddr> {
    asset.ip.or_else(|| asset.addresses.first().copied())
}

/// The address, else a plain name.
pub(super) fn destination(asset: &JudgedAsset) -> String {
    let name = || words::command_name(asset).map(str::to_owned);
    address(asset).map(|ip| ip.to_string()).or_else(name).unwrap_or_else(|| "SERVER".to_owned())
}

/// Arguments of swaks that lead to the port.
pub(super) fn swaks(asset: &JudgedAsset, port: u16) -> String {
    let six = if address(asset).is_some_and(|ip| ip.is_ipv6()) { " -6" } else { "" };
    let tls = match port {
        465 => " --tls-on-connect",
        587 => " --tls",
        _ => "",
    };
    format!("--server {} --port {port}{six}{tls}", destination(asset))
}

/// Arguments of `openssl s_client` that lead to the port.
pub(super) fn openssl(asset: &JudgedAsset, port: u16) -> String {
    let start = if port == 465 { "" } else { "-starttls smtp " };
    match address(asset) {
        Some(IpAddr::V6(ip)) => format!("{start}-connect '[{ip}]:{port}'"),
        _ => format!("{start}-connect {}:{port}", destination(asset)),
    }
}

/// A name for address objects, of characters that every firewall takes.
pub(super) fn object_name(ticket_id: &str) -> String {
    ticket_id.chars().map(|c| if c == ':' { '_' } else { c }).take(56).collect()
}

/// A network as Cisco and Fortinet write it: address and mask; IPv6 with its length.
pub(super) fn masked(net: &IpNet) -> String {
    match net {
        IpNet::V4(v4) => format!("{} {}", v4.network(), v4.netmask()),
        IpNet::V6(_) => net.to_string(),
    }
}

/// Networks as text; a whole address without its length.
pub(super) fn plain(networks: &[IpNet]) -> Vec<String> {
    let whole = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
    let text = |net| if whole(net) { net.addr().to_string() } else { net.to_string() };
    networks.iter().map(text).collect()
}

/// Loopback and these networks.
pub(super) fn with_loopback(networks: &[IpNet]) -> Vec<String> {
    let mut all = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
    all.extend(plain(networks));
    all
}

/// Loopback and these networks as `mynetworks` has them: IPv6 in brackets.
pub(super) fn for_postfix(networks: &[IpNet]) -> Vec<String> {
    let text = |net: &IpNet| match net {
        IpNet::V4(_) => net.to_string(),
        IpNet::V6(v6) => format!("[{}]/{}", v6.network(), v6.prefix_len()),
    };
    let loopback = ["127.0.0.0/8".to_owned(), "[::1]/128".to_owned()];
    loopback.into_iter().chain(networks.iter().map(text)).collect()
}

/// Most lines that one network may take in Sendmail's access map.
const MOST_ENTRIES: u32 = 32;

/// Loopback and these networks as RELAY entries of Sendmail's access map, which knows whole octets
/// of IPv4 and whole groups of IPv6; and the networks that would take too many lines.
pub(super) fn for_sendmail(networks: &[IpNet]) -> (Vec<String>, Vec<IpNet>) {
    let mut entries =
        vec!["Connect:127.0.0.1 RELAY".to_owned(), "Connect:IPv6:0:0:0:0:0:0:0:1 RELAY".to_owned()];
    let mut left = Vec::new();
    for net in networks {
        let step = if net.addr().is_ipv4() { 8 } else { 16 };
        let whole = net.prefix_len().div_ceil(step).max(1) * step;
        let bits = u32::from(whole - net.prefix_len());
        match net.subnets(whole) {
            Ok(parts) if 1u32.checked_shl(bits).is_some_and(|lines| lines <= MOST_ENTRIES) => {
                entries.extend(parts.map(|part| access_entry(&part)));
            }
            _ => left.push(*net),
        }
    }
    (entries, left)
}

/// The line of a network that ends at an octet or group.
fn access_entry(net: &IpNet) -> String {
    let length = usize::from(net.prefix_len());
    let key = match net {
        IpNet::V4(v4) => {
            let octets = v4.network().octets();
            octets.iter().take(length / 8).map(u8::to_string).collect::<Vec<_>>().join(".")
        }
        IpNet::V6(v6) => {
            let groups = v6.network().segments();
            let shown = groups.iter().take(length / 16).map(|group| format!("{group:x}"));
            format!("IPv6:{}", shown.collect::<Vec<_>>().join(":"))
        }
    };
    format!("Connect:{key} RELAY")
}

/// The usual name of Postfix's service on a port.
pub(super) fn postfix_service(port: u16) -> String {
    match port {
        25 => "smtp".to_owned(),
        465 => "submissions".to_owned(),
        587 => "submission".to_owned(),
        other => other.to_string(),
    }
}

/// A mailbox that the server has to take mail for, where the policy names its domains.
pub(super) fn own_mailbox(target: &JudgedTarget, policy: &Policy) -> Option<String> {
    let names: Vec<&str> = target.asset.names.iter().map(String::as_str).collect();
    let asset = policy.asset(&target.asset.addresses, &names)?;
    let plain = |domain: &&String| {
        domain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
    };
    asset.local_domains.iter().find(plain).map(|domain| format!("postmaster@{domain}"))
}

/// The source to look at first: the deciding one, else the strongest.
pub(super) fn first_source(target: &JudgedTarget) -> Option<IpAddr> {
    target.deciding.or_else(|| target.top_sources.first().map(|source| source.ip))
}

/// Sources that got beyond HELO from the internet, to be blocked until the server is mended.
pub(super) fn to_block(target: &JudgedTarget) -> Vec<String> {
    let abusers = target.top_sources.iter().filter(|source| source.counts.is_abuse());
    abusers.map(|source| source.ip).filter(|ip| is_public(*ip)).map(|ip| ip.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_as_each_product_wants_them() {
        let nets: Vec<IpNet> =
            ["10.20.0.0/16", "192.0.2.7/32", "2001:db8::/32"].map(|n| n.parse().unwrap()).into();
        assert_eq!(plain(&nets), ["10.20.0.0/16", "192.0.2.7", "2001:db8::/32"]);
        assert_eq!(
            for_postfix(&nets).join(" "),
            "127.0.0.0/8 [::1]/128 10.20.0.0/16 192.0.2.7/32 [2001:db8::]/32"
        );
        let masks: Vec<String> = nets.iter().map(masked).collect();
        assert_eq!(masks, ["10.20.0.0 255.255.0.0", "192.0.2.7 255.255.255.255", "2001:db8::/32"]);
        let (entries, left) = for_sendmail(
            &["10.20.0.0/16", "192.0.2.0/31", "2001:db8:1::/48", "10.0.0.0/9", "fc00::/7"]
                .map(|n| n.parse().unwrap()),
        );
        assert_eq!(
            entries.join("; "),
            "Connect:127.0.0.1 RELAY; Connect:IPv6:0:0:0:0:0:0:0:1 RELAY; Connect:10.20 RELAY; \
             Connect:192.0.2.0 RELAY; Connect:192.0.2.1 RELAY; Connect:IPv6:2001:db8:1 RELAY"
        );
        assert_eq!(plain(&left), ["10.0.0.0/9", "fc00::/7"]);
        assert_eq!(object_name("helo-2001:db8::25-25"), "helo-2001_db8__25-25");
    }
}
