//! A mail server of either product. In: sessions. Out: its log's lines, and the files they make.

use std::net::{IpAddr, SocketAddr};

use chrono_tz::Tz;

use super::exchange::{self, Ends, Exchange};
use super::postfix::{Deed, Message, Postfix, Service};
use super::rng::Rng;
use super::stamp::{Log, Seconds};

/// A mail server's log in the making.
pub(crate) enum Mailer {
    Postfix(Postfix),
    Exchange(Exchange),
}

/// One connection to the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) time: Seconds,
    pub(crate) client: IpAddr,
    pub(crate) local: SocketAddr,
}

impl Mailer {
    pub(crate) fn session(&mut self, rng: &mut Rng, visit: Visit, deed: Deed) -> Seconds {
        let Visit { time, client, local } = visit;
        match self {
            Self::Postfix(log) => log.session(rng, time, service(local.port()), client, deed),
            Self::Exchange(log) => log.session(rng, time, Ends { local, client }, deed),
        }
    }

    pub(crate) fn mail(
        &mut self,
        rng: &mut Rng,
        visit: Visit,
        user: Option<&str>,
        messages: &[Message],
    ) -> Seconds {
        let Visit { time, client, local } = visit;
        match self {
            Self::Postfix(log) => {
                log.mail(rng, time, service(local.port()), client, user, messages)
            }
            Self::Exchange(log) => {
                log.mail(rng, time, Ends { local, client }, user, messages.len())
            }
        }
    }

    /// Whether the log tells where messages went.
    pub(crate) fn shows_deliveries(&self) -> bool {
        matches!(self, Self::Postfix(_))
    }

    /// The server's own mail and other programs' lines.
    pub(crate) fn noise(&mut self, time: Seconds, foreign: IpAddr) {
        if let Self::Postfix(log) = self {
            log.noise(time, foreign);
        }
    }

    /// The zone that the policy must name.
    pub(crate) fn unsaid_zone(&self) -> Option<Tz> {
        match self {
            Self::Postfix(log) => log.style.unsaid_zone(),
            Self::Exchange(_) => None,
        }
    }

    pub(crate) fn log(&self) -> &Log {
        match self {
            Self::Postfix(log) => &log.log,
            Self::Exchange(log) => &log.log,
        }
    }

    /// What every file begins with.
    pub(crate) fn head(&self) -> &'static str {
        match self {
            Self::Postfix(_) => "",
            Self::Exchange(_) => exchange::HEAD,
        }
    }
}

fn service(port: u16) -> Service {
    match port {
        587 => Service::Submission,
        465 => Service::Smtps,
        _ => Service::Smtp,
    }
}
