//! `EchoRPC`: measures the way; through the log unless read-only.

use om_proto::{EchoRpcRequest, EchoRpcResponse, OmResponse, Status};

use crate::command::{BlocksWanted, Caller, Read, Write};
use crate::error::Failure;
use crate::namespace::{At, Namespace};

/// Largest payload that is sent back, in bytes.
const PAYLOAD_BYTES_MAX: usize = 2 << 20;

pub(crate) fn read(request: &EchoRpcRequest, reply: &mut OmResponse) -> Result<Read, Failure> {
    let size = usize::try_from(request.payload_size_resp.unwrap_or(0)).unwrap_or(0);
    if size > PAYLOAD_BYTES_MAX {
        let message = format!("payloadSizeResp is {size}, more than {PAYLOAD_BYTES_MAX} bytes");
        return Err(Failure::new(Status::InvalidRequest, message));
    }
    let payload = Some(vec![0; size].into());
    reply.echo_rpc_response = Some(Box::new(EchoRpcResponse { payload }));
    Ok(Read::Reply)
}

impl Write for EchoRpcRequest {
    fn prepare(
        &mut self,
        _: &Namespace<'_>,
        _: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        Ok(None)
    }

    fn apply(
        self,
        _: At,
        _: &str,
        _: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        read(&self, reply).map(|_| ())
    }
}
