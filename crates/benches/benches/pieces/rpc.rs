//! Hadoop RPC: from bytes of a connection to a request, and back.

use bytes::{BufMut, Bytes, BytesMut};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use hadoop_rpc::frame::FrameBuffer;
use hadoop_rpc::wire;
use om_proto::OmRequest;
use prost::Message;

use crate::namespace::{Om, create_key};

/// Largest frame, as the server has it.
const FRAME_BYTES_MAX: usize = 128 << 20;
/// Frames of a pipelined read.
const FRAMES: usize = 64;

fn frame() -> Bytes {
    let request = create_key("directory/of/some/depth/key-0001", 10 << 10).encode_to_vec();
    let mut frame = BytesMut::new();
    let header = [&[0x08, 2, 0x10, 0, 0x18, 14, 0x22, 16][..], &[7; 16], &[0x28, 1]].concat();
    let target = [
        &[0x0a, 13][..],
        b"submitRequest",
        &[0x12, 57],
        b"org.apache.hadoop.ozone.om.protocol.OzoneManagerProtocol".as_slice(),
        b" ",
        &[0x18, 1],
    ]
    .concat();
    for part in [&header[..], &target, &request] {
        wire::put_varint(&mut frame, part.len() as u64);
        frame.put_slice(part);
    }
    let mut framed = BytesMut::new();
    framed.put_i32(i32::try_from(frame.len()).expect("a short frame"));
    framed.put_slice(&frame);
    framed.freeze()
}

/// Frames of CreateKey cut off a stream, with both headers; the request stays encoded.
#[divan::bench]
fn frames_and_headers(bencher: Bencher<'_, '_>) {
    let one = frame();
    let stream = one.repeat(FRAMES);
    bencher.counter(ItemsCount::new(FRAMES)).counter(BytesCount::new(stream.len())).bench(|| {
        let mut buffer = FrameBuffer::new(FRAME_BYTES_MAX, false);
        buffer.room().extend_from_slice(&stream);
        buffer.arrived(stream.len());
        let mut seen = 0;
        while let Ok(Some(mut frame)) = buffer.next() {
            let header = wire::delimited(&mut frame).expect("a header");
            let header = wire::RequestHeader::decode(&header).expect("a whole header");
            let target = wire::delimited(&mut frame).expect("a target");
            let target = wire::Target::decode(&target).expect("a whole target");
            seen += header.client_id.len() + target.method.len();
        }
        assert_eq!(seen, FRAMES * (16 + 13));
    });
}

/// A CreateKey request out of its bytes.
#[divan::bench]
fn request_decode(bencher: Bencher<'_, '_>) {
    let bytes =
        Bytes::from(create_key("directory/of/some/depth/key-0001", 10 << 10).encode_to_vec());
    bencher.counter(BytesCount::new(bytes.len())).bench(|| OmRequest::decode(bytes.clone()));
}

/// The answer to GetKeyInfo of a key with one block, encoded.
#[divan::bench]
fn answer_encode(bencher: Bencher<'_, '_>) {
    let mut om = Om::in_memory();
    om.put("key");
    let answer = om.key_info("key");
    bencher.bench(|| answer.encode_to_vec());
}
