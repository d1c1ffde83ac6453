//! How a case is run, and noted.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Runs a case to its end, alone in the process: one of them counts open files.
#[doc(hidden)]
pub fn run(case: impl Future<Output = ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(case);
}

/// The file that stands for a case that has passed.
#[doc(hidden)]
#[derive(Debug)]
pub struct Note(Option<PathBuf>);

impl Note {
    /// The note of this case is gone until it passes.
    pub fn new(folder: Option<&str>, adapter: &str, case: &str) -> Self {
        let adapter = adapter.trim_start_matches("bonito-");
        let path = folder.map(|folder| Path::new(folder).join("conformance").join(adapter).join(case));
        if let Some(path) = &path {
            let _ = std::fs::remove_file(path);
        }
        Self(path)
    }

    /// The case has passed.
    pub fn passed(self) {
        if let Some(path) = self.0 {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }
}
