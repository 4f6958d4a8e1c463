//! The kernel's own text of a packet. In: `IN=eth0 OUT= MAC=.. SRC=198.51.100.7 .. URGP=0`. Out:
//! the ends of a TCP packet, its identification and flags, or a rejection that names the word.
//!
//! Two ways lead there. The usual one expects the words of an IPv4 packet in the order in which the
//! kernel prints them without options, and gives up at the first that differs; the general one takes
//! them in any order, as the kernel of each year and each vendor adds some (`OPT`, `SEQ`, `MARK`,
//! IPv6's `TC` and `HOPLIMIT`). What the usual way reads, both read alike.

use memchr::memmem::Finder;

use crate::logs::fields::{Mark, find_near, words};
use crate::logs::firewall::HostText;
use crate::logs::firewall::ends::end;
use crate::logs::line::Reject;
use crate::model::flow::Packet;
use crate::model::net::{parse_ip, parse_port};

static SRC: Mark = Mark::new(|| Finder::new(b"SRC="));

/// Whether a packet has a whole TCP header.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    Whole,
    /// A later fragment or a header that was cut: no ports.
    Piece,
}

/// TCP flags seen, one bit each, and whether the line prints them at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Flags(u8);

impl Flags {
    const PRINTED: u8 = 1;
    const SYN: u8 = 2;
    const ACK: u8 = 4;
    const OTHER: u8 = 8;

    /// Which packet they make it.
    pub(super) fn kind(self) -> Packet {
        match self.0 {
            0 => Packet::Connection,
            bits if bits & Self::SYN != 0 && bits & Self::ACK == 0 => Packet::Syn,
            _ => Packet::Stray,
        }
    }

    /// Adds the flag that this word names, if it names one.
    fn add(&mut self, word: &[u8]) {
        self.0 |= match word {
            [b'S', b'Y', b'N'] => Self::SYN,
            [b'A', b'C', b'K'] => Self::ACK,
            [b'F', b'I', b'N'] | [b'R', b'S', b'T'] | [b'P', b'S', b'H'] | [b'U', b'R', b'G'] => {
                Self::OTHER
            }
            _ => 0,
        };
    }
}

/// A TCP packet with its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpPacket<'a> {
    pub(super) src: (HostText<'a>, u16),
    pub(super) dst: (HostText<'a>, u16),
    /// The IP identification, where it is printed.
    pub(super) id: &'a [u8],
    pub(super) flags: Flags,
}

impl<'a> TcpPacket<'a> {
    /// Reads the kernel's text, in whatever order its words stand; none where it is no TCP packet
    /// or only a piece of one.
    pub(super) fn read(text: &'a [u8]) -> Result<Option<Self>, Reject> {
        let packet = PacketWords::read(text);
        if !matches!(packet.protocol, b"TCP" | b"tcp" | b"6") || packet.part == Part::Piece {
            return Ok(None);
        }
        let src = end((Some(packet.src), "SRC"), (Some(packet.spt), "SPT"))?;
        let dst = end((Some(packet.dst), "DST"), (Some(packet.dpt), "DPT"))?;
        Ok(Some(Self { src, dst, id: packet.id, flags: packet.flags }))
    }

    /// Reads the text of an IPv4 packet in the kernel's order, word for word, from behind `IN=` to
    /// its end; none where anything else stands there. What it reads, [`Self::read`] reads alike.
    pub(super) fn read_usual(text: &'a [u8]) -> Option<Self> {
        let at = SRC.find(text)?;
        let mut words = Words(text.get(at..)?);
        let src = words.value(b"SRC=").and_then(parse_ip)?;
        let dst = words.value(b"DST=").and_then(parse_ip)?;
        words.value(b"LEN=")?;
        words.value(b"TOS=")?;
        words.value(b"PREC=")?;
        words.value(b"TTL=")?;
        let id = words.value(b"ID=").filter(|id| !id.is_empty())?;
        // The congestion bit, "don't fragment", "more fragments".
        for bit in [b"CE ", b"DF ", b"MF "] {
            words.skip(bit);
        }
        words.skip(b"PROTO=TCP ")?;
        let src_port = words.value(b"SPT=").and_then(parse_port)?;
        let dst_port = words.value(b"DPT=").and_then(parse_port)?;
        words.value(b"WINDOW=")?;
        words.value(b"RES=")?;
        let mut flags = Flags(Flags::PRINTED);
        while words.skip(b"URGP=").is_none() {
            flags.add(words.flag()?);
        }
        let urgent = words.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let ends = words.0.get(urgent..)?.iter().all(|byte| *byte == b' ');
        let (src, dst) = (HostText::Ip(src), HostText::Ip(dst));
        ends.then_some(Self { src: (src, src_port), dst: (dst, dst_port), id, flags })
    }
}

/// The words that are left, in the order in which they are expected.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// Passes over this text, if it comes next.
    #[inline]
    fn skip<const N: usize>(&mut self, text: &[u8; N]) -> Option<()> {
        let (start, rest) = self.0.split_first_chunk()?;
        if start != text {
            return None;
        }
        self.0 = rest;
        Some(())
    }

    /// The value of this key, if it comes next, and the blank behind it.
    #[inline]
    fn value<const N: usize>(&mut self, key: &[u8; N]) -> Option<&'a [u8]> {
        self.skip(key)?;
        let (value, rest) = self.0.split_at_checked(find_near(self.0, b' ')?)?;
        self.0 = rest.get(1..)?;
        Some(value)
    }

    /// The next word of three letters.
    fn flag(&mut self) -> Option<&'a [u8]> {
        let (word, rest) = self.0.split_first_chunk::<3>()?;
        self.0 = rest.strip_prefix(b" ")?;
        word.iter().all(u8::is_ascii_uppercase).then_some(word)
    }
}

