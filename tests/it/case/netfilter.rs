//! Writes netfilter logs (iptables, UFW) from the packet format of the kernel's LOG target. In:
//! what the firewall saw. Out: lines; counts are kept by the caller.

use std::net::IpAddr;

use super::stamp::{Log, Seconds, Style};

/// What the log prefix says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Allow,
    Deny,
    /// A prefix that nobody explains.
    Unsaid,
}

/// A netfilter host and its log.
pub(crate) struct Netfilter {
    pub(crate) device: &'static str,
    pub(crate) style: Style,
    /// UFW words, or words that only a policy explains.
    pub(crate) ufw: bool,
    pub(crate) log: Log,
    packets: u64,
}

/// A TCP packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) src: IpAddr,
    pub(crate) src_port: u16,
    pub(crate) dst: IpAddr,
    pub(crate) dst_port: u16,
}

impl Netfilter {
    pub(crate) fn new(device: &'static str, style: Style, ufw: bool) -> Self {
        Self { device, style, ufw, log: Log::default(), packets: 0 }
    }

    /// The SYN of a connection; UFW at `logging high` writes an audit twin before an allow.
    pub(crate) fn syn(&mut self, time: Seconds, word: Word, packet: Packet) {
        self.packets += 1;
        if self.ufw && word == Word::Allow && self.packets.is_multiple_of(3) {
            self.line(time, "[UFW AUDIT] ", packet, "SYN ");
        }
        let prefix = match (self.ufw, word) {
            (true, Word::Allow) => "[UFW ALLOW] ",
            (true, Word::Deny) => "[UFW BLOCK] ",
            (false, Word::Allow) => "FW-OK ",
            (false, Word::Deny) => "FW-NOPE ",
            (_, Word::Unsaid) => "[netfilter-FORWARD] ",
        };
        self.line(time, prefix, packet, "SYN ");
    }

    /// Late packets of a connection that is over: no attempts, whatever their prefix.
    pub(crate) fn stray(&mut self, time: Seconds, packet: Packet) {
        self.packets += 1;
        let prefix = if self.ufw { "[UFW BLOCK] " } else { "FW-NOPE " };
        let flags = if self.packets.is_multiple_of(2) { "ACK FIN " } else { "RST " };
        self.line(time, prefix, packet, flags);
        let reply = Packet {
            src: packet.dst,
            src_port: packet.dst_port,
            dst: packet.src,
            dst_port: packet.src_port,
        };
        self.line(time, prefix, reply, "ACK SYN ");
    }

    /// Lines that hold an SMTP connection's numbers but are none.
    pub(crate) fn noise(&mut self, time: Seconds, packet: Packet) {
        let Packet { src, src_port, dst, dst_port } = packet;
        let head = self.head(time);
        let (src, dst) = (kernel_ip(src), kernel_ip(dst));
        let prefix = if self.ufw { "[UFW BLOCK] " } else { "FW-NOPE " };
        self.log.push(
            time,
            format!(
                "{head}{prefix}IN=eth0 OUT= SRC={dst} DST={src} LEN=80 TOS=0x00 PREC=0xC0 TTL=64 \
                 ID=1 PROTO=ICMP TYPE=3 CODE=1 [SRC={src} DST={dst} LEN=52 TOS=0x00 PREC=0x00 \
                 TTL=51 ID=2 PROTO=TCP SPT={src_port} DPT={dst_port} WINDOW=1024 RES=0x00 SYN \
                 URGP=0 ] "
            ),
        );
        self.log.push(
            time,
            format!(
                "{head}{prefix}IN=eth0 OUT=eth1 SRC={src} DST={dst} LEN=80 TOS=0x00 PREC=0x00 \
                 TTL=64 ID=3 PROTO=UDP SPT={src_port} DPT={dst_port} LEN=60 "
            ),
        );
    }

    /// A permitted connection to a web server: marks the log's first or last line.
    pub(crate) fn edge_mark(&mut self, time: Seconds) {
        let src: IpAddr = "10.20.0.8".parse().unwrap();
        let dst: IpAddr = "10.0.9.80".parse().unwrap();
        self.syn(time, Word::Allow, Packet { src, src_port: 51_000, dst, dst_port: 443 });
    }

    fn head(&self, time: Seconds) -> String {
        let uptime = time.rem_euclid(1_000_000);
        match self.style {
            Style::Rfc3164(_) => {
                format!("{} {} kernel: [{uptime}.000512] ", self.style.text(time), self.device)
            }
            _ => format!("{} {} kernel: ", self.style.text(time), self.device),
        }
    }

    fn line(&mut self, time: Seconds, prefix: &str, packet: Packet, flags: &str) {
        let Packet { src, src_port, dst, dst_port } = packet;
        let head = self.head(time);
        let id = self.packets;
        let middle = if src.is_ipv6() {
            "LEN=80 TC=0 HOPLIMIT=52 FLOWLBL=771".to_owned()
        } else {
            format!("LEN=60 TOS=0x00 PREC=0x00 TTL=52 ID={id} DF")
        };
        let line = format!(
            "{head}{prefix}IN=eth0 OUT=eth1 MAC=00:00:5e:00:53:01:00:00:5e:00:53:02:08:00 \
             SRC={} DST={} {middle} PROTO=TCP SPT={src_port} DPT={dst_port} WINDOW=64240 RES=0x00 \
             {flags}URGP=0 ",
            kernel_ip(src),
            kernel_ip(dst),
        );
        self.log.push(time, line);
    }
}

/// An address as the kernel prints it: IPv6 in full.
fn kernel_ip(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6.segments().map(|s| format!("{s:04x}")).join(":"),
    }
}
