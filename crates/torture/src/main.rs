//! `torture-load`: see the library.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use ozone_client::{OmAddress, OzoneClient};
use ozone_config::{Configuration, Sources};
use serde_json::json;
use tokio::sync::mpsc;
use torture::{Options, Run};

/// Writes and reads keys, and judges what it sees by what was acknowledged.
///
/// Prints a JSON line twice a second, and one per violation. Reads commands on stdin: `probe N` waits until
/// the cluster works and says how long that took; `quiesce` (or the end of stdin) stops the load, verifies every key,
/// prints the report and ends.
#[derive(Parser, Debug)]
struct Arguments {
    /// Directory with ozone-site.xml
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// Decides names, contents and the order of operations
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tasks that write
    #[arg(long, default_value_t = 6)]
    writers: u32,
    /// Tasks that read
    #[arg(long, default_value_t = 2)]
    readers: u32,
    /// Mean wait of a task between two operations, in milliseconds
    #[arg(long, default_value_t = 100)]
    think_ms: u64,
    /// Seconds after which an operation is given up
    #[arg(long, default_value_t = 180)]
    operation_limit: u64,
    /// Seconds after the faults within which everything has to work
    #[arg(long, default_value_t = 120)]
    recovery_limit: u64,
    /// Keys that a writer keeps in each bucket, about
    #[arg(long, default_value_t = 60)]
    live_keys: usize,
    /// Largest key in bytes
    #[arg(long, default_value_t = 24 << 20)]
    key_bytes_max: u64,
    /// At the end read each key from each of its datanodes, too
    #[arg(long)]
    replicas: bool,
    /// Directory for evidence of violations
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    evidence: PathBuf,
    /// Instead of a load: read each key of this bucket from each of its datanodes alone, and compare
    #[arg(long, value_name = "VOLUME/BUCKET")]
    compare_replicas: Option<String>,
}

/// Time between two status lines.
const STATUS_INTERVAL: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let sources = Sources { directory: Some(arguments.config.clone()), ..Sources::default() };
    let conf = Configuration::load(&sources)?;
    let seconds = Duration::from_secs;
    let options = Options {
        seed: arguments.seed,
        writers: arguments.writers,
        readers: arguments.readers,
        think: Duration::from_millis(arguments.think_ms),
        operation_limit: seconds(arguments.operation_limit),
        recovery_limit: seconds(arguments.recovery_limit),
        live_keys: arguments.live_keys,
        key_bytes_max: arguments.key_bytes_max,
        evidence: arguments.evidence.clone(),
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _guard = runtime.enter();
    if let Some((volume, bucket)) =
        arguments.compare_replicas.as_deref().and_then(|at| at.split_once('/'))
    {
        let client = OzoneClient::new(&conf, &OmAddress::Configured)?;
        println!(
            "{}",
            runtime.block_on(torture::verify::compare_replicas(&client, volume, bucket))?
        );
        return Ok(ExitCode::SUCCESS);
    }
    let run = Arc::new(Run::new(options, &conf)?);
    let good = runtime.block_on(drive(run, arguments.replicas))?;
    runtime.shutdown_background();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn drive(run: Arc<Run>, replicas: bool) -> anyhow::Result<bool> {
    run.prepare().await?;
    let mut tasks = Vec::new();
    for number in 0..run.options.writers {
        tasks.push(tokio::spawn(torture::write::writer(run.clone(), number)));
    }
    for number in 0..run.options.readers {
        tasks.push(tokio::spawn(torture::read::reader(run.clone(), number)));
    }
    println!("{}", json!({"started": run.options.seed}));
    let mut lines = commands();
    let mut status = tokio::time::interval(STATUS_INTERVAL);
    loop {
        tokio::select! {
            _ = status.tick() => println!("{}", json!({"status": run.stats.status()})),
            line = lines.recv() => match line.as_deref() {
                None | Some("quiesce") => break,
                Some(line) => {
                    let number = line.trim_start_matches("probe ").parse().unwrap_or_default();
                    tokio::spawn(probe(run.clone(), number));
                }
            },
        }
    }
    run.stop();
    for task in tasks {
        task.await?;
    }
    let verified = run.verify().await;
    let replicas = if replicas { Some(run.verify_replicas().await) } else { None };
    let violations = run.violations();
    let good = violations.is_empty();
    let report = json!({
        "seed": run.options.seed, "load": run.stats.report(), "verified": verified, "replicas": replicas,
        "violations": violations,
    });
    println!("{}", json!({"report": report}));
    Ok(good)
}

/// Lines of stdin.
fn commands() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

async fn probe(run: Arc<Run>, number: u64) {
    let answer = match run.probe(number).await {
        Ok(seconds) => json!({"probe": number, "recovered": seconds}),
        Err(last) => json!({"probe": number, "failed": last}),
    };
    println!("{answer}");
}
