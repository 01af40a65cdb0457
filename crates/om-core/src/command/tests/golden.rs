//! The rows of a genuine `om.db`, made again by the requests that made them there.

use std::collections::HashMap;

use hdds_proto::hdds::DefaultReplicationConfig;

use super::*;

fn rows() -> HashMap<(String, String), Vec<u8>> {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    };
    include_str!("../../../../../golden/om/rows.tsv")
        .lines()
        .filter_map(|line| {
            let mut parts = line.split('\t');
            let (table, key, value) = (parts.next()?, parts.next()?, parts.next()?);
            let key = String::from_utf8_lossy(&hex(key)).into_owned();
            Some(((table.to_owned(), key), hex(value)))
        })
        .collect()
}

fn same<V: Message + Default + PartialEq + std::fmt::Debug>(table: &Table<V>) {
    for ((name, key), value) in rows() {
        if name == table.def.name {
            let decoded = V::decode(value.as_slice()).unwrap();
            assert_eq!(decoded.encode_to_vec(), value, "{name} {key}");
        }
    }
}

#[test]
fn rows_of_a_genuine_database_survive_decoding_and_encoding_byte_for_byte() {
    same(&tables::USER);
    same(&tables::VOLUME);
    same(&tables::BUCKET);
    same(&tables::KEY);
}

#[test]
fn the_transaction_row_is_read_as_java_writes_it() {
    let row = &rows()[&("transactionInfoTable".to_owned(), "#TRANSACTIONINFO".to_owned())];
    let applied = Applied::from_row(row).unwrap();
    assert_eq!(applied.to_row().as_bytes(), row);
    assert_eq!(Applied::from_row(b"1-2"), None);
}

#[test]
fn the_volume_of_s3_is_the_genuine_one_and_is_made_once() {
    let golden = rows();
    let row = &golden[&("volumeTable".to_owned(), "/s3v".to_owned())];
    let genuine = VolumeInfo::decode(row.as_slice()).unwrap();
    let now = genuine.creation_time.unwrap();
    let om = Om::new();
    let make = || volume::s3_volume_rows(&om.cache, &om.rules, USER, Some(USER), now).unwrap();
    om.cache.apply(Applied::default(), make());
    let made = om.row(&tables::VOLUME, "/s3v").unwrap();
    assert_eq!(made.encode_to_vec(), *row);
    assert_eq!(om.row(&tables::USER, USER).unwrap().volume_names, ["s3v"]);
    assert!(make().is_empty());
}

/// The requests of `golden/README.md`, at their genuine indices and times.
#[test]
fn the_requests_of_the_recording_make_the_same_rows() {
    let golden = rows();
    let stored = |table: &str, key: &str| golden[&(table.to_owned(), key.to_owned())].clone();
    let key_of = |name: &str| KeyInfo::decode(stored("keyTable", name).as_slice()).unwrap();
    let mut om = Om::new();

    let volume = VolumeInfo::decode(stored("volumeTable", "/vol1").as_slice()).unwrap();
    om.index = volume.update_id.unwrap() - 1;
    om.now = volume.creation_time.unwrap();
    om.ok(create_volume("vol1"));

    for (name, quotas, replication) in [
        ("buck1", (-1, -1), None),
        (
            "buck2",
            (5 << 30, 9),
            Some(DefaultReplicationConfig {
                r#type: 1,
                factor: Some(1),
                ec_replication_config: None,
            }),
        ),
    ] {
        let row = stored("bucketTable", &format!("/vol1/{name}"));
        let info = BucketInfo::decode(row.as_slice()).unwrap();
        om.index = info.update_id.unwrap() - 1;
        om.now = info.creation_time.unwrap();
        let mut request = create_bucket("vol1", name, BucketLayoutProto::ObjectStore);
        let wanted = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
        (wanted.quota_in_bytes, wanted.quota_in_namespace) = (Some(quotas.0), Some(quotas.1));
        wanted.default_replication_config = replication;
        om.ok(request);
    }
    let rebuilt = om.row(&tables::VOLUME, "/vol1").unwrap();
    assert_eq!(rebuilt.encode_to_vec(), stored("volumeTable", "/vol1"));

    for (bucket, name) in
        [("buck1", "three"), ("buck1", "one"), ("buck2", "dir/deep"), ("buck1", "empty")]
    {
        let row = format!("/vol1/{bucket}/{name}");
        let genuine = key_of(&row);
        om.index = (genuine.object_id.unwrap() & ((1 << 62) - 1)) / 256 - 1;
        om.now = genuine.creation_time;
        let key_args = KeyArgs {
            volume_name: "vol1".into(),
            bucket_name: bucket.into(),
            key_name: name.into(),
            data_size: Some(genuine.data_size),
            r#type: (bucket == "buck1").then_some(genuine.r#type),
            factor: genuine.factor.filter(|_| bucket == "buck1"),
            owner_name: Some(USER.into()),
            ..Default::default()
        };
        let blocks: Vec<KeyLocation> = crate::key::blocks(&genuine).cloned().collect();
        if let Some(block) = blocks.first() {
            om.blocks = block.block_id.container_block_id.local_id - 1;
        }
        let open = om.ok(OmRequest {
            create_key_request: Some(Box::new(CreateKeyRequest {
                key_args: key_args.clone(),
                client_id: None,
            })),
            ..kind(Type::CreateKey)
        });
        let client_id = open.create_key_response.unwrap().id();
        // The stand-in for SCM hands out container 1 only.
        let open_row = format!("{row}/{client_id}");
        let mut open = om.row(&tables::OPEN_KEY, &open_row).unwrap();
        for (ours, theirs) in open.key_location_list[0].key_locations.iter_mut().zip(&blocks) {
            ours.block_id = theirs.block_id;
        }
        let mut ns = om.ns();
        ns.put(&tables::OPEN_KEY, open_row.into_bytes(), &open);
        let edits = ns.into_edits();
        om.cache.apply(Applied { term: 1, index: om.index }, edits);
        om.index = genuine.update_id.unwrap() - 1;
        om.now = genuine.modification_time;
        let key_args = KeyArgs { key_locations: blocks, ..key_args };
        om.ok(OmRequest {
            commit_key_request: Some(Box::new(CommitKeyRequest {
                key_args,
                client_id,
                hsync: None,
                recovery: None,
            })),
            ..kind(Type::CommitKey)
        });
        let rebuilt = om.row(&tables::KEY, &row).unwrap();
        assert_eq!(rebuilt, genuine);
        assert_eq!(rebuilt.encode_to_vec(), stored("keyTable", &row));
    }
    let rebuilt = om.row(&tables::BUCKET, "/vol1/buck2").unwrap();
    assert_eq!(rebuilt.encode_to_vec(), stored("bucketTable", "/vol1/buck2"));
}
