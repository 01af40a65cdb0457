//! Makes checkpoints of everybody's trash and deletes old ones (`TrashPolicyOzone.Emptier`).

use std::sync::Arc;
use std::time::Duration;

use chrono::{Local, NaiveDateTime, TimeZone};
use om_core::trash::{self, Root, Step, Times};
use om_core::{Failure, Namespace};
use om_proto::{OmRequest, OmResponse, Status};
use ozone_config::Configuration;
use tokio_util::sync::CancellationToken;

use super::Stopped;
use crate::ids::now_ms;
use crate::server::Service;

const MINUTE_MS: f64 = 60_000.0;
/// Names of checkpoints, in local time.
const CHECKPOINT: &str = "%y%m%d%H%M%S";
/// Older names of checkpoints, without seconds.
const OLD_CHECKPOINT: &str = "%y%m%d%H%M";
/// What the OM's own requests know: everything (`ClientVersion.CURRENT`).
const CLIENT_VERSION: u32 = 3;
/// Buckets that are looked at between two breaths.
const BUCKETS_PER_PAGE: usize = 1_000;

/// When the emptier works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// A checkpoint lives so long, in milliseconds: `ozone.fs.trash.interval`, else
    /// `fs.trash.interval`, minutes.
    pub deletion_ms: u64,
    /// Between two turns, in milliseconds: `ozone.fs.trash.checkpoint.interval`, else
    /// `fs.trash.checkpoint.interval`, minutes; the above where this is 0 or longer.
    pub turn_ms: u64,
}

impl Schedule {
    /// `None` where nothing is moved to the trash.
    ///
    /// # Errors
    /// A value is malformed, or the interval is negative.
    pub fn read(conf: &Configuration) -> anyhow::Result<Option<Self>> {
        let minutes = |own: &str, general: &str| -> anyhow::Result<f64> {
            let general = conf.float(general, 0.0)?;
            Ok(conf.float(own, general)? * MINUTE_MS)
        };
        let deletion = minutes("ozone.fs.trash.interval", "fs.trash.interval")?;
        if deletion < 0.0 {
            anyhow::bail!(
                "Cannot start trash emptier with negative interval. Set fs.trash.interval to a \
                 positive value."
            );
        }
        let turn = minutes("ozone.fs.trash.checkpoint.interval", "fs.trash.checkpoint.interval")?;
        let whole = |ms: f64| Duration::from_secs_f64((ms / 1000.0).clamp(0.0, 1e12)).as_millis();
        let whole = |ms: f64| u64::try_from(whole(ms)).unwrap_or(u64::MAX);
        let (deletion_ms, turn_ms) = (whole(deletion), whole(turn));
        if deletion_ms == 0 {
            return Ok(None);
        }
        let usable = turn_ms > 0 && turn_ms <= deletion_ms;
        Ok(Some(Self { deletion_ms, turn_ms: if usable { turn_ms } else { deletion_ms } }))
    }

    /// Milliseconds until the next turn: turns lie at multiples of the interval.
    fn wait_ms(self, now_ms: u64) -> u64 {
        self.turn_ms - now_ms % self.turn_ms
    }
}

/// Works until stopped; ends at once where there is no trash.
pub async fn run(service: Arc<Service>, stop: CancellationToken) {
    let Some(schedule) = service.settings.trash else { return };
    tracing::info!(
        deletion_minutes = schedule.deletion_ms as f64 / MINUTE_MS,
        turn_minutes = schedule.turn_ms as f64 / MINUTE_MS,
        "the trash is emptied"
    );
    loop {
        let wait = Duration::from_millis(schedule.wait_ms(now_ms()));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        if service.check_leader().is_err() {
            continue;
        }
        service.metrics.trash.active_cycles.add(1);
        if let Err(error) = turn(&service, schedule, &stop).await {
            service.metrics.trash.fails.add(1);
            tracing::warn!(%error, "the trash waits for the next turn");
        }
    }
}

