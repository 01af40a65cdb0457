//! Volumes, buckets and keys for clients.
