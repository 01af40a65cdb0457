//! `om-echo`: calls that do nothing, to see what the way costs.

use bytes::Bytes;
use clap::Args;
use om_proto::{EchoRpcRequest, OmRequest, Type};
use ozone_client::OzoneClient;

use crate::engine::{self, Load, Step};
use crate::options::{BaseOptions, ServiceOptions};
use crate::{Context, FreonError, target};

/// Options of `om-echo`.
#[derive(Args, Debug)]
pub struct OmEchoArgs {
    #[command(flatten)]
    base: BaseOptions,
    /// KB of payload in a request, up to 2097151
    #[arg(long, value_name = "payloadReqSizeKB", default_value_t = 0)]
    payload_req: u32,
    /// KB of payload in an answer, up to 2097151
    #[arg(long, value_name = "payloadRespSizeKB", default_value_t = 0)]
    payload_resp: u32,
    /// Clients, each with a connection of its own
    #[arg(long, value_name = "clientsCount", default_value_t = 1)]
    clients: u32,
    /// Through the Raft log, as a change would go
    #[arg(long)]
    ratis: bool,
}

struct Echo {
    clients: Vec<OzoneClient>,
    payload: Bytes,
    answer_bytes: i32,
    through_log: bool,
}

/// Runs `om-echo`.
///
/// # Errors
/// See [`engine::run`].
pub fn run(context: &Context<'_>, args: OmEchoArgs) -> Result<(), FreonError> {
    let plan = args.base.plan()?;
    let payload = Bytes::from(vec![0; args.payload_req as usize * 1024]);
    let answer_bytes = i32::try_from(u64::from(args.payload_resp) * 1024)
        .map_err(|_| FreonError::Usage("--payload-resp is 2097151 at most".to_owned()))?;
    engine::block_on(async {
        let clients = target::clients(context, &ServiceOptions::default(), args.clients)?;
        let load = Echo { clients, payload, answer_bytes, through_log: args.ratis };
        engine::run(context, plan, load).await
    })
}

impl Load for Echo {
    fn timers(&self) -> Vec<&'static str> {
        vec!["rpc-payload"]
    }

    async fn step(&self, step: Step<'_>) -> Result<(), FreonError> {
        let client = &self.clients[step.counter as usize % self.clients.len()];
        let request = OmRequest {
            cmd_type: Type::EchoRpc.into(),
            echo_rpc_request: Some(Box::new(EchoRpcRequest {
                payload_req: Some(self.payload.clone()),
                payload_size_resp: Some(self.answer_bytes),
                read_only: Some(!self.through_log),
            })),
            ..Default::default()
        };
        step.time(0, client.om().submit(request)).await.map(drop)
    }
}
