//! Lets things happen to the company: each event is written to the logs that see it and, in the
//! same breath, to the books. In: choices. Out: a world with logs and books.
//!
//! Events of one source on one target lie on different days, so that no two of them can be taken
//! for one another, and reaches lie clearly within or beyond the 30 days of "stale".

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::build::{MOODS, Mood, SPAN};
use super::cisco_asa::Server;
use super::mailer::Visit;
use super::netfilter::{Packet, Word};
use super::postfix::{Deed, Hop, Message};
use super::rng::Rng;
use super::stamp::{DAY, HOUR, Seconds};
use super::truth::{Auth, Book, Helo, MadeSession};
use super::world::{Asset, Firewall, LOCAL_DOMAIN, World, partners};

/// Plays a whole case.
pub(crate) fn play(world: &mut World, rng: &mut Rng) {
    for (index, mood) in MOODS.into_iter().enumerate() {
        for target in world.assets[index].targets.clone() {
            play_target(world, rng, index, target.port, mood);
            scanner(world, rng, index, target.port, mood);
        }
    }
    frame(world, rng);
}

/// Where an event happens.
#[derive(Debug, Clone, Copy)]
struct At {
    asset: usize,
    port: u16,
    client: IpAddr,
}

/// What a source does on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Permitted,
    Denied,
    Unsaid,
    Session,
    Mail,
}

fn play_target(world: &mut World, rng: &mut Rng, asset: usize, port: u16, mood: Mood) {
    if mood == Mood::Uncovered || (mood == Mood::Quiet && world.assets[asset].covered_by_policy) {
        return;
    }
    let crowd = if rng.chance(20) { Crowd::Insiders } else { Crowd::Anyone };
    for _ in 0..=rng.below(4) {
        let Some(client) = source(world, rng, asset, mood, crowd) else { continue };
        let at = At { asset, port, client };
        if world.ledgers.get(&(asset, port)).is_some_and(|l| l.contains_key(&client)) {
            continue;
        }
        for (day, event) in plan(world, rng, at, mood) {
            let time = time_of_day(rng, day);
            happen(world, rng, at, time, event);
        }
    }
}

/// Who visits a target uninvited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crowd {
    Anyone,
    Insiders,
}

/// An address for a source.
fn source(world: &World, rng: &mut Rng, asset: usize, mood: Mood, crowd: Crowd) -> Option<IpAddr> {
    let v4 = |a, b, c, d: u64| Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d as u8)));
    let friendly = mood == Mood::Quiet || (mood != Mood::UnknownOnly && rng.chance(20));
    if friendly {
        return match rng.below(5) {
            0 => v4(10, 20, 3, 1 + rng.below(200)),
            1 => v4(192, 0, 2, 240 + rng.below(15)),
            2 => v4(10, 9, 9, 9 + rng.below(2)),
            3 => Some(world.assets[asset].host_ip.unwrap_or(world.assets[asset].real)),
            _ if world.assets[asset].expects(first_partner()) => v4(192, 0, 2, 128 + rng.below(64)),
            _ => v4(10, 20, 7, 1 + rng.below(200)),
        };
    }
    let first = if crowd == Crowd::Insiders { 6 } else { 0 };
    let last = if crowd == Crowd::Insiders { 9 } else { 10 };
    match first + rng.below(last - first) {
        0..=3 => v4(198, 51, 100, 1 + rng.below(200)),
        4 => v4(192, 0, 2, 1 + rng.below(120)),
        5 => v4(192, 0, 2, 128 + rng.below(64)),
        6 => v4(10, 50, rng.below(9) as u8, 1 + rng.below(200)),
        7 => v4(203, 0, 113, 60 + rng.below(60)),
        8 => v4(100, 64, 3, 1 + rng.below(200)),
        _ if world.assets[asset].v6.is_some() => {
            format!("2001:db8:bad:{:x}::{:x}", rng.below(9), 1 + rng.below(500)).parse().ok()
        }
        _ => v4(198, 51, 100, 1 + rng.below(200)),
    }
}

fn first_partner() -> IpAddr {
    partners().addr()
}