/// The words of the kernel's text that matter; the first of each key counts.
#[derive(Default)]
struct PacketWords<'a> {
    src: &'a [u8],
    dst: &'a [u8],
    protocol: &'a [u8],
    spt: &'a [u8],
    dpt: &'a [u8],
    id: &'a [u8],
    flags: Flags,
    part: Part,
}

impl<'a> PacketWords<'a> {
    /// One pass over the words, each told by its first four bytes: a line has some twenty words,
    /// and this is most of what reading it costs.
    fn read(text: &'a [u8]) -> Self {
        let mut packet = Self::default();
        // Interfaces and the long hardware address stand before it.
        let start = SRC.find(text).unwrap_or(0);
        for word in words(text.get(start..).unwrap_or_default()) {
            match word.split_first_chunk::<4>() {
                // What follows is the packet that an ICMP error quotes.
                Some((b"[SRC", [b'=', ..])) => break,
                Some((start, rest)) => packet.take(*start, rest, word),
                None => packet.flags.add(word),
            }
        }
        packet
    }

    /// Takes a word of at least four bytes: a key with its value, mostly.
    fn take(&mut self, start: [u8; 4], rest: &'a [u8], word: &'a [u8]) {
        let (slot, value) = match (&start, rest) {
            (b"SRC=", value) => (&mut self.src, value),
            (b"DST=", value) => (&mut self.dst, value),
            (b"SPT=", value) => (&mut self.spt, value),
            (b"DPT=", value) => (&mut self.dpt, value),
            (b"PROT", [b'O', b'=', value @ ..]) => (&mut self.protocol, value),
            ([b'I', b'D', b'=', _], _) => (&mut self.id, word.get(3..).unwrap_or_default()),
            (b"RES=", _) | (b"WIND", [b'O', b'W', b'=', ..]) => {
                self.flags.0 |= Flags::PRINTED;
                return;
            }
            (b"FRAG", [b':', ..]) if self.spt.is_empty() => return self.part = Part::Piece,
            (b"INCO", b"MPLETE") => return self.part = Part::Piece,
            _ => return,
        };
        if slot.is_empty() {
            *slot = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: &str = "eth0 OUT= MAC=0:1 SRC=198.51.100.7 DST=203.0.113.25 LEN=60 TOS=0x00 PREC=0x00 \
                         TTL=52 ID=1 DF PROTO=TCP SPT=40001 DPT=25 WINDOW=64240 RES=0x00 SYN URGP=0 ";

    #[test]
    fn the_usual_order_is_read_at_once_and_any_other_not() {
        assert!(TcpPacket::read_usual(USUAL.as_bytes()).is_some());
        let others = [
            ("ID=1 DF", "ID= DF"),
            ("ID=1 DF", "ID=1 DF FRAG:64"),
            ("PROTO=TCP", "OPT (94040000) PROTO=TCP"),
            ("DPT=25", "DPT=65536"),
            ("WINDOW", "SEQ=1 ACK=2 WINDOW"),
            ("SYN URGP=0 ", "SYN URGP=0 MARK=0x1"),
            ("SYN URGP=0 ", "SYN URGP=0 INCOMPLETE [3 bytes]"),
            ("198.51.100.7", "198.51.100.07"),
        ];
        for (from, to) in others {
            let text = USUAL.replace(from, to);
            assert_ne!(text, USUAL);
            assert_eq!(TcpPacket::read_usual(text.as_bytes()), None, "{text}");
        }
    }

    fn both_agree(text: &[u8]) -> Result<(), TestCaseError> {
        if let Some(usual) = TcpPacket::read_usual(text) {
            prop_assert_eq!(TcpPacket::read(text), Ok(Some(usual)));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn both_ways_read_alike(words in words_of_packets()) {
            both_agree(words.join(" ").as_bytes())?;
        }

        #[test]
        fn damage_is_never_read_in_two_ways(at in 0..USUAL.len(), bytes in any::<[u8; 2]>(), length in 0usize..3) {
            let mut text = USUAL.as_bytes().to_vec();
            let end = (at + length).min(text.len());
            text.splice(at..end, bytes);
            both_agree(&text)?;
        }
    }

    /// The usual words, some left out, doubled or with others between them.
    fn words_of_packets() -> impl Strategy<Value = Vec<String>> {
        let odd = "(SRC=192.0.2.1|DST=::1|SPT=7|DPT=|ID=2|FRAG:7|ACK|SYN|FIN|MF|CE|\\[SRC=1|INCOMPLETE|RES=|)";
        let words = USUAL.split(' ').map(|word| {
            prop_oneof![
                20 => Just(vec![word.to_owned()]),
                1 => Just(Vec::new()),
                1 => odd.prop_map(move |odd| vec![word.to_owned(), odd]),
                1 => odd.prop_map(move |odd| vec![odd]),
            ]
        });
        words.collect::<Vec<_>>().prop_map(|words| words.concat())
    }
}
