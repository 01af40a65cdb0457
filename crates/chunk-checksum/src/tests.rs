use super::*;

const ALL: [Algorithm; 4] =
    [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Sha256, Algorithm::Md5];

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn crc32_of_hello_is_what_the_java_client_sends() {
    // Recorded from the Java client: chunk "hello", CRC32, checksum 3610a686.
    let data = compute(Algorithm::Crc32, 16384, b"hello");
    assert_eq!(data.checksums, [&[0x36, 0x10, 0xa6, 0x86][..]]);
    assert_eq!(data.bytes_per_checksum, 16384);
}

#[test]
fn the_published_check_values_hold() {
    let of = |algorithm| hex(&compute(algorithm, 1024, b"123456789").checksums[0]);
    assert_eq!(of(Algorithm::Crc32), "cbf43926");
    assert_eq!(of(Algorithm::Crc32c), "e3069283");
    assert_eq!(of(Algorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
    assert_eq!(
        of(Algorithm::Sha256),
        "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
    );
}

#[test]
fn buffers_of_any_cut_give_the_sums_of_the_whole() {
    let data = bytes(10_000);
    for algorithm in ALL {
        let whole = compute(algorithm, 1024, &data);
        assert_eq!(whole.checksums.len(), 10);
        for cut in [1, 3, 1000, 1024, 4096] {
            let buffers: Vec<Bytes> = data.chunks(cut).map(Bytes::copy_from_slice).collect();
            assert_eq!(compute_buffers(algorithm, 1024, &buffers), whole, "{algorithm} {cut}");
            verify_buffers(&whole, 0, &buffers).unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_is_found_and_its_piece_named() {
    for algorithm in ALL {
        let mut data = bytes(5000);
        let sums = compute(algorithm, 1024, &data);
        verify(&sums, 0, &data).unwrap();
        data[3000] ^= 1;
        assert!(matches!(verify(&sums, 0, &data), Err(ChecksumError::Mismatch { piece: 2, .. })));
        verify(&sums, 3, &data[3 * 1024..]).unwrap();
    }
}

#[test]
fn more_data_than_checksums_is_an_error_and_not_a_pass() {
    let sums = compute(Algorithm::Crc32, 1024, &bytes(1024));
    assert!(matches!(verify(&sums, 0, &bytes(1025)), Err(ChecksumError::TooFew { .. })));
    assert!(matches!(verify(&sums, 9, &bytes(1)), Err(ChecksumError::TooFew { .. })));
    let zero = ChecksumData { bytes_per_checksum: 0, ..sums };
    assert_eq!(verify(&zero, 0, &bytes(1)), Err(ChecksumError::NoPieces));
}

#[test]
fn none_has_no_sums_and_always_passes() {
    let sums = compute(Algorithm::None, 1024, &bytes(5000));
    assert!(sums.checksums.is_empty());
    verify(&sums, 0, &bytes(9)).unwrap();
    assert!(compute(Algorithm::Crc32, 1024, &[]).checksums.is_empty());
}

#[test]
fn the_crc_of_a_whole_is_composed_from_its_parts() {
    let text = b"composed from two parts of different length";
    let crc = |part: &[u8]| {
        let sums = compute(Algorithm::Crc32, 1 << 20, part).checksums;
        u32::from_be_bytes(sums[0][..].try_into().unwrap())
    };
    let (head, tail) = text.split_at(13);
    let joined = combine(Algorithm::Crc32, crc(head), crc(tail), tail.len() as u64);
    assert_eq!(joined, Some(crc(text)));
    assert_eq!(combine(Algorithm::Crc32, 0, crc(head), head.len() as u64), Some(crc(head)));
    assert_eq!(combine(Algorithm::Md5, 0, 0, 0), None);
}
