//! Messages between the nodes of a run: sent, lost, doubled, delivered.

use super::describe;
use super::net::{Packet, Request};
use super::node::Caller;
use super::world::{Event, World, id, trace};
use crate::{Core, Message, PeerId, Reply};

impl World {
    pub(crate) fn send(&mut self, from: usize, to: usize, message: Message) -> Result<(), String> {
        let request = match message {
            Message::Vote(request) => Request::Vote(request),
            Message::Snapshot(request) => Request::Snapshot(request),
            Message::StartElection(request) => Request::StartElection(request),
            Message::ReadIndex(request) => Request::ReadIndex(request),
            Message::Append { mut request, entries } => {
                // Loaded entries are for the request that begins with them.
                let it = &mut self.nodes[from];
                let loaded = it.loaded.get(&to).is_some_and(|(first, _)| *first == entries.start);
                let loaded = loaded.then(|| it.loaded.remove(&to)).flatten();
                for index in entries {
                    let cold = loaded.as_ref().and_then(|(first, loaded)| {
                        loaded.get(usize::try_from(index.checked_sub(*first)?).ok()?)
                    });
                    let Some(entry) = cold.or_else(|| self.nodes[from].log.get(index)) else {
                        return Err(format!("n{from} sends {index}, which it does not have"));
                    };
                    if self.nodes[from].log.get(index).is_some_and(|own| own != entry) {
                        return Err(format!(
                            "log matching: n{from} sends {index} as its log had it"
                        ));
                    }
                    request.entries.push(entry.clone());
                }
                Request::Append(request)
            }
        };
        let life = self.nodes[from].life;
        if to >= self.nodes.len() {
            return Ok(());
        }
        if self.net.is_cut(from, to) || self.rng.chance(self.net.loss) {
            if matches!(request, Request::Vote(_)) || self.rng.chance(self.net.noticed) {
                let delay = self.rng.range(1, 100);
                let packet = Packet::Failed { life, request };
                self.at(delay, Event::Deliver { from: to, to: from, packet });
            }
            return Ok(());
        }
        let to_life = self.nodes[to].life;
        self.transmit(from, to, Packet::Request { life, to_life, request });
        Ok(())
    }

    pub(crate) fn transmit(&mut self, from: usize, to: usize, packet: Packet) {
        if to >= self.nodes.len() || self.net.is_cut(from, to) || self.rng.chance(self.net.loss) {
            return;
        }
        if self.rng.chance(self.net.duplication) {
            let delay = self.net.delay(&mut self.rng);
            self.at(delay, Event::Deliver { from, to, packet: packet.clone() });
        }
        let delay = self.net.delay(&mut self.rng);
        self.at(delay, Event::Deliver { from, to, packet });
    }

    pub(crate) fn deliver(&mut self, from: usize, to: usize, packet: Packet) -> Result<(), String> {
        if self.nodes[to].core.is_none() {
            if let Packet::Request { life, request, .. } = packet {
                let packet = Packet::Failed { life, request };
                self.at(1, Event::Deliver { from: to, to: from, packet });
            }
            return Ok(());
        }
        match packet {
            Packet::Request { to_life, .. } if to_life < self.nodes[to].wiped_in => Ok(()),
            Packet::Request { life, request, .. } => self.receive(from, to, life, request),
            Packet::Reply { life, asked, reply } => {
                if self.nodes[to].life != life {
                    return Ok(());
                }
                trace!(self, "n{to} <- n{from} {reply:?}");
                self.with_core(to, |core, now| answer(core, now, &id(from), asked, reply))
            }
            Packet::Failed { life, request } => {
                if self.nodes[to].life != life {
                    return Ok(());
                }
                let retry = self.rng.range(0, 20);
                self.with_core(to, |core, now| match request {
                    Request::Vote(request) => core.vote_failed(now, &id(from), &request),
                    Request::Append(request) => {
                        let call = request.server_request.map(|header| header.call_id);
                        core.stream_failed(now, &id(from), call, now + retry);
                    }
                    Request::ReadIndex(request) => {
                        let call = request.server_request.map_or(0, |header| header.call_id);
                        core.read_index_failed(now, crate::RequestId(call));
                    }
                    Request::Snapshot(_) | Request::StartElection(_) => {}
                })
            }
        }
    }

    fn receive(
        &mut self,
        from: usize,
        to: usize,
        life: u64,
        request: Request,
    ) -> Result<(), String> {
        trace!(self, "n{to} <- n{from} {}", describe::request(&request));
        let asked = match &request {
            Request::Vote(request) => Some(request.clone()),
            _ => None,
        };
        self.nodes[to].told |= matches!(request, Request::Snapshot(_));
        let token = self.nodes[to].token(Caller { node: from, life, asked });
        self.with_core(to, |core, now| match request {
            Request::Vote(request) => core.vote_request(now, token, request),
            Request::Append(request) => core.append_request(now, token, request),
            Request::Snapshot(request) => core.snapshot_request(now, token, request),
            Request::StartElection(request) => core.start_election_request(now, token, &request),
            Request::ReadIndex(request) => core.read_index_request(now, token, request),
        })
    }
}

fn answer(
    core: &mut Core,
    now: u64,
    from: &PeerId,
    asked: Option<ratis_proto::common::RequestVoteRequestProto>,
    reply: Reply,
) {
    match reply {
        Reply::Vote(reply) => {
            if let Some(asked) = asked {
                core.vote_reply(now, from, &asked, &reply);
            }
        }
        Reply::Append(reply) => core.append_reply(now, from, &reply),
        Reply::Snapshot(reply) => core.snapshot_reply(now, from, &reply),
        Reply::StartElection(reply) => core.start_election_reply(now, from, &reply),
        Reply::ReadIndex(reply) => core.read_index_reply(now, from, &reply),
    }
}
