//! Replaces the outputs as one set. In: the contents of the files, one after the other. Out: the
//! new set whole, or the previous set whole, whatever fails and wherever the process dies.
//!
//! Files are written into a private folder inside `--out` and flushed to disk there; hard links
//! keep the previous set; a journal says what is being replaced; then the files are renamed one
//! by one, `run.json` (which holds the others' SHA-256) last. An error on the way puts the
//! previous set back at once. What a killed run left is put right by the next one that opens the
//! folder: forward where `run.json` was already renamed, else back.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::writers::outdir::{Folder, OutDir, begin_flush, told};
use crate::writers::profiles;

/// The file whose renaming makes the new set the valid one.
pub const MANIFEST: &str = "run.json";

/// The files that every set can have; those of profiles come to them ([`is_output`]).
pub const NAMES: [&str; 6] =
    ["tickets.csv", "tickets.jsonl", "sources.csv", "report.html", "rejects.jsonl", MANIFEST];

const STAGING: &str = ".helotriage.new";
const KEPT: &str = ".helotriage.old";
/// Says that a swap is under way.
const JOURNAL: &str = ".helotriage.swap";
/// The journal's name from the moment on at which the swap has to be undone.
const UNDO: &str = ".helotriage.undo";
const JOURNAL_DRAFT: &str = ".helotriage.draft";

/// A step of publishing, told to the caller's hook before it is done. A hook that returns an
/// error stops publishing there: the way to obey a signal before [`Step::Swap`]; from
/// [`Step::Keep`] on a hook should let everything pass, the rest takes milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'n> {
    /// A file is written into the private folder.
    Write(&'n str),
    /// Everything is written; from here on the outputs change.
    Swap,
    /// A file of the previous set is kept.
    Keep(&'n str),
    /// The journal is put down.
    Journal,
    /// A file of the new set takes its place.
    Replace(&'n str),
    /// A file that the new set does not have is removed.
    Remove(&'n str),
    /// The folder is flushed to disk.
    Sync,
    /// The journal is taken away: the new set is there.
    Commit,
    /// What the run found is about to become part of the state; the outputs follow.
    Record,
    /// The outputs are in place, and the state is about to be told so.
    Mark,
    /// The outputs of an earlier, stopped run were put in place; the run itself begins.
    Delivered,
}

/// What the caller wants to know of the steps, see [`Step`].
pub type Hook<'h> = dyn FnMut(Step<'_>) -> io::Result<()> + 'h;

/// A file of the new set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name in the folder.
    pub name: String,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Whether a file of this name may be an output of this program.
pub fn is_output(name: &str) -> bool {
    NAMES.contains(&name) || profiles::owns(name)
}

/// What a swap replaces by what, in the order of replacing; [`MANIFEST`] is the last of both.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Journal {
    new: Vec<String>,
    old: Vec<String>,
}

impl OutDir {
    /// Opens and locks the folder of `--out` (see [`OutDir::path`]) and puts right what a killed
    /// run left in it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Locked`] where another run works in it; else
    /// [`crate::error::Kind::Output`].
    pub fn open(path: &Path) -> Result<Self> {
        let out = Self::lock(path)?;
        recover(out.folder())
            .map_err(|e| Error::output(path, format!("what a stopped run left here: {e}")))?;
        Ok(out)
    }

    /// Begins a new set.
    pub fn stage(&self) -> Result<Staging<'_>> {
        let folder = self
            .folder()
            .create_folder(STAGING)
            .map_err(|e| Error::output(&self.path().join(STAGING), told(&e)))?;
        Ok(Staging { out: self, folder, written: Vec::new() })
    }
}

/// A new set being written. Dropped without [`Staging::publish`] it leaves nothing behind.
#[derive(Debug)]
pub struct Staging<'o> {
    out: &'o OutDir,
    folder: Folder,
    written: Vec<Written>,
}

/// A file of the new set while it is written. It counts only once [`Staging::keep`] has it.
#[derive(Debug)]
pub struct Draft {
    name: String,
    path: PathBuf,
    out: BufWriter<Hashing<File>>,
    /// Bytes that the system was asked to begin writing to disk.
    on_its_way: u64,
}

/// Bytes that are left to the system until it is asked to begin writing them to disk: flushing all of
/// a file at its end would take as long again as rendering it.
const UNASKED: u64 = 8 << 20;

impl Draft {
    /// Appends to the file.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`], naming the file.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|e| Error::output(&self.path, told(&e)))?;
        let Hashing { to, bytes, .. } = self.out.get_ref();
        let new = bytes.saturating_sub(self.on_its_way);
        if new >= UNASKED {
            begin_flush(to, self.on_its_way, new);
            self.on_its_way = *bytes;
        }
        Ok(())
    }

    /// Has more of the file written; its errors name the file.
    pub(super) fn write(
        &mut self,
        body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        body(&mut self.out).map_err(|e| Error::output(&self.path, told(&e)))
    }

    /// Ends the file and flushes it to disk.
    pub(super) fn finish(self) -> Result<Written> {
        let Self { name, path, out, .. } = self;
        let hashed = out.into_inner().map_err(io::IntoInnerError::into_error);
        let synced = hashed.and_then(|hashed| hashed.to.sync_all().map(|()| hashed));
        let hashed = synced.map_err(|e| Error::output(&path, told(&e)))?;
        Ok(Written { name, sha256: hex(&hashed.hash.finalize()), bytes: hashed.bytes })
    }
}

