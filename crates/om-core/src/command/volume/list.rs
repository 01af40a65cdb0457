//! `ListVolume`: of the cluster by name, of a user in the order of his list; where rights are enforced,
//! a user's are those that he may list.

use std::ops::ControlFlow;

use om_proto::list_volume_request::Scope;
use om_proto::{ListVolumeRequest, ListVolumeResponse, OmResponse, Status, VolumeInfo};

use crate::command::{Caller, Read};
use crate::error::Failure;
use crate::namespace::Namespace;
use crate::rights;
use crate::tables;

pub(crate) fn read(
    request: &ListVolumeRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let prefix = request.prefix.as_deref().unwrap_or("");
    let after = request.prev_key.as_deref().unwrap_or("");
    let after = after.strip_prefix('/').unwrap_or(after);
    let max = request.max_keys.unwrap_or(0) as usize;
    let user = request.user_name.as_deref().unwrap_or(caller.user);
    let volume_info = if request.scope == i32::from(Scope::VolumesByCluster) {
        rights::check_list_all(ns, caller)?;
        of_cluster(ns, prefix, after, max)?
    } else if request.scope != i32::from(Scope::VolumesByUser) {
        Vec::new()
    } else if ns.rules.acls_enforced {
        if user != caller.user {
            rights::check_list_all(ns, caller)?;
        }
        // A page of all volumes, of which he gets to see what his rights show him.
        let whose = Caller { user, ..*caller };
        let mut volumes = of_cluster(ns, prefix, after, max)?;
        volumes.retain(|volume| rights::lists(ns, &whose, volume));
        volumes
    } else {
        of_user(ns, user, prefix, after, max)?
    };
    reply.list_volume_response = Some(Box::new(ListVolumeResponse { volume_info }));
    Ok(Read::Reply)
}

/// A start that does not exist yields nothing (`OmMetadataManagerImpl.listAllVolumes`).
fn of_cluster(
    ns: &Namespace<'_>,
    prefix: &str,
    after: &str,
    max: usize,
) -> Result<Vec<VolumeInfo>, Failure> {
    let start = tables::volume_key(after);
    if !after.is_empty() && !ns.has(&tables::VOLUME, &start)? {
        return Ok(Vec::new());
    }
    let mut volumes = Vec::new();
    if max == 0 {
        return Ok(volumes);
    }
    let mut broken = None;
    let rows = tables::volume_key(prefix);
    ns.scan_prefix(tables::VOLUME.slot, &rows, Some(&start), &mut |key, value| {
        if !after.is_empty() && key == start {
            return ControlFlow::Continue(());
        }
        match tables::VOLUME.decode(key, value.to_vec().into()) {
            Ok(volume) => volumes.push(volume),
            Err(error) => broken = Some(error),
        }
        if broken.is_some() || volumes.len() >= max {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    broken.map_or(Ok(volumes), |error| Err(error.into()))
}

fn of_user(
    ns: &Namespace<'_>,
    user: &str,
    prefix: &str,
    after: &str,
    max: usize,
) -> Result<Vec<VolumeInfo>, Failure> {
    let Some(list) = ns.get(&tables::USER, user.as_bytes())? else { return Ok(Vec::new()) };
    let skip = if after.is_empty() {
        0
    } else {
        match list.volume_names.iter().position(|name| name == after) {
            Some(position) => position + 1,
            None => return Ok(Vec::new()),
        }
    };
    let names = list.volume_names.iter().skip(skip).filter(|name| name.starts_with(prefix));
    names
        .take(max)
        .map(|name| {
            ns.get(&tables::VOLUME, &tables::volume_key(name))?.ok_or_else(|| {
                let message = format!("Volume info not found for {name}");
                Failure::new(Status::VolumeNotFound, message)
            })
        })
        .collect()
}
