//! Encrypted buckets, with a key management server that also misbehaves.

use hadoop_kms::testing::{Manner, TestKms, exception};

use super::*;

/// An Ozone Manager with a key provider.
async fn start_with(directory: &Path, scm: &FakeScm, provider: &str) -> (Om, Client) {
    let mut conf = conf(directory, scm);
    conf.set("hadoop.security.key.provider.path", provider);
    conf.set("hadoop.security.kms.client.failover.sleep.base.millis", "0");
    om::init(&conf).await.unwrap();
    let om = Om::start(&conf).await.unwrap();
    let client = Client::new(om.rpc_address());
    (om, client)
}

fn encrypted(key_name: &str) -> OmRequest {
    let mut request = create_bucket(BucketLayoutProto::ObjectStore);
    let info = &mut request.create_bucket_request.as_mut().unwrap().bucket_info;
    info.beinfo =
        Some(BucketEncryptionInfoProto { key_name: key_name.into(), ..Default::default() });
    request
}

impl Client {
    async fn refused(&self, request: OmRequest) -> (Status, String) {
        let reply = self.send(request).await;
        assert_eq!(reply.success, Some(false));
        (reply.status(), reply.message.unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_an_encrypted_bucket_come_with_data_keys_and_clients_learn_who_decrypts_them() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let kms = TestKms::start(&["key1"]).await;
    let (om, client) = start_with(directory.path(), &scm, &kms.path()).await;
    client.ok(create_volume("vol")).await;

    let (status, message) = client.refused(encrypted("nokey")).await;
    assert_eq!(status, Status::BucketEncryptionKeyNotFound);
    assert_eq!(message, "Bucket encryption key nokey doesn't exist.");
    kms.add_key("odd", "SM4/CTR/NoPadding");
    assert_eq!(client.refused(encrypted("odd")).await.0, Status::UnknownCipherSuite);
    let denied = exception("AuthorizationException", "User:root not allowed to do it");
    kms.expect(Manner::Says(403, denied.to_string()));
    let refusal = (Status::InternalError, "User:root not allowed to do it".to_owned());
    assert_eq!(client.refused(encrypted("key1")).await, refusal);

    client.ok(encrypted("key1")).await;
    client.put("a", 10).await;
    client.put("b", 10).await;
    let info = |reply: OmResponse| {
        let key = reply.get_key_info_response.unwrap().key_info.unwrap();
        key.file_encryption_info.unwrap()
    };
    let (a, b) = (info(client.info("a").await), info(client.info("b").await));
    assert_ne!(a.key, b.key);
    assert_eq!((a.key_name.as_str(), a.ez_key_version_name.as_str()), ("key1", "key1@0"));
    assert_eq!((a.key.len(), a.iv.len()), (16, 16));
    assert_eq!(a.suite(), CipherSuiteProto::AesCtrNopadding);
    let asked = kms.calls().iter().filter(|call| call.contains("generate")).count();
    assert!(asked <= 2, "at the bucket, and once more to have enough; not for each key: {asked}");

    let list = OmRequest {
        service_list_request: Some(Box::new(ServiceListRequest {})),
        ..kind(Type::ServiceList)
    };
    let services = client.ok(list).await.service_list_response.unwrap().service_info;
    let told = services[0].server_defaults.as_ref().unwrap().key_provider_uri.clone();
    assert_eq!(told, Some(kms.path()));
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_server_that_is_down_is_told_and_nothing_else_suffers() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let kms = TestKms::start(&["key1"]).await;
    let path = kms.path();
    drop(kms);
    let (om, client) = start_with(directory.path(), &scm, &path).await;
    client.ok(create_volume("vol")).await;
    let (status, message) = client.refused(encrypted("key1")).await;
    assert_eq!(status, Status::InternalError);
    assert!(message.contains("cannot be reached"), "{message}");
    client.ok(create_bucket(BucketLayoutProto::ObjectStore)).await;
    client.put("plain", 10).await;
    om.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_be_used_counts_as_none() {
    let directory = tempfile::tempdir().unwrap();
    let scm = FakeScm::start().await;
    let (om, client) = start_with(directory.path(), &scm, "kms://https@localhost:1/kms").await;
    client.ok(create_volume("vol")).await;
    assert_eq!(client.refused(encrypted("key1")).await.0, Status::InvalidKmsProvider);
    om.shutdown().await.unwrap();
}
