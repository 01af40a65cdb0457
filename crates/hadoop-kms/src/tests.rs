//! Against a server in this process.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::testing::{Manner, TestKms, exception};
use crate::{KeyCache, KmsAddress, KmsClient, KmsError, KmsSettings};

fn quick() -> KmsSettings {
    KmsSettings {
        wait_first: Duration::ZERO,
        wait_max: Duration::ZERO,
        ready_max: 10,
        ..KmsSettings::default()
    }
}

fn client(kms: &TestKms) -> KmsClient {
    KmsClient::new(kms.address(), "some one", quick())
}

fn both(first: &str, second: &TestKms) -> KmsAddress {
    // All hosts have one port: 127.0.0.2 is this host too, but nobody listens there.
    let port = second.path().rsplit(':').next().unwrap_or_default().to_owned();
    KmsAddress::parse(&format!("kms://http@{first};127.0.0.1:{port}")).unwrap()
}

#[tokio::test]
async fn a_data_key_comes_back_as_it_was_made() {
    let kms = TestKms::start(&["key one"]).await;
    let client = client(&kms);
    // Spaces are escaped in the path, and so they reach this server.
    assert_eq!(client.metadata("key one").await.unwrap(), None);
    kms.add_key("key%20one", "AES/CTR/NoPadding");
    let metadata = client.metadata("key one").await.unwrap().unwrap();
    assert_eq!((metadata.cipher.as_str(), metadata.bits), ("AES/CTR/NoPadding", 128));
    let keys = client.generate("key one", 3).await.unwrap();
    assert_eq!(keys.len(), 3);
    assert_eq!(keys[0].key_name, "key one");
    let data = client.decrypt(&keys[1]).await.unwrap();
    assert_eq!(data.0[..8], 2_u64.to_be_bytes());
    let calls = kms.calls();
    assert_eq!(calls[0], "key/key%20one/_metadata?user.name=some%20one");
    assert_eq!(calls[2], "key/key%20one/_eek?eek_op=generate&num_keys=3&user.name=some%20one");
}

#[tokio::test]
async fn a_server_that_is_down_is_told_with_its_address_in_bounded_time() {
    let kms = TestKms::start(&["key1"]).await;
    let address = kms.address();
    drop(kms);
    let client = KmsClient::new(address.clone(), "me", quick());
    let error = client.metadata("key1").await.unwrap_err();
    assert!(matches!(error, KmsError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address.servers()[0]), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let kms = TestKms::start(&["key1"]).await;
    let timeout = Duration::from_millis(50);
    let settings = KmsSettings { timeout, retries_max: Some(0), ..quick() };
    let client = KmsClient::new(kms.address(), "me", settings);
    kms.expect(Manner::Hangs);
    let error = client.metadata("key1").await.unwrap_err();
    assert!(error.to_string().contains("no answer within"), "{error}");
}

#[tokio::test]
async fn another_server_stands_in_for_one_that_fails() {
    let kms = TestKms::start(&["key1"]).await;
    for _ in 0..4 {
        let client = KmsClient::new(both("127.0.0.2", &kms), "me", quick());
        assert!(client.metadata("key1").await.unwrap().is_some());
        assert!(client.metadata("key1").await.unwrap().is_some());
    }
    let client = client(&kms);
    kms.expect(Manner::Breaks);
    assert!(client.metadata("key1").await.unwrap().is_some(), "it is asked again");
}

#[tokio::test]
async fn who_may_not_is_told_so_at_once() {
    let kms = TestKms::start(&["key1"]).await;
    let client = client(&kms);
    let said = exception("AuthorizationException", "User:me not allowed to do 'GET_METADATA'");
    kms.expect(Manner::Says(403, said.to_string()));
    let error = client.metadata("key1").await.unwrap_err();
    let message = "User:me not allowed to do 'GET_METADATA'".to_owned();
    assert_eq!(error, KmsError::Denied { message });
    assert_eq!(kms.calls().len(), 1);
}

#[tokio::test]
async fn answers_without_sense_are_told_and_show_no_keys() {
    let kms = TestKms::start(&["key1"]).await;
    let client = client(&kms);
    for answer in ["", "secret", "[{\"iv\": \"secret\"}]", "[]", "{\"material\": \"!secret\"}"] {
        kms.expect(Manner::Says(200, answer.to_owned()));
        let error = client.generate("key1", 1).await.unwrap_err();
        assert!(matches!(error, KmsError::Malformed { .. }), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    kms.expect(Manner::Says(200, "x".repeat(5 << 20)));
    kms.expect(Manner::Says(200, "x".repeat(5 << 20)));
    let error = client.generate("key1", 1).await.unwrap_err().to_string();
    assert!(error.contains("length limit"), "{error}");
    for (status, body) in [(500, "<html>".to_owned()), (401, String::new())] {
        kms.expect(Manner::Says(status, body));
        let error = client.generate("key1", 1).await.unwrap_err();
        assert!(matches!(error, KmsError::Refused { .. }), "{error}");
    }
}

#[tokio::test]
async fn data_keys_are_fetched_ahead_and_never_given_twice() {
    let kms = TestKms::start(&["key1"]).await;
    let cache = KeyCache::new(client(&kms));
    cache.warm_up("key1").await.unwrap();
    cache.warm_up("key1").await.unwrap();
    assert_eq!(kms.calls().len(), 1, "warm is warm");
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        assert!(seen.insert(cache.next("key1").await.unwrap().material));
    }
    // Three at first, then by tens at most: far less than one call for each.
    assert!(kms.calls().len() < 60, "{} calls", kms.calls().len());
}

#[tokio::test]
async fn all_who_wait_share_one_fetch_and_its_failure() {
    let kms = TestKms::start(&["key1"]).await;
    let denied = exception("AuthorizationException", "no").to_string();
    kms.expect(Manner::Says(403, denied));
    let cache = KeyCache::new(client(&kms));
    let both = tokio::join!(cache.next("key1"), cache.next("key1"));
    assert!(both.0.is_err() && both.1.is_err());
    assert_eq!(kms.calls().len(), 1);
    assert!(cache.next("key1").await.is_ok(), "the next one asks anew");
    let error = cache.next("other").await.unwrap_err().to_string();
    assert!(error.contains("there is no such key"), "{error}");
}
