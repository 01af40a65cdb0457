//! `ommg`: operations of the Ozone Manager, one kind or a mixture (`OmMetadataGenerator`).

use clap::Args;
use hdds_types::ReplicationConfig;
use om_proto::{OmRequest, OmResponse};
use ozone_client::key::{KeyReader, KeyWriter, NewKey};
use ozone_client::{ClientError, OzoneClient};

use super::requests;
use crate::content::Content;
use crate::engine::{self, Load, Step};
use crate::options::{BaseOptions, BucketOptions, ReplicationOptions, ServiceOptions, size};
use crate::{Context, FreonError, key, target};

/// Digits of a name, so that the order of names is the order of numbers.
const NAME_DIGITS: usize = 19;

/// Options of `ommg`.
#[derive(Args, Debug)]
pub struct OmmgArgs {
    #[command(flatten)]
    base: BaseOptions,
    #[command(flatten)]
    bucket: BucketOptions,
    /// Bytes of a key or file that is made, e.g. 10KB
    #[arg(short = 's', long, value_name = "dataSize", default_value = "0", value_parser = size)]
    size: u64,
    /// Bytes after which the content repeats
    #[arg(long, value_name = "bufferSize", default_value_t = 4096)]
    buffer: usize,
    /// Entries of a page
    #[arg(long, value_name = "batchSize", default_value_t = 1000)]
    batch_size: u32,
    /// Random names instead of one after the other
    #[arg(long)]
    random: bool,
    /// What to do; --ophelp lists the operations
    #[arg(short = 'o', long, value_name = "operation")]
    operation: Option<String>,
    /// MIXED: operations, separated by commas
    #[arg(long, value_name = "operationsList")]
    ops: Option<String>,
    /// MIXED: threads of each, separated by commas; the sum is that of --threads
    #[arg(long, value_name = "operationsNum")]
    opsnum: Option<String>,
    /// Tell about the operations
    #[arg(long)]
    ophelp: bool,
    #[command(flatten)]
    service: ServiceOptions,
    /// Clients, each with a connection of its own
    #[arg(long, value_name = "clientsNo", default_value_t = 1)]
    clients: u32,
    /// Accepted for compatibility: requests go to the leader
    #[arg(long)]
    enable_follower_read_affinity: bool,
    #[command(flatten)]
    replication: ReplicationOptions,
}

/// Names, in the order of the Java tool.
const OPERATIONS: [(&str, Operation); 16] = [
    ("CREATE_FILE", Operation::CreateFile),
    ("CREATE_STREAM_FILE", Operation::CreateFile),
    ("LOOKUP_FILE", Operation::LookupFile),
    ("READ_FILE", Operation::ReadFile),
    ("LIST_STATUS", Operation::ListStatus { light: false }),
    ("LIST_STATUS_LIGHT", Operation::ListStatus { light: true }),
    ("CREATE_KEY", Operation::CreateKey),
    ("CREATE_STREAM_KEY", Operation::CreateKey),
    ("LOOKUP_KEY", Operation::LookupKey),
    ("GET_KEYINFO", Operation::KeyInfo { head: false }),
    ("HEAD_KEY", Operation::KeyInfo { head: true }),
    ("READ_KEY", Operation::ReadKey),
    ("LIST_KEYS", Operation::ListKeys { light: false }),
    ("LIST_KEYS_LIGHT", Operation::ListKeys { light: true }),
    ("INFO_BUCKET", Operation::InfoBucket),
    ("INFO_VOLUME", Operation::InfoVolume),
];
/// A mixture of the others.
const MIXED: &str = "MIXED";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    CreateFile,
    LookupFile,
    ReadFile,
    ListStatus { light: bool },
    CreateKey,
    LookupKey,
    KeyInfo { head: bool },
    ReadKey,
    ListKeys { light: bool },
    InfoBucket,
    InfoVolume,
}

/// Index into [`OPERATIONS`], which is that of the timer.
fn operation(name: &str) -> Result<usize, FreonError> {
    OPERATIONS.iter().position(|(known, _)| *known == name).ok_or_else(|| {
        let names: Vec<&str> = names().collect();
        FreonError::Usage(format!(
            "Invalid value for option '--operation': expected one of [{}] (case-sensitive) but \
             was '{name}'",
            names.join(", ")
        ))
    })
}

fn names() -> impl Iterator<Item = &'static str> {
    OPERATIONS.iter().map(|(name, _)| *name).chain([MIXED])
}

