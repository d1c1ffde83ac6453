//! What all requests share.

use std::path::PathBuf;
use std::sync::Arc;

use bonito_core::{Endpoint, Observable};
use tokio::sync::Semaphore;

use crate::pages::slider::Level;

/// The longest jobs may run this many at a time, whoever starts them.
const WORKERS: usize = 8;

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) live: Endpoint,
    /// The one slider of all visitors.
    pub(crate) level: Observable<Level>,
    /// Who moved it last.
    pub(crate) mover: Observable<String>,
    /// How many pages with the slider are connected.
    pub(crate) visitors: Observable<usize>,
    /// What the progress page hashes, and who may.
    pub(crate) folder: Arc<PathBuf>,
    pub(crate) workers: Arc<Semaphore>,
}

impl App {
    pub(crate) fn new(live: Endpoint, folder: PathBuf) -> Self {
        Self {
            live,
            level: Observable::new(Level::near(50.0)),
            mover: Observable::new("nobody yet".to_owned()),
            visitors: Observable::new(0),
            folder: Arc::new(folder),
            workers: Arc::new(Semaphore::new(WORKERS)),
        }
    }
}
