//! `chorus-relay status`: how a running relay is, seen from outside.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    bootstrap::BootstrapError,
    cli::StatusArgs,
    cmd::{Failure, print_line},
};

/// Prints one line of JSON: readiness, network, peer id, addresses, and the counters if the relay shows them there.
///
/// # Errors
/// Nothing answers, or the relay is not ready (exit status 1; the line is printed then too).
pub(crate) async fn status(args: StatusArgs) -> Result<(), Failure> {
    let ready = match args.url.join("readyz").get().await {
        Ok(_) => true,
        Err(BootstrapError::Status { .. }) => false,
        Err(error) => return Err(error.into()),
    };
    let document = args.url.bootstrap_document().await?;
    let metrics = args.url.join("metrics").get().await.ok();
    let metrics = metrics.map(|text| counters(&String::from_utf8_lossy(&text)));
    print_line(
        &json!({
            "ready": ready,
            "network": document.network,
            "peer_id": document.peer_id,
            "addrs": document.addrs,
            "metrics": metrics,
        })
        .to_string(),
    )?;
    if ready {
        Ok(())
    } else {
        Err(Failure::Failed(format!("{}: not ready", args.url)))
    }
}

/// The metrics without labels, by name.
fn counters(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.contains('{'))
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_metrics_are_read_and_labelled_ones_left_out() {
        let text = "# TYPE a counter\na_total 3\nb{x=\"y\"} 4\nc 1.5\n# EOF\n";
        assert_eq!(
            counters(text),
            BTreeMap::from([("a_total".to_string(), 3.0), ("c".to_string(), 1.5)])
        );
    }
}
