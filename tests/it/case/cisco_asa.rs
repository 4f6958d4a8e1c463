//! Writes Cisco ASA logs by the messages' reference (302013, 302014, 106023, 106100). In: what the
//! firewall saw, real and mapped addresses. Out: lines; counts are kept by the caller.

use std::net::IpAddr;

use super::stamp::{Log, Seconds, Style};

/// An ASA and its log.
pub(crate) struct CiscoAsa {
    pub(crate) device: &'static str,
    pub(crate) style: Style,
    pub(crate) log: Log,
    next_id: u64,
}

/// A server behind the ASA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    pub(crate) real: IpAddr,
    pub(crate) real_port: u16,
    /// What the outside dials.
    pub(crate) mapped: IpAddr,
    pub(crate) mapped_port: u16,
}

impl CiscoAsa {
    pub(crate) fn new(device: &'static str, style: Style) -> Self {
        Self { device, style, log: Log::default(), next_id: 4_100 }
    }

    /// A permitted connection: Built, and Teardown where it ended in the log's time. From the
    /// inside to the DMZ the ASA calls it outbound and prints the client second.
    pub(crate) fn connection(
        &mut self,
        time: Seconds,
        duration: Option<Seconds>,
        client: (IpAddr, u16),
        server: Server,
    ) {
        self.next_id += 1;
        let id = self.next_id;
        let (ip, port) = client;
        let from = side(ip);
        let Server { real, real_port, mapped, mapped_port } = server;
        let (client, client_mapped) = (format!("{from}:{ip}/{port}"), format!("{ip}/{port}"));
        let dmz = format!("dmz:{real}/{real_port}");
        let ends = if from == "inside" { (&dmz, &client) } else { (&client, &dmz) };
        let built = if from == "inside" {
            format!(
                "outbound TCP connection {id} for {dmz} ({mapped}/{mapped_port}) to {client} ({client_mapped})"
            )
        } else {
            format!(
                "inbound TCP connection {id} for {client} ({client_mapped}) to {dmz} ({mapped}/{mapped_port})"
            )
        };
        self.message(time, &format!("%ASA-6-302013: Built {built}"));
        let Some(seconds) = duration else { return };
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        self.message(
            time + seconds,
            &format!(
                "%ASA-6-302014: Teardown TCP connection {id} for {} to {} duration \
                 {h}:{m:02}:{s:02} bytes 1834 TCP FINs from {from}",
                ends.0, ends.1
            ),
        );
    }

    /// A refused connection, logged by the access group.
    pub(crate) fn denied(&mut self, time: Seconds, client: (IpAddr, u16), server: (IpAddr, u16)) {
        let ((ip, port), (dst, dst_port)) = (client, server);
        let from = side(ip);
        self.message(
            time,
            &format!(
                "%ASA-4-106023: Deny tcp src {from}:{ip}/{port} dst dmz:{dst}/{dst_port} by \
                 access-group \"{from}_in\" [0x0, 0x0]"
            ),
        );
    }

    /// A refused connection, logged by an access-list entry with `log`.
    pub(crate) fn denied_by_list(
        &mut self,
        time: Seconds,
        client: (IpAddr, u16),
        server: (IpAddr, u16),
    ) {
        let ((ip, port), (dst, dst_port)) = (client, server);
        let from = side(ip);
        self.message(
            time,
            &format!(
                "%ASA-4-106100: access-list {from}_in denied tcp {from}/{ip}({port}) -> \
                 dmz/{dst}({dst_port}) hit-cnt 1 first hit [0x7d3a2c, 0x0]"
            ),
        );
    }

    /// The server's own delivery to a foreign MX, whose client is printed second.
    pub(crate) fn outbound(&mut self, time: Seconds, foreign: IpAddr, server: Server) {
        self.next_id += 1;
        let id = self.next_id;
        let Server { real, mapped, .. } = server;
        self.message(
            time,
            &format!(
                "%ASA-6-305011: Built dynamic TCP translation from dmz:{real}/41000 to \
                 outside:{mapped}/41000"
            ),
        );
        self.message(
            time,
            &format!(
                "%ASA-6-302013: Built outbound TCP connection {id} for outside:{foreign}/25 \
                 ({foreign}/25) to dmz:{real}/41000 ({mapped}/41000)"
            ),
        );
        self.message(
            time + 4,
            &format!(
                "%ASA-6-302014: Teardown TCP connection {id} for outside:{foreign}/25 to \
                 dmz:{real}/41000 duration 0:00:04 bytes 5120 TCP FINs from outside"
            ),
        );
    }

    /// A permitted connection to a web server: marks the log's first or last line.
    pub(crate) fn edge_mark(&mut self, time: Seconds) {
        let web: IpAddr = "10.0.9.80".parse().unwrap();
        let server = Server { real: web, real_port: 443, mapped: web, mapped_port: 443 };
        self.connection(time, None, ("10.20.0.8".parse().unwrap(), 51_000), server);
    }

    fn message(&mut self, time: Seconds, text: &str) {
        let (stamp, device) = (self.style.text(time), self.device);
        let line = match self.style {
            Style::Rfc3164(_) => format!("{stamp} {device} {text}"),
            _ => format!("{stamp} {device} : {text}"),
        };
        self.log.push(time, line);
    }
}

/// The interface that a client comes in by.
fn side(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(v4) if v4.octets()[0] == 10 => "inside",
        _ => "outside",
    }
}
