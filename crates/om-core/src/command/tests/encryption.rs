//! Encrypted buckets: which keys get a data key, and which they get.

use BucketLayoutProto::{FileSystemOptimized, Legacy, ObjectStore};

use super::*;
use crate::encryption::{self, Wanted};

fn cipher(key_name: &str) -> BucketEncryptionInfoProto {
    BucketEncryptionInfoProto {
        key_name: key_name.into(),
        suite: Some(CipherSuiteProto::AesCtrNopadding.into()),
        crypto_protocol_version: Some(CryptoProtocolVersionProto::EncryptionZones.into()),
    }
}

impl Om {
    /// What the server around it does with a prepared request; every data key is another one.
    pub(super) fn provide_keys(&self, request: &mut OmRequest) {
        match encryption::wanted(request, &self.ns()).unwrap() {
            None => {}
            Some(Wanted::Cipher { key_name }) => {
                encryption::provide_cipher(request, cipher(&key_name));
            }
            Some(Wanted::DataKey(bucket)) => {
                let info = FileEncryptionInfoProto {
                    suite: bucket.suite().into(),
                    crypto_protocol_version: bucket.crypto_protocol_version().into(),
                    key: self.index.to_be_bytes().to_vec().into(),
                    iv: vec![1; 16].into(),
                    key_name: bucket.key_name.clone(),
                    ez_key_version_name: format!("{}@0", bucket.key_name),
                };
                encryption::provide_data_key(request, info);
            }
        }
    }

    /// With a key provider, and volume `vol` with the encrypted bucket `buck`.
    fn with_encrypted_bucket(layout: BucketLayoutProto) -> Self {
        let mut om = Self::new();
        om.rules.key_provider = true;
        om.ok(create_volume("vol"));
        om.ok(encrypted_bucket("buck", layout));
        om
    }

    fn stored(&self, key: &str) -> KeyInfo {
        self.info(key).get_key_info_response.unwrap().key_info.unwrap()
    }
}

fn encrypted_bucket(name: &str, layout: BucketLayoutProto) -> OmRequest {
    let mut request = create_bucket("vol", name, layout);
    let info = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
    info.beinfo = Some(BucketEncryptionInfoProto { key_name: "key1".into(), ..Default::default() });
    request
}

fn link(name: &str, target: &str) -> OmRequest {
    let mut request = create_bucket("vol", name, ObjectStore);
    let info = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
    info.source_volume = Some("vol".into());
    info.source_bucket = Some(target.into());
    request
}

#[test]
fn every_key_of_an_encrypted_bucket_has_a_data_key_of_its_own_in_every_layout() {
    for layout in [FileSystemOptimized, ObjectStore, Legacy] {
        let mut om = Om::with_encrypted_bucket(layout);
        assert_eq!(om.bucket().beinfo, Some(cipher("key1")));
        let first = om.put("a/b", 10).file_encryption_info.unwrap();
        assert_eq!(
            (first.key_name.as_str(), first.ez_key_version_name.as_str()),
            ("key1", "key1@0")
        );
        assert_eq!(om.stored("a/b").file_encryption_info.as_ref(), Some(&first));
        let second = om.put("a/b", 10).file_encryption_info.unwrap();
        assert_ne!(first.key, second.key, "what replaces a key is encrypted anew");
        assert_eq!(om.stored("a/b").file_encryption_info, Some(second));
        om.ok(rename_key("a/b", "a/c"));
        assert!(om.stored("a/c").file_encryption_info.is_some());
    }
}

#[test]
fn a_file_gets_its_data_key_and_a_folder_none() {
    let mut om = Om::with_encrypted_bucket(FileSystemOptimized);
    let create = CreateFileRequest {
        key_args: args("dir/file"),
        is_recursive: true,
        is_overwrite: true,
        client_id: None,
    };
    let created =
        om.ok(OmRequest { create_file_request: Some(Box::new(create)), ..kind(Type::CreateFile) });
    let file = created.create_file_response.unwrap().key_info.unwrap();
    assert!(file.file_encryption_info.is_some());
    let get = GetFileStatusRequest { key_args: args("dir") };
    let folder = om.read(OmRequest {
        get_file_status_request: Some(Box::new(get)),
        ..kind(Type::GetFileStatus)
    });
    let folder = folder.get_file_status_response.unwrap().status.key_info.unwrap();
    assert_eq!(folder.file_encryption_info, None);
}

