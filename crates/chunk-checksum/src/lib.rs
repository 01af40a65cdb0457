//! Checksums of chunks: CRC32, CRC32C, SHA-256 and MD5 per piece.
