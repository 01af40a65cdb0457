//! An engine in memory, for tests of everything above.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::{Batch, DbError, Durability, Edit, Range, Store, Visitor};

type Tables = BTreeMap<&'static str, BTreeMap<Bytes, Bytes>>;

/// Tables in memory. Any table name exists.
#[derive(Default)]
pub struct MemoryStore {
    tables: RwLock<Tables>,
}

impl Store for MemoryStore {
    fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Bytes>, DbError> {
        Ok(self.tables.read().get(table).and_then(|rows| rows.get(key)).cloned())
    }

    fn visit(
        &self,
        table: &'static str,
        range: Range<'_>,
        visitor: Visitor<'_>,
    ) -> Result<(), DbError> {
        if is_empty(&range) {
            return Ok(());
        }
        // A copy of the rows: the visitor may write to this store.
        let rows: Vec<(Bytes, Bytes)> = match self.tables.read().get(table) {
            Some(rows) => rows
                .range::<[u8], _>((range.from, range.to))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            None => return Ok(()),
        };
        for (key, value) in rows {
            if let ControlFlow::Break(()) = visitor(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, batch: Batch, _: Durability) -> Result<(), DbError> {
        let mut tables = self.tables.write();
        for edit in batch.edits {
            match edit {
                Edit::Put { table, key, value } => {
                    tables.entry(table).or_default().insert(key, value);
                }
                Edit::Delete { table, key } => {
                    tables.entry(table).or_default().remove(&key);
                }
                Edit::DeleteRange { table, from, to } => {
                    let rows = tables.entry(table).or_default();
                    rows.retain(|key, _| key < &from || key >= &to);
                }
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), DbError> {
        Ok(())
    }

    fn checkpoint(&self, target: &Path) -> Result<(), DbError> {
        Err(DbError::Engine {
            path: target.display().to_string(),
            message: "a store in memory has no files to link".to_owned(),
        })
    }

    fn estimated_rows(&self, table: &'static str) -> Result<u64, DbError> {
        Ok(self.tables.read().get(table).map_or(0, |rows| rows.len() as u64))
    }
}

/// `BTreeMap::range` panics on these.
fn is_empty(range: &Range<'_>) -> bool {
    match (range.from, range.to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to))
        | (Bound::Excluded(from), Bound::Included(to)) => from >= to,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TableDef, codec, prefix_end};

    const NUMBERS: TableDef<String, u64> = TableDef::new("numbers", codec::STRING, codec::U64);

    #[test]
    fn rows_come_back_in_order_and_within_the_range() {
        let store = MemoryStore::default();
        let mut batch = Batch::default();
        for (key, value) in [("b/2", 2), ("a", 1), ("b/1", 3), ("c", 4)] {
            NUMBERS.put(&mut batch, &key.to_owned(), &value);
        }
        store.write(batch, Durability::Memory).unwrap();
        assert_eq!(NUMBERS.get(&store, &"b/1".to_owned()).unwrap(), Some(3));

        let end = prefix_end(b"b/").unwrap();
        let range = Range { from: Bound::Included(b"b/"), to: Bound::Excluded(&end) };
        let keys: Vec<_> =
            NUMBERS.rows(&store, range).unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["b/1", "b/2"]);
        assert_eq!(NUMBERS.rows(&store, Range::after(b"b/2")).unwrap(), [("c".to_owned(), 4)]);
        assert_eq!(prefix_end(&[0xff, 0xff]), None);
    }

    #[test]
    fn a_row_that_does_not_decode_names_table_and_key() {
        let store = MemoryStore::default();
        let mut batch = Batch::default();
        batch.put("numbers", "k", "short");
        store.write(batch, Durability::Memory).unwrap();
        let text = NUMBERS.get(&store, &"k".to_owned()).unwrap_err().to_string();
        assert_eq!(text, "table numbers, key k: 5 bytes where 8 belong");
    }
}
