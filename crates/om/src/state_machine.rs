//! The namespace as a Raft state machine.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use multiraft::{
    Committed, GroupId, KnownReply, StateMachine, StateMachineError, StateMachines, TermIndex,
};
use om_core::namespace::At;
use om_core::{Applied, Namespace, Rules, TableCache, command};
use om_proto::{OmRequest, OmResponse, Status};
use ozone_db::DbError;
use prost::Message;

use crate::double_buffer::DoubleBuffer;
use crate::upgrade::{Step, Upgrade};

/// Applies the log to the table cache.
pub struct OmStateMachine {
    cache: Arc<TableCache>,
    rules: Arc<Rules>,
    buffer: Arc<DoubleBuffer>,
    upgrade: Arc<Upgrade>,
    node: String,
}

impl OmStateMachine {
    /// The state machine of this node.
    pub fn new(
        cache: Arc<TableCache>,
        rules: Arc<Rules>,
        buffer: Arc<DoubleBuffer>,
        upgrade: Arc<Upgrade>,
        node: String,
    ) -> Self {
        Self { cache, rules, buffer, upgrade, node }
    }

    fn apply_one(&self, committed: Committed) -> Result<Bytes, DbError> {
        let at = At { term: committed.at.term, index: committed.at.index };
        let (client, call) = (committed.entry.client_id.clone(), committed.entry.call_id);
        let parsed = committed.context.and_then(|context| context.downcast::<OmRequest>().ok());
        let request = match parsed {
            Some(request) => Ok(request),
            None => OmRequest::decode(committed.entry.log_data).map(Box::new),
        };
        let step = request.as_deref().ok().and_then(Step::of);
        let (mut reply, changes) = match request {
            Ok(request) => self.run(request, at)?,
            Err(error) => (Box::new(undecodable(&error)), Vec::new()),
        };
        reply.leader_om_node_id = Some(self.node.clone());
        let applied = Applied { term: at.term, index: at.index };
        if let Some(step) = step.filter(|_| reply.success == Some(true)) {
            // Not kept: who asks again after a restart needs it done again.
            self.cache.apply(applied, changes);
            self.upgrade.carry_out(&step, applied, &self.buffer, &mut reply);
            return Ok(Bytes::from(reply.encode_to_vec()));
        }
        let reply = Bytes::from(reply.encode_to_vec());
        self.buffer.replies().add(&client, call, at.index, &reply);
        self.cache.apply(applied, changes);
        Ok(reply)
    }

    fn run(
        &self,
        request: Box<OmRequest>,
        at: At,
    ) -> Result<(Box<OmResponse>, Vec<om_core::cache::Change>), DbError> {
        let carried = request.trace_id.clone();
        let _traced = hadoop_rpc::trace::enter(carried.as_deref(), "apply");
        tracing::debug!(index = at.index, kind = request.cmd_type, "applying");
        command::apply(request, at, Namespace::new(&self.cache, &self.rules))
    }
}

impl StateMachine for OmStateMachine {
    fn durable(&self) -> Option<TermIndex> {
        let flushed = self.cache.flushed().ok().flatten()?;
        Some(TermIndex { term: flushed.term, index: flushed.index })
    }

    fn known_replies(&self) -> Vec<KnownReply> {
        self.buffer.replies().load(&**self.cache.store()).unwrap_or_else(|error| {
            tracing::warn!(%error, "replies of before the start are not known");
            Vec::new()
        })
    }

    fn apply(&self, entries: Vec<Committed>) -> Vec<Result<Bytes, StateMachineError>> {
        let replies = entries
            .into_iter()
            .map(|entry| {
                let at = entry.at;
                Ok(self.apply_one(entry).unwrap_or_else(|error| stop(at, &error)))
            })
            .collect();
        self.buffer.applied();
        replies
    }

    fn advance(&self, at: TermIndex) {
        self.cache.apply(Applied { term: at.term, index: at.index }, Vec::new());
        self.buffer.applied();
    }

    fn failed(&self, reason: &str) {
        tracing::error!(reason, "the Raft group of this Ozone Manager failed; the process ends");
        std::process::abort();
    }

    fn take_snapshot(&self) -> Result<Option<TermIndex>, StateMachineError> {
        match self.buffer.flush_all() {
            Ok(flushed) => Ok(flushed.map(|at| TermIndex { term: at.term, index: at.index })),
            Err(error) => Err(StateMachineError {
                class: "java.io.IOException".to_owned(),
                message: error.to_string(),
            }),
        }
    }

    /// The rows of a snapshot are those that were flushed when it began.
    fn snapshots_beside_apply(&self) -> bool {
        true
    }
}

/// A replica that cannot apply must not go on: better down than different from the others.
fn stop(at: TermIndex, error: &DbError) -> ! {
    tracing::error!(%at, %error, "cannot apply; this Ozone Manager stops, mend om.db and start it again");
    std::process::abort();
}

fn undecodable(error: &prost::DecodeError) -> OmResponse {
    OmResponse {
        success: Some(false),
        status: Status::InvalidRequest.into(),
        message: Some(format!("The log entry holds no request: {error}")),
        ..OmResponse::default()
    }
}

/// There is one group, opened at the start.
pub struct OneGroup(pub Arc<OmStateMachine>);

impl StateMachines for OneGroup {
    fn open(&self, _: GroupId, _: &Path) -> Result<Arc<dyn StateMachine>, StateMachineError> {
        Ok(self.0.clone())
    }
}
