//! Logs read night after night while they grow, are rotated, compressed, truncated, copied: every
//! line that was ever written counts once, and keeps its number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;
use crate::model::input::Status;
use crate::model::session::SessionView;

/// Puts records on lines of a firewall's log; the record's number is its source port.
fn lines(numbers: std::ops::Range<u16>) -> String {
    let line = |n: u16| {
        format!(
            "2026-11-02 10:{:02}:{:02} ALLOW TCP 198.51.100.8 203.0.113.25 {n} 25 0 - 0 0 0 - - - \
             RECEIVE\n",
            n / 60 % 60,
            n % 60
        )
    };
    numbers.map(line).collect()
}

const HEADER: &str = "#Version: 1.5\n#Software: Microsoft Windows Firewall\n#Time Format: Local\n\
    #Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack \
    tcpwin icmptype icmpcode info path\n\n";

/// The same for a format without header lines.
fn plain_lines(numbers: std::ops::Range<u16>) -> String {
    let line = |n: u16| {
        format!(
            "Nov  2 10:{:02}:{:02} fw1 kernel: FWD-ACCEPT IN=eth0 OUT=eth1 SRC=198.51.100.8 \
             DST=203.0.113.25 LEN=60 TOS=0x00 PREC=0x00 TTL=50 ID=7 DF PROTO=TCP SPT={n} DPT=25 \
             WINDOW=64240 RES=0x00 SYN URGP=0\n",
            n / 60 % 60,
            n % 60
        )
    };
    numbers.map(line).collect()
}

#[derive(Default)]
struct Ports(Vec<(u16, u32, u64)>);

impl Sink for Ports {
    fn flow(&mut self, event: FlowEvent, _devices: &Devices) {
        self.0.push((event.flow.src_port, event.at.input, event.at.line));
    }

    fn session(&mut self, _: &SessionView<'_>, _: &'static str) {}
}

/// A folder of logs and what the runs over it leave behind.
struct Nights {
    folder: tempfile::TempDir,
    cursors: Vec<Cursor>,
    seen: BTreeMap<u16, (u32, u64)>,
    twice: BTreeSet<u16>,
    notes: Vec<String>,
    last: BTreeMap<String, InputReport>,
}

impl Nights {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            cursors: Vec::new(),
            seen: BTreeMap::new(),
            twice: BTreeSet::new(),
            notes: Vec::new(),
            last: BTreeMap::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Writes the compressed text and removes the plain one.
    fn gzip(&self, from: &str, to: &str) {
        let text = fs::read(self.path(from)).unwrap();
        let file = File::create(self.path(to)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        encoder.finish().unwrap();
        self.remove(from);
    }

    /// One night's run over all files.
    fn run(&mut self) -> &mut Self {
        let mut names: Vec<PathBuf> =
            fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        let inputs = (0..).zip(names).map(|(number, path)| LogInput {
            path,
            kind: InputKind::Firewall,
            number,
            settings: InputSettings::default(),
        });
        let ports = Selection::Ports(BTreeSet::from([25]));
        let verdicts = BTreeMap::new();
        let mut options = ReadOptions::new(ports, &verdicts);
        options.block_size = 4 << 10;
        let carried = Carried::default();
        let first_number = self.cursors.len() as u32;
        let mut nightly = Nightly { cursors: &self.cursors, first_number, carried };
        let mut sink = Ports::default();
        let mut devices = Devices::default();
        let read =
            read_new(inputs.collect(), &options, &mut nightly, &mut devices, &mut sink, &|_| ());
        for (port, input, line) in sink.0 {
            if self.seen.insert(port, (input, line)).is_some() {
                self.twice.insert(port);
            }
        }
        self.remember(read);
        self
    }

    /// What the state does: cursors move on, new contents get rows.
    fn remember(&mut self, read: Vec<ReadInput>) {
        self.last.clear();
        let mut added: Vec<Cursor> = Vec::new();
        for ReadInput { report, number, continues, reached } in read {
            assert!(report.tally.adds_up(), "{report:?}");
            self.notes.extend(report.notes.iter().cloned());
            let name = report.path.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(reached) = reached {
                let path = report.path.clone();
                match continues.and_then(|number| self.cursors.get_mut(number as usize)) {
                    Some(known) => *known = Cursor { number: known.number, path, reached },
                    None => added.push(Cursor { number, path, reached }),
                }
            }
            self.last.insert(name, report);
        }
        added.sort_by_key(|cursor| cursor.number);
        for cursor in added {
            let number = self.cursors.len() as u32;
            // Numbers of inputs that were not committed leave gaps in this test only.
            for seen in self.seen.values_mut().filter(|seen| seen.0 == cursor.number) {
                seen.0 = number;
            }
            self.cursors.push(Cursor { number, ..cursor });
        }
    }

    /// All numbers below that were read, each once.
    #[track_caller]
    fn have(&self, numbers: std::ops::Range<u16>) {
        let seen: Vec<u16> = self.seen.keys().copied().collect();
        assert_eq!(seen, numbers.collect::<Vec<_>>());
        assert_eq!(self.twice, BTreeSet::new());
    }

    /// The line at which a record was read.
    fn line_of(&self, number: u16) -> u64 {
        self.seen[&number].1
    }
}

#[test]
fn what_is_appended_is_read_once_and_lines_go_on() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..1));
    nights.run();
    for (from, to) in [(1, 2), (2, 90), (90, 91), (91, 400)] {
        nights.append("fw.log", &plain_lines(from..to));
        nights.run();
        assert_eq!(nights.last["fw.log"].tally.lines, u64::from(to - from));
    }
    nights.run();
    nights.have(0..400);
    assert_eq!(nights.line_of(399), 400);
    assert_eq!(nights.last["fw.log"].tally.lines, 0);
    assert_eq!(nights.cursors.len(), 1, "one row however often a file grows");
}