impl Staging<'_> {
    /// The folder of `--out`.
    pub fn path(&self) -> &Path {
        self.out.path()
    }

    /// Begins a file of the set; `name` is one of which [`is_output`] is true.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`], as for all that follow.
    pub fn begin(&self, name: String) -> Result<Draft> {
        let path = self.out.path().join(&name);
        let file = self.folder.create(&name).map_err(|e| Error::output(&path, told(&e)))?;
        let out = BufWriter::with_capacity(1 << 16, Hashing::new(file));
        Ok(Draft { name, path, out, on_its_way: 0 })
    }

    /// Makes a file that is all written a part of the set, on disk.
    pub fn keep(&mut self, draft: Draft) -> Result<()> {
        self.add(draft.finish()?);
        Ok(())
    }

    /// Adds a finished file to the set.
    pub(super) fn add(&mut self, written: Written) {
        self.written.push(written);
    }

    /// Writes one file of the set to disk. `body` writes into a buffer, its errors and those of
    /// flushing are this function's.
    pub fn write(
        &mut self,
        name: &str,
        body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let mut draft = self.begin(name.to_owned())?;
        draft.write(body)?;
        self.keep(draft)
    }

    /// Opens a file written before, to read it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`].
    pub fn open(&self, name: &str) -> Result<File> {
        let file = self.folder.open_file(name);
        file.map_err(|e| Error::output(&self.out.path().join(name), format!("cannot be read: {e}")))
    }

    /// The files written so far, in order.
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    /// Makes the new set the valid one. [`MANIFEST`] must be a part of it.
    ///
    /// # Errors
    /// [`crate::error::Kind::Output`]; the previous set is back in place then.
    pub fn publish(mut self, before: &mut Hook<'_>) -> Result<Vec<Written>> {
        let swapped = before(Step::Swap)
            .and_then(|()| self.out.still_in_place())
            .and_then(|()| self.folder.sync())
            .and_then(|()| self.swap(before));
        swapped
            .map_err(|e| Error::output(self.out.path(), format!("the new outputs {}", told(&e))))?;
        Ok(std::mem::take(&mut self.written))
    }

    fn swap(&self, before: &mut Hook<'_>) -> io::Result<()> {
        let journal = self.keep_previous(before)?;
        let out = self.out.folder();
        before(Step::Journal)?;
        write_journal(out, &journal)?;
        match self.replace(&journal, before) {
            Ok(()) => Ok(()),
            Err(error) => match undo(out, &journal) {
                Ok(()) => Err(error),
                Err(second) => Err(io::Error::other(format!(
                    "{error}; the previous outputs cannot be put back either ({second}): \
                     the next run into this folder does it"
                ))),
            },
        }
    }

    /// Keeps the previous set beside the new one.
    fn keep_previous(&self, before: &mut Hook<'_>) -> io::Result<Journal> {
        let out = self.out.folder();
        let kept = out.create_folder(KEPT)?;
        let mut new: Vec<_> = self.written.iter().map(|file| file.name.clone()).collect();
        new.sort_by_key(|name| name == MANIFEST);
        let mut old = Vec::new();
        for name in previous_names(out, &new)? {
            if out.exists(&name)? {
                before(Step::Keep(&name))?;
                out.link_as(&name, &kept, &name).or_else(|_| copy(out, &name, &kept))?;
                old.push(name);
            }
        }
        kept.sync()?;
        Ok(Journal { new, old })
    }

    fn replace(&self, journal: &Journal, before: &mut Hook<'_>) -> io::Result<()> {
        let out = self.out.folder();
        for name in journal.old.iter().filter(|name| !journal.new.contains(name)) {
            before(Step::Remove(name))?;
            set_aside(out, name, &self.folder)?;
        }
        for name in &journal.new {
            before(Step::Replace(name))?;
            self.folder.rename(name, out, name)?;
        }
        before(Step::Sync)?;
        out.sync()?;
        before(Step::Commit)?;
        out.remove(JOURNAL).or_else(|_| set_aside(out, JOURNAL, &self.folder))
    }
}

impl Drop for Staging<'_> {
    /// Removes the private folders, unless a swap could not be undone: then they are what the
    /// next run needs.
    fn drop(&mut self) {
        let out = self.out.folder();
        let unsettled = [JOURNAL, UNDO].iter().any(|name| out.exists(name).unwrap_or(true));
        if !unsettled {
            let _left_for_the_next_run = sweep(out);
        }
    }
}

/// Puts the folder right after a run that was killed.
fn recover(out: &Folder) -> io::Result<()> {
    if out.exists(UNDO)? {
        put_back(out, &read_journal(out, UNDO)?)?;
    } else if out.exists(JOURNAL)? {
        let journal = read_journal(out, JOURNAL)?;
        if out.open_folder(STAGING)?.exists(MANIFEST)? {
            undo(out, &journal)?;
        } else {
            out.sync()?;
            out.remove(JOURNAL)?;
        }
    }
    sweep(out)
}

