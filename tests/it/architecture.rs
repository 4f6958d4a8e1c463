//! The rules of ARCHITECTURE.md that a machine can check: who may use whom, and that a log format
//! is a file, an entry in the list, samples and a README row, all under one name.

use std::fs;
use std::path::{Path, PathBuf};

use helotriage::logs::{firewall, mail};
use helotriage::writers::profiles;

/// The modules in the order in which the data flows: each uses only itself and what stands before.
const ORDER: &[&str] = &[
    "error",
    "model",
    "policy",
    "scan",
    "logs",
    "correlate",
    "judge",
    "tickets",
    "writers",
    "state",
    "pipeline",
    "cli",
    "main",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    rust_files(&root().join("src"), &mut found);
    found.sort();
    found
}

/// The top-level module that a source file belongs to.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == module)
}

#[test]
fn modules_use_only_what_stands_before_them() {
    let mut wrong = Vec::new();
    for file in sources() {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let own = rank(&module).unwrap_or_else(|| panic!("{module} has no place in the order"));
        for (number, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let name: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                // scan and logs stand side by side.
                let beside = module == "logs" && name == "scan";
                if rank(&name).is_some_and(|used| used > own) || beside {
                    wrong.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of the modules:\n{}", wrong.join("\n"));
}

#[test]
fn outside_things_have_one_owner() {
    let owners: &[(&str, &[&str])] = &[
        ("quick_xml", &["scan"]),
        ("clap", &["cli"]),
        ("rusqlite", &["state"]),
        ("rayon", &["logs", "scan", "judge", "writers", "pipeline"]),
        ("signal_hook", &["cli"]),
    ];
    let mut wrong = Vec::new();
    for file in sources() {
        let module = module_of(&file);
        let text = fs::read_to_string(&file).unwrap();
        for (crate_name, allowed) in owners {
            let uses = text.lines().any(|line| {
                let code = line.trim_start();
                !code.starts_with("//") && code.contains(&format!("{crate_name}::"))
            });
            if uses && !allowed.contains(&module.as_str()) {
                wrong.push(format!("{} uses {crate_name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_has_a_header() {
    let bare: Vec<_> = sources()
        .into_iter()
        .filter(|file| !fs::read_to_string(file).unwrap().starts_with("//!"))
        .collect();
    assert!(bare.is_empty(), "no //! header: {bare:?}");
}

/// A format is one file, one list entry, one sample folder, one README row.
fn check_formats(kind: &str, trait_name: &str, listed: &[&str]) {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for name in listed {
        let file = root().join(format!("src/logs/{kind}/{name}.rs"));
        let folder = root().join(format!("src/logs/{kind}/{name}/mod.rs"));
        assert!(file.exists() || folder.exists(), "{kind} format {name}: no file of that name");
        let samples = root().join(format!("samples/{kind}/{name}"));
        let logs = fs::read_dir(&samples).map_or(0, |entries| {
            entries
                .filter(|e| e.as_ref().unwrap().path().extension() != Some("jsonl".as_ref()))
                .count()
        });
        assert!(logs > 0, "{kind} format {name}: no sample in {}", samples.display());
        assert!(readme.contains(&format!("`{name}`")), "{kind} format {name}: no README row");
    }
    for file in sources() {
        let inside = file.starts_with(root().join(format!("src/logs/{kind}")));
        let text = fs::read_to_string(&file).unwrap();
        if inside && text.contains(&format!("impl {trait_name} for Format")) {
            let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
            let name = if stem == "mod" {
                file.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned()
            } else {
                stem
            };
            assert!(listed.contains(&name.as_str()), "{} is not in the list", file.display());
        }
    }
}

/// A profile is one file, one list entry, one README row that names all its files.
#[test]
fn profiles_are_complete() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for profile in profiles::PROFILES {
        let name = profile.name();
        let file = root().join(format!("src/writers/profiles/{}.rs", name.replace('-', "_")));
        assert!(file.exists(), "profile {name}: no {}", file.display());
        let start = format!("| `{name}` |");
        let row = readme.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("README: no row of profile {name}"));
        for file in profile.files() {
            assert!(row.contains(file), "README: {row} does not name {file}");
        }
    }
}

#[test]
fn firewall_formats_are_complete() {
    let names: Vec<_> = firewall::FORMATS.iter().map(|format| format.name()).collect();
    check_formats("firewall", "FirewallFormat", &names);
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for format in firewall::FORMATS {
        let start = format!("| `{}` |", format.name());
        let row = readme.lines().find(|line| line.starts_with(&start)).unwrap();
        let shows: Vec<_> = format.shows().iter().map(|shows| shows.word()).collect();
        let end = format!("| {} |", shows.join(" "));
        assert!(row.ends_with(&end), "README: {row}; expected {end}");
    }
}

#[test]
fn mail_formats_are_complete() {
    let names: Vec<_> = mail::FORMATS.iter().map(|format| format.name()).collect();
    check_formats("mail", "MailFormat", &names);
}
