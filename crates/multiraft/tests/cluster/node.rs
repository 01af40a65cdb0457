//! Nodes that can be stopped and started again, and waiting for what must come.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use multiraft::{ClientRequest, GroupId, MultiRaft, PeerId, RaftError, RaftSettings, Reply, Role};
use ratis_proto::common::RaftPeerProto;

use crate::machine::Machines;

const DEADLINE: Duration = Duration::from_secs(30);

pub struct Node {
    pub name: String,
    pub directory: PathBuf,
    pub address: SocketAddr,
    pub raft: MultiRaft,
    pub machines: Arc<Machines>,
    pub tune: fn(&mut RaftSettings),
}

fn settings(name: &str, directory: &Path, address: SocketAddr) -> RaftSettings {
    RaftSettings {
        server_address: address,
        election_timeout_min: Duration::from_millis(400),
        election_timeout_max: Duration::from_millis(700),
        request_timeout: Duration::from_secs(3),
        segment_preallocated_bytes: 64 << 10,
        snapshot_after_entries: None,
        ..RaftSettings::new(PeerId::from(name), vec![directory.to_owned()])
    }
}

impl Node {
    pub async fn start(name: &str, root: &Path, tune: fn(&mut RaftSettings)) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self::start_at(name, root.join(name), any, tune).await
    }

    async fn start_at(
        name: &str,
        directory: PathBuf,
        address: SocketAddr,
        tune: fn(&mut RaftSettings),
    ) -> Self {
        let machines = Arc::new(Machines::default());
        let mut settings = settings(name, &directory, address);
        tune(&mut settings);
        let raft = MultiRaft::start(settings, machines.clone()).await.unwrap();
        let address = raft.addresses().0;
        Self { name: name.to_owned(), directory, address, raft, machines, tune }
    }

    pub async fn restart(&mut self) {
        self.raft.shutdown().await;
        self.start_again().await;
    }

    pub async fn start_again(&mut self) {
        let directory = self.directory.clone();
        *self = Self::start_at(&self.name.clone(), directory, self.address, self.tune).await;
    }

    pub fn peer(&self, priority: u32) -> RaftPeerProto {
        let address = self.address.to_string();
        RaftPeerProto {
            id: Bytes::copy_from_slice(self.name.as_bytes()),
            address: address.clone(),
            client_address: address.clone(),
            admin_address: address,
            priority,
            ..Default::default()
        }
    }

    pub fn role(&self, group: GroupId) -> Option<Role> {
        self.raft.info(group).map(|i| i.leadership.role)
    }

    pub fn leads(&self, group: GroupId) -> bool {
        self.role(group) == Some(Role::Leader { ready: true })
    }

    pub async fn lead(&self, group: GroupId) {
        until(&format!("{} leads", self.name), || self.leads(group)).await;
    }

    pub async fn write(
        &self,
        group: GroupId,
        call: u64,
        message: &str,
    ) -> Result<Reply, RaftError> {
        self.raft.write(group, request(call, message)).await
    }

    pub fn applied(&self, group: GroupId) -> Vec<String> {
        self.machines.seen(group).lock().applied.iter().map(|(_, m)| m.clone()).collect()
    }
}

pub fn request(call: u64, message: &str) -> ClientRequest {
    ClientRequest {
        client: [3; 16],
        call,
        message: Bytes::copy_from_slice(message.as_bytes()),
        context: None,
    }
}

/// Waits for a level, with a deadline.
pub async fn until(what: &str, mut level: impl FnMut() -> bool) {
    let start = Instant::now();
    while !level() {
        assert!(start.elapsed() < DEADLINE, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