/// The days, counted from the start, and what happens on them.
fn plan(world: &World, rng: &mut Rng, at: At, mood: Mood) -> Vec<(Seconds, Event)> {
    let asset = &world.assets[at.asset];
    let late = asset.mail.is_some_and(|mail| mail.from > world.start);
    let old = rng.chance(15);
    let before_mail_log = late && (old || rng.chance(40));
    let first_day = match (old, before_mail_log) {
        (true, _) => 1,
        (false, true) => SPAN - 25,
        (false, false) => SPAN - 11,
    };
    let count = 1 + rng.below(3) as Seconds;
    let mut planned = Vec::new();
    for day in first_day..first_day + count {
        let event = event(asset, rng, mood, before_mail_log);
        planned.extend(event.map(|event| (day, event)));
    }
    let walled = !asset.firewalls.is_empty() && mood != Mood::UnknownOnly;
    if walled && rng.chance(15) {
        planned.push((SPAN - 3, Event::Denied));
    }
    planned
}

fn event(asset: &Asset, rng: &mut Rng, mood: Mood, before_mail_log: bool) -> Option<Event> {
    let walled = !asset.firewalls.is_empty();
    let logged = asset.mail.is_some() && !before_mail_log;
    let netfilter = asset.firewalls.iter().any(|f| *f != Firewall::Edge);
    let old_postfix = asset.mail.is_some_and(|mail| !mail.shows_helo);
    let wish = match mood {
        Mood::UnknownOnly => Event::Unsaid,
        Mood::Denied => Event::Denied,
        Mood::Firewall => rng.pick(&[Event::Permitted, Event::Permitted, Event::Denied]),
        Mood::Uncovered => return None,
        Mood::Quiet => rng.pick(&[Event::Permitted, Event::Session, Event::Mail]),
        Mood::Harmless => {
            rng.pick(&[Event::Session, Event::Session, Event::Permitted, Event::Denied])
        }
        Mood::Abuse => rng.pick(&[Event::Mail, Event::Mail, Event::Session, Event::Permitted]),
    };
    let wish = if netfilter && rng.chance(4) { Event::Unsaid } else { wish };
    match wish {
        Event::Mail if logged && old_postfix => Some(Event::Session),
        Event::Session | Event::Mail if logged => Some(wish),
        Event::Unsaid => Some(wish),
        Event::Denied if walled => Some(wish),
        _ => walled.then_some(Event::Permitted),
    }
}

/// In the day, or just before midnight, so that a connection ends on the next day.
fn time_of_day(rng: &mut Rng, day: Seconds) -> Seconds {
    let second = if rng.chance(10) { DAY - 20 } else { rng.between(2 * HOUR, 20 * HOUR) };
    day * DAY + second
}

fn happen(world: &mut World, rng: &mut Rng, at: At, offset: Seconds, event: Event) {
    let time = world.start + offset;
    match event {
        Event::Permitted => permitted(world, rng, at, time),
        Event::Denied => denied(world, rng, at, time),
        Event::Unsaid => unsaid(world, rng, at, time),
        Event::Session | Event::Mail => {
            let walled = !world.assets[at.asset].firewalls.is_empty();
            let old_postfix = world.assets[at.asset].mail.is_some_and(|m| !m.shows_helo);
            if walled && (old_postfix || rng.chance(70)) {
                // Most firewalls log just before the mail server; some at the edge of what still
                // belongs together, some beyond it.
                let before = rng.pick(&[0, 1, 2, 2, 2, 2, 110, 200]);
                permitted(world, rng, at, time - before);
            }
            if event == Event::Mail {
                mail(world, rng, at, time);
            } else {
                session(world, rng, at, time);
            }
        }
    }
}

fn book(world: &mut World, at: At) -> &mut Book {
    world.ledgers.entry((at.asset, at.port)).or_default().entry(at.client).or_default()
}

fn permitted(world: &mut World, rng: &mut Rng, at: At, time: Seconds) {
    let client_port = 32_000 + rng.below(28_000) as u16;
    for (hop, firewall) in world.assets[at.asset].firewalls.clone().into_iter().enumerate() {
        let time = time + hop as Seconds;
        if firewall == Firewall::Edge {
            let server = server(world, at);
            // A long one may not end near a session that it does not belong to.
            let duration = (!rng.chance(10)).then(|| rng.between(1, 25));
            world.edge.connection(time, duration, (at.client, client_port), server);
            let flows = book(world, at).devices.entry("fw-edge").or_default();
            flows.allows += 1;
            flows.closes += u64::from(duration.is_some());
        } else {
            let packet = packet(world, at, client_port);
            let netfilter = netfilter(world, firewall);
            netfilter.syn(time, Word::Allow, packet);
            if rng.chance(20) {
                netfilter.stray(time + 30, packet);
            }
            let device = netfilter.device;
            book(world, at).devices.entry(device).or_default().allows += 1;
        }
        book(world, at).permitted.push(time);
    }
}

