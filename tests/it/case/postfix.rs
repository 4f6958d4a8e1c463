//! Writes Postfix logs. In: what clients did to the server and what became of their messages. Out:
//! the lines that Postfix would have written, sessions of different processes interleaved.

use std::net::IpAddr;

use super::rng::Rng;
use super::stamp::{Log, Seconds, Style};

/// The listener of a session: decides the syslog tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Smtp,
    Submission,
    Smtps,
}

/// What a client did up to the end of its session, apart from sending mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Connected and went.
    Connect,
    Helo,
    StartTls,
    /// HELO refused (`smtpd_delay_reject = no`).
    HeloRefused,
    /// HELO without a name: no line but the counter.
    HeloSyntax,
    /// EHLO refused, then HELO accepted.
    HeloSecondTry,
    RelayDenied,
    /// A policy that hates the HELO name, but refuses only at RCPT.
    HeloNameRefusedAtRcpt,
    AuthFailed,
    AuthOnly,
}

/// Where a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hop {
    /// A local mailbox.
    Mailbox,
    /// Another server, by SMTP.
    Smtp(IpAddr),
    /// Nowhere: the next hop refused it.
    Bounced(IpAddr),
}

/// One accepted message.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) recipient: &'static str,
    /// The address the client gave, where an alias changed it.
    pub(crate) orig_to: Option<&'static str>,
    pub(crate) hop: Hop,
    /// Through a content filter on loopback, under a new queue id.
    pub(crate) filtered: bool,
    /// Delivered only this much later, after a first failure.
    pub(crate) delayed: Seconds,
}

/// A Postfix server's log.
pub(crate) struct Postfix {
    pub(crate) host: String,
    pub(crate) style: Style,
    pub(crate) counters: bool,
    pub(crate) long_ids: bool,
    pub(crate) log: Log,
    /// Processes and until when they are busy, by service.
    busy: Vec<(Service, u32, Seconds)>,
    next_queue: u64,
    /// First and last second of every session.
    spans: Vec<(Seconds, Seconds)>,
}

/// A client as Postfix prints it.
struct Peer {
    shown: String,
    tag: String,
}

impl Postfix {
    pub(crate) fn new(host: String, style: Style, counters: bool, long_ids: bool) -> Self {
        let log = Log::default();
        Self {
            host,
            style,
            counters,
            long_ids,
            log,
            busy: Vec::new(),
            next_queue: 0x3f_a010,
            spans: Vec::new(),
        }
    }

    /// A session without mail. Returns its last time.
    pub(crate) fn session(
        &mut self,
        rng: &mut Rng,
        t: Seconds,
        service: Service,
        ip: IpAddr,
        deed: Deed,
    ) -> Seconds {
        let end = t + rng.between(0, 40);
        let peer = self.connect(t, end, service, ip);
        let counts = self.deed_lines(end, &peer, deed);
        self.disconnect(end, &peer, counts);
        end
    }

