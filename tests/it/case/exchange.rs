//! Writes the SMTP receive protocol log of Microsoft Exchange (CSV in UTC, one row for each thing
//! said). In: what clients did. Out: rows; what became of messages later is in no such row.

use std::net::{IpAddr, SocketAddr};

use super::postfix::Deed;
use super::rng::Rng;
use super::stamp::{Log, Seconds};

/// The head of every file.
pub(crate) const HEAD: &str = "#Software: Microsoft Exchange Server\n#Version: 15.0.0.0\n\
    #Log-type: SMTP Receive Protocol Log\n#Date: 2026-01-01T00:00:00.000Z\n\
    #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,\
    event,data,context\n";

/// An Exchange server's log.
pub(crate) struct Exchange {
    /// The server's name in connector ids.
    pub(crate) server: String,
    pub(crate) log: Log,
    sessions: u64,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) local: SocketAddr,
    pub(crate) client: IpAddr,
}

/// Event, data, context.
type Said = (char, String, &'static str);

impl Exchange {
    pub(crate) fn new(server: String) -> Self {
        Self { server, log: Log::default(), sessions: 0 }
    }

    /// A session without mail. Returns its last time.
    pub(crate) fn session(&mut self, rng: &mut Rng, t: Seconds, ends: Ends, deed: Deed) -> Seconds {
        let mut rows = vec![server("220 mail.corp.example Microsoft ESMTP MAIL Service ready")];
        rows.extend(deed_rows(deed));
        self.write(rng, t, ends, rows)
    }

    /// A session that sends messages, after AUTH where wished. Returns its last time.
    pub(crate) fn mail(
        &mut self,
        rng: &mut Rng,
        t: Seconds,
        ends: Ends,
        user: Option<&str>,
        messages: usize,
    ) -> Seconds {
        let mut rows = vec![server("220 mail.corp.example Microsoft ESMTP MAIL Service ready")];
        rows.extend(hello("EHLO sender.example"));
        if user.is_some() {
            rows.extend(login());
        }
        for n in 0..messages {
            rows.extend([
                client("MAIL FROM:<a@b.example> SIZE=1834"),
                server("250 2.1.0 Sender OK"),
                client("RCPT TO:<bob@corp.example>"),
                server("250 2.1.5 Recipient OK"),
                client("DATA"),
                server("354 Start mail input; end with <CRLF>.<CRLF>"),
                server(&format!(
                    "250 2.6.0 <{n}@b.example> [InternalId=5583{n}, Hostname=mail.corp.example] \
                     Queued mail for delivery"
                )),
            ]);
        }
        rows.extend(quit());
        self.write(rng, t, ends, rows)
    }

    fn write(&mut self, rng: &mut Rng, t: Seconds, ends: Ends, rows: Vec<Said>) -> Seconds {
        self.sessions += 1;
        let id = format!("08DE{:012X}", self.sessions * 17);
        let remote = SocketAddr::new(ends.client, 30_000 + rng.below(30_000) as u16);
        let end = t + rng.between(0, 30);
        let (count, start) = (rows.len(), ('+', String::new(), ""));
        let rows = std::iter::once(start).chain(rows).chain([('-', String::new(), "Remote")]);
        for (n, (event, data, context)) in rows.enumerate() {
            let time = if n > count / 2 { end } else { t };
            let stamp = chrono::DateTime::from_timestamp(time, 0).unwrap();
            let stamp = stamp.format("%Y-%m-%dT%H:%M:%S.123Z");
            let server = &self.server;
            let (data, local) = (quoted(&data), ends.local);
            let line = format!(
                "{stamp},{server}\\Default Frontend {server},{id},{n},{local},{remote},{event},\
                 {data},{context}"
            );
            self.log.push(time, line);
        }
        end
    }
}

fn deed_rows(deed: Deed) -> Vec<Said> {
    let refused = "550 5.7.1 Client does not have permissions";
    match deed {
        Deed::Connect => Vec::new(),
        Deed::Helo => [hello("HELO probe"), quit()].concat(),
        Deed::StartTls => [
            hello("EHLO probe.example"),
            vec![
                client("STARTTLS"),
                server("220 2.0.0 SMTP server ready"),
                note("TLS protocol SP_PROT_TLS1_2_SERVER negotiation succeeded"),
            ],
            hello("EHLO probe.example"),
            quit(),
        ]
        .concat(),
        Deed::HeloRefused => {
            vec![client("EHLO bad.example"), note("Tarpit for '0.00:00:05'"), server(refused)]
        }
        Deed::HeloSyntax => vec![client("HELO"), server("501 5.0.0 HELO Invalid domain address")],
        Deed::HeloSecondTry => {
            [vec![client("EHLO bad.example"), server(refused)], hello("HELO good"), quit()].concat()
        }
        Deed::RelayDenied | Deed::HeloNameRefusedAtRcpt => [
            hello("EHLO relaytest"),
            vec![
                client("MAIL FROM:<a@b.example>"),
                server("250 2.1.0 Sender OK"),
                client("RCPT TO:<v@foreign.example>"),
                note("Tarpit for '0.00:00:05'"),
                server("550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"),
            ],
            quit(),
        ]
        .concat(),
        Deed::AuthFailed => [
            hello("EHLO guess"),
            vec![
                client("AUTH LOGIN"),
                server("334 <authentication response>"),
                note("Inbound AUTH LOGIN failed because of LogonDenied"),
                server("535 5.7.3 Authentication unsuccessful"),
            ],
        ]
        .concat(),
        Deed::AuthOnly => [hello("EHLO user"), login(), quit()].concat(),
    }
}

fn client(text: &str) -> Said {
    ('<', text.to_owned(), "")
}

fn server(text: &str) -> Said {
    ('>', text.to_owned(), "")
}

fn note(text: &'static str) -> Said {
    ('*', String::new(), text)
}

fn hello(command: &str) -> Vec<Said> {
    vec![
        client(command),
        server("250  mail.corp.example Hello SIZE 37748736 PIPELINING AUTH LOGIN"),
    ]
}

fn login() -> Vec<Said> {
    vec![
        client("AUTH LOGIN"),
        server("334 <authentication response>"),
        server("235 2.7.0 Authentication successful"),
    ]
}

fn quit() -> Vec<Said> {
    vec![client("QUIT"), server("221 2.0.0 Service closing transmission channel")]
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
