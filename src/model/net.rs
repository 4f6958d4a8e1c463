//! Addresses and networks as logs, scans and policies write them. In: text, mostly from strangers.
//! Out: canonical addresses (an IPv4-mapped IPv6 address is its IPv4 address everywhere) and
//! address sets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// An address and a TCP port.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Endpoint {
    /// Canonical address.
    pub ip: IpAddr,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint, its address made canonical.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip: ip.to_canonical(), port }
    }
}

/// Reads an IPv4 or IPv6 address: no leading zeros (they would be octal elsewhere), brackets and
/// an IPv6 zone (`%eth0`) cut off, IPv4-mapped addresses made IPv4.
pub fn parse_ip(text: &[u8]) -> Option<IpAddr> {
    if let Some(v4) = parse_ipv4(text) {
        return Some(IpAddr::V4(v4));
    }
    let inner = text.strip_prefix(b"[").map_or(text, |t| t.strip_suffix(b"]").unwrap_or(t));
    let bare = inner.split(|&b| b == b'%').next()?;
    if bare.len() > 45 || !bare.contains(&b':') {
        return parse_ipv4(bare).map(IpAddr::V4);
    }
    let v6: Ipv6Addr = std::str::from_utf8(bare).ok()?.parse().ok()?;
    Some(IpAddr::V6(v6).to_canonical())
}

/// The hot half of [`parse_ip`]: four decimal numbers in one pass, without allocation.
fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    take_ipv4(text).filter(|(_, rest)| rest.is_empty()).map(|(ip, _)| ip)
}

/// The IPv4 address at the start, as [`parse_ip`] reads one, and what follows its last digit.
#[inline]
pub fn take_ipv4(text: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let (a, rest) = octet(text)?;
    let (b, rest) = octet(rest.strip_prefix(b".")?)?;
    let (c, rest) = octet(rest.strip_prefix(b".")?)?;
    let (d, rest) = octet(rest.strip_prefix(b".")?)?;
    Some((Ipv4Addr::new(a, b, c, d), rest))
}

/// The number from 0 to 255 at the start, without a leading zero (`010` would be octal elsewhere),
/// and what follows.
#[inline]
fn octet(text: &[u8]) -> Option<(u8, &[u8])> {
    // More than nine is no digit, nor is what lies beyond the end.
    let digit = |byte: &u8| byte.wrapping_sub(b'0');
    let (first, second, third) = match text {
        [a, b, c, ..] => (digit(a), digit(b), digit(c)),
        [a, b] => (digit(a), digit(b), u8::MAX),
        [a] => (digit(a), u8::MAX, u8::MAX),
        [] => return None,
    };
    if first > 9 {
        return None;
    }
    if second > 9 {
        return Some((first, text.get(1..)?));
    }
    if first == 0 {
        return None;
    }
    let two = first * 10 + second;
    if third > 9 {
        return Some((two, text.get(2..)?));
    }
    let value = u16::from(two) * 10 + u16::from(third);
    Some((u8::try_from(value).ok()?, text.get(3..)?))
}

/// Reads a TCP port: decimal digits only, 0 to 65535.
pub fn parse_port(text: &[u8]) -> Option<u16> {
    parse_decimal(text).and_then(|n| u16::try_from(n).ok())
}

/// Reads a decimal number of at most 19 digits: no sign, no blanks.
pub fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        b.is_ascii_digit().then(|| n.wrapping_mul(10).wrapping_add(u64::from(b & 15)))
    })
}

/// Reads `address` or `address/bits`, with the same strictness as [`parse_ip`]. A mapped IPv4
/// network (`::ffff:192.0.2.0/120`) becomes the IPv4 network.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let Some((address, bits)) = text.split_once('/') else {
        return parse_ip(text.as_bytes()).map(IpNet::from);
    };
    let ip = parse_ip(address.as_bytes())?;
    let bits = u8::try_from(parse_decimal(bits.as_bytes())?).ok()?;
    let mapped = ip.is_ipv4() && address.contains(':');
    let bits = if mapped { bits.checked_sub(96)? } else { bits };
    IpNet::new(ip, bits).ok().map(|net| net.trunc())
}

/// RFC 1918, RFC 6598 (100.64/10), unique local and link-local addresses: internal whatever the
/// policy says.
pub fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Neither private (see [`is_private`]) nor loopback: "public" in the sense of the priority table.
pub fn is_public(ip: IpAddr) -> bool {
    !is_private(ip) && !ip.to_canonical().is_loopback()
}

fn is_shared(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    a == 100 && (b & 0xc0) == 64
}

/// A set of networks; membership is a linear search, for the short lists that people write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetSet(Vec<IpNet>);

impl NetSet {
    /// A set of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether the address lies in one of the networks.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|net| net.contains(&ip))
    }

    /// Adds a network.
    pub fn insert(&mut self, network: IpNet) {
        self.0.push(network);
    }

    /// The networks as written, in order.
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly_and_made_canonical() {
        let cases = [
            ("192.0.2.1", Some("192.0.2.1")),
            ("[192.0.2.1]", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("[2001:DB8::1]", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("010.0.0.1", None),
            ("192.0.2.256", None),
            ("192.0.2", None),
            ("192.0.2.1.5", None),
            ("192.0.2.", None),
            ("192..2.1", None),
            (".192.0.2", None),
            ("192.0.2.00", None),
            ("192.0.2.1a", None),
            ("1.2.3.1000", None),
            ("255.255.255.255", Some("255.255.255.255")),
            ("0.0.0.0", Some("0.0.0.0")),
            ("mx1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let got = parse_ip(text.as_bytes()).map(|ip| ip.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn networks_and_ports() {
        assert_eq!(parse_network("192.0.2.7/24").unwrap().to_string(), "192.0.2.0/24");
        assert_eq!(parse_network("::ffff:192.0.2.0/120").unwrap().to_string(), "192.0.2.0/24");
        assert_eq!(parse_network("010.0.0.0/8"), None);
        assert_eq!(parse_port(b"65535"), Some(65535));
        assert_eq!(parse_port(b"65536"), None);
        assert_eq!(parse_port(b"+25"), None);
    }

    #[test]
    fn private_and_public() {
        for ip in ["10.1.2.3", "100.64.0.1", "fd00::1", "fe80::1", "169.254.1.1"] {
            assert!(is_private(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["100.128.0.1", "192.0.2.1", "2001:db8::1"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
        assert!(!is_public("127.0.0.1".parse().unwrap()));
    }
}
