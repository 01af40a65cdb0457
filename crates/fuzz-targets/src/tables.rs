//! Rows of `om.db`, `scm.db` and `container.db`.

use std::fmt::Debug;

use hdds_proto::datanode::BlockData;
use om_core::tables as om;
use ozone_db::TableDef;
use scm_core::tables as scm;

/// The first byte chooses the table; then come key and value. What decodes and is encoded again
/// decodes to the same.
pub fn rows(mut data: &[u8]) {
    let which = crate::byte(&mut data);
    let key = crate::piece(&mut data);
    let value = data;
    match which {
        0 => row(&om::USER.def, key, value),
        1 => row(&om::VOLUME.def, key, value),
        2 => row(&om::BUCKET.def, key, value),
        3 => row(&om::KEY.def, key, value),
        4 => row(&om::DIRECTORY.def, key, value),
        5 => row(&om::DELETED.def, key, value),
        6 => row(&om::MULTIPART_INFO.def, key, value),
        7 => row(&om::PREFIX.def, key, value),
        8 => row(&om::S3_SECRET.def, key, value),
        9 => row(&scm::CONTAINERS, key, value),
        10 => {
            row(&scm::PIPELINES, key, value);
            pipeline(value);
        }
        11 => row(&scm::DELETED_BLOCKS, key, value),
        12 => row(&scm::SEQUENCE_IDS, key, value),
        13 => row(&scm::TRANSACTION_INFO, key, value),
        14 => row(&scm::SERVICE_SETTINGS, key, value),
        15 => row(&container_store::tables::CONTAINER_CREATE_INFO, key, value),
        _ => container_row(key, value),
    }
}

fn row<K: PartialEq + Debug, V: PartialEq + Debug>(
    table: &TableDef<K, V>,
    key: &[u8],
    value: &[u8],
) {
    if let Ok(key) = (table.key.decode)(key) {
        let bytes = (table.key.encode)(&key);
        assert_eq!((table.key.decode)(&bytes).as_ref(), Ok(&key));
    }
    if let Ok(value) = (table.value.decode)(value) {
        let bytes = (table.value.encode)(&value);
        assert_eq!((table.value.decode)(&bytes).as_ref(), Ok(&value));
    }
}

fn pipeline(value: &[u8]) {
    use prost::Message as _;
    if let Ok(proto) = hdds_proto::hdds::Pipeline::decode(value) {
        let _ = hdds_proto::convert::pipeline_id(&proto.id);
        for member in &proto.members {
            let _ = hdds_proto::convert::datanode_id(member);
        }
    }
}

fn container_row(key: &[u8], value: &[u8]) {
    use container_store::tables;
    use prost::Message as _;
    if let (Some(container), Some(number)) = (tables::container_of(key), tables::number_of(key)) {
        let again = tables::number_key(container, number);
        assert_eq!(tables::container_of(&again), Some(container));
        assert_eq!(tables::number_of(&again), Some(number));
    }
    if let Ok(block) = BlockData::decode(value) {
        assert_eq!(BlockData::decode(block.encode_to_vec().as_slice()), Ok(block));
    }
}