/// Files that the folder may hold of the previous set, each once, [`MANIFEST`] last: those that
/// every set can have, those that the new set replaces, and those of profiles that the previous
/// manifest names. A file that only looks like one of ours stays where it is.
fn previous_names(out: &Folder, new: &[String]) -> io::Result<Vec<String>> {
    let fixed = NAMES.iter().map(|name| (*name).to_owned());
    let mut names: Vec<_> = fixed.chain(new.iter().cloned()).chain(manifest_names(out)?).collect();
    names.sort_unstable_by(|a, b| (a == MANIFEST).cmp(&(b == MANIFEST)).then(a.cmp(b)));
    names.dedup();
    Ok(names)
}

/// Outputs that the manifest in the folder names; none where there is no manifest of ours.
fn manifest_names(out: &Folder) -> io::Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Previous {
        program: String,
        outputs: serde_json::Map<String, serde_json::Value>,
    }
    if !out.exists(MANIFEST)? {
        return Ok(Vec::new());
    }
    let Ok(file) = out.open_file(MANIFEST) else { return Ok(Vec::new()) };
    let previous = serde_json::from_reader::<_, Previous>(io::BufReader::new(file));
    let ours = previous.ok().filter(|previous| previous.program == env!("CARGO_PKG_NAME"));
    let names = ours
        .map(|previous| previous.outputs.into_iter().map(|(name, _)| name))
        .into_iter()
        .flatten();
    Ok(names.filter(|name| is_output(name)).collect())
}

/// Undoes a swap; the journal's new name makes sure that nobody takes a half-undone one for
/// finished.
fn undo(out: &Folder, journal: &Journal) -> io::Result<()> {
    out.rename(JOURNAL, out, UNDO).or_else(|_| out.link_as(JOURNAL, out, UNDO))?;
    put_back(out, journal)
}

fn put_back(out: &Folder, journal: &Journal) -> io::Result<()> {
    let (kept, staging) = (out.open_folder(KEPT)?, out.open_folder(STAGING)?);
    for name in &journal.old {
        restore(out, name, &kept)?;
    }
    for name in journal.new.iter().filter(|name| !journal.old.contains(name)) {
        set_aside(out, name, &staging)?;
    }
    out.sync()?;
    out.remove(JOURNAL)?;
    out.remove(UNDO)
}

/// Takes a file out of sight, by a second way where the disk refuses to rename.
fn set_aside(out: &Folder, name: &str, staging: &Folder) -> io::Result<()> {
    out.rename(name, staging, name).or_else(|_| out.remove(name))
}

/// Puts one kept file back, by a second way where the disk refuses to rename.
fn restore(out: &Folder, name: &str, kept: &Folder) -> io::Result<()> {
    if !kept.exists(name)? {
        return Ok(());
    }
    kept.rename(name, out, name).or_else(|_| {
        out.remove(name)?;
        kept.link_as(name, out, name).or_else(|_| copy(kept, name, out))
    })
}

/// Keeps a file where the disk has no hard links.
fn copy(from: &Folder, name: &str, to: &Folder) -> io::Result<()> {
    let mut source = from.open_file(name)?;
    let mut target = to.create(name)?;
    io::copy(&mut source, &mut target)?;
    target.sync_all()
}

fn write_journal(out: &Folder, journal: &Journal) -> io::Result<()> {
    let mut file = out.create(JOURNAL_DRAFT)?;
    file.write_all(&serde_json::to_vec(journal)?)?;
    file.sync_all()?;
    out.rename(JOURNAL_DRAFT, out, JOURNAL)?;
    out.sync()
}

fn read_journal(out: &Folder, name: &str) -> io::Result<Journal> {
    let journal: Journal = serde_json::from_reader(io::BufReader::new(out.open_file(name)?))?;
    if journal.new.iter().chain(&journal.old).all(|name| is_output(name)) {
        return Ok(journal);
    }
    Err(io::Error::other(format!("{name} names a file that this version does not write")))
}

/// Removes the private folders and what is in them: files of our names only.
fn sweep(out: &Folder) -> io::Result<()> {
    out.remove(JOURNAL_DRAFT)?;
    for private in [STAGING, KEPT] {
        if out.exists(private)? {
            let folder = out.open_folder(private)?;
            // Large files are freed at the same time, a page of the system's memory after the other.
            folder
                .names()?
                .par_iter()
                .filter(|name| is_output(name) || *name == JOURNAL)
                .try_for_each(|name| folder.remove(name))?;
            out.remove_folder(private)?;
        }
    }
    Ok(())
}

/// Counts and hashes what goes through.
#[derive(Debug)]
struct Hashing<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(to: W) -> Self {
        Self { to, hash: Sha256::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let taken = self.to.write(buffer)?;
        if let Some(part) = buffer.get(..taken) {
            self.hash.update(part);
        }
        self.bytes = self.bytes.saturating_add(taken as u64);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
