//! What requests read, counted in rows: no request costs more because the namespace is large, or was.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ozone_db::{Batch, Edit, Range, Store};
use parking_lot::Mutex;

use super::*;

const KEYS: usize = 400;

/// A store that keeps a mark of every row that was removed, as a database does until it is compacted,
/// and counts the rows and marks that scans step over and the rows that are looked up.
#[derive(Default)]
struct Counting {
    tables: Mutex<BTreeMap<&'static str, BTreeMap<Bytes, Option<Bytes>>>>,
    stepped: AtomicUsize,
    looked_up: AtomicUsize,
}

impl Counting {
    /// Steps and look-ups since the last call.
    fn take(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (take(&self.stepped), take(&self.looked_up))
    }
}

impl Store for Counting {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, DbError> {
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        Ok(self.tables.lock().get(table).and_then(|rows| rows.get(key)).cloned().flatten())
    }

    fn visit(
        &self,
        table: &'static str,
        range: Range<'_>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), DbError> {
        let tables = self.tables.lock();
        let Some(rows) = tables.get(table) else { return Ok(()) };
        if let (Bound::Included(from), Bound::Excluded(to)) = (range.from, range.to)
            && from >= to
        {
            return Ok(());
        }
        for (key, value) in rows.range::<[u8], _>((range.from, range.to)) {
            self.stepped.fetch_add(1, Ordering::Relaxed);
            if let Some(value) = value
                && visitor(key, value).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: Batch, _: Durability) -> Result<(), DbError> {
        let mut tables = self.tables.lock();
        for edit in batch.edits {
            match edit {
                Edit::Put { table, key, value } => {
                    tables.entry(table).or_default().insert(key, Some(value));
                }
                Edit::Delete { table, key } => {
                    tables.entry(table).or_default().insert(key, None);
                }
                Edit::DeleteRange { table, from, to } => {
                    let rows = tables.entry(table).or_default();
                    rows.range_mut(from..to).for_each(|(_, value)| *value = None);
                }
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), DbError> {
        Ok(())
    }

    fn checkpoint(&self, target: &Path) -> Result<(), DbError> {
        MemoryStore::default().checkpoint(target)
    }

    fn estimated_rows(&self, _: &'static str) -> Result<u64, DbError> {
        Ok(0)
    }
}

/// An OM over such a store, with a bucket of this layout and [`KEYS`] keys in the folder `d`.
fn om(layout: BucketLayoutProto) -> (Arc<Counting>, Om) {
    let store = Arc::new(Counting::default());
    let mut om = Om { cache: TableCache::new(store.clone()), ..Om::new() };
    om.ok(create_volume("vol"));
    om.ok(create_bucket("vol", "buck", layout));
    for n in 0..KEYS {
        om.put(&name(n), 0);
    }
    settle(&om);
    (store, om)
}

fn name(n: usize) -> String {
    format!("d/k{n:05}")
}

/// Everything is in the store, and nothing of it in memory.
fn settle(om: &Om) {
    om.flush();
    om.flush();
    om.cache.apply(Applied { term: 1, index: om.index }, Vec::new());
    om.flush();
}

fn delete_all(om: &mut Om) {
    om.ok(delete_keys());
    settle(om);
}

fn delete_keys() -> OmRequest {
    let keys = (0..KEYS).map(name).collect();
    let args = DeleteKeyArgs { volume_name: "vol".into(), bucket_name: "buck".into(), keys };
    OmRequest {
        delete_keys_request: Some(Box::new(DeleteKeysRequest {
            delete_keys: Some(args),
            ..Default::default()
        })),
        ..kind(Type::DeleteKeys)
    }
}

/// What apply reads of a request that was prepared, and its reply.
fn applying(store: &Counting, om: &mut Om, mut request: OmRequest) -> ((usize, usize), OmResponse) {
    prepare(&mut request, &om.ns(), &om.caller()).unwrap();
    store.take();
    om.index += 1;
    let at = At { term: 1, index: om.index };
    let (reply, changes) = apply(Box::new(request), at, om.ns()).unwrap();
    om.cache.apply(Applied { term: 1, index: om.index }, changes);
    (store.take(), *reply)
}

fn delete_bucket() -> OmRequest {
    let delete = DeleteBucketRequest { volume_name: "vol".into(), bucket_name: "buck".into() };
    OmRequest { delete_bucket_request: Some(Box::new(delete)), ..kind(Type::DeleteBucket) }
}

#[test]
fn apply_does_not_go_over_what_was_removed_from_a_bucket_or_a_folder() {
    for layout in [BucketLayoutProto::ObjectStore, BucketLayoutProto::FileSystemOptimized] {
        let (store, mut om) = om(layout);
        delete_all(&mut om);
        if layout == BucketLayoutProto::FileSystemOptimized {
            let ((stepped, _), reply) = applying(&store, &mut om, delete_key("d", false));
            assert_eq!((stepped, reply.status()), (0, Status::Ok));
            settle(&om);
        }
        let ((stepped, _), reply) = applying(&store, &mut om, delete_bucket());
        assert_eq!((stepped, reply.status()), (0, Status::Ok), "{layout:?}");
    }
}

#[test]
fn a_key_that_comes_between_the_look_and_apply_keeps_its_bucket() {
    let (_, mut om) = om(BucketLayoutProto::ObjectStore);
    delete_all(&mut om);
    let mut request = delete_bucket();
    prepare(&mut request, &om.ns(), &om.caller()).unwrap();
    om.put("late", 0);
    om.index += 1;
    let at = At { term: 1, index: om.index };
    let (reply, _) = apply(Box::new(request), at, om.ns()).unwrap();
    assert_eq!(reply.status(), Status::BucketNotEmpty);
}

#[test]
fn a_page_reads_as_many_rows_as_it_shows() {
    const PAGE: usize = 10;
    for layout in [
        BucketLayoutProto::ObjectStore,
        BucketLayoutProto::Legacy,
        BucketLayoutProto::FileSystemOptimized,
    ] {
        let (store, om) = om(layout);
        for start in [String::new(), name(KEYS / 2)] {
            let status = OmRequest {
                list_status_request: Some(Box::new(ListStatusRequest {
                    key_args: args("d"),
                    start_key: start.clone(),
                    num_entries: PAGE as u64,
                    ..Default::default()
                })),
                ..kind(Type::ListStatus)
            };
            store.take();
            assert_eq!(om.read(status).status(), Status::Ok);
            let (stepped, looked_up) = store.take();
            assert!(stepped <= PAGE + 2 && looked_up <= 8, "{layout:?}: {stepped}, {looked_up}");
            if layout != BucketLayoutProto::FileSystemOptimized {
                // The same page in both forms.
                assert_eq!(om.list(&start, "d/", PAGE as i32).0.len(), PAGE);
                let (stepped, looked_up) = store.take();
                assert!(stepped <= 2 * (PAGE + 1) && looked_up <= 8, "{layout:?}: {stepped}");
            }
        }
    }
}

#[test]
fn a_file_below_known_folders_is_found_by_its_own_row() {
    let (store, om) = om(BucketLayoutProto::FileSystemOptimized);
    om.info(&name(0));
    // The first time it may be a folder, too.
    for looked_up in [2, 1] {
        for n in 1..KEYS {
            store.take();
            assert_eq!(om.info(&name(n)).status(), Status::Ok);
            assert_eq!(store.take(), (0, looked_up));
        }
    }
}

#[test]
fn apply_finds_the_keys_of_a_batch_in_memory_as_they_are_by_then() {
    for layout in [BucketLayoutProto::ObjectStore, BucketLayoutProto::FileSystemOptimized] {
        let (store, mut om) = om(layout);
        let ((stepped, looked_up), reply) = applying(&store, &mut om, delete_keys());
        assert_eq!((stepped, looked_up, reply.status()), (0, 0, Status::Ok), "{layout:?}");

        let (_, mut om) = self::om(layout);
        let mut request = delete_keys();
        prepare(&mut request, &om.ns(), &om.caller()).unwrap();
        // Between the look and apply one key goes and another one changes, and all is flushed.
        om.ok(delete_key(&name(0), false));
        om.put(&name(1), 10);
        settle(&om);
        om.index += 1;
        let at = At { term: 1, index: om.index };
        let (reply, changes) = apply(Box::new(request), at, om.ns()).unwrap();
        om.cache.apply(Applied { term: 1, index: om.index }, changes);
        assert_eq!(reply.status(), Status::PartialDelete);
        let left = reply.delete_keys_response.unwrap().un_deleted_keys.unwrap().keys;
        assert_eq!(left, [name(0)]);
        let retired = om.rows(&tables::DELETED);
        assert_eq!(retired.len(), 1, "{retired:?}");
        assert_eq!(om.bucket().used_bytes, Some(0));
    }
}
