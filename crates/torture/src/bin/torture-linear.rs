//! `torture-linear`: see `torture::linear`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use om_proto::Status;
use ozone_client::bucket::NewBucket;
use ozone_client::volume::NewVolume;
use ozone_client::{ClientError, OmAddress, OzoneClient};
use ozone_config::{Configuration, Sources};
use serde_json::json;
use tokio::sync::watch;
use torture::linear::check::{Verdict, check};
use torture::linear::client::{VOLUME, World, client};

/// Many clients on few names, and a judgement whether the Ozone Manager's answers have an order.
///
/// Reads commands on stdin: `up` says that the Ozone Manager was killed and started again, `quiesce` (or the end of stdin) ends the
/// load, judges and prints the report. Exit code 1: no order explains the answers.
#[derive(Parser, Debug)]
struct Arguments {
    /// Directory with ozone-site.xml
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// Decides the requests of each client, in their order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients, each with connections of its own
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// Groups of names in each of the two buckets
    #[arg(long, default_value_t = 3)]
    groups: usize,
}

/// Time between two looks whether the Ozone Manager answers.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// An Ozone Manager that does not answer within this time after `up` fails the run.
const UP_LIMIT: Duration = Duration::from_secs(180);

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let sources = Sources { directory: Some(arguments.config.clone()), ..Sources::default() };
    let mut conf = Configuration::load(&sources)?;
    // A request is sent once: sent again, its first sending might take effect when the second was refused.
    conf.set("ozone.client.failover.max.attempts", "0");
    conf.set("ozone.om.client.rpc.timeout", "30s");
    let runtime = tokio::runtime::Runtime::new()?;
    let good = runtime.block_on(drive(&arguments, &conf))?;
    runtime.shutdown_background();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn drive(arguments: &Arguments, conf: &Configuration) -> anyhow::Result<bool> {
    let new_client = || OzoneClient::new(conf, &OmAddress::Configured);
    let prober = new_client()?;
    let (epochs, epoch) = watch::channel(0);
    let world = Arc::new(World::new(arguments.groups, epoch));
    until_up(&prober).await?;
    prepare(&prober, &world).await?;
    let mut tasks = Vec::new();
    for number in 0..arguments.clients {
        tasks.push(tokio::spawn(client(world.clone(), new_client()?, number, arguments.seed)));
    }
    println!("{}", json!({"started": arguments.seed}));
    let mut lines = commands();
    while let Some(line) = lines.recv().await {
        if line == "quiesce" {
            break;
        }
        until_up(&prober).await?;
        // Whatever went to the one before has taken effect by now, or never will.
        settle(&world);
        epochs.send_modify(|epoch| *epoch += 1);
        println!("{}", json!({"up": *epochs.borrow()}));
    }
    world.stopping.store(true, Ordering::Relaxed);
    epochs.send_modify(|epoch| *epoch += 1);
    for task in tasks {
        task.await?;
    }
    settle(&world);
    let report = tokio::task::spawn_blocking(move || judge(&world)).await?;
    println!("{}", json!({"report": report.0, "seed": arguments.seed}));
    Ok(report.1)
}

fn settle(world: &World) {
    let tick = world.clock.tick();
    world.groups.iter().for_each(|group| group.history.settle(tick));
}

async fn until_up(client: &OzoneClient) -> anyhow::Result<()> {
    let limit = tokio::time::Instant::now() + UP_LIMIT;
    loop {
        match client.volume(VOLUME).await {
            Ok(_) => return Ok(()),
            Err(error) if error.status() == Some(Status::VolumeNotFound) => return Ok(()),
            Err(error) if tokio::time::Instant::now() > limit => {
                return Err(error).context("the Ozone Manager does not come up");
            }
            Err(_) => tokio::time::sleep(PROBE_INTERVAL).await,
        }
    }
}

async fn prepare(client: &OzoneClient, world: &World) -> Result<(), ClientError> {
    let exists = |made: Result<(), ClientError>, status| match made {
        Err(error) if error.status() == Some(status) => Ok(()),
        other => other,
    };
    let made = client.create_volume(VOLUME, NewVolume::default()).await;
    exists(made, Status::VolumeAlreadyExists)?;
    for group in &world.groups {
        let new = NewBucket { layout: Some(group.layout), ..NewBucket::default() };
        let made = client.create_bucket(VOLUME, group.bucket, new).await;
        exists(made, Status::BucketAlreadyExists)?;
    }
    Ok(())
}

fn judge(world: &World) -> (serde_json::Value, bool) {
    let mut good = true;
    let (mut operations, mut unanswered, mut configurations, mut undecided) = (0, 0, 0, 0);
    let mut findings: Vec<String> = world.oddities.lock().clone();
    good &= findings.is_empty();
    for group in &world.groups {
        let all = group.history.operations();
        operations += all.len();
        unanswered += all.iter().filter(|one| !one.is_certain).count();
        match check(&all) {
            Verdict::Linearizable { configurations_max } => {
                configurations = configurations.max(configurations_max);
            }
            Verdict::Violation(what) => {
                good = false;
                findings.push(format!("{}/{}: {what}", group.bucket, group.folder));
            }
            // Nothing is known against it: a slow machine leaves more requests without an answer.
            Verdict::Undecided => undecided += 1,
        }
    }
    let report = json!({
        "operations": operations, "unanswered": unanswered, "configurations_max": configurations,
        "groups": world.groups.len(), "undecided": undecided, "linearizable": good, "findings": findings,
    });
    (report, good)
}

/// Lines of stdin.
fn commands() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
