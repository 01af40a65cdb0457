//! Container commands, carried out on a datanode's store.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use container_store::{ContainerStore, OpenDatabase, StorageType, StoreSettings, VolumeSettings};
use datanode::dispatch::Dispatcher;
use datanode::heartbeat::Outbox;
use hdds_proto::datanode::{ContainerCommandRequestProto as Request, Type};
use ozone_db::{MemoryStore, Store};
use parking_lot::Mutex;
use prost::Message as _;

/// Commands of one run.
const COMMANDS_MAX: usize = 8;

/// The data are commands, each with its length. They are served as a client's (first byte even) or
/// applied as entries of a log. Whatever they ask for is answered.
pub fn container_commands(mut data: &[u8]) {
    let direct = crate::byte(&mut data) & 1 == 0;
    let mut requests = Vec::new();
    while !data.is_empty() && requests.len() < COMMANDS_MAX {
        let Ok(mut request) = Request::decode(crate::piece(&mut data)) else { return };
        // Sleeping is a feature.
        if let Some(echo) = &mut request.echo {
            echo.sleep_time_ms = None;
            echo.payload_size_resp = echo.payload_size_resp.map(|bytes| bytes.min(1024));
        }
        requests.push(request);
    }
    if requests.is_empty() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory for the test");
    let dispatcher = dispatcher(directory.path());
    if direct {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime for the test");
        for request in requests {
            let kind = request.cmd_type;
            let reply = runtime.block_on(dispatcher.serve(request));
            assert_eq!(reply.cmd_type, kind);
        }
    } else {
        for (index, request) in (1..).zip(&requests) {
            if Type::try_from(request.cmd_type).is_ok_and(|kind| kind != Type::Echo) {
                let reply = dispatcher.apply(request, index);
                assert_eq!(reply.cmd_type, request.cmd_type);
            }
        }
    }
}

fn dispatcher(path: &Path) -> Arc<Dispatcher> {
    let settings = StoreSettings {
        volumes: vec![VolumeSettings {
            root: path.join("disk"),
            storage_type: StorageType::Disk,
            reserved_bytes: None,
        }],
        metadata: path.join("meta"),
        container_bytes_max: 1 << 20,
        sync_chunks: false,
        direct_bytes_min: 512 << 10,
        verify_on_write: true,
        verify_descriptors: true,
        reserved_fraction: 0.0001,
        min_free_bytes: 0,
        min_free_fraction: 0.0,
        min_free_hard_fraction: 0.0,
        write_threads_per_volume: 1,
        read_threads_per_volume: 1,
        deletions_per_round_max: 100,
    };
    let databases: Arc<Mutex<HashMap<_, Arc<MemoryStore>>>> = Arc::default();
    let open: OpenDatabase = Arc::new(move |path: &Path, _: &[&'static str]| {
        let store = databases.lock().entry(path.to_owned()).or_default().clone();
        Ok(store as Arc<dyn Store>)
    });
    let outbox = Arc::new(Outbox::new(1));
    let changes = {
        let outbox = outbox.clone();
        Arc::new(move |replica| outbox.container_changed(&replica))
    };
    let store = ContainerStore::open(settings, "CID-1", "dn-1", &open, changes);
    Arc::new(Dispatcher::new(Arc::new(store.expect("an empty store opens")), outbox, 0.9))
}
