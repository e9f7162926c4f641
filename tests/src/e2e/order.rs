//! What `share` asks of others: when to use a packet, after which, in place of which.

use std::process::Output;

use serde_json::Value;

use super::scene::{Scene, shared};
use crate::relay::chorus_relay;

/// Shares a file as `own` with more options.
fn share(scene: &Scene, content: &[u8], more: &[&str]) -> Output {
    let file = scene.file("note.txt", content);
    let data = scene.data("own");
    let first = ["share", file.to_str().unwrap(), "--relay"];
    let own = [scene.relay.url(), "--data-dir", data.to_str().unwrap()];
    chorus_relay(&[&first[..], &own, more].concat())
}

/// The metadata of the packet `cid` as the relay lists it.
fn metadata(scene: &Scene, cid: &str) -> Option<Value> {
    let packets = scene.packets("file");
    let found = packets.iter().find(|packet| packet["cid"] == cid);
    found.map(|packet| packet["packet"]["metadata"].clone())
}

#[test]
fn a_file_that_supersedes_another_is_listed_in_its_place() {
    let scene = Scene::new();
    let (first, _) = shared(share(&scene, b"first", &[]));
    assert!(metadata(&scene, &first).is_some());
    let (second, _) = shared(share(&scene, b"second", &["--supersedes", &first]));
    assert_eq!(metadata(&scene, &first), None, "the first is listed");
    let asked = metadata(&scene, &second).expect("the second is listed");
    assert_eq!(asked["integration_how"], "HOW_REPLACE");
    assert_eq!(
        asked["integration_order"],
        format!("ORDER_AFTER cid={first}")
    );
    let region = "WHERE_MEMORY region=\"note.txt\"";
    assert_eq!(asked["integration_where"], region);
}

#[test]
fn when_and_after_travel_with_the_packet() {
    let scene = Scene::new();
    let (first, _) = shared(share(&scene, b"first", &["--when", "periodic_3600"]));
    let asked = metadata(&scene, &first).unwrap();
    assert_eq!(asked["integration_when"], "WHEN_PERIODIC secs=3600");
    let more = ["--after", &first, "--when", "performance_threshold_0.8"];
    let (second, _) = shared(share(&scene, b"second", &more));
    let asked = metadata(&scene, &second).unwrap();
    assert_eq!(
        asked["integration_order"],
        format!("ORDER_AFTER cid={first}")
    );
    let when = "WHEN_THRESHOLD metric=\"performance\" value=0.8";
    assert_eq!(asked["integration_when"], when);
    assert_eq!(asked["integration_how"], "HOW_MERGE weight=1.0");
    assert!(metadata(&scene, &first).is_some(), "both are listed");
}

#[test]
fn what_cannot_be_asked_ends_with_2_and_shares_nothing() {
    let scene = Scene::new();
    let json = r#"{"instructions":{}}"#;
    for (more, why) in [
        (&["--when", "soon"][..], "periodic_SECS"),
        (&["--after", "not-a-cid"], "--after"),
        (&["--when", "immediate", "--json", json], "--json"),
        (&["--fact", "examples"], "NAME=NUMBER"),
    ] {
        let output = share(&scene, b"stays", more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{more:?}: {said}");
        assert!(said.contains(why), "{more:?}: {said}");
    }
    assert!(scene.packets("file").is_empty());
}

#[test]
fn a_fact_that_nobody_shares_is_not_told() {
    let scene = Scene::new();
    let (cid, said) = shared(share(&scene, b"content", &["--fact", "examples=1797"]));
    assert!(said.contains("not told: examples"), "{said}");
    let packets = scene.packets("file");
    let packet = packets.iter().find(|packet| packet["cid"] == cid.as_str());
    let quality = &packet.unwrap()["packet"]["quality_metrics"];
    assert!(!quality.to_string().contains("1797"), "{quality}");
    assert_eq!(quality, &serde_json::json!({}));
}
