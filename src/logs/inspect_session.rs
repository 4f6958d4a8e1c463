//! What `inspect` prints of a mail log. In: one session. Out: one line of JSON in the public shape,
//! without the line end; absent facts are absent keys.
//!
//! ```text
//! {"kind":"session","lines":[3,9,10],"first_time":"2026-11-02T10:00:00Z",
//!  "last_time":"2026-11-02T10:00:01Z","client_ip":"198.51.100.7","client_port":40001,
//!  "helo_name":"probe.example","helo":"accepted","auth":"none","outcome":"helo_only",
//!  "server_host":"mx1","local_ip":"203.0.113.25","local_port":25,"format":"postfix"}
//! ```
//!
//! `helo` is accepted, rejected, none or unknown; `auth` ok, failed, none or unknown; `outcome`
//! `helo_only`, rejected, queued, relayed, dropped or unknown, relayed meaning any SMTP delivery to
//! another host, as no policy says which are this site's. `lines` are of the session's last input.

use std::net::IpAddr;

use serde::Serialize;

use crate::model::session::SessionView;
use crate::model::time::Timestamp;

/// The line of JSON of a session that was read in a format. Numbers are integers, times RFC 3339 in UTC, addresses canonical.
///
/// # Errors
/// None that a session can cause; the serialiser's are passed on.
pub fn session_line(session: &SessionView<'_>, format: &'static str) -> serde_json::Result<String> {
    serde_json::to_string(&SessionShape {
        kind: "session",
        lines: line_numbers(session),
        first_time: session.start,
        last_time: session.end,
        client_ip: session.client,
        client_port: session.client_port,
        helo_name: session.helo_name,
        helo: session.helo.word(),
        auth: session.auth.word(),
        sasl_username: session.sasl_username,
        outcome: session.outcome.word(),
        server_host: Some(session.server).filter(|server| !server.is_empty()),
        local_ip: session.local_ip,
        local_port: session.local_port,
        format,
    })
}

/// The distinct lines in the session's last input, ascending. `inspect` prints file by file, so a
/// session that began in the file before is printed with the lines of the one where it ended.
fn line_numbers(session: &SessionView<'_>) -> Vec<u64> {
    let last = session.lines.iter().map(|line| line.input).max();
    let mut lines: Vec<u64> = session
        .lines
        .iter()
        .filter(|line| Some(line.input) == last)
        .map(|line| line.line)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The keys of a session in their order.
#[derive(Serialize)]
struct SessionShape<'a> {
    kind: &'static str,
    lines: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    helo_name: Option<&'a str>,
    helo: &'static str,
    auth: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sasl_username: Option<&'a str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_port: Option<u16>,
    format: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::session::{Auth, Helo, Outcome, ProofLine, Proves, Session};

    fn session() -> Session {
        let line = |line, proves| ProofLine { input: 0, line, proves };
        Session {
            server: "mx1".into(),
            local_ip: Some("203.0.113.25".parse().unwrap()),
            local_port: Some(25),
            client: Some("198.51.100.7".parse().unwrap()),
            client_port: Some(40001),
            start: Timestamp::parse_rfc3339("2026-11-02T10:00:00Z"),
            end: Timestamp::parse_rfc3339("2026-11-02T10:00:01Z"),
            helo: Helo::Accepted,
            helo_name: Some("a\"\u{1}".into()),
            auth: Auth::Ok,
            sasl_username: Some("user".into()),
            outcome: Outcome::HeloOnly,
            deliveries: Vec::new(),
            lines: vec![
                line(3, Proves::Connection),
                line(9, Proves::Presence),
                line(9, Proves::Helo),
            ],
        }
    }

    #[test]
    fn the_public_shape_of_a_session() {
        let full = concat!(
            r#"{"kind":"session","lines":[3,9],"first_time":"2026-11-02T10:00:00Z","#,
            r#""last_time":"2026-11-02T10:00:01Z","client_ip":"198.51.100.7","#,
            r#""client_port":40001,"helo_name":"a\"\u0001","helo":"accepted","auth":"ok","#,
            r#""sasl_username":"user","outcome":"helo_only","server_host":"mx1","#,
            r#""local_ip":"203.0.113.25","local_port":25,"format":"postfix"}"#
        );
        assert_eq!(session_line(&session().view(), "postfix").unwrap(), full);
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let session = Session {
            server: "".into(),
            local_ip: None,
            local_port: None,
            client: None,
            client_port: None,
            start: None,
            end: None,
            helo: Helo::Unknown,
            helo_name: None,
            auth: Auth::None,
            sasl_username: None,
            lines: Vec::new(),
            ..session()
        };
        let short = concat!(
            r#"{"kind":"session","lines":[],"helo":"unknown","auth":"none","#,
            r#""outcome":"helo_only","format":"exim"}"#
        );
        assert_eq!(session_line(&session.view(), "exim").unwrap(), short);
    }
}