fn usage() -> String {
    let names: Vec<&str> = names().collect();
    format!(
        "Measures the Ozone Manager.\nOperations:\n  {}\n\nExamples:\n\
         # make 25000 keys, for 180 s\n\
         $ ozone freon ommg --operation CREATE_KEY -n 25000 --duration 180s\n\
         # read them, for 180 s\n\
         $ ozone freon ommg --operation READ_KEY -n 25000 --duration 180s\n\
         # pages of 1000 keys with 20 in flight, for 180 s\n\
         $ ozone freon ommg --operation LIST_KEYS -t 20 --batch-size 1000 --duration 180s\n\
         # a mixture: 5 make files, 4 look files up, 1 lists them\n\
         $ ozone freon ommg --operation MIXED --ops CREATE_FILE,LOOKUP_FILE,LIST_STATUS \
         --opsnum 5,4,1 -t 10 -n 1000 --duration 180s\n\n\
         Operations that read need what CREATE_KEY or CREATE_FILE made before.",
        names.join(", ")
    )
}

/// Which worker does what.
fn assignment(args: &OmmgArgs) -> Result<Vec<usize>, FreonError> {
    let name = args.operation.as_deref().unwrap_or_default();
    if name != MIXED {
        return Ok(vec![operation(name)?]);
    }
    let (Some(ops), Some(numbers)) = (&args.ops, &args.opsnum) else {
        let text = "--ops and --opsnum must be given, if --operation is MIXED";
        return Err(FreonError::Usage(text.to_owned()));
    };
    let wrong =
        || FreonError::Usage("the --opsnum values sum must equal the number of threads".to_owned());
    let ops: Vec<usize> = ops.split(',').map(operation).collect::<Result<_, _>>()?;
    let numbers: Vec<u32> = numbers
        .split(',')
        .map(|number| number.parse().map_err(|_| wrong()))
        .collect::<Result<_, _>>()?;
    let sum = numbers.iter().try_fold(0_u32, |sum, number| sum.checked_add(*number));
    if ops.len() != numbers.len() || sum != Some(args.base.threads) {
        return Err(wrong());
    }
    let each = ops.into_iter().zip(numbers);
    Ok(each.flat_map(|(op, number)| std::iter::repeat_n(op, number as usize)).collect())
}

struct Ommg {
    clients: Vec<OzoneClient>,
    target: BucketOptions,
    content: Content,
    chunk_bytes: usize,
    replication: Option<ReplicationConfig>,
    batch: u32,
    threads: u32,
    /// Names below this, at random.
    random_below: Option<u64>,
    /// By worker, repeated.
    assignment: Vec<usize>,
}

/// Runs `ommg`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: OmmgArgs) -> Result<(), FreonError> {
    if args.ophelp || args.operation.is_none() {
        println!("{}", usage());
        return Ok(());
    }
    let assignment = assignment(&args)?;
    let plan = args.base.plan_without_prefix()?;
    let replication = args.replication.given_or_configured(context.conf)?;
    engine::block_on(async {
        let clients = target::clients(context, &args.service, args.clients)?;
        target::ensure_bucket(context, &clients[0], &args.bucket).await?;
        let chunk_bytes = clients[0].settings().blocks.chunk_bytes;
        let load = Ommg {
            clients,
            target: args.bucket,
            content: Content::new(args.size, args.buffer, chunk_bytes),
            chunk_bytes,
            replication,
            batch: args.batch_size,
            threads: plan.threads,
            random_below: args.random.then_some(plan.tests),
            assignment,
        };
        engine::run(context, plan, load).await
    })
}

fn name(counter: u64) -> String {
    format!("{counter:0NAME_DIGITS$}")
}

impl Load for Ommg {
    fn timers(&self) -> Vec<&'static str> {
        OPERATIONS.iter().map(|(name, _)| *name).collect()
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let timer = self.assignment[step.worker as usize % self.assignment.len()];
        let counter = match self.random_below {
            Some(end) => rand::random_range(0..end),
            None => step.counter,
        };
        let client = &self.clients[counter as usize % self.clients.len()];
        let (volume, bucket) = (&self.target.volume, &self.target.bucket);
        let key = name(counter);
        let start = || name(u64::from(step.worker) * u64::from(self.batch));
        match OPERATIONS[timer].1 {
            Operation::CreateKey => {
                let create = async {
                    let writer = client.create_key(volume, bucket, &key, self.new_key()).await?;
                    self.fill(writer, &step).await
                };
                step.time(timer, create).await
            }
            Operation::CreateFile => {
                let create = async {
                    let new = self.new_key();
                    let opened = client.create_file(volume, bucket, &key, new, false, true);
                    self.fill(opened.await?, &step).await
                };
                step.time(timer, create).await
            }
            Operation::ReadKey => {
                let read =
                    async { self.drain(client.read_key(volume, bucket, &key).await?, &step).await };
                step.time(timer, read).await
            }
            Operation::ReadFile => {
                let read = async {
                    let reader = client.read_key(volume, bucket, &key).await?;
                    if !reader.key().summary.is_file {
                        return Err(ClientError::Invalid(format!("{key} is not a file")));
                    }
                    self.drain(reader, &step).await
                };
                step.time(timer, read).await
            }
            Operation::LookupKey => {
                self.ask(&step, timer, client, requests::lookup_key(&self.target, key)).await
            }
            Operation::LookupFile => {
                self.ask(&step, timer, client, requests::lookup_file(&self.target, key)).await
            }
            Operation::KeyInfo { head } => {
                self.ask(&step, timer, client, requests::key_info(&self.target, key, head)).await
            }
            Operation::InfoBucket => {
                self.ask(&step, timer, client, requests::info_bucket(&self.target)).await
            }
            Operation::InfoVolume => {
                self.ask(&step, timer, client, requests::info_volume(&self.target)).await
            }
            Operation::ListKeys { light } => {
                let list = requests::list_keys(&self.target, start(), self.batch, light);
                self.page(&step, timer, client, list, "keys", "CREATE_KEY").await
            }
            Operation::ListStatus { light } => {
                let list = requests::list_status(&self.target, start(), self.batch, light);
                self.page(&step, timer, client, list, "files", "CREATE_FILE").await
            }
        }
    }
}

