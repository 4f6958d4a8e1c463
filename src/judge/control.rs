//! The scanner's own connections as a control sample (design, section 6). In: the evidence of the
//! scanners. Out: for a target, a note where a log shows the scanner elsewhere during the scan but
//! not here: then a time zone, a name or a log is wrong or missing.

use std::net::IpAddr;

use crate::correlate::assets::Asset;
use crate::correlate::evidence::{Evidence, Key, address_of};
use crate::correlate::piece::Piece;
use crate::correlate::server::LoggedServer;
use crate::correlate::world::World;
use crate::model::input::Span;
use crate::model::time::Timestamp;

/// Where and when the logs of one kind show scanners.
#[derive(Debug, Default)]
struct Sightings {
    /// Known moments with the server's number, ascending.
    moments: Vec<(Timestamp, u32)>,
    /// From the first to the last event of a day, by server's number, ascending.
    days: Vec<(u32, Span)>,
}

/// All sightings of the scanners.
#[derive(Debug, Default)]
pub(super) struct Control {
    firewall: Sightings,
    mail: Sightings,
}

impl Control {
    pub(super) fn new(world: &World, evidence: &Evidence) -> Self {
        let mut control = Self::default();
        for (number, (server, _)) in evidence.servers().iter().enumerate() {
            let sightings = match server {
                LoggedServer::Flow { .. } => &mut control.firewall,
                LoggedServer::Mail { .. } => &mut control.mail,
            };
            for ip in world.scanners() {
                let key = Key { server: number as u32, source: address_of(ip) };
                let days = evidence.cell(key).map(|cell| cell.days(evidence.join()));
                for (_, piece) in days.into_iter().flatten() {
                    sightings.add(key.server, &piece);
                }
            }
        }
        control.firewall.sort();
        control.mail.sort();
        control
    }

    /// The notes for a target that these logged servers mean.
    pub(super) fn notes(&self, asset: &Asset, servers: &[u32], tolerance: i64) -> Vec<String> {
        let mut notes = Vec::new();
        let Some(window) = asset.windows.iter().find(|window| !window.scanners.is_empty()) else {
            return notes;
        };
        let around = Span {
            first: Timestamp(window.span.first.0.saturating_sub(tolerance)),
            last: Timestamp(window.span.last.0.saturating_add(tolerance)),
        };
        let kinds = [("firewall", &self.firewall, FIREWALL), ("mail", &self.mail, MAIL)];
        for (kind, sightings, cause) in kinds {
            if sightings.elsewhere(around, servers) && !sightings.here(around, servers) {
                let Span { first, last } = window.span;
                let scanner = scanners_text(&window.scanners);
                notes.push(format!(
                    "Control: while this host was scanned, from {first} to {last}, the {kind} logs \
                     show the scanner {scanner} on other servers but not here: {cause}."
                ));
            }
        }
        notes
    }
}

const FIREWALL: &str = "a time zone, the NAT addresses or the set of logs is wrong, or the scan \
                        does not cross the firewall";
const MAIL: &str = "a time zone, the server's name or the set of logs is wrong";

fn scanners_text(scanners: &[IpAddr]) -> String {
    scanners.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

impl Sightings {
    fn add(&mut self, server: u32, piece: &Piece) {
        let cited =
            piece.traces.cited.iter().flat_map(|(_, (one, other))| [one.0, other.0]).flatten();
        let permitted = piece.permitted.intervals().iter();
        let permitted = permitted.flat_map(|&(first, last)| [Timestamp(first), Timestamp(last)]);
        let accepted = piece.accepted.iter().map(|((start, _), _)| start);
        let moments = cited.chain(permitted).chain(accepted);
        self.moments.extend(moments.map(|moment| (moment, server)));
        if let (Some(first), Some(last)) = (piece.first, piece.last) {
            self.days.push((server, Span { first, last }));
        }
    }

    fn sort(&mut self) {
        self.moments.sort_unstable();
        self.moments.dedup();
        self.days.sort_unstable();
    }

    /// Whether another server has a sighting that surely lies in the window.
    fn elsewhere(&self, window: Span, servers: &[u32]) -> bool {
        let from = self.moments.partition_point(|&(moment, _)| moment < window.first);
        let rest = self.moments.get(from..).unwrap_or_default();
        let mut inside = rest.iter().take_while(|&&(moment, _)| moment <= window.last);
        inside.any(|(_, server)| servers.binary_search(server).is_err())
    }

    /// Whether one of these servers has a sighting that may lie in the window.
    fn here(&self, window: Span, servers: &[u32]) -> bool {
        servers.iter().any(|&server| {
            let from = self.days.partition_point(|&(known, _)| known < server);
            let rest = self.days.get(from..).unwrap_or_default();
            let mut own = rest.iter().take_while(|&&(known, _)| known == server);
            own.any(|(_, day)| day.first <= window.last && day.last >= window.first)
        })
    }
}
