//! Java's name-based UUIDs.

use std::cell::Cell;

use md5::{Digest, Md5};

thread_local! {
    /// The last id of a client and its UUID: clients send many calls in a row.
    static LAST: Cell<([u8; 16], [u8; 16])> = const { Cell::new(([0; 16], NAME_UUID_OF_ZEROS)) };
}

/// [`name_uuid_from_bytes`] of 16 zero bytes.
const NAME_UUID_OF_ZEROS: [u8; 16] = [
    0x4a, 0xe7, 0x13, 0x36, 0xe4, 0x4b, 0x39, 0xbf, 0xb9, 0xd2, 0x75, 0x2e, 0x23, 0x48, 0x18, 0xa5,
];

/// [`name_uuid_from_bytes`] of a client id.
pub fn name_uuid_of_client(client: [u8; 16]) -> [u8; 16] {
    let (last, uuid) = LAST.get();
    if last == client {
        return uuid;
    }
    let uuid = name_uuid_from_bytes(&client);
    LAST.set((client, uuid));
    uuid
}

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

    #[test]
    fn the_uuid_of_a_client_is_that_of_its_bytes_whoever_asked_before() {
        for client in [[0; 16], [1; 16], [0; 16], [1; 16], [1; 16]] {
            assert_eq!(name_uuid_of_client(client), name_uuid_from_bytes(&client));
        }
    }
}
