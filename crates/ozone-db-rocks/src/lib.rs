//! The RocksDB engine behind ozone-db, readable by RocksDB 7.7.3 of the Java side.
