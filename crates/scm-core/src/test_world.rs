//! An SCM in virtual time for tests: calls are applied as soon as they are made, datanodes are reports.

use hdds_proto::hdds::{
    ContainerReplicaProto, ContainerReportsProto, DatanodeDetailsProto,
    ExtendedDatanodeDetailsProto, LayoutVersionProto, MetadataStorageReportProto, NodeReportProto,
    PipelineReport, PipelineReportsProto, Port, ScmCommandProto, ScmHeartbeatRequestProto,
    ScmRegisterRequestProto, StorageReportProto, container_replica_proto::State,
    scm_command_proto::Type,
};
use hdds_types::{ContainerId, DatanodeId, PipelineId, PipelineState, ReplicationConfig};
use ozone_db::{Batch, Durability, MemoryStore, Store};
use uuid::Uuid;

use crate::block::{AllocatedBlock, Allocation, BlockRequest};
use crate::container::named_containers;
use crate::ledger::load::local_id_start;
use crate::{Call, Core, Identity, Ledger, Millis, Rules, convert, tables};

/// November 21, 2026.
pub const START: Millis = 1_795_219_200_000;

pub struct World {
    pub core: Core,
    pub now: Millis,
    pub store: MemoryStore,
    index: u64,
    /// Every call that was applied.
    pub applied: Vec<Call>,
}

pub fn node_id(number: u8) -> DatanodeId {
    DatanodeId(Uuid::from_u128(0xd000 + u128::from(number)))
}

pub fn details(number: u8) -> DatanodeDetailsProto {
    let id = node_id(number);
    DatanodeDetailsProto {
        uuid: Some(id.to_string()),
        ip_address: format!("10.0.0.{number}"),
        host_name: format!("dn{number}"),
        ports: vec![
            Port { name: "RATIS".to_owned(), value: 9858 },
            Port { name: "STANDALONE".to_owned(), value: 9859 },
            Port { name: "HTTP".to_owned(), value: 9882 },
        ],
        ..DatanodeDetailsProto::default()
    }
}

pub fn replica(id: u64, state: State, sequence: u64, used: i64) -> ContainerReplicaProto {
    ContainerReplicaProto {
        container_id: id.cast_signed(),
        state: state.into(),
        used: Some(used),
        key_count: Some(used / 10),
        block_commit_sequence_id: Some(sequence),
        ..ContainerReplicaProto::default()
    }
}

impl World {
    pub fn new(rules: Rules) -> Self {
        let store = MemoryStore::default();
        Self::over(store, rules, START)
    }

    /// What a restart finds in the tables.
    pub fn restart(self) -> Self {
        let rules = self.core.rules.clone();
        Self::over(self.store, rules, self.now)
    }

    fn over(store: MemoryStore, rules: Rules, now: Millis) -> Self {
        let mut ledger = Ledger::load(&store, now).unwrap();
        ledger.start_sequences(&store, local_id_start(now)).unwrap();
        let identity = Identity {
            cluster_id: "CID-8d0e5b9c-0000-4000-8000-000000000001".to_owned(),
            scm_id: "8d0e5b9c-0000-4000-8000-000000000002".to_owned(),
        };
        let mut core = Core::new(identity, rules, ledger, 7, now);
        core.become_leader(1, now);
        core.machine_is_ready(now);
        Self { core, now, store, index: 0, applied: Vec::new() }
    }

    /// A world of `count` datanodes with every pipeline open, out of safe mode.
    pub fn ready(count: u8) -> Self {
        let rules = Rules { safe_mode_datanodes_min: count.min(3).into(), ..Rules::default() };
        let mut world = Self::new(rules);
        for number in 1..=count {
            world.register(number);
        }
        world.open_pipelines();
        assert!(!world.core.safe_mode.is_active(), "{:?}", world.core.safe_mode_rules());
        world
    }

    /// Applies calls until there are no more, as the log would.
    pub fn settle(&mut self) {
        loop {
            let calls = self.core.take_calls(self.now);
            if calls.is_empty() {
                return;
            }
            for call in calls {
                self.apply(call);
            }
        }
    }

    pub fn apply(&mut self, call: Call) {
        self.index += 1;
        let call = Call::decode(&call.encode()).unwrap();
        let mut batch = Batch::default();
        let answer = self.core.ledger.apply(&call, self.now, &mut batch);
        tables::put_transaction_info(&mut batch, 1, self.index);
        self.store.write(batch, Durability::Memory).unwrap();
        let applied = match answer {
            Ok(answer) => answer != crate::log::Answer::Boolean(false),
            Err(_) => false,
        };
        self.core.settled(&call, applied, self.now);
        self.applied.push(call);
    }

    pub fn register(&mut self, number: u8) {
        self.register_with(number, details(number), Vec::new());
    }

