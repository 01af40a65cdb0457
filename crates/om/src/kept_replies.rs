//! Replies that outlive the process, so that a request is carried out once although the client asks twice.
//!
//! A client whose connection broke repeats its call. Replies of entries that a restart replays come back with the replay; an entry
//! whose rows were flushed is not replayed, so the flush writes its reply too: one row of `metaTable` per flush, in the same batch,
//! over the row of the flush [`SLOTS`] before. The Java OM keeps none, and reads none: there the repeated commit of a key is
//! answered `KEY_NOT_FOUND`.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use multiraft::KnownReply;
use ozone_db::{Batch, DbError, Store};
use parking_lot::Mutex;
use prost::Message;

/// `metaTable`, whose values are strings for the Java OM: hence base64.
const TABLE: &str = "metaTable";
/// Flushes whose replies are kept: some seconds under load, since rows gather for a while.
const SLOTS: u64 = 128;
/// A longer reply is not kept: those of commits, renames and deletions are short, and who opens a key
/// twice has only opened it twice.
const REPLY_BYTES_MAX: usize = 512;
/// Replies of one flush, in bytes; the oldest go first.
const ROW_BYTES_MAX: usize = 256 << 10;
/// Counted for a reply besides its message.
const OVERHEAD_BYTES: usize = 40;

#[derive(Clone, PartialEq, Message)]
struct Row {
    /// Counts flushes.
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(message, repeated, tag = "2")]
    replies: Vec<Kept>,
}

#[derive(Clone, PartialEq, Message)]
struct Kept {
    #[prost(bytes = "bytes", tag = "1")]
    client: Bytes,
    #[prost(uint64, tag = "2")]
    call: u64,
    #[prost(uint64, tag = "3")]
    index: u64,
    #[prost(bytes = "bytes", tag = "4")]
    reply: Bytes,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.reply.len() + OVERHEAD_BYTES
    }
}

#[derive(Default)]
struct Unflushed {
    replies: VecDeque<Kept>,
    bytes: usize,
    /// Of the next row.
    number: u64,
}

/// Replies that wait for the flush of their rows.
#[derive(Default)]
pub struct KeptReplies(Mutex<Unflushed>);

impl KeptReplies {
    /// The reply to the entry at `index`. To be called before the entry's rows can be flushed.
    pub fn add(&self, client: &Bytes, call: u64, index: u64, reply: &Bytes) {
        if reply.len() > REPLY_BYTES_MAX || client.is_empty() {
            return;
        }
        let kept = Kept { client: client.clone(), call, index, reply: reply.clone() };
        let mut unflushed = self.0.lock();
        unflushed.bytes += kept.bytes();
        unflushed.replies.push_back(kept);
        while unflushed.bytes > ROW_BYTES_MAX
            && let Some(oldest) = unflushed.replies.pop_front()
        {
            unflushed.bytes -= oldest.bytes();
        }
    }

    /// Adds the row of the replies up to `index` to the batch of their rows.
    pub fn put(&self, batch: &mut Batch, index: u64) {
        let unflushed = self.0.lock();
        let replies: Vec<Kept> =
            unflushed.replies.iter().take_while(|kept| kept.index <= index).cloned().collect();
        if !replies.is_empty() {
            let number = unflushed.number;
            drop(unflushed);
            let row = Row { number, replies };
            batch.put(TABLE, key(number), STANDARD.encode(row.encode_to_vec()).into_bytes());
        }
    }

    /// The batch with the replies up to `index` was written.
    pub fn written(&self, index: u64) {
        let mut unflushed = self.0.lock();
        let before = unflushed.replies.len();
        while let Some(kept) = unflushed.replies.pop_front_if(|kept| kept.index <= index) {
            unflushed.bytes -= kept.bytes();
        }
        if unflushed.replies.len() < before {
            unflushed.number += 1;
        }
    }

    /// What an earlier process kept, oldest first. A row that cannot be read is passed over: it only
    /// spares a client an error.
    ///
    /// # Errors
    /// The store failed.
    pub fn load(&self, store: &dyn Store) -> Result<Vec<KnownReply>, DbError> {
        let mut rows = Vec::new();
        for slot in 0..SLOTS {
            let Some(row) = store.get(TABLE, key(slot).as_bytes())? else { continue };
            let decoded = STANDARD.decode(&row).ok().and_then(|row| Row::decode(&row[..]).ok());
            match decoded {
                Some(row) => rows.push(row),
                None => tracing::warn!(slot, "replies that were kept in metaTable do not decode"),
            }
        }
        rows.sort_unstable_by_key(|row| row.number);
        if let Some(newest) = rows.last() {
            self.0.lock().number = newest.number.wrapping_add(1);
        }
        let replies = rows.into_iter().flat_map(|row| row.replies);
        let known = replies.filter_map(|kept| {
            let client = kept.client.as_ref().try_into().ok()?;
            Some(KnownReply { client, call: kept.call, index: kept.index, message: kept.reply })
        });
        Ok(known.collect())
    }
}

fn key(number: u64) -> String {
    format!("#REPLIES/{:03}", number % SLOTS)
}

#[cfg(test)]
mod tests {
    use ozone_db::{Durability, MemoryStore};

    use super::*;

    fn flush(replies: &KeptReplies, store: &MemoryStore, index: u64) {
        let mut batch = Batch::default();
        replies.put(&mut batch, index);
        store.write(batch, Durability::Logged).unwrap();
        replies.written(index);
    }

    fn client() -> Bytes {
        Bytes::copy_from_slice(&[7; 16])
    }

    #[test]
    fn a_restart_knows_the_replies_of_the_last_flushes_and_goes_on_behind_them() {
        let store = MemoryStore::default();
        for start in 0..3 {
            let replies = KeptReplies::default();
            let known = replies.load(&store).unwrap();
            let first = start * 100 + 1;
            assert_eq!(known.len() as u64, (start * 100).min(SLOTS));
            assert_eq!(known.last().map_or(0, |reply| reply.index), first - 1);
            for index in first..first + 100 {
                replies.add(&client(), index, index, &Bytes::from(format!("reply {index}")));
                flush(&replies, &store, index);
            }
            // Neither replies without rows nor long ones.
            replies.add(&client(), 0, first + 100, &Bytes::from_static(b"later"));
            flush(&replies, &store, first + 99);
            replies.add(&client(), 0, first + 100, &Bytes::from(vec![0; REPLY_BYTES_MAX + 1]));
        }
        let known = KeptReplies::default().load(&store).unwrap();
        assert_eq!((known[0].index, known.len() as u64), (301 - SLOTS, SLOTS));
        assert_eq!((known[0].client, &known[0].message[..5]), ([7; 16], &b"reply"[..]));
    }

    #[test]
    fn replies_of_a_flush_are_bounded_and_survive_a_flush_that_failed() {
        let (store, replies) = (MemoryStore::default(), KeptReplies::default());
        for index in 0..10_000 {
            replies.add(&client(), index, index, &Bytes::from_static(&[1; 100]));
        }
        // As when the disk refused the batch.
        replies.put(&mut Batch::default(), 9_999);
        flush(&replies, &store, 9_999);
        let known = KeptReplies::default().load(&store).unwrap();
        assert_eq!(known.last().unwrap().index, 9_999);
        assert_eq!(known.len(), ROW_BYTES_MAX / (100 + OVERHEAD_BYTES));
    }
}
