//! Which disk gets a new container (`CapacityVolumeChoosingPolicy`).

use std::sync::Arc;

use rand::seq::SliceRandom;

use super::Volume;
use crate::{Code, StoreError};

/// Of two random disks with room for `bytes`, the one with more room: full disks are avoided
/// without sending every new container to the emptiest one.
///
/// # Errors
/// `DISK_OUT_OF_SPACE` when no disk has room.
pub fn choose(volumes: &[Arc<Volume>], bytes: u64) -> Result<Arc<Volume>, StoreError> {
    let mut usable: Vec<(u64, &Arc<Volume>)> = volumes
        .iter()
        .filter(|volume| !volume.is_failed())
        .filter_map(|volume| Some((volume.usage()?.usable(), volume)))
        .collect();
    let most = usable.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0);
    usable.retain(|(usable, _)| *usable > bytes);
    usable.shuffle(&mut rand::rng());
    let chosen = usable.into_iter().take(2).max_by_key(|(bytes, _)| *bytes);
    chosen.map(|(_, volume)| volume.clone()).ok_or_else(|| {
        StoreError::new(
            Code::DiskOutOfSpace,
            format!(
                "Out of space: a container needs {bytes} B but the most available on a volume is {most} B"
            ),
        )
    })
}
