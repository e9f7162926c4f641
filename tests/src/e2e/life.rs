//! A relay starts, answers, stops, and is itself again.

use std::fs;

use crate::relay::{EXIT_DEADLINE, Relay, chorus_relay, succeed};

#[test]
fn a_ready_relay_names_itself_and_its_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path());
    assert!(
        relay.peer_id().starts_with("12D3KooW"),
        "an Ed25519 peer id: {}",
        relay.peer_id()
    );
    let suffix = format!("/p2p/{}", relay.peer_id());
    assert!(
        relay.addrs().iter().all(|addr| addr.ends_with(&suffix)),
        "{:?}",
        relay.addrs()
    );
    assert!(
        relay.addrs().iter().any(|addr| addr.contains("/ws/")),
        "{:?}",
        relay.addrs()
    );
    assert!(
        relay
            .addrs()
            .iter()
            .any(|addr| addr.contains("/webrtc-direct/certhash/")),
        "{:?}",
        relay.addrs()
    );
    assert!(
        relay.addrs().iter().all(|addr| !addr.contains("/0/")),
        "real ports: {:?}",
        relay.addrs()
    );
}

#[test]
fn a_page_of_another_origin_may_read_how_to_join() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start_with(dir.path(), &["--network", "classroom"]);
    let reply = relay.get("/bootstrap.json");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let bootstrap = reply.json();
    assert_eq!(bootstrap["network"], "classroom");
    assert_eq!(bootstrap["peer_id"], relay.peer_id());
    assert!(!bootstrap["addrs"].as_array().unwrap().is_empty());
}

#[test]
fn a_probe_sees_a_healthy_and_ready_relay() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path());
    assert_eq!(relay.get("/healthz").status, 200);
    assert_eq!(relay.get("/readyz").status, 200);
    assert_eq!(relay.get("/no-such-page").status, 404);
    let metrics = relay.get("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.body.trim_end().ends_with("# EOF"),
        "OpenMetrics text ends with # EOF"
    );
    succeed(&["status", "--url", relay.url()]);
}

#[test]
fn the_network_defaults_to_main() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        Relay::start(dir.path()).get("/bootstrap.json").json()["network"],
        "main"
    );
}

#[test]
fn sigterm_and_sigint_end_it_with_0_within_five_seconds() {
    // Several times: a signal right after the ready line must not come before the relay listens for it.
    for signal in ["TERM", "INT"].repeat(10) {
        let dir = tempfile::tempdir().unwrap();
        let status = Relay::start(dir.path()).stop(signal, EXIT_DEADLINE);
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}");
    }
}

#[test]
fn the_same_directory_keeps_the_peer_id_and_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let certhash = |relay: &Relay| {
        let addrs = relay.addrs();
        let addr = addrs
            .iter()
            .find(|addr| addr.contains("/certhash/"))
            .expect("a certhash");
        addr.split("/certhash/")
            .nth(1)
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let first = Relay::start(dir.path());
    let (peer_id, hash) = (first.peer_id().to_owned(), certhash(&first));
    assert!(first.stop("TERM", EXIT_DEADLINE).success());

    let second = Relay::start(dir.path());
    assert_eq!(second.peer_id(), peer_id);
    assert_eq!(certhash(&second), hash);

    let elsewhere = tempfile::tempdir().unwrap();
    assert_ne!(Relay::start(elsewhere.path()).peer_id(), peer_id);
}

#[test]
fn check_prints_the_effective_config() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("relay.toml");
    fs::write(&config, "network = \"classroom\"\n").unwrap();
    let printed = succeed(&["check", "--config", config.to_str().unwrap()]);
    assert!(printed.contains("classroom"), "{printed}");
}

#[test]
fn help_names_every_command() {
    let help = succeed(&["--help"]);
    for command in [
        "run", "keygen", "check", "status", "share", "get", "query", "revoke", "peer",
    ] {
        assert!(help.contains(command), "{command} is missing from --help");
        assert!(
            chorus_relay(&[command, "--help"]).status.success(),
            "{command} --help"
        );
    }
}
