//! The counters that `/metrics` shows, in OpenMetrics text. No metric has a label whose values a remote chooses.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use crate::{meter::Traffic, store::Counts};

/// Every counter of a relay. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    /// Bytes of connections and circuits.
    pub(crate) traffic: Traffic,
    /// Connections open now.
    pub(crate) connections: Gauge,
    /// Peers connected now.
    pub(crate) peers: Gauge,
    /// Connections that were established.
    pub(crate) connections_established: Family<OriginLabel, Counter>,
    /// Inbound connections that did not finish their handshake or were over a limit.
    pub(crate) connections_refused: Counter,
    /// Peers that hold a reservation now.
    pub(crate) reservations: Gauge,
    /// Answers to reservation requests.
    pub(crate) reservation_requests: Family<OutcomeLabel, Counter>,
    /// Circuits open now.
    pub(crate) circuits: Gauge,
    /// Answers to circuit requests.
    pub(crate) circuit_requests: Family<OutcomeLabel, Counter>,
    /// Blocks stored now.
    pub(crate) blocks: Gauge,
    /// Their length, bytes.
    pub(crate) block_bytes: Gauge,
    /// Blocks dropped.
    pub(crate) blocks_dropped: Family<ReasonLabel, Gauge>,
    /// Reads and writes of the store that failed.
    pub(crate) store_errors: Counter,
    /// HTTP answers.
    pub(crate) http_responses: Family<StatusLabel, Counter>,
    /// HTTP connections that were closed at once: their address had its share.
    pub(crate) http_refused: Counter,
}

/// Who opened the connection.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct OriginLabel {
    /// Who opened it.
    pub(crate) direction: Direction,
}

/// Direction of a connection or of bytes.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub(crate) enum Direction {
    /// From the remote.
    Inbound,
    /// To the remote.
    Outbound,
}

/// How a request ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// Granted.
    Accepted,
    /// Granted again to the same peer.
    Renewed,
    /// Over a limit, or no reservation at the destination.
    Denied,
    /// The remote went away or answered wrongly.
    Failed,
}

/// Why a block was dropped.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    /// Why.
    pub(crate) reason: Reason,
}

/// Why a block was dropped.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelValue)]
pub(crate) enum Reason {
    /// Its time had passed.
    Expired,
    /// It made room.
    Evicted,
}

/// Class of an HTTP status: 200, 300, 400 or 500.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct StatusLabel {
    /// The class.
    pub(crate) class: u16,
}

impl Metrics {
    /// Takes over what the store counted.
    pub(crate) fn set_store(&self, counts: Counts) {
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.blocks.set(gauge(counts.blocks));
        self.block_bytes.set(gauge(counts.bytes));
        for (reason, n) in [
            (Reason::Expired, counts.expired),
            (Reason::Evicted, counts.evicted),
        ] {
            self.blocks_dropped
                .get_or_create(&ReasonLabel { reason })
                .set(gauge(n));
        }
    }

    /// Counts one connection.
    pub(crate) fn count_connection(&self, direction: Direction) {
        self.connections_established
            .get_or_create(&OriginLabel { direction })
            .inc();
    }

    /// All counters as OpenMetrics text.
    ///
    /// # Errors
    /// None that is known: writing to a string does not fail.
    pub(crate) fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry())?;
        Ok(text)
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("chorus");
        let r = &mut registry;
        r.register(
            "build",
            "Version of the binary",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        r.register(
            "circuit_bytes",
            "Bytes that circuits carried in both directions, each once, their handshakes and reservation requests included",
            self.traffic.circuit.clone(),
        );
        r.register(
            "transport_inbound_bytes",
            "Bytes read from streams of direct connections",
            self.traffic.inbound.clone(),
        );
        r.register(
            "transport_outbound_bytes",
            "Bytes written to streams of direct connections",
            self.traffic.outbound.clone(),
        );
        r.register(
            "connections",
            "Connections open now",
            self.connections.clone(),
        );
        r.register("peers", "Peers connected now", self.peers.clone());
        r.register(
            "connections_established",
            "Connections established",
            self.connections_established.clone(),
        );
        r.register(
            "connections_refused",
            "Inbound connections that failed their handshake or were over a limit",
            self.connections_refused.clone(),
        );
        r.register(
            "reservations",
            "Peers that hold a reservation now",
            self.reservations.clone(),
        );
        r.register(
            "reservation_requests",
            "Reservation requests answered",
            self.reservation_requests.clone(),
        );
        r.register("circuits", "Circuits open now", self.circuits.clone());
        r.register(
            "circuit_requests",
            "Circuit requests answered",
            self.circuit_requests.clone(),
        );
        r.register("store_blocks", "Blocks stored now", self.blocks.clone());
        r.register(
            "store_bytes",
            "Length of the stored blocks in bytes",
            self.block_bytes.clone(),
        );
        r.register(
            "store_blocks_dropped",
            "Blocks dropped since the start",
            self.blocks_dropped.clone(),
        );
        r.register(
            "store_errors",
            "Reads and writes of the store that failed",
            self.store_errors.clone(),
        );
        r.register(
            "http_responses",
            "HTTP answers by class of status",
            self.http_responses.clone(),
        );
        r.register(
            "http_connections_refused",
            "HTTP connections closed at once because their address had its share",
            self.http_refused.clone(),
        );
        registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_open_metrics_and_counters_end_in_total() {
        let metrics = Metrics::default();
        metrics.traffic.circuit.inc_by(42);
        metrics.count_connection(Direction::Inbound);
        let text = metrics.encode().unwrap();
        assert!(text.contains("\nchorus_circuit_bytes_total 42\n"), "{text}");
        assert!(
            text.contains("chorus_connections_established_total{direction=\"Inbound\"} 1\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
    }
}
