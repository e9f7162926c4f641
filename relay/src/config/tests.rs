use super::*;

fn refusal(text: &str) -> String {
    Config::parse(text)
        .unwrap()
        .validate()
        .unwrap_err()
        .to_string()
}

#[test]
fn the_defaults_are_valid_and_survive_a_round_trip() {
    let config = Config::default();
    config.validate().unwrap();
    assert_eq!(Config::parse(&config.to_toml().unwrap()).unwrap(), config);
}

#[test]
fn an_unknown_key_is_refused_with_its_name() {
    let error = Config::parse("[circuits]\nmax_circuitz = 3\n").unwrap_err();
    assert!(error.contains("max_circuitz"), "{error}");
}

#[test]
fn a_value_out_of_range_names_field_value_and_bound() {
    assert_eq!(
        refusal("[circuits]\nmax_circuits = 0\n"),
        "circuits.max_circuits must be in 1..=1000000, got 0"
    );
    assert_eq!(
        refusal("network = \"Main net\""),
        "network must be 1 to 64 of a-z, 0-9, '-', '_', '.', got \"Main net\""
    );
}

#[test]
fn an_address_that_no_transport_serves_is_refused() {
    for addr in [
        "/ip4/127.0.0.1/udp/1",
        "/ip4/1.2.3.4/tcp/1/p2p-circuit",
        "nonsense",
    ] {
        let error = refusal(&format!("listen = [\"{addr}\"]"));
        assert!(error.starts_with("listen must be "), "{error}");
        assert!(error.contains(addr), "{error}");
    }
}

#[test]
fn websocket_addresses_come_first() {
    let config =
        Config::parse("listen = [\"/ip4/0.0.0.0/tcp/1\", \"/ip4/0.0.0.0/tcp/2/ws\"]").unwrap();
    assert_eq!(
        config.listen_addrs().unwrap()[0].to_string(),
        "/ip4/0.0.0.0/tcp/2/ws"
    );
}

#[test]
fn a_missing_file_is_reported_with_its_path() {
    let error = Config::read(Path::new("/nonexistent/relay.toml")).unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/relay.toml"),
        "{error}"
    );
}
