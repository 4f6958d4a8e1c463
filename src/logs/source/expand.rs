//! From what the user typed to a list of files. In: files, folders, globs that the shell left alone,
//! `-`. Out: regular files sorted by path, each once, so that the order of the arguments does not
//! matter; and what was refused, with the reason.
//!
//! Symbolic links are followed where the user names them or a glob does; inside a folder that is
//! walked they are not, so that no loop and no way out of the folder is taken.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::{STDIN, describe, not_regular};
use crate::error::{Error, Place};

/// The files that arguments stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Files to read, sorted, each path once.
    pub files: Vec<PathBuf>,
    /// What cannot be read, sorted by path.
    pub refused: Vec<Error>,
}

/// Folders within folders that are walked.
const DEEPEST: usize = 64;

/// Expands paths, folders and globs.
pub fn expand<P: AsRef<Path>>(patterns: &[P]) -> Found {
    let mut walk = Walk::default();
    for pattern in patterns {
        walk.add_argument(pattern.as_ref());
    }
    let mut refused = walk.refused;
    refused.sort_by(|a, b| (&a.path, &a.message).cmp(&(&b.path, &b.message)));
    refused.dedup();
    Found { files: walk.files.into_iter().collect(), refused }
}

#[derive(Default)]
struct Walk {
    files: BTreeSet<PathBuf>,
    refused: Vec<Error>,
}

impl Walk {
    fn add_argument(&mut self, path: &Path) {
        if path == Path::new(STDIN) {
            self.files.insert(path.to_path_buf());
            return;
        }
        match fs::metadata(path) {
            Ok(_) => self.add_named(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_glob(path) => {
                self.add_glob(path);
            }
            Err(error) => self.refuse(path, describe(&error)),
        }
    }

    /// A path that the user or a glob names: links are followed.
    fn add_named(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.add_folder(path, 0),
            Ok(metadata) if metadata.is_file() => {
                self.files.insert(path.to_path_buf());
            }
            Ok(metadata) => self.refused.push(not_regular(path, metadata.file_type())),
            Err(error) => self.refuse(path, describe(&error)),
        }
    }

    fn add_folder(&mut self, folder: &Path, depth: usize) {
        if depth > DEEPEST {
            self.refuse(folder, format!("more than {DEEPEST} folders deep; not read"));
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.refuse(folder, describe(&error)),
        };
        for entry in entries {
            match entry {
                // As in globs: a lock, an editor's copy, a version control's folder is no log.
                Ok(entry) if is_hidden(&entry.file_name()) => {}
                Ok(entry) => self.add_entry(&entry, depth),
                Err(error) => self.refuse(folder, describe(&error)),
            }
        }
    }

    fn add_entry(&mut self, entry: &fs::DirEntry, depth: usize) {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => self.add_folder(&path, depth + 1),
            Ok(kind) if kind.is_file() => {
                self.files.insert(path);
            }
            Ok(kind) if kind.is_symlink() => {
                self.refuse(&path, "symlink not followed; name it to have it read".to_owned());
            }
            Ok(kind) => self.refused.push(not_regular(&path, kind)),
            Err(error) => self.refuse(&path, describe(&error)),
        }
    }

    fn add_glob(&mut self, pattern: &Path) {
        let compiled = pattern
            .to_str()
            .and_then(|text| GlobBuilder::new(text).literal_separator(true).build().ok());
        let Some(glob) = compiled else {
            return self.refuse(pattern, "no such file, and no glob that can be read".to_owned());
        };
        let search = GlobSearch {
            matcher: glob.compile_matcher(),
            parts: pattern.components().filter(|part| *part != Component::CurDir).count(),
            deep: pattern.components().any(|part| part.as_os_str() == "**"),
            hidden: pattern.file_name().is_some_and(is_hidden),
        };
        let before = self.files.len() + self.refused.len();
        search.walk(&fixed_part(pattern), self, 0);
        if before == self.files.len() + self.refused.len() && !search.matches_known(&self.files) {
            self.refuse(pattern, "no file matches".to_owned());
        }
    }

    fn refuse(&mut self, path: &Path, message: String) {
        self.refused.push(Error::input(path, Place::Whole, message));
    }
}