#[test]
fn rotation_is_known_by_content() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..50));
    nights.run();
    nights.append("fw.log", &plain_lines(50..60));
    nights.rename("fw.log", "fw.log.1");
    nights.write("fw.log", &plain_lines(60..70));
    nights.run().have(0..70);
    assert_eq!((nights.line_of(55), nights.line_of(65)), (56, 6));
    // Renamed, then still written to by a daemon that has not reopened it.
    nights.append("fw.log.1", &plain_lines(70..75));
    nights.run().have(0..75);
    // Compressed, with a tail that nobody has read.
    nights.append("fw.log.1", &plain_lines(75..80));
    nights.gzip("fw.log.1", "fw.log.2.gz");
    nights.rename("fw.log", "fw.log.1");
    nights.write("fw.log", &plain_lines(80..81));
    nights.run().have(0..81);
    assert_eq!(nights.line_of(79), 70);
    nights.run().have(0..81);
    assert_eq!(nights.cursors.len(), 3);
}

#[test]
fn a_read_file_that_is_compressed_is_not_read_again() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..500));
    nights.run();
    nights.gzip("fw.log", "fw.log.gz");
    nights.run().have(0..500);
    assert_eq!(nights.last["fw.log.gz"].tally.lines, 0);
    // The shortcut: the file is not even opened as text, so that it may be damaged by now.
    let path = nights.path("fw.log.gz");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let size = file.metadata().unwrap().size();
    std::os::unix::fs::FileExt::write_all_at(&file, b"damage!!", size - 8).unwrap();
    file.set_modified(modified).unwrap();
    nights.run().have(0..500);
    assert_eq!(nights.last["fw.log.gz"].status, Status::Complete);
}

#[test]
fn plain_and_compressed_together_count_once() {
    let mut nights = Nights::new();
    nights.write("fw.log.1", &plain_lines(0..300));
    nights.copy("fw.log.1", "copy");
    nights.gzip("copy", "fw.log.1.gz");
    nights.run().have(0..300);
    nights.run().have(0..300);
    nights.remove("fw.log.1");
    nights.run().have(0..300);
}

