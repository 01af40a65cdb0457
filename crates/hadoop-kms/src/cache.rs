//! Data keys that are ready before somebody asks (`ValueQueue`), so that making a file waits for no
//! server.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use crate::{EncryptedKey, KmsClient, KmsError};

/// Keys of buckets that data keys are kept for at most; beyond that the one that was asked for
/// longest ago is forgotten.
const KEYS_MAX: usize = 10_000;

/// Encrypted data keys, for each key of a bucket. Clones share them.
#[derive(Clone)]
pub struct KeyCache {
    inner: Arc<Inner>,
}

struct Inner {
    client: KmsClient,
    shelves: Mutex<HashMap<String, Arc<Shelf>>>,
    refills: Semaphore,
}

/// The data keys of one key.
struct Shelf {
    ready: Mutex<VecDeque<EncryptedKey>>,
    used: Mutex<Instant>,
    /// More are on their way, without anybody waiting.
    refilling: AtomicBool,
    /// Fetches that somebody waited for and that have ended.
    fetches: AtomicU64,
    /// Held by the one who fetches for all who wait; why the last fetch failed.
    fetching: AsyncMutex<Option<KmsError>>,
}

impl KeyCache {
    /// An empty one.
    pub fn new(client: KmsClient) -> Self {
        let refills = Semaphore::new(client.settings().refills_max);
        Self { inner: Arc::new(Inner { client, shelves: Mutex::default(), refills }) }
    }

    /// A data key that nobody had before. Waits for the server only if none is ready.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn next(&self, key_name: &str) -> Result<EncryptedKey, KmsError> {
        let shelf = self.shelf(key_name);
        loop {
            let seen = shelf.fetches.load(Ordering::Acquire);
            let (key, left) = {
                let mut ready = shelf.ready.lock();
                (ready.pop_front(), ready.len())
            };
            if let Some(key) = key {
                if left < self.inner.client.settings().low() {
                    self.refill(key_name, &shelf);
                }
                return Ok(key);
            }
            self.fetch(key_name, &shelf, seen).await?;
        }
    }

    /// Makes data keys ready, unless some are.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn warm_up(&self, key_name: &str) -> Result<(), KmsError> {
        let shelf = self.shelf(key_name);
        let seen = shelf.fetches.load(Ordering::Acquire);
        if shelf.ready.lock().is_empty() {
            self.fetch(key_name, &shelf, seen).await?;
        }
        Ok(())
    }

    /// Fetches for everybody who waits, unless another did since `seen` fetches; its failure counts
    /// for all who waited, so that a server that is down keeps nobody longer than one fetch.
    async fn fetch(&self, key_name: &str, shelf: &Shelf, seen: u64) -> Result<(), KmsError> {
        let mut failure = shelf.fetching.lock().await;
        if shelf.fetches.load(Ordering::Acquire) != seen {
            return failure.clone().map_or(Ok(()), Err);
        }
        let low = self.inner.client.settings().low();
        let outcome = self.inner.client.generate(key_name, low).await;
        let outcome = outcome.map(|keys| shelf.ready.lock().extend(keys));
        *failure = outcome.clone().err();
        shelf.fetches.fetch_add(1, Ordering::Release);
        outcome
    }

    /// Fetches what is missing, while nobody waits. A failure is told in the log; whoever finds none
    /// ready learns of it anew.
    fn refill(&self, key_name: &str, shelf: &Arc<Shelf>) {
        if shelf.refilling.swap(true, Ordering::AcqRel) {
            return;
        }
        let (cache, shelf, key_name) = (self.clone(), shelf.clone(), key_name.to_owned());
        tokio::spawn(async move {
            let inner = &*cache.inner;
            // Never closed.
            let _permit = inner.refills.acquire().await;
            let missing =
                inner.client.settings().ready_max.saturating_sub(shelf.ready.lock().len());
            match inner.client.generate(&key_name, missing.max(1)).await {
                Ok(keys) => shelf.ready.lock().extend(keys),
                Err(error) => tracing::warn!(key = key_name, %error, "no new data keys"),
            }
            shelf.refilling.store(false, Ordering::Release);
        });
    }

    fn shelf(&self, key_name: &str) -> Arc<Shelf> {
        let now = Instant::now();
        let expiry = self.inner.client.settings().expiry;
        let mut shelves = self.inner.shelves.lock();
        if let Some(shelf) = shelves.get(key_name) {
            let mut used = shelf.used.lock();
            if now.duration_since(*used) < expiry {
                *used = now;
                drop(used);
                return shelf.clone();
            }
        }
        if shelves.len() >= KEYS_MAX && !shelves.contains_key(key_name) {
            let oldest = shelves.iter().min_by_key(|(_, shelf)| *shelf.used.lock());
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                shelves.remove(&oldest);
            }
        }
        let shelf = Arc::new(Shelf {
            ready: Mutex::default(),
            used: Mutex::new(now),
            refilling: AtomicBool::new(false),
            fetches: AtomicU64::new(0),
            fetching: AsyncMutex::default(),
        });
        shelves.insert(key_name.to_owned(), shelf.clone());
        shelf
    }
}
