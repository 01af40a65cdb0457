//! Text files: descriptors, properties, settings; and names.

use std::path::Path;

use container_store::descriptor::Descriptor;
use datanode::identity::Identity;
use datanode::pipeline::snapshot;
use om_core::names as om;
use ozone_config::{Configuration, Sources};
use ozone_daemon::properties as java;

use crate::{byte, piece};

/// A `.container` file. Whatever is read is written so that it is read again, checksum included.
pub fn descriptor(data: &[u8]) {
    let path = Path::new("fuzz.container");
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Descriptor::parse(path, text, true);
    if let Ok(descriptor) = Descriptor::parse(path, text, false) {
        let written = descriptor.to_text();
        let again = Descriptor::parse(path, &written, true).expect("our own text is read");
        assert_eq!(again, descriptor, "{written}");
    }
}

/// `datanode.id`, and the snapshots of a pipeline.
pub fn datanode_files(mut data: &[u8]) {
    if byte(&mut data) & 1 == 0 {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if let Ok(identity) = Identity::parse(text) {
            let again = Identity::parse(&identity.to_text()).expect("our own text is read");
            assert_eq!(again.id, identity.id);
        }
        return;
    }
    let name = String::from_utf8_lossy(piece(&mut data)).replace(['/', '\0'], "_");
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().join(format!("snapshot.{name}"));
    if std::fs::write(path, data).is_err() {
        return;
    }
    if let Some((at, map)) = snapshot::newest(directory.path()) {
        snapshot::write(directory.path(), at, &map).expect("the directory takes it");
        assert_eq!(snapshot::newest(directory.path()), Some((at, map)));
    }
}

/// `VERSION` and its like: the pairs that were read and written are read again.
pub fn properties(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pairs = java::parse(text);
    assert_eq!(java::parse(&java::format(&pairs)), pairs);
}

/// `ozone-site.xml`, with every way to read a value. A file costs no more than its bytes.
pub fn site(data: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let path = directory.path().join("ozone-site.xml");
    std::fs::write(&path, data).expect("the directory takes it");
    let sources = Sources { directory: Some(directory.path().to_owned()), ..Sources::default() };
    let Ok(conf) = Configuration::load(&sources) else { return };
    let keys: Vec<String> = conf.written().map(|(key, _)| key.to_owned()).collect();
    for key in keys {
        let _ = conf.get(&key);
        let _ = conf.boolean(&key, false);
        let _ = conf.integer::<i64>(&key, 0);
        let _ = conf.float(&key, 0.0);
        let _ = conf.size(&key, 0);
        let _ = conf.list(&key);
    }
    let _ = conf.unknown_keys();
}

/// Names of volumes, buckets and keys. Normalizing twice is normalizing once.
pub fn names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for strict in [false, true] {
        let _ = om::check_volume(text, strict);
        let _ = om::check_bucket(text, strict);
    }
    let _ = om::check_not_snapshot(text, "create");
    let _ = om::check_key_characters(text);
    for keep_slash in [false, true] {
        let once = om::normalize(text, keep_slash);
        assert_eq!(om::normalize(&once, keep_slash), once);
    }
    if let Ok(new) = om::normalize_new(text) {
        assert_eq!(om::normalize_new(&new).ok().as_ref(), Some(&new));
    }
    let _ = (om::leaf(text), om::parent(text));
}
