//! The same inputs give the same bytes: for any number of threads, any order of the arguments,
//! plain or compressed logs.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::case::{self, Files};
use crate::program::{helotriage, told};

/// All outputs; the last one tells how the inputs were stored.
const OUTPUTS: [&str; 4] = ["tickets.csv", "tickets.jsonl", "sources.csv", "run.json"];

/// Those of them that say nothing of it.
const WHATEVER_STORED: usize = 3;

/// Later than every line of the logs.
const NOW: &str = "2027-01-01T00:00:00Z";

/// A compressor and the name of its format.
type Packer = (&'static str, fn(&[u8]) -> Vec<u8>);

/// Lines of the large logs: enough for several blocks of the parallel reader.
const LINES: u32 = 30_000;

#[test]
fn threads_do_not_matter() {
    let folder = large_case();
    let one = run(folder.path(), "t1", &["--threads", "1"]);
    for threads in ["2", "8"] {
        let more = run(folder.path(), &format!("t{threads}"), &["--threads", threads]);
        assert_same(&one, &more, threads);
    }
}

#[test]
fn the_order_of_arguments_does_not_matter() {
    let folder = large_case();
    let mut inputs: Vec<[String; 2]> = Vec::new();
    for kind in ["scan", "firewall", "mail"] {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder.path().join(kind)).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap().to_str().unwrap();
            inputs.push([format!("--{kind}"), format!("{kind}/{name}")]);
        }
    }
    let policy = without_inputs(folder.path());
    let run_with = |out: &str, inputs: &[[String; 2]]| {
        let mut arguments = vec!["--policy", policy.as_str()];
        arguments.extend(inputs.iter().flatten().map(String::as_str));
        run_any(folder.path(), out, &arguments)
    };
    let sorted = run_with("sorted", &inputs);
    for (shift, name) in [(3, "shifted"), (7, "shifted further")] {
        let mut shuffled = inputs.clone();
        shuffled.reverse();
        shuffled.rotate_left(shift);
        assert_same(&sorted, &run_with(name, &shuffled), name);
    }
}

#[test]
fn compression_does_not_matter() {
    let folder = large_case();
    let plain = run(folder.path(), "plain", &[]);
    let packers: [Packer; 4] =
        [("gz", gzip_members), ("zst", zstd_frame), ("bz2", bzip2_stream), ("xz", xz_stream)];
    let originals = read_logs(folder.path());
    for (name, pack) in packers {
        // Under the same names: what a file is is told by its first bytes.
        for (path, content) in &originals {
            fs::write(path, pack(content)).unwrap();
        }
        let packed = run(folder.path(), name, &[]);
        assert_same(&plain[..WHATEVER_STORED], &packed[..WHATEVER_STORED], name);
    }
}

/// A case with further, larger logs of one more server.
fn large_case() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Files = case::generate(11).files;
    files.retain(|(path, _)| Path::new(path).extension().is_none_or(|ext| ext != "gz"));
    files.push(("scan/large.nessus".to_owned(), large_scan().into_bytes()));
    files.push(("firewall/large.log".to_owned(), large_firewall_log().into_bytes()));
    files.push(("mail/large.log".to_owned(), large_mail_log().into_bytes()));
    case::write_files(folder.path(), &files);
    folder
}

fn large_scan() -> String {
    "<?xml version=\"1.0\" ?>\n<NessusClientData_v2><Report name=\"large\">\
     <ReportHost name=\"203.0.113.126\"><HostProperties>\
     <tag name=\"HOST_END_TIMESTAMP\">1777600000</tag><tag name=\"host-ip\">203.0.113.126</tag>\
     <tag name=\"host-fqdn\">large.corp.example</tag></HostProperties>\
     <ReportItem port=\"25\" svc_name=\"smtp\" protocol=\"tcp\" severity=\"0\" \
     pluginID=\"34861\" pluginName=\"SMTP Server Connection Check\" \
     pluginFamily=\"SMTP problems\"></ReportItem></ReportHost></Report></NessusClientData_v2>\n"
        .to_owned()
}

fn stamp(n: u32) -> String {
    let time = chrono::DateTime::from_timestamp(1_777_000_000 + i64::from(n) * 7, 0).unwrap();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Some thousand sources, each several times.
fn client(n: u32) -> String {
    format!("198.51.{}.{}", 96 + n % 13, n * 7 % 251)
}

fn large_firewall_log() -> String {
    let mut log = String::new();
    for n in 0..LINES {
        let word = if n % 5 == 0 { "BLOCK" } else { "ALLOW" };
        let _ = writeln!(
            log,
            "{} gw7 kernel: [UFW {word}] IN=eth0 OUT=eth1 SRC={} DST=203.0.113.126 LEN=60 TOS=0x00 \
             PREC=0x00 TTL=52 ID={} DF PROTO=TCP SPT={} DPT=25 WINDOW=64240 RES=0x00 SYN URGP=0 ",
            stamp(n),
            client(n),
            n % 65_536,
            20_000 + n % 40_000
        );
    }
    log
}

fn large_mail_log() -> String {
    let mut log = String::new();
    for n in (0..LINES).step_by(3) {
        let (time, ip, pid) = (stamp(n), client(n), 900 + n % 40);
        let counts = if n % 7 == 0 { "ehlo=0/1 commands=0/1" } else { "helo=1 quit=1 commands=2" };
        let _ = writeln!(log, "{time} large postfix/smtpd[{pid}]: connect from unknown[{ip}]");
        let _ = writeln!(
            log,
            "{time} large postfix/smtpd[{pid}]: disconnect from unknown[{ip}] {counts}"
        );
    }
    log
}

/// The policy without its inputs, which the arguments give.
fn without_inputs(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("policy.toml")).unwrap();
    let rest = text.split_once("\n\n").unwrap().1;
    fs::write(folder.join("flags.toml"), rest).unwrap();
    "flags.toml".to_owned()
}

fn run(folder: &Path, out: &str, more: &[&str]) -> Vec<Vec<u8>> {
    run_any(folder, out, &[&["--config", "policy.toml"], more].concat())
}

fn run_any(folder: &Path, out: &str, more: &[&str]) -> Vec<Vec<u8>> {
    let common = ["run", "--now", NOW, "--out", out];
    let output = helotriage(folder, &[&common, more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    OUTPUTS.map(|name| fs::read(folder.join(out).join(name)).unwrap()).to_vec()
}

fn assert_same(one: &[Vec<u8>], other: &[Vec<u8>], what: &str) {
    for (name, (one, other)) in OUTPUTS.iter().zip(one.iter().zip(other)) {
        assert!(!one.is_empty() && one == other, "{name} differs with {what}");
    }
}

fn read_logs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut logs = Vec::new();
    for kind in ["firewall", "mail"] {
        for entry in fs::read_dir(folder.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let content = fs::read(&path).unwrap();
            logs.push((path, content));
        }
    }
    logs
}

/// Three members, cut anywhere, as `cat a.gz b.gz` makes them.
fn gzip_members(text: &[u8]) -> Vec<u8> {
    let third = text.len() / 3 + 1;
    let members = text.chunks(third).map(|part| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    });
    members.flatten().collect()
}

fn zstd_frame(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

fn bzip2_stream(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn xz_stream(text: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}