#[test]
fn who_comes_by_a_link_gets_what_its_target_asks_for() {
    let mut om = Om::with_encrypted_bucket(ObjectStore);
    om.ok(link("link", "buck"));
    let mut request = create_key("k", 1);
    request.create_key_request.as_mut().unwrap().key_args.bucket_name = "link".into();
    let open = om.ok(request).create_key_response.unwrap();
    assert!(open.key_info.unwrap().file_encryption_info.is_some());
    let mut request = link("other", "buck");
    let info = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
    info.beinfo = Some(cipher("key1"));
    let (status, message) = om.refused(request);
    assert_eq!(status, Status::InvalidRequest);
    assert_eq!(message, "Encryption cannot be set for bucket links");
}

#[test]
fn all_parts_of_an_upload_share_its_data_key_and_so_does_the_key() {
    for layout in [FileSystemOptimized, ObjectStore, Legacy] {
        let mut om = Om::with_encrypted_bucket(layout);
        om.put("a/b", 10);
        let id = multipart::initiate(&mut om, "a/b");
        let open = om.ok(multipart::open_part("a/b", &id, 1, 10)).create_key_response.unwrap();
        let shared = open.key_info.unwrap().file_encryption_info.unwrap();
        for number in [1, 2] {
            multipart::put_part(&mut om, "a/b", &id, number, multipart::PART);
        }
        om.ok(multipart::complete("a/b", &id, &[(1, "etag1"), (2, "etag2")]));
        let done = om.stored("a/b");
        assert_eq!(done.file_encryption_info, Some(shared));
        let numbers = done.key_location_list[0].key_locations.iter().map(|block| block.part_number);
        assert!(numbers.eq([Some(1), Some(2)]), "readers must know where parts begin");
        let (status, _) = om.refused(multipart::open_part("a/b", "none", 1, 10));
        assert_eq!(status, Status::NoSuchMultipartUploadError);
    }
}

#[test]
fn a_bucket_can_be_encrypted_later_and_what_was_there_stays_as_it_is() {
    let mut om = Om::with_bucket(ObjectStore);
    om.rules.key_provider = true;
    om.put("plain", 10);
    let set = BucketArgs {
        volume_name: "vol".into(),
        bucket_name: "buck".into(),
        bek_info: Some(BucketEncryptionInfoProto { key_name: "key2".into(), ..Default::default() }),
        ..Default::default()
    };
    om.ok(OmRequest {
        set_bucket_property_request: Some(Box::new(SetBucketPropertyRequest {
            bucket_args: Some(set),
            ..Default::default()
        })),
        ..kind(Type::SetBucketProperty)
    });
    assert_eq!(om.bucket().beinfo, Some(cipher("key2")));
    assert_eq!(om.stored("plain").file_encryption_info, None);
    assert!(om.put("secret", 10).file_encryption_info.is_some());
}

#[test]
fn without_a_key_provider_any_more_nobody_writes_plain_keys() {
    let mut om = Om::with_encrypted_bucket(ObjectStore);
    om.rules.key_provider = false;
    let (status, message) = om.refused(create_key("plain", 1));
    assert_eq!(status, Status::InvalidRequest);
    assert_eq!(message, "Attempting to create unencrypted file plain in encrypted bucket buck");
    let (status, message) = om.refused(encrypted_bucket("other", ObjectStore));
    assert_eq!(status, Status::InvalidKmsProvider);
    let text = "Invalid KMS provider, check configuration hadoop.security.key.provider.path";
    assert_eq!(message, text);
}