    pub fn register_with(
        &mut self,
        number: u8,
        details: DatanodeDetailsProto,
        replicas: Vec<ContainerReplicaProto>,
    ) {
        let layout =
            LayoutVersionProto { metadata_layout_version: 10, software_layout_version: 10 };
        let peer = details.ip_address.clone();
        let request = ScmRegisterRequestProto {
            extended_datanode_details: ExtendedDatanodeDetailsProto {
                datanode_details: details,
                ..ExtendedDatanodeDetailsProto::default()
            },
            node_report: node_report(100 << 30),
            container_report: ContainerReportsProto { reports: replicas },
            pipeline_reports: self.pipeline_reports(number),
            data_node_layout_version: Some(layout),
        };
        let registration = self.core.register(&request, Some(&peer), self.now).unwrap();
        assert_eq!(registration.refused, None);
        self.full_report(number, &request.container_report);
        self.settle();
    }

    pub fn full_report(&mut self, number: u8, report: &ContainerReportsProto) {
        self.core.drop_unnamed_replicas(node_id(number), &named_containers(report));
        self.core.take_replicas(node_id(number), &report.reports, self.now);
    }

    pub fn heartbeat(&self, number: u8) -> ScmHeartbeatRequestProto {
        ScmHeartbeatRequestProto {
            datanode_details: details(number),
            ..ScmHeartbeatRequestProto::default()
        }
    }

    /// Sends a heartbeat and returns the commands.
    pub fn beat(&mut self, request: &ScmHeartbeatRequestProto) -> Vec<ScmCommandProto> {
        self.core.heartbeat(request, self.now);
        self.settle();
        let id = convert::datanode_id(&request.datanode_details).unwrap();
        self.core.take_commands(id).commands
    }

    pub fn beat_plain(&mut self, number: u8) -> Vec<ScmCommandProto> {
        let request = self.heartbeat(number);
        self.beat(&request)
    }

    pub fn report(&mut self, number: u8, replica: ContainerReplicaProto) -> Vec<ScmCommandProto> {
        let mut request = self.heartbeat(number);
        request.incremental_container_report =
            vec![hdds_proto::hdds::IncrementalContainerReportProto { report: vec![replica] }];
        self.beat(&request)
    }

    /// What a datanode with all its pipelines reports; the first member leads.
    pub fn pipeline_reports(&self, number: u8) -> PipelineReportsProto {
        let id = node_id(number);
        let reports = self.core.ledger.pipelines_of(id).map(|pipeline| PipelineReport {
            pipeline_id: convert::pipeline_id_proto(pipeline.id),
            is_leader: pipeline.members.first() == Some(&id),
            ..PipelineReport::default()
        });
        PipelineReportsProto { pipeline_report: reports.collect() }
    }

    /// Every member reports all its pipelines.
    pub fn open_pipelines(&mut self) {
        let numbers: Vec<u8> = (1..=self.core.nodes.len() as u8).collect();
        for number in numbers {
            let mut request = self.heartbeat(number);
            request.pipeline_reports = Some(self.pipeline_reports(number));
            self.beat(&request);
        }
    }

    pub fn pipelines(
        &self,
        replication: ReplicationConfig,
        state: PipelineState,
    ) -> Vec<PipelineId> {
        let wanted =
            |p: &&crate::ledger::Pipeline| p.replication == replication && p.state == state;
        self.core.ledger.pipelines().filter(wanted).map(|p| p.id).collect()
    }

    /// Allocates, settling whatever is missing.
    pub fn allocate(&mut self, count: usize) -> Vec<AllocatedBlock> {
        let request = block_request(count);
        let mut blocks = Vec::new();
        for _ in 0..20 {
            match self.core.allocate_blocks(&request, &mut blocks, self.now) {
                Allocation::Done => {
                    self.settle();
                    return blocks;
                }
                Allocation::Wait(_) => self.settle(),
                Allocation::Refused(error) => panic!("{error}"),
            }
        }
        panic!("still waiting");
    }

    /// An open container of a RATIS/THREE pipeline with copies on datanodes 1 to 3.
    pub fn container(&mut self) -> ContainerId {
        let id = self.allocate(1)[0].container;
        for number in 1..=3 {
            self.report(number, replica(id.0, State::Open, 0, 100));
        }
        id
    }

    pub fn pass(&mut self, ms: Millis) {
        self.now += ms;
    }
}

pub fn node_report(remaining: u64) -> NodeReportProto {
    NodeReportProto {
        storage_report: vec![StorageReportProto {
            storage_uuid: "s".to_owned(),
            storage_location: "/data".to_owned(),
            capacity: Some(remaining),
            remaining: Some(remaining),
            ..StorageReportProto::default()
        }],
        metadata_storage_report: vec![MetadataStorageReportProto {
            storage_location: "/meta".to_owned(),
            remaining: Some(remaining),
            ..MetadataStorageReportProto::default()
        }],
        db_storage_report: Vec::new(),
    }
}

pub fn block_request(count: usize) -> BlockRequest {
    BlockRequest {
        size: 256 << 20,
        count,
        replication: ReplicationConfig::DEFAULT,
        owner: "om".to_owned(),
        excluded_nodes: Vec::new(),
        excluded_containers: Vec::new(),
        excluded_pipelines: Vec::new(),
        client: None,
    }
}

pub fn kinds(commands: &[ScmCommandProto]) -> Vec<Type> {
    commands.iter().map(|command| Type::try_from(command.command_type).unwrap()).collect()
}