fn denied(world: &mut World, rng: &mut Rng, at: At, time: Seconds) {
    let client_port = 32_000 + rng.below(28_000) as u16;
    let firewall = world.assets[at.asset].firewalls[0];
    let device = if firewall == Firewall::Edge {
        let asset = &world.assets[at.asset];
        let dialled = if at.client.is_ipv6() {
            asset.v6.unwrap()
        } else {
            asset.mapped.filter(|ip| asset.known.contains(ip)).unwrap_or(asset.real)
        };
        let server = (dialled, at.port);
        if rng.chance(50) {
            world.edge.denied(time, (at.client, client_port), server);
        } else {
            world.edge.denied_by_list(time, (at.client, client_port), server);
        }
        "fw-edge"
    } else {
        let packet = packet(world, at, client_port);
        let netfilter = netfilter(world, firewall);
        netfilter.syn(time, Word::Deny, packet);
        netfilter.device
    };
    book(world, at).devices.entry(device).or_default().denials += 1;
    book(world, at).denied.push(time);
}

fn unsaid(world: &mut World, rng: &mut Rng, at: At, time: Seconds) {
    let firewalls = &world.assets[at.asset].firewalls;
    let firewall = *firewalls.iter().find(|f| **f != Firewall::Edge).unwrap();
    let packet = packet(world, at, 32_000 + rng.below(28_000) as u16);
    netfilter(world, firewall).syn(time, Word::Unsaid, packet);
    book(world, at).unknown.push(time);
}

fn netfilter(world: &mut World, firewall: Firewall) -> &mut super::netfilter::Netfilter {
    if firewall == Firewall::Ufw { &mut world.ufw } else { &mut world.custom }
}

fn packet(world: &World, at: At, src_port: u16) -> Packet {
    let server = server(world, at);
    Packet { src: at.client, src_port, dst: server.real, dst_port: at.port }
}

fn server(world: &World, at: At) -> Server {
    let asset = &world.assets[at.asset];
    let v6 = asset.v6.filter(|_| at.client.is_ipv6());
    let real = v6.unwrap_or(asset.real);
    let mapped = v6.or(asset.mapped).unwrap_or(real);
    Server { real, real_port: at.port, mapped, mapped_port: at.port }
}

fn visit(world: &World, at: At, time: Seconds) -> Visit {
    let local = SocketAddr::new(server(world, at).real, at.port);
    Visit { time, client: at.client, local }
}

fn session(world: &mut World, rng: &mut Rng, at: At, time: Seconds) {
    let counters = world.assets[at.asset].mail.unwrap().shows_helo;
    let deed = if counters {
        rng.pick(&[
            Deed::Connect,
            Deed::Helo,
            Deed::Helo,
            Deed::StartTls,
            Deed::HeloRefused,
            Deed::HeloSyntax,
            Deed::HeloSecondTry,
            Deed::RelayDenied,
            Deed::HeloNameRefusedAtRcpt,
            Deed::AuthFailed,
        ])
    } else {
        rng.pick(&[Deed::Connect, Deed::Helo, Deed::Helo, Deed::HeloRefused, Deed::RelayDenied])
    };
    let visit = visit(world, at, time);
    let log = world.mail_logs.get_mut(&at.asset).unwrap();
    let end = log.session(rng, visit, deed);
    let helo = match deed {
        Deed::Connect => Helo::None,
        Deed::HeloRefused | Deed::HeloSyntax => Helo::Rejected,
        Deed::Helo if !counters => Helo::Unknown,
        _ => Helo::Accepted,
    };
    let auth = if deed == Deed::AuthFailed { Auth::Failed } else { Auth::None };
    let made = MadeSession { start: time, end, helo, auth, queued: false, relayed: false };
    book(world, at).sessions.push(made);
}

fn mail(world: &mut World, rng: &mut Rng, at: At, time: Seconds) {
    let visit = visit(world, at, time);
    let user = rng.chance(35).then_some("alice");
    if user.is_some() && rng.chance(30) {
        let log = world.mail_logs.get_mut(&at.asset).unwrap();
        let end = log.session(rng, visit, Deed::AuthOnly);
        let (helo, auth) = (Helo::Accepted, Auth::Ok);
        let made = MadeSession { start: time, end, helo, auth, queued: false, relayed: false };
        book(world, at).sessions.push(made);
        return;
    }
    let messages: Vec<Message> = (0..=rng.below(2)).map(|_| message(rng)).collect();
    let log = &world.mail_logs[&at.asset];
    let relayed = log.shows_deliveries() && messages.iter().any(|m| is_relaying(world, at, m));
    let log = world.mail_logs.get_mut(&at.asset).unwrap();
    let end = log.mail(rng, visit, user, &messages);
    let auth = if user.is_some() { Auth::Ok } else { Auth::None };
    let made = MadeSession { start: time, end, helo: Helo::Accepted, auth, queued: true, relayed };
    book(world, at).sessions.push(made);
}

