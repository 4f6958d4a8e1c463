//! The output folder. In: the path of `--out`. Out: an open, checked and locked folder in which
//! the swap of a set (`publish`) takes place, and the few file operations that it needs.
//!
//! Everything goes through the open folder and never through its path again, so that a folder
//! that is replaced by a link while a run works cannot lead writing elsewhere. Symbolic links are
//! followed nowhere.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind, Result};

/// Held by the run that works in the folder; never deleted, freed by the kernel with the process.
const LOCK: &str = ".helotriage.lock";

/// An output folder that this process has locked.
#[derive(Debug)]
pub struct OutDir {
    path: PathBuf,
    dir: Folder,
    _lock: File,
}

/// An open folder; operations take bare file names.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl OutDir {
    /// Opens the folder, creating it (0700) where it is missing, and locks it.
    ///
    /// # Errors
    /// [`Kind::Locked`] at once where another run holds the lock; [`Kind::Output`] where the
    /// path is a symbolic link or no folder, where anybody may write in it and delete others'
    /// files, or where it cannot be opened.
    pub(super) fn lock(path: &Path) -> Result<Self> {
        // Without a final slash, which would make the kernel follow a link.
        let path: PathBuf = path.components().collect();
        let fault = |error: io::Error| Error::output(&path, told(&error));
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            refuse_link(&path)?;
            return Err(fault(error));
        }
        refuse_link(&path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty()).map_err(|e| fault(e.into()))?;
        let mode = rustix::fs::fstat(&dir).map_err(|e| fault(e.into()))?.st_mode;
        if mode & 0o1002 == 0o0002 {
            let message = "anybody may replace files in this folder; expected one that only its \
                           owner or group can write to (chmod o-w)";
            return Err(Error::output(&path, message));
        }
        let dir = Folder(dir);
        let lock = dir.lock_file().map_err(|e| Error::output(&path.join(LOCK), told(&e)))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                let message = "another run works in this output folder; nothing was done";
                Err(Error::output(&path, message).with_kind(Kind::Locked))
            }
            Err(TryLockError::Error(error)) => {
                Err(Error::output(&path.join(LOCK), format!("cannot be locked: {}", told(&error))))
            }
        }
    }

    /// The folder's path, without a final slash.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.dir
    }

    /// Whether the path still leads to the folder that was opened.
    pub(super) fn still_in_place(&self) -> io::Result<()> {
        let now = rustix::fs::lstat(&self.path)?;
        let opened = rustix::fs::fstat(&self.dir.0)?;
        if (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino) {
            return Ok(());
        }
        Err(io::Error::other("the output folder was replaced while the run worked"))
    }
}

fn refuse_link(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => {
            Err(Error::output(path, "is a symbolic link; expected a folder of its own"))
        }
        Ok(metadata) if !metadata.is_dir() => {
            Err(Error::output(path, "is no folder; expected one for the outputs"))
        }
        _ => Ok(()),
    }
}

/// An operating system's error in a few words.
pub(super) fn told(error: &io::Error) -> String {
    format!("cannot be written: {error}")
}

impl Folder {
    fn lock_file(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.0, LOCK, flags, Mode::from_raw_mode(0o600))?;
        Ok(File::from(fd))
    }

    /// Creates a file (0600) that must not exist yet.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o600))?;
        Ok(File::from(fd))
    }

    pub(super) fn open_file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    /// Creates a folder (0700) that must not exist yet, and opens it.
    pub(super) fn create_folder(&self, name: &str) -> io::Result<Self> {
        rustix::fs::mkdirat(&self.0, name, Mode::from_raw_mode(0o700))?;
        self.open_folder(name)
    }

    pub(super) fn open_folder(&self, name: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::openat(&self.0, name, flags, Mode::empty())?))
    }

    pub(super) fn exists(&self, name: &str) -> io::Result<bool> {
        found(rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)).map(|s| s.is_some())
    }

    pub(super) fn rename(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, name, &to.0, to_name)?)
    }

    pub(super) fn link_as(&self, name: &str, to: &Self, to_name: &str) -> io::Result<()> {
        Ok(rustix::fs::linkat(&self.0, name, &to.0, to_name, AtFlags::empty())?)
    }

    /// The names of what is in it; those that are no text are left out.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            names.extend(entry.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    /// Removes a file; one that is not there is no error.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        found(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())).map(drop)
    }

    /// Removes an empty folder; one that is not there is no error.
    pub(super) fn remove_folder(&self, name: &str) -> io::Result<()> {
        found(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)).map(drop)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }
}

/// Asks the system to begin writing a part of a file to disk, without waiting for it. Linux begins when
/// it is told that the part is not needed in memory. It is advice: the flush at the end does what is
/// left, which may be all.
#[cfg(target_os = "linux")]
pub(super) fn begin_flush(file: &File, from: u64, bytes: u64) {
    use rustix::fs::{Advice, fadvise};
    let _is_advice = fadvise(file, from, std::num::NonZeroU64::new(bytes), Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn begin_flush(_: &File, _: u64, _: u64) {}

fn found<T>(result: std::result::Result<T, Errno>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn folders_that_others_can_bend_are_refused() {
        let temp = tempfile::tempdir().unwrap();
        let open = temp.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let link = temp.path().join("link");
        symlink(temp.path(), &link).unwrap();
        let dangling = temp.path().join("dangling");
        symlink(temp.path().join("nowhere"), &dangling).unwrap();
        let file = temp.path().join("file");
        fs::write(&file, "").unwrap();
        let cases = [
            (open, "anybody may replace files in this folder"),
            (link.join(""), "is a symbolic link; expected a folder of its own"),
            (dangling, "is a symbolic link; expected a folder of its own"),
            (file, "is no folder; expected one for the outputs"),
        ];
        for (path, expected) in cases {
            let error = OutDir::lock(&path).unwrap_err();
            assert_eq!(error.kind, Kind::Output);
            assert!(error.message.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_second_run_is_told_at_once() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/out");
        let first = OutDir::lock(&path).unwrap();
        let error = OutDir::lock(&path).unwrap_err();
        assert_eq!((error.kind, error.exit_code()), (Kind::Locked, 6));
        assert_eq!(error.message, "another run works in this output folder; nothing was done");
        drop(first);
        assert!(OutDir::lock(&path).is_ok());
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join(LOCK))), (0o700, 0o600));
    }

    #[test]
    fn a_replaced_folder_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("out");
        let out = OutDir::lock(&path).unwrap();
        assert!(out.still_in_place().is_ok());
        fs::rename(&path, temp.path().join("moved")).unwrap();
        symlink(temp.path().join("moved"), &path).unwrap();
        assert!(out.still_in_place().unwrap_err().to_string().contains("was replaced"));
    }
}