    fn deed_lines(&mut self, t: Seconds, peer: &Peer, deed: Deed) -> &'static str {
        let from = &peer.shown;
        let tail = "from=<a@b.example> to=<v@foreign.example> proto=ESMTP";
        match deed {
            Deed::Connect => {
                self.smtpd(t, peer, &format!("lost connection after CONNECT from {from}"));
                "commands=0/0"
            }
            Deed::Helo => "helo=1 quit=1 commands=2",
            Deed::StartTls => {
                let tls = format!(
                    "Anonymous TLS connection established from {from}: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
                );
                self.smtpd(t, peer, &tls);
                "ehlo=2 starttls=1 quit=1 commands=4"
            }
            Deed::HeloRefused => {
                self.smtpd(t, peer, &format!("NOQUEUE: reject: EHLO from {from}: 550 5.7.1 <bad.example>: Helo command rejected: Access denied; proto=SMTP helo=<bad.example>"));
                "ehlo=0/1 quit=1 commands=1/2"
            }
            Deed::HeloSyntax => "helo=0/1 quit=1 commands=1/2",
            Deed::HeloSecondTry => {
                self.smtpd(t, peer, &format!("NOQUEUE: reject: EHLO from {from}: 550 5.7.1 <bad.example>: Helo command rejected: Access denied; proto=SMTP helo=<bad.example>"));
                "helo=1 ehlo=0/1 quit=1 commands=2/3"
            }
            Deed::RelayDenied => {
                self.smtpd(t, peer, &format!("NOQUEUE: reject: RCPT from {from}: 554 5.7.1 <v@foreign.example>: Relay access denied; {tail} helo=<[198.51.100.1], relay=x>"));
                "ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"
            }
            Deed::HeloNameRefusedAtRcpt => {
                self.smtpd(t, peer, &format!("NOQUEUE: reject: RCPT from {from}: 554 5.7.1 <banned.example>: Helo command rejected: Access denied; {tail} helo=<banned.example>"));
                "helo=1 mail=1 rcpt=0/1 quit=1 commands=3/4"
            }
            Deed::AuthFailed => {
                self.smtpd(
                    t,
                    peer,
                    &format!("warning: {from}: SASL LOGIN authentication failed: UGFzc3dvcmQ6"),
                );
                "ehlo=1 auth=0/1 quit=1 commands=2/3"
            }
            Deed::AuthOnly => "ehlo=1 auth=1 quit=1 commands=3",
        }
    }

    /// A session that sends messages, after AUTH where a user is named. Returns its last time.
    pub(crate) fn mail(
        &mut self,
        rng: &mut Rng,
        t: Seconds,
        service: Service,
        ip: IpAddr,
        user: Option<&str>,
        messages: &[Message],
    ) -> Seconds {
        let end = t + rng.between(2, 50);
        let peer = self.connect(t, end, service, ip);
        let sasl =
            user.map(|u| format!(", sasl_method=PLAIN, sasl_username={u}")).unwrap_or_default();
        let mut last = end;
        for message in messages {
            let id = self.queue_id();
            self.smtpd(t + 1, &peer, &format!("{id}: client={}{sasl}", peer.shown));
            self.log(t + 1, "postfix/cleanup[911]", &format!("{id}: message-id=<{id}@b.example>"));
            self.log(
                t + 1,
                "postfix/qmgr[902]",
                &format!("{id}: from=<a@b.example>, size=1834, nrcpt=1 (queue active)"),
            );
            last = last.max(self.deliver(end, &id, message));
        }
        let n = messages.len();
        let auth = if user.is_some() { "auth=1 " } else { "" };
        let total = 2 + 3 * n + usize::from(user.is_some());
        let counts = format!("ehlo=1 {auth}mail={n} rcpt={n} data={n} quit=1 commands={total}");
        self.disconnect(end, &peer, &counts);
        last
    }

    fn deliver(&mut self, t: Seconds, id: &str, message: &Message) -> Seconds {
        let mut id = id.to_owned();
        let mut t = t;
        let to = message.recipient;
        if message.filtered {
            let second = self.queue_id();
            self.log(t, "postfix/10025/smtpd[933]", "connect from localhost[127.0.0.1]");
            self.log(
                t,
                "postfix/10025/smtpd[933]",
                &format!("{second}: client=localhost[127.0.0.1]"),
            );
            self.log(t, "postfix/cleanup[911]", &format!("{second}: message-id=<{id}@b.example>"));
            self.log(t, "postfix/10025/smtpd[933]", "disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5");
            self.log(
                t,
                "postfix/qmgr[902]",
                &format!("{second}: from=<a@b.example>, size=2001, nrcpt=1 (queue active)"),
            );
            self.log(t, "postfix/smtp[921]", &format!("{id}: to=<{to}>, relay=127.0.0.1[127.0.0.1]:10024, delay=0.7, delays=0.1/0/0/0.6, dsn=2.0.0, status=sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as {second})"));
            self.log(t, "postfix/qmgr[902]", &format!("{id}: removed"));
            id = second;
        }
        if message.delayed > 0 {
            self.log(t, "postfix/smtp[922]", &format!("{id}: to=<{to}>, relay=none, delay=30, delays=0.1/0/30/0, dsn=4.4.1, status=deferred (connect to mx.foreign.example[198.51.100.250]:25: Connection timed out)"));
            t += message.delayed;
            self.log(
                t,
                "postfix/qmgr[902]",
                &format!("{id}: from=<a@b.example>, size=1834, nrcpt=1 (queue active)"),
            );
        }
        let orig = message.orig_to.map(|o| format!(" orig_to=<{o}>,")).unwrap_or_default();
        let (agent, relay, status) = match message.hop {
            Hop::Mailbox => {
                ("local[931]", "local".to_owned(), "dsn=2.0.0, status=sent (delivered to mailbox)")
            }
            Hop::Smtp(ip) => (
                "smtp[922]",
                format!("next.example[{ip}]:25"),
                "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9F00)",
            ),
            Hop::Bounced(ip) => (
                "smtp[922]",
                format!("next.example[{ip}]:25"),
                "dsn=5.1.1, status=bounced (host next.example said: 550 5.1.1 no such user (in reply to RCPT TO command))",
            ),
        };
        self.log(
            t,
            &format!("postfix/{agent}"),
            &format!(
                "{id}: to=<{to}>,{orig} relay={relay}, delay=1.1, delays=0.1/0/0.4/0.6, {status}"
            ),
        );
        self.log(t, "postfix/qmgr[902]", &format!("{id}: removed"));
        t
    }

    /// A second in which a session is under way: where a rotation cuts best.
    pub(crate) fn middle_of_a_session(&self) -> Seconds {
        let mut long = self.spans.iter().filter(|(start, end)| end - start > 3);
        long.next_back().or(self.spans.first()).map_or(0, |(start, _)| start + 1)
    }

    /// The server's own mail and other programs' lines: no session of anybody.
    pub(crate) fn noise(&mut self, t: Seconds, foreign: IpAddr) {
        let id = self.queue_id();
        self.log(t, "postfix/pickup[901]", &format!("{id}: uid=0 from=<root>"));
        self.log(t, "postfix/cleanup[911]", &format!("{id}: message-id=<{id}@self.example>"));
        self.log(
            t,
            "postfix/qmgr[902]",
            &format!("{id}: from=<root@self.example>, size=500, nrcpt=1 (queue active)"),
        );
        self.log(t + 1, "postfix/smtp[922]", &format!("{id}: to=<admin@foreign.example>, relay=mx.foreign.example[{foreign}]:25, delay=1, delays=0.1/0/0.3/0.6, dsn=2.0.0, status=sent (250 ok)"));
        self.log(t + 1, "postfix/qmgr[902]", &format!("{id}: removed"));
        self.log(
            t + 2,
            "postfix/anvil[905]",
            &format!(
                "statistics: max connection rate 1/60s for (smtp:{foreign}) at Nov  2 10:00:00"
            ),
        );
        self.log(
            t + 3,
            "sshd[700]",
            &format!("Failed password for root from {foreign} port 22 ssh2"),
        );
        self.log(t + 3, "CRON[701]", "(root) CMD (run-parts /etc/cron.hourly)");
    }

    fn connect(&mut self, t: Seconds, end: Seconds, service: Service, ip: IpAddr) -> Peer {
        self.spans.push((t, end));
        let pid = self.process(service, t, end);
        let tag = match service {
            Service::Smtp => "smtpd",
            Service::Submission => "submission/smtpd",
            Service::Smtps => "smtps/smtpd",
        };
        let last = match ip {
            IpAddr::V4(v4) => u16::from(v4.octets()[3]),
            IpAddr::V6(v6) => v6.segments()[7],
        };
        let name =
            if last % 2 == 0 { "unknown".to_owned() } else { format!("h{last}.isp.example") };
        let peer = Peer { shown: format!("{name}[{ip}]"), tag: format!("postfix/{tag}[{pid}]") };
        self.smtpd(t, &peer, &format!("connect from {}", peer.shown));
        peer
    }

    /// A process of the service that is free, kept busy until the session's end.
    fn process(&mut self, service: Service, t: Seconds, end: Seconds) -> u32 {
        let free = self.busy.iter_mut().find(|(s, _, until)| *s == service && *until < t);
        if let Some((_, pid, until)) = free {
            *until = end;
            return *pid;
        }
        let pid = 1200 + 7 * self.busy.len() as u32;
        self.busy.push((service, pid, end));
        pid
    }

    fn disconnect(&mut self, t: Seconds, peer: &Peer, counts: &str) {
        let shown = &peer.shown;
        let counts = if self.counters { format!(" {counts}") } else { String::new() };
        self.smtpd(t, peer, &format!("disconnect from {shown}{counts}"));
    }

    fn smtpd(&mut self, t: Seconds, peer: &Peer, text: &str) {
        self.log(t, &peer.tag, text);
    }

    fn log(&mut self, t: Seconds, tag: &str, text: &str) {
        let line = format!("{} {} {tag}: {text}", self.style.text(t), self.host);
        self.log.push(t, line);
    }

    /// Short hexadecimal, or long without vowels.
    fn queue_id(&mut self) -> String {
        self.next_queue += 0x11;
        if !self.long_ids {
            return format!("{:010X}", self.next_queue);
        }
        let letters = b"BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789";
        let mut n = self.next_queue;
        let mut id = String::from("4Bx");
        for _ in 0..8 {
            id.push(char::from(letters[(n % letters.len() as u64) as usize]));
            n /= letters.len() as u64;
        }
        id + "z5Kp"
    }
}