impl Ommg {
    fn new_key(&self) -> NewKey {
        NewKey { size: self.content.size(), replication: self.replication, ..NewKey::default() }
    }

    async fn fill(&self, mut writer: KeyWriter, step: &Step<'_>) -> Result<(), ClientError> {
        key::write(&mut writer, &self.content, self.chunk_bytes).await?;
        writer.close().await?;
        step.add_bytes(self.content.size());
        Ok(())
    }

    async fn drain(&self, mut reader: KeyReader, step: &Step<'_>) -> Result<(), ClientError> {
        while let Some(piece) = reader.next().await? {
            step.add_bytes(piece.len() as u64);
        }
        Ok(())
    }

    async fn ask(
        &self,
        step: &Step<'_>,
        timer: usize,
        client: &OzoneClient,
        request: OmRequest,
    ) -> Result<(), FreonError> {
        step.time(timer, client.om().submit(request)).await.map(drop)
    }

    /// A page that is expected to be full.
    async fn page(
        &self,
        step: &Step<'_>,
        timer: usize,
        client: &OzoneClient,
        request: OmRequest,
        what: &str,
        maker: &str,
    ) -> Result<(), FreonError> {
        let response = step.time(timer, client.om().submit(request)).await?;
        if entries(&response) + 1 < self.batch as usize {
            let enough = u64::from(self.batch) * u64::from(self.threads);
            return Err(FreonError::Wrong(format!(
                "There are not enough {what} for testing you should use {maker} to create at \
                 least batch-size * threads = {enough}"
            )));
        }
        Ok(())
    }
}

fn entries(response: &OmResponse) -> usize {
    let keys = response.list_keys_response.as_ref().map(|page| page.key_info.len());
    let light = response.list_keys_light_response.as_ref().map(|page| page.basic_key_info.len());
    let files = response.list_status_response.as_ref().map(|page| page.statuses.len());
    let light_files = response.list_status_light_response.as_ref().map(|page| page.statuses.len());
    keys.or(light).or(files).or(light_files).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: OmmgArgs,
    }

    fn assigned(line: &str) -> Result<Vec<&'static str>, String> {
        let args = Line::try_parse_from(line.split(' ')).unwrap().args;
        let found = assignment(&args).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|timer| OPERATIONS[timer].0).collect())
    }

    #[test]
    fn a_mixture_gives_each_worker_its_operation() {
        assert_eq!(assigned("ommg -o CREATE_KEY").unwrap(), ["CREATE_KEY"]);
        assert_eq!(
            assigned("ommg -o MIXED --ops HEAD_KEY,LIST_KEYS --opsnum 2,1 -t 3").unwrap(),
            ["HEAD_KEY", "HEAD_KEY", "LIST_KEYS"]
        );
        let sum = assigned("ommg -o MIXED --ops HEAD_KEY,LIST_KEYS --opsnum 2,1 -t 4");
        assert_eq!(sum.unwrap_err(), "the --opsnum values sum must equal the number of threads");
        assert!(assigned("ommg -o MIXED").unwrap_err().starts_with("--ops and --opsnum must be"));
        assert!(assigned("ommg -o create_key").unwrap_err().contains("(case-sensitive)"));
    }

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        assert_eq!(name(7), "0000000000000000007");
        assert!(name(999) < name(1000));
        assert_eq!(name(u64::try_from(i64::MAX).unwrap()).len(), NAME_DIGITS);
    }
}
