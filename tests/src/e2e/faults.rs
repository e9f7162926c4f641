//! Wrong config, damaged files, taken ports and noise: a clear error or a bounded refusal, and nothing lost.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use crate::relay::{DEADLINE, EXIT_DEADLINE, Relay, chorus_relay, finish, run_command};

#[test]
fn an_unknown_key_ends_check_and_run_with_2_and_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("relay.toml");
    fs::write(&config, "netwrok = \"main\"\n").unwrap();
    let config = config.to_str().unwrap();
    let data = dir.path().join("data");
    let check = chorus_relay(&["check", "--config", config]);
    let run = finish(run_command(&data).args(["--config", config]));
    for output in [check, run] {
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("netwrok"), "{error}");
    }
}

#[test]
fn a_network_name_out_of_bounds_is_refused_with_the_value() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("relay.toml");
    fs::write(&config, "network = \"no/slashes\"\n").unwrap();
    let output = chorus_relay(&["check", "--config", config.to_str().unwrap()]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("network") && error.contains("no/slashes"),
        "{error}"
    );
}

#[test]
fn a_damaged_file_is_reported_with_its_path_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        Relay::start(dir.path())
            .stop("TERM", EXIT_DEADLINE)
            .success()
    );
    let files: Vec<PathBuf> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && fs::metadata(path).unwrap().len() > 0)
        .collect();
    assert!(!files.is_empty(), "a relay that ran left files");
    for file in files {
        let original = fs::read(&file).unwrap();
        let flipped: Vec<u8> = original.iter().map(|byte| !byte).collect();
        let damages = [
            b"not what you wrote ".repeat(400),
            original[..original.len() / 2].to_owned(),
            [&flipped[..64], &original[64..]].concat(),
        ];
        for (which, damaged) in damages.iter().enumerate() {
            fs::write(&file, damaged).unwrap();
            let output = finish(&mut run_command(dir.path()));
            let error = String::from_utf8_lossy(&output.stderr);
            let case = format!("{} with damage {which}: {error}", file.display());
            assert!(!output.status.success(), "{case}");
            assert!(error.contains(file.to_str().unwrap()), "not named: {case}");
            assert!(!error.contains("panicked"), "{case}");
            assert!(fs::read(&file).unwrap() == *damaged, "overwritten: {case}");
        }
        fs::write(&file, original).unwrap();
    }
    // Put back as it was, it runs again.
    Relay::start(dir.path());
}

#[test]
fn a_second_relay_on_the_same_data_or_port_is_refused() {
    let (first_dir, second_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let relay = Relay::start(first_dir.path());

    let same_data = finish(&mut run_command(first_dir.path()));
    let error = String::from_utf8_lossy(&same_data.stderr);
    assert!(!same_data.status.success(), "two relays share a directory");
    assert!(
        error.contains(first_dir.path().to_str().unwrap()),
        "{error}"
    );

    let address = relay.url().strip_prefix("http://").unwrap();
    let data = second_dir.path().to_str().unwrap();
    let same_port = chorus_relay(&["run", "--http", address, "--data-dir", data]);
    let error = String::from_utf8_lossy(&same_port.stderr);
    assert!(!same_port.status.success(), "two relays share a port");
    assert!(error.contains(address), "{error}");
    assert_eq!(relay.get("/healthz").status, 200);
}

#[test]
fn noise_on_every_tcp_port_leaves_the_relay_healthy() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path());
    let mut ports = vec![relay.url().rsplit(':').next().unwrap().to_owned()];
    ports.extend(
        relay
            .addrs()
            .iter()
            .filter_map(|addr| Some(addr.split("/tcp/").nth(1)?.split('/').next()?.to_owned())),
    );
    let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\u{82}\u{7f}";
    let noise: [Vec<u8>; 4] = [
        vec![0xff; 4096],
        vec![0; 1 << 20],
        [b"GET /".as_slice(), &[b'a'; 1 << 20]].concat(),
        upgrade.into(),
    ];
    for port in &ports {
        for bytes in &noise {
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
            // A refusal may close the connection before everything is written.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let _ = stream.read(&mut [0; 64]);
        }
    }
    assert_eq!(relay.get("/healthz").status, 200);
    assert!(relay.stop("TERM", EXIT_DEADLINE).success());
}

#[test]
fn paths_outside_the_page_are_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path());
    for path in [
        "/../Cargo.toml",
        "/%2e%2e/Cargo.toml",
        "//etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
    ] {
        let reply = relay.get(path);
        assert!(
            (400..500).contains(&reply.status),
            "{path}: {}",
            reply.status
        );
    }
}
