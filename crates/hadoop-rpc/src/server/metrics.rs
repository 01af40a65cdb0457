//! What a server counts (`RpcMetrics`).

use std::time::{Duration, Instant};

use ozone_metrics::{Counter, Rate, Records, Timer};

/// Calls that take longer count as slow.
const SLOW: Duration = Duration::from_secs(5);

/// Counts of one server.
#[derive(Debug, Default)]
pub struct RpcMetrics {
    /// From the frame's turn to the begin of service.
    queue: Rate,
    /// From the begin of service to the answer in the output queue.
    processing: Timer,
    slow: Counter,
    failed: Counter,
    /// Bytes of frames in.
    pub(super) received_bytes: Counter,
    /// Bytes of answers.
    pub(super) sent_bytes: Counter,
    /// Connections turned away.
    pub(super) refused_connections: Counter,
}

impl RpcMetrics {
    /// A call begins that waited so long.
    pub(super) fn begun(&self, waited: Duration) {
        self.queue.took(waited);
    }

    /// A call that began then is answered.
    pub(super) fn answered(&self, begun: Instant, bytes: usize, failed: bool) {
        let took = begun.elapsed();
        self.processing.took(took);
        self.sent_bytes.add(bytes as u64);
        if took > SLOW {
            self.slow.inc();
        }
        if failed {
            self.failed.inc();
        }
    }

    /// `rpc_*` with port and name of the server.
    pub fn collect(&self, records: &mut Records, port: u16, name: &str, load: super::ServerLoad) {
        let bean = format!("RpcActivityForPort{port}");
        let mut rpc = records.record_as("rpc", &bean);
        rpc.tag("port", port).tag("serverName", name).context("rpc");
        rpc.counter("ReceivedBytes", self.received_bytes.get());
        rpc.counter("SentBytes", self.sent_bytes.get());
        rpc.rate_ms("RpcQueueTime", &self.queue);
        rpc.timer_ms("RpcProcessingTime", &self.processing);
        rpc.counter("RpcSlowCalls", self.slow.get());
        rpc.counter("RpcCallFailures", self.failed.get());
        rpc.counter("NumDroppedConnections", self.refused_connections.get());
        rpc.gauge("NumOpenConnections", load.connections);
        rpc.gauge("CallQueueLength", load.calls);
        rpc.summary("processingTime", &self.processing);
    }
}