fn message(rng: &mut Rng) -> Message {
    let outside: IpAddr = format!("198.51.100.{}", 240 + rng.below(10)).parse().unwrap();
    let inside: IpAddr =
        rng.pick(&["10.0.7.7", "203.0.113.99", "10.20.0.77", "192.0.2.241"]).parse().unwrap();
    let (recipient, orig_to, hop) = rng.pick(&[
        ("bob@corp.example", None, Hop::Mailbox),
        ("bob@corp.example", None, Hop::Mailbox),
        ("bob@corp.example", None, Hop::Smtp(inside)),
        ("bob@corp.example", None, Hop::Smtp(outside)),
        ("eve@foreign.example", None, Hop::Smtp(outside)),
        ("eve@foreign.example", None, Hop::Smtp(outside)),
        ("eve@foreign.example", None, Hop::Smtp(inside)),
        ("eve@foreign.example", None, Hop::Bounced(outside)),
        ("carol@foreign.example", Some("carol@corp.example"), Hop::Smtp(outside)),
    ]);
    let delayed = if rng.chance(15) { rng.between(600, 3000) } else { 0 };
    Message { recipient, orig_to, hop, filtered: rng.chance(20), delayed }
}

/// Delivered to a next hop of class external for a recipient outside the local domains.
fn is_relaying(world: &World, at: At, message: &Message) -> bool {
    let Hop::Smtp(hop) = message.hop else { return false };
    let given = message.orig_to.unwrap_or(message.recipient);
    let listed = world.assets[at.asset].listed;
    let local = listed.is_some_and(|b| b.local_domains)
        && given.split('@').next_back() == Some(LOCAL_DOMAIN);
    let networks = &world.networks;
    let ours = networks.is_internal(hop) || networks.is_trusted(hop);
    !ours && !local
}

/// The scanner's own visit, in the scan's time: expected everywhere.
fn scanner(world: &mut World, rng: &mut Rng, asset: usize, port: u16, mood: Mood) {
    let silent = matches!(mood, Mood::Uncovered | Mood::UnknownOnly);
    if silent || world.assets[asset].covered_by_policy {
        return;
    }
    let at = At { asset, port, client: world.networks.export_scanner };
    let time = world.scan_time + 60 * asset as Seconds;
    permitted(world, rng, at, time);
    let visit = visit(world, at, time);
    if let Some(log) = world.mail_logs.get_mut(&asset) {
        let end = log.session(rng, visit, Deed::Helo);
        let (helo, auth) = (Helo::Accepted, Auth::None);
        let made = MadeSession { start: time, end, helo, auth, queued: false, relayed: false };
        book(world, at).sessions.push(made);
    }
}

/// First and last lines of every log, and lines that must not count.
fn frame(world: &mut World, rng: &mut Rng) {
    let (start, end) = (world.start, world.end);
    for time in [start, end - 60] {
        world.edge.edge_mark(time);
        world.ufw.edge_mark(time);
        world.custom.edge_mark(time);
    }
    let monitor: IpAddr = "10.20.0.5".parse().unwrap();
    for (index, log) in &mut world.mail_logs {
        let mail = world.assets[*index].mail.unwrap();
        for time in [mail.from, mail.to - 120] {
            let local = SocketAddr::new(world.assets[*index].real, 25);
            log.session(rng, Visit { time, client: monitor, local }, Deed::Helo);
        }
        log.noise(mail.from + 7 * HOUR, "198.51.100.66".parse().unwrap());
    }
    noise(world);
}

/// Traffic that has an asset's address and a mail port in it without being a visit.
fn noise(world: &mut World) {
    let foreign: IpAddr = "198.51.100.222".parse().unwrap();
    let time = world.start + 9 * HOUR;
    for index in 0..world.assets.len() {
        let port = world.assets[index].targets[0].port;
        let at = At { asset: index, port, client: foreign };
        for firewall in world.assets[index].firewalls.clone() {
            if firewall == Firewall::Edge {
                let server = server(world, at);
                world.edge.outbound(time, foreign, server);
            } else {
                let packet = packet(world, at, 40_999);
                netfilter(world, firewall).noise(time, packet);
            }
        }
    }
}