async fn turn(
    service: &Service,
    schedule: Schedule,
    stop: &CancellationToken,
) -> Result<(), Stopped> {
    let mut next = Some(Vec::new());
    while let Some(start) = next.take() {
        let (buckets, further) = trash::buckets(&service.namespace(), &start, BUCKETS_PER_PAGE)?;
        next = further;
        for (volume, bucket) in buckets {
            if stop.is_cancelled() {
                return Ok(());
            }
            service.metrics.trash.list_status.add(1);
            match trash::roots(&service.namespace(), &volume, &bucket) {
                Ok(roots) => {
                    for root in roots {
                        service.metrics.trash.roots_enqueued.add(1);
                        empty(service, schedule, &root).await;
                    }
                }
                // The bucket may have gone meanwhile.
                Err(error) => tracing::warn!(volume, bucket, %error, "the trash was not listed"),
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// One user's trash in one bucket. What fails is told and left for the next turn.
async fn empty(service: &Service, schedule: Schedule, root: &Root) {
    let now = now_ms();
    let times = Times {
        oldest_ms: now.saturating_sub(schedule.deletion_ms),
        time_of: &time_of,
        checkpoint: &name_of(now),
    };
    let metrics = &service.metrics.trash;
    metrics.roots_processed.add(1);
    let planned = trash::steps(&service.namespace(), root, times);
    let (steps, unknown) = match planned {
        Ok(planned) => planned,
        Err(error) => {
            metrics.fails.add(1);
            tracing::warn!(?root, %error, "a trash was not listed");
            return;
        }
    };
    for name in unknown {
        metrics.fails.add(1);
        tracing::warn!("Unexpected item in trash: {root:?} {name}. Ignoring.");
    }
    for step in steps {
        let all = match &step {
            Step::Delete(_) => &metrics.deletes,
            Step::Rename { .. } => &metrics.renames,
        };
        all.add(1);
        match carry_out(service, root, &step).await {
            Ok(()) => tracing::info!(?root, ?step, "the trash was emptied"),
            Err(error) => {
                metrics.fails.add(1);
                tracing::warn!(?root, ?step, %error, "the trash was not emptied");
            }
        }
    }
}

async fn carry_out(service: &Service, root: &Root, step: &Step) -> Result<(), Stopped> {
    loop {
        let next = trash::next_request(&service.namespace(), root, step)?;
        let Some(request) = next else { return Ok(()) };
        count(service, &request);
        let reply = service.write_as_self(request).await?;
        // Without progress the same request would come again.
        if reply.status != i32::from(Status::Ok) {
            let message = reply.message.clone().unwrap_or_default();
            return Err(Stopped::Refused(format!("{:?} {message}", reply.status())));
        }
    }
}

fn count(service: &Service, request: &OmRequest) {
    let metrics = &service.metrics.trash;
    metrics.write_requests.add(1);
    if request.delete_key_request.is_some() {
        metrics.atomic_deletes.add(1);
    }
    if request.rename_key_request.is_some() {
        metrics.atomic_renames.add(1);
    }
    let deleted = request.delete_keys_request.as_ref().and_then(|body| body.delete_keys.as_ref());
    metrics.files_deletes.add(deleted.map_or(0, |args| args.keys.len() as u64));
    let renamed = request.rename_keys_request.as_ref();
    let renamed = renamed.map_or(0, |body| body.rename_keys_args.rename_keys_map.len());
    metrics.files_renames.add(renamed as u64);
}

impl Service {
    fn namespace(&self) -> Namespace<'_> {
        Namespace::new(&self.cache, &self.settings.rules)
    }

    /// A write as a client of the OM's own user would ask for it.
    ///
    /// # Errors
    /// Not the ready leader; a refusal is in the reply.
    async fn write_as_self(&self, mut request: OmRequest) -> Result<OmResponse, Stopped> {
        let user = crate::users::process_user();
        request.user_info = Some(Box::new(om_proto::UserInfo {
            user_name: Some(user.clone()),
            ..om_proto::UserInfo::default()
        }));
        request.version = Some(CLIENT_VERSION);
        if let Err(refusal) = self.prepare(&user, &mut request).await {
            return Err(Stopped::Refused(refusal.to_string()));
        }
        Ok(self.write_own(request).await?)
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => Self::Store(error),
            Failure::Refused(error) => Self::Refused(error.to_string()),
        }
    }
}

/// The name of a checkpoint.
fn name_of(now_ms: u64) -> String {
    let time =
        i64::try_from(now_ms).ok().and_then(|now| Local.timestamp_millis_opt(now).earliest());
    time.unwrap_or_else(Local::now).format(CHECKPOINT).to_string()
}

/// The time that a checkpoint is named after, in milliseconds since 1970.
fn time_of(name: &str) -> Option<u64> {
    let digits = name.split('-').next().unwrap_or(name);
    let time = NaiveDateTime::parse_from_str(digits, CHECKPOINT)
        .or_else(|_| NaiveDateTime::parse_from_str(digits, OLD_CHECKPOINT))
        .ok()?;
    u64::try_from(Local.from_local_datetime(&time).earliest()?.timestamp_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(keys: &[(&str, &str)]) -> anyhow::Result<Option<Schedule>> {
        let mut conf = Configuration::default();
        for (key, value) in keys {
            conf.set(*key, *value);
        }
        Schedule::read(&conf)
    }

    #[test]
    fn the_settings_of_ozone_go_before_those_of_hadoop() {
        let both = [("fs.trash.interval", "10"), ("ozone.fs.trash.interval", "2.5")];
        let expected = Schedule { deletion_ms: 150_000, turn_ms: 150_000 };
        assert_eq!(schedule(&both).unwrap(), Some(expected));
        assert_eq!(schedule(&[]).unwrap(), None);
        assert!(schedule(&[("fs.trash.interval", "-1")]).is_err());
        let turns = |turn| schedule(&[both[0], ("fs.trash.checkpoint.interval", turn)]);
        let turn_ms = |turn| turns(turn).unwrap().map(|schedule| schedule.turn_ms);
        assert_eq!(turn_ms("3"), Some(180_000));
        assert_eq!((turn_ms("11"), turn_ms("0")), (Some(600_000), Some(600_000)));
    }

    #[test]
    fn turns_lie_at_multiples_of_their_interval() {
        let schedule = Schedule { deletion_ms: 10_000, turn_ms: 1_000 };
        assert_eq!(schedule.wait_ms(5_000), 1_000);
        assert_eq!(schedule.wait_ms(5_001), 999);
        assert_eq!(schedule.wait_ms(5_999), 1);
    }

    #[test]
    fn a_checkpoint_tells_the_second_it_was_made_in() {
        let now = 1_795_000_000_123;
        let name = name_of(now);
        assert_eq!(name.len(), 12);
        assert_eq!(time_of(&name), Some(1_795_000_000_000));
        assert_eq!(time_of(&format!("{name}-3")), Some(1_795_000_000_000));
        assert_eq!(time_of(&name[..10]).map(|time| time % 60_000), Some(0));
        assert_eq!((time_of("Current"), time_of("notes")), (None, None));
    }
}
