//! A long job: the SHA-256 of everything in a folder.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// How much is read between two looks at the flag.
const CHUNK: usize = 256 << 10;
/// How often progress is reported.
const EVERY: Duration = Duration::from_millis(50);

/// Tells a job to stop. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes it back, for the next job.
    pub(crate) fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Stops the job when this is dropped.
    pub(crate) fn on_drop(&self) -> impl Drop + use<> {
        struct OnDrop(Stop);

        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.stop();
            }
        }

        OnDrop(self.clone())
    }

    fn check(&self) -> Result<(), Stopped> {
        if self.0.load(Ordering::Relaxed) { Err(Stopped) } else { Ok(()) }
    }
}

/// The job was told to stop.
#[derive(Debug, PartialEq)]
pub(crate) struct Stopped;

/// How far the job is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) total_files: u64,
    pub(crate) total_bytes: u64,
    /// Relative to the folder.
    pub(crate) file: String,
    pub(crate) bytes_per_second: f64,
}

/// What came out. The digest covers names and contents, in the order of the names.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) digest: String,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Files that could not be read.
    pub(crate) skipped: u64,
    pub(crate) took: Duration,
}

/// Hashes a folder; blocks for as long as that takes. Symbolic links are not followed.
pub(crate) fn hash_folder(
    folder: &Path,
    stop: &Stop,
    mut report: impl FnMut(Progress),
) -> Result<Outcome, Stopped> {
    let started = Instant::now();
    let files = list(folder, stop)?;
    let mut progress = Progress {
        total_files: files.len() as u64,
        total_bytes: files.iter().map(|(_, bytes)| bytes).sum(),
        ..Progress::default()
    };
    let (mut all, mut skipped) = (Sha256::new(), 0);
    let mut buffer = vec![0; CHUNK];
    let mut reported: Option<Instant> = None;
    let hashing = Instant::now();
    for (path, _) in &files {
        let name = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
        progress.file.clone_from(&name);
        let digest = hash_file(path, stop, &mut buffer, |bytes| {
            progress.bytes += bytes;
            if reported.is_none_or(|at| at.elapsed() >= EVERY) {
                reported = Some(Instant::now());
                progress.bytes_per_second = progress.bytes as f64 / hashing.elapsed().as_secs_f64().max(1e-3);
                report(progress.clone());
            }
        })?;
        match digest {
            Ok(digest) => {
                all.update((name.len() as u64).to_le_bytes());
                all.update(name);
                all.update(digest);
                progress.files += 1;
            }
            Err(_) => skipped += 1,
        }
    }
    let digest = all.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Outcome { digest, files: progress.files, bytes: progress.bytes, skipped, took: started.elapsed() })
}

fn hash_file(
    path: &Path,
    stop: &Stop,
    buffer: &mut [u8],
    mut read: impl FnMut(u64),
) -> Result<io::Result<[u8; 32]>, Stopped> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let mut hash = Sha256::new();
    loop {
        stop.check()?;
        match file.read(buffer) {
            Ok(0) => return Ok(Ok(hash.finalize().into())),
            Ok(length) => {
                hash.update(&buffer[..length]);
                read(length as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// The files of a folder and their sizes, sorted by name. What cannot be listed is left out.
fn list(folder: &Path, stop: &Stop) -> Result<Vec<(PathBuf, u64)>, Stopped> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        stop.check()?;
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(about) if about.is_dir() => folders.push(entry.path()),
                Ok(about) if about.is_file() => files.push((entry.path(), about.len())),
                _ => {}
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder of its own, gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
            let folder = std::env::temp_dir().join(format!("axum-app-job-{}-{name}", std::process::id()));
            for (name, content) in files {
                let path = folder.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn hash(folder: &Folder) -> Outcome {
        hash_folder(&folder.0, &Stop::default(), |_| {}).unwrap()
    }

    #[test]
    fn names_and_contents_make_the_digest() {
        let folder = Folder::new("digest", &[("a", b"one"), ("b/c", b"two")]);
        let same = Folder::new("same", &[("b/c", b"two"), ("a", b"one")]);
        let other = Folder::new("other", &[("a", b"one"), ("b/d", b"two")]);
        let outcome = hash(&folder);
        assert_eq!((outcome.files, outcome.bytes, outcome.skipped), (2, 6, 0));
        assert_eq!(outcome.digest.len(), 64);
        assert_eq!(outcome.digest, hash(&same).digest);
        assert_ne!(outcome.digest, hash(&other).digest);
    }

    #[test]
    fn progress_ends_at_the_total() {
        let folder = Folder::new("progress", &[("a", &[7; 3 * CHUNK])]);
        let mut seen = Vec::new();
        hash_folder(&folder.0, &Stop::default(), |progress| seen.push(progress)).unwrap();
        let first = &seen[0];
        assert_eq!((first.bytes, first.total_bytes, first.total_files), (CHUNK as u64, 3 * CHUNK as u64, 1));
        assert_eq!(first.file, "a");
    }

    #[test]
    fn it_stops_in_the_middle_of_a_file() {
        let folder = Folder::new("stop", &[("a", &[7; 4 * CHUNK])]);
        let stop = Stop::default();
        let mut last = 0;
        let outcome = hash_folder(&folder.0, &stop, |progress| {
            last = progress.bytes;
            stop.stop();
        });
        assert_eq!(outcome, Err(Stopped));
        assert_eq!(last, CHUNK as u64);
    }

    #[test]
    fn dropping_the_guard_stops() {
        let stop = Stop::default();
        drop(stop.on_drop());
        assert_eq!(stop.check(), Err(Stopped));
    }

    #[test]
    fn an_empty_or_missing_folder_is_no_error() {
        let missing = Path::new("/no/such/folder");
        let outcome = hash_folder(missing, &Stop::default(), |_| {}).unwrap();
        assert_eq!((outcome.files, outcome.bytes), (0, 0));
    }
}
