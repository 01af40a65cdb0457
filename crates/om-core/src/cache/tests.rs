use std::collections::{BTreeMap, BTreeSet};

use ozone_db::{Durability, MemoryStore};
use proptest::prelude::*;

use super::*;

/// A table whose absent keys are remembered.
const SLOT: usize = tables::KEY.slot;

fn cache() -> TableCache {
    TableCache::new(Arc::new(MemoryStore::default()))
}

fn flush(cache: &TableCache) {
    if let Some(flush) = cache.begin_flush() {
        cache.store().write(flush.batch, Durability::Memory).unwrap();
        cache.finish_flush();
    }
}

fn rows(cache: &TableCache, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    cache
        .scan(SLOT, Range { from, to }, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

#[derive(Clone, Debug)]
enum Step {
    Put(u16, u8),
    Remove(u16),
    Begin,
    Write,
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..900_u16, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        3 => (0..900_u16).prop_map(Step::Remove),
        1 => Just(Step::Begin),
        1 => Just(Step::Write),
        1 => Just(Step::Finish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_scan_sees_what_a_plain_map_would_hold_at_every_point_of_a_flush(
        steps in prop::collection::vec(step(), 1..1500),
        from in 0..900_u16,
        to in 0..900_u16,
        asked in 0..900_u16,
    ) {
        let cache = cache();
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut used = BTreeSet::new();
        let mut pending: Option<Batch> = None;
        for (index, step) in steps.into_iter().enumerate() {
            let at = Applied { term: 1, index: index as u64 };
            let key = |number: u16| Bytes::from(format!("k{number:04}"));
            match step {
                Step::Put(number, value) => {
                    let value = Bytes::from(vec![value]);
                    model.insert(key(number).to_vec(), value.to_vec());
                    let is_new = used.insert(number);
                    let change = Change::new(SLOT, key(number), Some(value));
                    cache.apply(at, vec![Change { is_new, ..change }]);
                }
                Step::Remove(number) => {
                    model.remove(key(number).as_ref());
                    cache.apply(at, vec![Change::new(SLOT, key(number), None)]);
                }
                Step::Begin => pending = cache.begin_flush().map(|flush| flush.batch),
                Step::Write => {
                    if let Some(batch) = &pending {
                        cache.store().write(batch.clone(), Durability::Memory).unwrap();
                    }
                }
                Step::Finish => {
                    if let Some(batch) = pending.take() {
                        cache.store().write(batch, Durability::Memory).unwrap();
                        cache.finish_flush();
                    }
                }
            }
            let key = key(asked);
            let found = cache.get(SLOT, &key).unwrap();
            prop_assert_eq!(found.as_deref(), model.get(&key[..]).map(Vec::as_slice));
        }
        let all: Vec<_> = model.clone().into_iter().collect();
        prop_assert_eq!(rows(&cache, Bound::Unbounded, Bound::Unbounded), all);
        let (low, high) = (format!("k{:04}", from.min(to)), format!("k{:04}", from.max(to)));
        let (low, high) = (low.as_bytes(), high.as_bytes());
        let part: Vec<_> = model
            .iter()
            .filter(|(key, _)| key.as_slice() > low && key.as_slice() < high)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        prop_assert_eq!(rows(&cache, Bound::Excluded(low), Bound::Excluded(high)), part);
        for (key, value) in &model {
            let found = cache.get(SLOT, key).unwrap();
            prop_assert_eq!(found.as_deref(), Some(value.as_slice()));
        }
    }
}

#[test]
fn a_flush_carries_the_last_transaction_even_when_it_changed_nothing() {
    let cache = cache();
    cache.apply(Applied { term: 1, index: 1 }, Vec::new());
    cache.apply(Applied { term: 2, index: 9 }, Vec::new());
    flush(&cache);
    assert_eq!(cache.flushed().unwrap(), Some(Applied { term: 2, index: 9 }));
    assert!(!cache.is_dirty());
    assert!(cache.begin_flush().is_none());
}

#[test]
fn a_batch_that_was_not_finished_is_handed_out_again() {
    let cache = cache();
    let at = Applied { term: 1, index: 1 };
    let change = Change::new(SLOT, "k", Some("v".into()));
    cache.apply(at, vec![change]);
    assert!(cache.begin_flush().is_some());
    assert_eq!(cache.begin_flush().unwrap().applied, at);
    assert_eq!(cache.get(SLOT, b"k").unwrap().unwrap(), "v");
}
