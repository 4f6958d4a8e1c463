//! Lays a case out as files: the scan, the firewall and mail logs (plain, compressed, rotated, twice),
//! and the policy that explains them. In: the world. Out: relative paths and bytes.

use std::fmt::Write as _;
use std::io::Write as _;

use chrono_tz::Tz;

use super::mailer::Mailer;
use super::postfix::{Deed, Postfix, Service};
use super::rng::Rng;
use super::stamp::{HOUR, Seconds, file_text};
use super::world::{Asset, LOCAL_DOMAIN, World, partners};
use super::{nessus, stamp};

/// The files of a case by their paths, policy.toml among them.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// Everything that the program is given.
pub(crate) fn lay_out(world: &World, rng: &mut Rng) -> Files {
    let mut files: Files = vec![("scan/mail.nessus".to_owned(), nessus::export(world))];
    let mut zones: Vec<(String, Tz)> = Vec::new();
    for (device, style, log) in [
        ("fw-edge", world.edge.style, &world.edge.log),
        ("gw1", world.ufw.style, &world.ufw.log),
        ("gw2", world.custom.style, &world.custom.log),
    ] {
        let text = file_text(log.sorted().into_iter().map(|(_, line)| line));
        let path = format!("firewall/{device}.log");
        files.push(if rng.chance(30) { (format!("{path}.gz"), gzip(&text)) } else { (path, text) });
        zones.extend(style.unsaid_zone().map(|zone| (format!("firewall/{device}*"), zone)));
    }
    for (index, log) in &world.mail_logs {
        let asset = &world.assets[*index];
        files.extend(match log {
            Mailer::Postfix(log) => postfix_files(log, asset, rng),
            Mailer::Exchange(_) => vec![(format!("mail/{}.LOG", asset.short), whole_text(log))],
        });
        let pattern = format!("mail/{}.*", asset.short);
        zones.extend(log.unsaid_zone().map(|zone| (pattern, zone)));
    }
    files.push(unscanned(world, rng));
    files.push(("policy.toml".to_owned(), policy(world, &zones).into_bytes()));
    files
}

/// A log as one file.
fn whole_text(log: &Mailer) -> Vec<u8> {
    let mut text = log.head().as_bytes().to_vec();
    text.extend(file_text(log.log().sorted().into_iter().map(|(_, line)| line)));
    text
}

/// A Postfix server's log: whole; rotated in the middle of a session; or with a second file that repeats
/// some of its lines among others, as Debian's syslog does.
fn postfix_files(log: &Postfix, asset: &Asset, rng: &mut Rng) -> Files {
    let lines = log.log.sorted();
    let path = format!("mail/{}.log", asset.short);
    let whole = || file_text(lines.iter().map(|(_, line)| *line));
    match rng.below(4) {
        0 => {
            let cut = log.middle_of_a_session();
            let older = lines.iter().filter(|(t, _)| *t <= cut).map(|(_, line)| *line);
            let newer = lines.iter().filter(|(t, _)| *t > cut).map(|(_, line)| *line);
            vec![(format!("{path}.1"), file_text(older)), (path, file_text(newer))]
        }
        1 => {
            let second = lines.iter().enumerate().flat_map(|(i, (t, line))| {
                let stamp = log.style.text(*t);
                let other =
                    format!("{stamp} {} systemd[1]: Started session {i} of root.", log.host);
                [other, (*line).to_owned()]
            });
            let second: Vec<String> = second.collect();
            let syslog = file_text(second.iter().map(String::as_str));
            vec![(path, whole()), (format!("mail/{}.syslog", asset.short), syslog)]
        }
        2 => vec![(format!("{path}.gz"), gzip(&whole()))],
        _ => vec![(path, whole())],
    }
}

/// The log of a mail server that the scan did not find: no ticket may come of it.
fn unscanned(world: &World, rng: &mut Rng) -> (String, Vec<u8>) {
    let style = stamp::Style::Iso(Tz::UTC);
    let mut log = Postfix::new("forgotten".to_owned(), style, true, false);
    let client = "198.51.100.9".parse().unwrap();
    for day in 1..5 {
        let time: Seconds = world.start + day * 86_400 + 5 * HOUR;
        log.session(rng, time, Service::Smtp, client, Deed::Helo);
    }
    let text = file_text(log.log.sorted().into_iter().map(|(_, line)| line));
    ("mail/forgotten.log".to_owned(), text)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn policy(world: &World, zones: &[(String, Tz)]) -> String {
    let mut toml = String::from(
        "[inputs]\nscan = [\"scan/*.nessus\"]\nfirewall = [\"firewall/*\"]\nmail = [\"mail/*\"]\n\
         out = \"out\"\n\n",
    );
    for (pattern, zone) in zones {
        let _ = write!(toml, "[[input]]\npath = \"{pattern}\"\nzone = \"{zone}\"\n\n");
    }
    let covered: Vec<String> = world
        .assets
        .iter()
        .filter(|asset| asset.covered_by_policy)
        .filter_map(|asset| Some(asset.host_ip?.to_string()))
        .collect();
    if !covered.is_empty() {
        let _ = write!(toml, "[[input]]\npath = \"firewall/gw1*\"\ncovers = {covered:?}\n\n");
    }
    let networks = &world.networks;
    let list = |nets: &[ipnet::IpNet]| {
        format!("{:?}", nets.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let _ = write!(
        toml,
        "[networks]\ntrusted = {}\ninternal = {}\nscanners = {}\n\n\
         [verdicts]\n\"FW-OK\" = \"allow\"\n\"FW-NOPE\" = \"deny\"\n\n",
        list(&networks.trusted),
        list(&networks.internal),
        list(&networks.scanners)
    );
    for asset in &world.assets {
        asset_block(&mut toml, asset);
    }
    toml
}

fn asset_block(toml: &mut String, asset: &Asset) {
    let Some(block) = asset.listed else { return };
    let hosts: Vec<String> = if block.by_name {
        vec![asset.report_name.clone().unwrap()]
    } else {
        asset.host_ip.into_iter().chain(asset.twin_ip).map(|ip| ip.to_string()).collect()
    };
    let _ = write!(toml, "[[asset]]\nmatch = {hosts:?}\nrole = \"{}\"\n", block.role.word());
    if block.with_id {
        let _ = writeln!(toml, "id = \"a-{}\"", asset.short);
    }
    let further: Vec<String> = asset
        .known
        .iter()
        .filter(|ip| Some(**ip) != asset.host_ip && Some(**ip) != asset.twin_ip)
        .map(ToString::to_string)
        .collect();
    let _ = writeln!(toml, "addresses = {further:?}");
    if asset.alias {
        let _ = writeln!(toml, "log_names = [\"{}\"]", asset.log_name);
    }
    if block.partners {
        let _ = writeln!(toml, "expected = [\"{}\"]", partners());
    }
    if block.local_domains {
        let _ = writeln!(toml, "local_domains = [\"{LOCAL_DOMAIN}\"]");
    }
    if block.critical {
        toml.push_str("critical = true\n");
    }
    toml.push('\n');
}
