//! Java's name-based UUIDs.

use md5::{Digest, Md5};

/// `java.util.UUID.nameUUIDFromBytes`: MD5 of the bytes with version 3 and variant 2 set. OM turns
/// the 16 bytes of an RPC client id into a Raft client id with it (`OzoneManagerRatisServer`).
pub fn name_uuid_from_bytes(name: &[u8]) -> [u8; 16] {
    let mut uuid: [u8; 16] = Md5::digest(name).into();
    uuid[6] = (uuid[6] & 0x0f) | 0x30;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    uuid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_uuids_that_java_makes() {
        // UUID.nameUUIDFromBytes("".getBytes()) and of "hello", as printed by Java.
        let text =
            |name: &[u8]| format!("{:032x}", u128::from_be_bytes(name_uuid_from_bytes(name)));
        assert_eq!(text(b""), "d41d8cd98f003204a9800998ecf8427e");
        assert_eq!(text(b"hello"), "5d41402abc4b3a76b9719d911017c592");
    }
}
