//! MB/s of each format's parser and of whole reads. In: the project's samples, repeated. Run with
//! `cargo bench`; one format: `cargo bench -- firewall/netfilter`. Whole runs against other tools
//! are timed by `benches/compare`.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use helotriage::logs::envelope;
use helotriage::logs::firewall::{self, FirewallFormat};
use helotriage::logs::line::{Columns, Line};
use helotriage::logs::mail::{self, MailFormat};
use helotriage::logs::read::{LogInput, ReadOptions, Selection, Sink, read_logs};
use helotriage::model::flow::FlowEvent;
use helotriage::model::input::{Devices, InputKind};
use helotriage::model::policy::Policy;
use helotriage::model::session::SessionView;
use helotriage::model::time::Timestamp;
use helotriage::pipeline::{self, Job, Window};
use helotriage::scan::read::{ScanOptions, read_scan};
use helotriage::tickets::Templates;
use helotriage::writers::escape::CsvSafe;
use helotriage::writers::profiles::Chosen;

/// Bytes that a parser is timed on.
const PARSED: usize = 1 << 20;

/// Bytes of a log that is read whole.
const READ: usize = 64 << 20;

fn samples(kind: &str, name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(kind).join(name);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).expect("samples").map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "jsonl"));
    paths.sort();
    paths.iter().flat_map(|path| fs::read(path).expect("sample")).collect()
}

fn repeated(text: &[u8], size: usize) -> Vec<u8> {
    text.repeat(size / text.len().max(1) + 1)
}

/// Runs over the lines as a reader would: headers set the columns, lines that are recognised (or
/// stand under a header) are parsed. Gives what `parse` gives, summed.
fn parse_all(
    text: &[u8],
    header: impl Fn(&[u8]) -> Option<Columns>,
    parse: impl Fn(&Line<'_>, &Columns) -> usize,
) -> usize {
    let mut columns = Columns::NONE;
    let mut count = 0;
    for raw in text.split(|&b| b == b'\n') {
        if let Some(found) = header(raw) {
            columns = found;
        }
        count += black_box(parse(&envelope::open(raw), &columns));
    }
    count
}

fn parse_firewall(format: &dyn FirewallFormat, text: &[u8]) -> usize {
    parse_all(
        text,
        |raw| format.header(raw),
        |line, columns| {
            let mut records = Vec::new();
            if format.recognises(line) || !columns.is_empty() {
                format.parse(line, columns, &mut records);
            }
            records.len()
        },
    )
}

fn parse_mail(format: &dyn MailFormat, text: &[u8]) -> usize {
    parse_all(
        text,
        |raw| format.header(raw),
        |line, columns| {
            let mut records = Vec::new();
            if format.recognises(line) || !columns.is_empty() {
                format.parse(line, columns, &mut records);
            }
            records.len()
        },
    )
}

fn parsers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("firewall");
    for format in firewall::FORMATS {
        let text = repeated(&samples("firewall", format.name()), PARSED);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format.name(), |b| b.iter(|| parse_firewall(*format, &text)));
    }
    group.finish();
    let mut group = criterion.benchmark_group("mail");
    for format in mail::FORMATS {
        let text = repeated(&samples("mail", format.name()), PARSED);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format.name(), |b| b.iter(|| parse_mail(*format, &text)));
    }
    group.finish();
}

/// Counts what arrives.
#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn flow(&mut self, _event: FlowEvent, _devices: &Devices) {
        self.0 += 1;
    }

    fn session(&mut self, _: &SessionView<'_>, _: &'static str) {
        self.0 += 1;
    }
}

fn read_all(path: &Path, policy: &Policy) -> u64 {
    let input = LogInput {
        path: path.to_path_buf(),
        kind: InputKind::Log,
        number: 0,
        settings: policy.input_settings(path),
    };
    let options = ReadOptions {
        now: Some(Timestamp::from_seconds(1_796_000_000)),
        ..ReadOptions::new(Selection::Ports([25, 465, 587].into()), &policy.verdicts)
    };
    let mut count = Count::default();
    read_logs(vec![input], &options, &mut Devices::default(), &mut count, &|_| ());
    count.0
}