#[test]
fn truncated_and_replaced_files_begin_anew() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..100));
    nights.run();
    // copytruncate
    nights.copy("fw.log", "fw.log.1");
    nights.write("fw.log", &plain_lines(100..110));
    nights.run().have(0..110);
    // copytruncate, grown beyond the old offset by the next run
    nights.copy("fw.log", "fw.log.2");
    nights.write("fw.log", &plain_lines(110..300));
    nights.run().have(0..300);
    // Truncated to nothing, and to the same size.
    nights.write("fw.log", "");
    nights.run().have(0..300);
    nights.write("fw.log", &plain_lines(300..490));
    nights.run().have(0..490);
}

#[test]
fn an_inode_used_again_is_another_file() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..100));
    nights.run();
    // Written over in place: the same inode, more bytes than before.
    nights.write("fw.log", &plain_lines(100..250));
    nights.run().have(0..250);
}

#[test]
fn identical_backups_count_once_in_whatever_order_they_appear() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..100));
    nights.run();
    nights.copy("fw.log", "backup.log");
    nights.run().have(0..100);
    // The backup stays behind, then disappears, then comes back.
    nights.append("fw.log", &plain_lines(100..150));
    nights.run().have(0..150);
    nights.run().have(0..150);
    nights.append("backup.log", &plain_lines(100..120));
    nights.run().have(0..150);
    nights.remove("fw.log");
    nights.run().have(0..150);
    assert_eq!(nights.notes, [""; 0]);
}

#[test]
fn copies_that_go_different_ways_share_what_they_share() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..100));
    nights.run();
    nights.copy("fw.log", "other.log");
    nights.append("fw.log", &plain_lines(100..130));
    nights.append("other.log", &plain_lines(200..210));
    nights.run();
    assert_eq!(nights.twice, BTreeSet::new());
    assert_eq!(nights.seen.len(), 140);
    assert_eq!((nights.line_of(100), nights.line_of(200)), (101, 101));
    nights.append("fw.log", &plain_lines(130..140));
    nights.append("other.log", &plain_lines(210..220));
    nights.run();
    assert_eq!(nights.twice, BTreeSet::new());
    assert_eq!(nights.seen.len(), 160);
}

#[test]
fn an_older_copy_is_told() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..100));
    nights.run();
    let old = plain_lines(0..60);
    // Beside the original it is known as its beginning.
    nights.write("old.log", &old);
    nights.run().have(0..100);
    assert!(matches!(nights.last["old.log"].status, Status::DuplicateOf(0)));
    // Where the original is no input any more, it can only be warned of.
    let other = tempfile::tempdir().unwrap();
    let away = other.path().join("fw.log");
    fs::rename(nights.path("fw.log"), &away).unwrap();
    nights.cursors.truncate(1);
    nights.cursors[0].path = away;
    nights.run();
    assert_eq!(nights.notes.len(), 1, "{:?}", nights.notes);
    assert!(nights.notes[0].contains("an older copy"), "{:?}", nights.notes);
}

#[test]
fn files_that_begin_alike_are_told_apart() {
    let mut nights = Nights::new();
    let comment = format!("#{}\n", "-".repeat(6 << 10));
    let header = HEADER.replacen("#Fields", &(comment + "#Fields"), 1);
    for (name, from) in [("a.log", 0), ("b.log", 100), ("c.log", 200)] {
        nights.write(name, &(header.clone() + &lines(from..from + 100)));
    }
    nights.run().have(0..300);
    nights.append("b.log", &lines(300..310));
    nights.run().have(0..310);
    nights.gzip("a.log", "a.log.1.gz");
    nights.append("c.log", &lines(310..320));
    nights.run().have(0..320);
}

