//! Linearizable reads: where the leader stood when a read came in, confirmed by a majority that still
//! follows it (`readIndex`; no lease, no clock).

use std::collections::BTreeMap;

use ratis_proto::common::{RaftRpcRequestProto, ReadIndexReplyProto, ReadIndexRequestProto};

use crate::core::{Core, RoleState};
use crate::effect::{Effect, Message, Reply, ReplyTo, RequestId};
use crate::progress::Progress;
use crate::types::{Millis, PeerId, from_wire, to_wire};

/// Whose read it is.
#[derive(Debug)]
pub(crate) enum Reader {
    /// A local request.
    Here(RequestId),
    /// A follower's.
    There(ReplyTo, Box<RaftRpcRequestProto>),
}

/// A read that waits for the first entry of the term, or for a round of heartbeats.
#[derive(Debug)]
pub(crate) struct WaitingRead {
    reader: Reader,
    /// Commit index to wait for, and the last call before the read: only later ones confirm. `None`
    /// until the leader is ready.
    stands: Option<(Option<u64>, u64)>,
}

impl WaitingRead {
    /// Whether nothing was sent to the peer that could confirm this read.
    pub(crate) fn waits_for_heartbeat_to(&self, peer: &Progress) -> bool {
        self.stands.is_some_and(|(_, call)| peer.sent_call <= call)
    }
}

impl Core {
    /// Asks for the index up to which a linearizable read must wait; answered by [`Effect::Read`], on a
    /// follower by asking the leader.
    pub fn read(&mut self, now: Millis, id: RequestId) {
        self.advance_clock(now);
        if matches!(self.role, RoleState::Leader(_)) {
            self.start_read(Reader::Here(id));
        } else if let Some(leader) = self.leader.clone() {
            self.forwarded_reads.push((id, self.now));
            let request = ReadIndexRequestProto {
                server_request: self.request_header(&leader, id.0),
                client_request: None,
            };
            self.push(Effect::Send(leader, Message::ReadIndex(request)));
        } else {
            self.push(Effect::Read(id, None));
        }
    }

    /// A follower asks for the read index.
    pub fn read_index_request(&mut self, now: Millis, to: ReplyTo, request: ReadIndexRequestProto) {
        self.advance_clock(now);
        let Some(header) = request.server_request else { return };
        let reader = Reader::There(to, Box::new(header));
        if matches!(self.role, RoleState::Leader(_)) {
            self.start_read(reader);
        } else {
            self.end_read(reader, None);
        }
    }

    /// The leader's answer to a read that was passed on.
    pub fn read_index_reply(&mut self, now: Millis, _from: &PeerId, reply: &ReadIndexReplyProto) {
        self.advance_clock(now);
        let Some(header) = &reply.server_reply else { return };
        let index = from_wire(reply.read_index).filter(|_| header.success);
        self.end_forwarded_read(RequestId(header.call_id), index);
    }

    /// The question could not be brought to the leader.
    pub fn read_index_failed(&mut self, now: Millis, id: RequestId) {
        self.advance_clock(now);
        self.end_forwarded_read(id, None);
    }

    fn end_forwarded_read(&mut self, id: RequestId, index: Option<u64>) {
        let Some(at) = self.forwarded_reads.iter().position(|(read, _)| *read == id) else {
            return;
        };
        self.forwarded_reads.remove(at);
        self.push(Effect::Read(id, index));
    }

    pub(crate) fn tick_forwarded_reads(&mut self) {
        let (now, timeout) = (self.now, self.settings.request_timeout);
        let late: Vec<RequestId> = self
            .forwarded_reads
            .iter()
            .filter(|(_, at)| now.saturating_sub(*at) >= timeout)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.end_forwarded_read(id, None);
        }
    }

    fn start_read(&mut self, reader: Reader) {
        let commit = self.commit;
        let at_once = planted!(self, ReadBeforeReady);
        let Some(leading) = self.leading_mut() else { return };
        let stands = (leading.ready || at_once).then_some((commit, leading.last_call));
        leading.reads.push(WaitingRead { reader, stands });
        self.confirm_reads();
    }

    /// The leader is ready: reads that came before take their place now.
    pub(crate) fn start_waiting_reads(&mut self) {
        let commit = self.commit;
        let Some(leading) = self.leading_mut() else { return };
        let call = leading.last_call;
        for read in &mut leading.reads {
            read.stands.get_or_insert((commit, call));
        }
        self.confirm_reads();
    }

    /// Answers the reads for which a majority has answered a later call.
    pub(crate) fn confirm_reads(&mut self) {
        let Some(leading) = self.leading() else { return };
        if leading.reads.is_empty() {
            return;
        }
        let acked: BTreeMap<PeerId, u64> =
            leading.progress.iter().map(|(id, peer)| (id.clone(), peer.acked_call)).collect();
        let conf = self.conf().clone();
        let me = self.settings.id.clone();
        let unconfirmed = planted!(self, ReadWithoutRound);
        let confirmed = |call: u64| {
            unconfirmed
                || conf.has_majority(|id| id == &me || acked.get(id).is_some_and(|ack| *ack > call))
        };
        let Some(leading) = self.leading_mut() else { return };
        let mut done = Vec::new();
        let mut waiting = Vec::new();
        for read in std::mem::take(&mut leading.reads) {
            match read.stands {
                Some((index, call)) if confirmed(call) => done.push((read.reader, index)),
                _ => waiting.push(read),
            }
        }
        leading.reads = waiting;
        for (reader, index) in done {
            self.end_read(reader, index);
        }
    }

    pub(crate) fn fail_read(&mut self, read: WaitingRead) {
        self.end_read(read.reader, None);
    }

    fn end_read(&mut self, reader: Reader, index: Option<u64>) {
        match reader {
            Reader::Here(id) => self.push(Effect::Read(id, index)),
            Reader::There(to, header) => {
                let reply = ReadIndexReplyProto {
                    server_reply: self.reply_header(&header, index.is_some()),
                    read_index: to_wire(index),
                };
                self.reply(to, Reply::ReadIndex(reply));
            }
        }
    }
}
