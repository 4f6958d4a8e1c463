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
        assert_eq!(object_name("helo-2001:db8::25-25"), "helo-2001_db8__25-25");
    }
}
