//! Peers on networks that do not reach each other, with the relay on both: Linux network namespaces, no NAT daemon.
//!
//! Needs root and iproute2. Each test has names and addresses of its own, so that they run side by side.

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use crate::relay::{Relay, binary, finish};

/// Two one-cable networks, `left` and `right`, with a relay that has a foot in each and forwards nothing.
struct Networks {
    name: &'static str,
    /// Second number of every address, `10.NUMBER.…`.
    number: u8,
}

impl Networks {
    fn new(name: &'static str, number: u8) -> Self {
        let networks = Self { name, number };
        networks.remove();
        for place in ["left", "hub", "right"] {
            ip(&["netns", "add", &networks.namespace(place)]);
            ip(&["-n", &networks.namespace(place), "link", "set", "lo", "up"]);
        }
        for (side, subnet) in [("left", 1), ("right", 2)] {
            let (hub, place) = (networks.namespace("hub"), networks.namespace(side));
            let cable = [
                "link", "add", side, "netns", &hub, "type", "veth", "peer", "name", "hub", "netns",
                &place,
            ];
            ip(&cable);
            for (namespace, link, host) in [(&hub, side, 1), (&place, "hub", 2)] {
                ip(&[
                    "-n",
                    namespace,
                    "address",
                    "add",
                    &format!("10.{number}.{subnet}.{host}/24"),
                    "dev",
                    link,
                ]);
                ip(&["-n", namespace, "link", "set", link, "up"]);
            }
        }
        networks
    }

    fn namespace(&self, place: &str) -> String {
        format!("chorus-{}-{place}", self.name)
    }

    /// Returns a command that runs the relay's binary at `place`.
    fn command(&self, place: &str) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace(place)])
            .arg(binary());
        command
    }

    /// Starts a relay at the hub, on every address.
    fn relay(&self, data_dir: &OsStr) -> Relay {
        let mut command = self.command("hub");
        command.args([
            "run",
            "--http",
            "0.0.0.0:8080",
            "--listen",
            "/ip4/0.0.0.0/tcp/9000/ws",
            "--data-dir",
        ]);
        command.arg(data_dir);
        Relay::spawn(command)
    }

    /// Returns the relay's address as seen from `side`.
    fn url(&self, side: &str) -> String {
        let subnet = if side == "left" { 1 } else { 2 };
        format!("http://10.{}.{subnet}.1:8080", self.number)
    }

    /// Runs `chorus-relay ARGS… --relay URL` at `side`, expects success and returns what it printed.
    fn peer(&self, side: &str, args: &[&OsStr]) -> String {
        let mut command = self.command(side);
        let output = finish(command.args(args).args(["--relay", &self.url(side)]));
        assert!(
            output.status.success(),
            "{side}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn remove(&self) {
        for place in ["left", "hub", "right"] {
            let _ = Command::new("ip")
                .args(["netns", "delete", &self.namespace(place)])
                .output();
        }
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        self.remove();
    }
}

fn ip(args: &[&str]) {
    let output = finish(Command::new("ip").args(args));
    assert!(
        output.status.success(),
        "ip {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_file_crosses_between_networks_through_the_relay() {
    let networks = Networks::new("file", 81);
    let dir = tempfile::tempdir().unwrap();
    let _relay = networks.relay(dir.path().join("data").as_os_str());
    let (shared, fetched) = (dir.path().join("shared"), dir.path().join("fetched"));
    fs::write(&shared, b"across ".repeat(100_000)).unwrap();

    let cid = networks.peer("left", &["share".as_ref(), shared.as_os_str()]);
    networks.peer(
        "right",
        &[
            "get".as_ref(),
            cid.as_ref(),
            "-o".as_ref(),
            fetched.as_os_str(),
        ],
    );
    assert!(fs::read(&fetched).unwrap() == fs::read(&shared).unwrap());
}

#[test]
fn a_pulled_cable_harms_only_its_own_side() {
    let networks = Networks::new("cable", 82);
    let dir = tempfile::tempdir().unwrap();
    let _relay = networks.relay(dir.path().join("data").as_os_str());
    let (shared, fetched) = (dir.path().join("shared"), dir.path().join("fetched"));
    fs::write(&shared, b"stays").unwrap();
    let cid = networks.peer("left", &["share".as_ref(), shared.as_os_str()]);

    ip(&[
        "-n",
        &networks.namespace("hub"),
        "link",
        "set",
        "left",
        "down",
    ]);
    networks.peer(
        "right",
        &[
            "get".as_ref(),
            cid.as_ref(),
            "-o".as_ref(),
            fetched.as_os_str(),
        ],
    );
    assert_eq!(fs::read(&fetched).unwrap(), b"stays");

    ip(&[
        "-n",
        &networks.namespace("hub"),
        "link",
        "set",
        "left",
        "up",
    ]);
    fs::remove_file(&fetched).unwrap();
    networks.peer(
        "left",
        &[
            "get".as_ref(),
            cid.as_ref(),
            "-o".as_ref(),
            fetched.as_os_str(),
        ],
    );
    assert_eq!(fs::read(&fetched).unwrap(), b"stays");
}