/// Whole reads, from the file to events: source, needles, envelope, parser, joiner, sessions.
fn reads(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let policy = Policy::default();
    let mut group = criterion.benchmark_group("read");
    group.sample_size(10);
    for (kind, name) in [("firewall", "netfilter"), ("firewall", "cisco_asa"), ("mail", "postfix")]
    {
        let text = repeated(&samples(kind, name), READ);
        let path = folder.path().join(name);
        fs::write(&path, &text).expect("a log");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| read_all(&path, &policy)));
    }
    group.finish();
}

/// A whole run on generated data: scan, a firewall log and a mail log that speak of its target,
/// to the published outputs.
fn runs(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, &text).expect("an input");
        (path.to_string_lossy().into_owned(), text.len() as u64)
    };
    let (scan, scan_size) = write("scan.nessus", generated_scan());
    let (firewall, firewall_size) = write("firewall.log", (0..EVENTS).map(packet).collect());
    let (mail, mail_size) = write("mail.log", (0..EVENTS).step_by(9).map(session).collect());
    let job = Job {
        policy: Policy::default(),
        scan: vec![scan],
        firewall: vec![firewall],
        mail: vec![mail],
        out: folder.path().join("out"),
        templates: Templates::built_in().expect("templates"),
        profiles: Chosen::default(),
        csv_safe: CsvSafe::default(),
        state: None,
        now: Some(Timestamp::from_seconds(1_796_000_000)),
        clock: Timestamp::from_seconds(1_796_000_000),
        window: Window::default(),
        scan_options: ScanOptions::default(),
        max_reject: 20,
        arguments: BTreeMap::new(),
    };
    let mut group = criterion.benchmark_group("run");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(scan_size + firewall_size + mail_size));
    group.bench_function("end to end", |b| {
        b.iter(|| pipeline::run(&job, &|_| (), &mut |_| Ok(())).expect("a run").written.len());
    });
    group.finish();
}

/// Packets of the generated firewall log; every fiftieth goes to the target's port.
const EVENTS: u32 = 200_000;

fn generated_scan() -> String {
    "<?xml version=\"1.0\" ?>\n<NessusClientData_v2><Report name=\"bench\">\
     <ReportHost name=\"203.0.113.25\"><HostProperties>\
     <tag name=\"HOST_END_TIMESTAMP\">1793600000</tag><tag name=\"host-ip\">203.0.113.25</tag>\
     <tag name=\"host-fqdn\">mx1.example.com</tag></HostProperties>\
     <ReportItem port=\"25\" svc_name=\"smtp\" protocol=\"tcp\" severity=\"0\" pluginID=\"10263\" \
     pluginName=\"SMTP Server Detection\" pluginFamily=\"Service detection\"></ReportItem>\
     </ReportHost></Report></NessusClientData_v2>\n"
        .to_owned()
}

fn stamp(n: u32) -> String {
    format!("2026-11-02T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60)
}

/// An address of the range for benchmarks (RFC 2544).
fn client(n: u32) -> String {
    format!("198.18.{}.{}", n / 251 % 251, n % 251)
}

fn packet(n: u32) -> String {
    let port = if n.is_multiple_of(50) { 25 } else { 443 };
    format!(
        "{} fw1 kernel: [UFW ALLOW] IN=eth0 OUT=eth1 SRC={} DST=203.0.113.25 LEN=60 TOS=0x00 \
         PREC=0x00 TTL=52 ID={} DF PROTO=TCP SPT={} DPT={port} WINDOW=64240 RES=0x00 SYN URGP=0\n",
        stamp(n),
        client(n),
        n % 65_536,
        20_000 + n % 40_000
    )
}

fn session(n: u32) -> String {
    let (time, ip, pid) = (stamp(n), client(n), 900 + n % 40);
    format!(
        "{time} mx1 postfix/smtpd[{pid}]: connect from unknown[{ip}]\n\
         {time} mx1 postfix/smtpd[{pid}]: disconnect from unknown[{ip}] ehlo=1 quit=1 commands=2\n"
    )
}

/// A scan, from bytes to findings.
fn scans(criterion: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/demo/scan");
    let file = fs::read_dir(path).expect("the demo's scan").next().expect("a file").expect("entry");
    let text = fs::read(file.path()).expect("a scan");
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let options = ScanOptions::default();
    group.bench_function("nessus", |b| {
        b.iter(|| {
            read_scan(&mut text.as_slice(), &file.path(), 0, &options).map(|s| s.hosts.len())
        });
    });
    group.finish();
}

criterion_group!(benches, parsers, reads, scans, runs);
criterion_main!(benches);
