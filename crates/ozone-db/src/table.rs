//! A table with its types.

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::{Batch, Codec, CodecError, DbError, Range, Store};

/// Name, key and value of a table.
pub struct TableDef<K, V> {
    /// The RocksDB column family.
    pub name: &'static str,
    /// How keys are written.
    pub key: Codec<K>,
    /// How values are written.
    pub value: Codec<V>,
}

impl<K, V> TableDef<K, V> {
    /// A table.
    pub const fn new(name: &'static str, key: Codec<K>, value: Codec<V>) -> Self {
        Self { name, key, value }
    }

    /// The row of `key`.
    ///
    /// # Errors
    /// The row does not decode, or the engine failed.
    pub fn get(&self, store: &dyn Store, key: &K) -> Result<Option<V>, DbError> {
        let key = (self.key.encode)(key);
        match store.get(self.name, &key)? {
            Some(value) => self.decode_value(&key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Adds a row to a batch.
    pub fn put(&self, batch: &mut Batch, key: &K, value: &V) {
        let key = Bytes::from((self.key.encode)(key).into_owned());
        batch.put(self.name, key, Bytes::from((self.value.encode)(value).into_owned()));
    }

    /// Removes a row in a batch.
    pub fn delete(&self, batch: &mut Batch, key: &K) {
        batch.delete(self.name, Bytes::from((self.key.encode)(key).into_owned()));
    }

    /// Shows decoded rows in order until `visitor` breaks.
    ///
    /// # Errors
    /// A row does not decode, or the engine failed.
    pub fn visit(
        &self,
        store: &dyn Store,
        range: Range<'_>,
        mut visitor: impl FnMut(K, V) -> ControlFlow<()>,
    ) -> Result<(), DbError> {
        let mut failed = None;
        store.visit(self.name, range, &mut |key, value| match self
            .decode_key(key)
            .and_then(|k| Ok((k, self.decode_value(key, value)?)))
        {
            Ok((key, value)) => visitor(key, value),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Every row of a range. For tables known to be small.
    ///
    /// # Errors
    /// See [`Self::visit`].
    pub fn rows(&self, store: &dyn Store, range: Range<'_>) -> Result<Vec<(K, V)>, DbError> {
        let mut rows = Vec::new();
        self.visit(store, range, |key, value| {
            rows.push((key, value));
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// A key from its bytes.
    ///
    /// # Errors
    /// The bytes are no such key.
    pub fn decode_key(&self, bytes: &[u8]) -> Result<K, DbError> {
        (self.key.decode)(bytes).map_err(|source| self.codec_error(bytes, source))
    }

    /// A value from its bytes; `key` is for the error.
    ///
    /// # Errors
    /// The bytes are no such value.
    pub fn decode_value(&self, key: &[u8], bytes: &[u8]) -> Result<V, DbError> {
        (self.value.decode)(bytes).map_err(|source| self.codec_error(key, source))
    }

    fn codec_error(&self, key: &[u8], source: CodecError) -> DbError {
        DbError::Codec { table: self.name, key: key.escape_ascii().to_string(), source }
    }
}