/// A glob and how far it reaches.
struct GlobSearch {
    matcher: GlobMatcher,
    parts: usize,
    deep: bool,
    hidden: bool,
}

impl GlobSearch {
    fn walk(&self, folder: &Path, found: &mut Walk, depth: usize) {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(entries) = fs::read_dir(listed) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if is_hidden(&name) && !self.hidden {
                continue;
            }
            let path = folder.join(&name);
            if self.matcher.is_match(&path) {
                found.add_named(&path);
            }
            let deeper = path.components().filter(|part| *part != Component::CurDir).count();
            if depth < DEEPEST && (self.deep || deeper < self.parts) && self.descends(&entry) {
                self.walk(&path, found, depth + 1);
            }
        }
    }

    /// Below `**` links are not followed; a counted number of folders cannot loop.
    fn descends(&self, entry: &fs::DirEntry) -> bool {
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => !self.deep && entry.path().is_dir(),
            Ok(kind) => kind.is_dir(),
            Err(_) => false,
        }
    }

    /// Whether the glob only named what other arguments had named.
    fn matches_known(&self, files: &BTreeSet<PathBuf>) -> bool {
        files.iter().any(|file| file.ancestors().any(|part| self.matcher.is_match(part)))
    }
}

fn is_glob(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[{".contains(byte))
}

fn is_hidden(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    bytes.starts_with(b".") && bytes != b"." && bytes != b".."
}

/// The leading components without a wildcard.
fn fixed_part(pattern: &Path) -> PathBuf {
    pattern.components().take_while(|part| !is_glob(Path::new(part.as_os_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(found: &Found, root: &Path) -> Vec<String> {
        let short = |path: &PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        found.files.iter().map(short).collect()
    }

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in ["b.log", "a.log", "sub/c.log", "sub/deep/d.txt", ".hidden.log"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x\n").unwrap();
        }
        root
    }

    #[test]
    fn folders_globs_and_files_in_one_order() {
        let root = tree();
        let at = |name: &str| root.path().join(name);
        let cases: [(&[&str], &[&str]); 7] = [
            (&["b.log", "a.log"], &["a.log", "b.log"]),
            (&["*.log"], &["a.log", "b.log"]),
            (&["*.log", "a.log"], &["a.log", "b.log"]),
            (&["sub"], &["sub/c.log", "sub/deep/d.txt"]),
            (&["**/*.{log,txt}"], &["a.log", "b.log", "sub/c.log", "sub/deep/d.txt"]),
            (&["s*/c.log"], &["sub/c.log"]),
            (&[".*.log"], &[".hidden.log"]),
        ];
        for (patterns, expected) in cases {
            let patterns: Vec<PathBuf> = patterns.iter().map(|name| at(name)).collect();
            let found = expand(&patterns);
            assert_eq!(names(&found, root.path()), expected, "{patterns:?}");
            assert_eq!(found.refused, [], "{patterns:?}");
        }
    }

    #[test]
    fn links_in_folders_and_special_files_are_refused_by_name() {
        let root = tree();
        symlink(root.path(), root.path().join("sub/loop")).unwrap();
        let socket = root.path().join("sub/socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let found = expand(&[root.path().join("sub")]);
        assert_eq!(names(&found, root.path()), ["sub/c.log", "sub/deep/d.txt"]);
        let told: Vec<&str> = found.refused.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "symlink not followed; name it to have it read",
                "not a regular file but a socket; expected a log file"
            ]
        );
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let root = tree();
        let found = expand(&[root.path().join("nothing.log"), root.path().join("*.gz")]);
        let told: Vec<&str> = found.refused.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(told, ["no file matches", "no longer exists, or never did"]);
        assert_eq!(found.files, Vec::<PathBuf>::new());
    }

    #[test]
    fn a_named_link_is_followed() {
        let root = tree();
        symlink(root.path().join("a.log"), root.path().join("link.log")).unwrap();
        let found = expand(&[root.path().join("link.log")]);
        assert_eq!(names(&found, root.path()), ["link.log"]);
    }
}