#[test]
fn columns_hold_for_what_is_read_later() {
    let mut nights = Nights::new();
    nights.write("fw.log", HEADER);
    nights.write("fw2.log", HEADER);
    nights.run();
    nights.append("fw.log", &lines(0..10));
    nights.run().have(0..10);
    // Another order of columns since, in a header in the middle.
    let fields = "#Fields: date time action protocol dst-ip src-ip dst-port src-port\n";
    let turned =
        |n: u16| format!("2026-11-02 12:00:00 ALLOW TCP 203.0.113.25 198.51.100.8 25 {n}\n");
    nights.append("fw.log", &(fields.to_owned() + &turned(10)));
    nights.run().have(0..11);
    nights.append("fw.log", &(11..40).map(turned).collect::<String>());
    nights.append("fw2.log", &lines(40..45));
    nights.run().have(0..45);
    assert_eq!(nights.line_of(39), 46);
    nights.append("fw.log", &(45..50).map(turned).collect::<String>());
    nights.gzip("fw.log", "fw.log.1.gz");
    nights.run().have(0..50);
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let mut nights = Nights::new();
    let text = plain_lines(0..20);
    let (first, second) = text.split_at(text.len() - 40);
    nights.write("fw.log", first);
    nights.run().have(0..19);
    nights.append("fw.log", second);
    nights.run().have(0..20);
    nights.write("new.log", "half a li");
    nights.run().have(0..20);
    // Also across rotation and compression; a compressed file ends where it ends.
    let text = plain_lines(20..40);
    let (first, second) = text.trim_end().split_at(text.len() - 100);
    nights.append("fw.log", first);
    nights.run().have(0..39);
    nights.append("fw.log", second);
    nights.gzip("fw.log", "fw.log.1.gz");
    nights.run().have(0..40);
    assert_eq!(nights.line_of(39), 40);
    nights.run().have(0..40);
}

#[test]
fn a_file_of_one_line_has_an_identity_and_keeps_it_while_it_grows() {
    let mut nights = Nights::new();
    nights.write("fw.log", &plain_lines(0..1));
    nights.write("other.log", &plain_lines(200..201));
    for n in 1..60 {
        nights.run();
        nights.append("fw.log", &plain_lines(n..n + 1));
    }
    nights.rename("fw.log", "fw.log.1");
    nights.append("other.log", &plain_lines(201..202));
    nights.run();
    assert_eq!(nights.twice, BTreeSet::new());
    assert_eq!(nights.seen.len(), 62);
    assert_eq!(nights.cursors.len(), 2);
}

#[test]
fn delayed_compression_and_a_run_every_third_day() {
    let mut nights = Nights::new();
    nights.write("fw.log", "");
    let mut next = 0;
    for day in 0..40u16 {
        let more = 3 + day * 7 % 23;
        nights.append("fw.log", &plain_lines(next..next + more));
        next += more;
        if day % 3 == 0 {
            nights.run().have(0..next);
        }
        // logrotate: rotate 6, compress, delaycompress
        for old in (2..6).rev() {
            let (from, to) = (format!("fw.log.{old}.gz"), format!("fw.log.{}.gz", old + 1));
            if nights.path(&from).exists() {
                nights.rename(&from, &to);
            }
        }
        if nights.path("fw.log.1").exists() {
            nights.gzip("fw.log.1", "fw.log.2.gz");
        }
        nights.rename("fw.log", "fw.log.1");
        nights.write("fw.log", "");
    }
    nights.run().have(0..next);
}

#[test]
fn utf16_is_read_on_as_its_text() {
    let encode = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut nights = Nights::new();
    let path = nights.path("fw.log");
    let mut file = File::create(&path).unwrap();
    file.write_all(&encode(&format!("\u{feff}{HEADER}{}half", lines(0..30)))).unwrap();
    nights.run().have(0..30);
    let size = file.metadata().unwrap().len();
    file.set_len(size - 8).unwrap();
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&encode(&lines(30..40))).unwrap();
    nights.run().have(0..40);
    assert_eq!(nights.line_of(39), 45);
}

#[test]
fn a_stream_that_ends_badly_moves_nothing() {
    let mut nights = Nights::new();
    nights.write("fw.log.1", &plain_lines(0..2000));
    nights.gzip("fw.log.1", "fw.log.1.gz");
    let path = nights.path("fw.log.1.gz");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    nights.run();
    assert!(matches!(nights.last["fw.log.1.gz"].status, Status::Partial(_)));
    assert_eq!(nights.cursors, []);
    nights.seen.clear();
    fs::write(&path, &whole).unwrap();
    nights.run().have(0..2000);
}
