//! Packets, peers and states as plain JavaScript objects.

use chorus_core::{
    node::{Path, PeerInfo, Role},
    packet::{Packet, Payload, Where},
    status::{Category, Status},
};
use js_sys::{JSON, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

/// Returns an empty object.
pub(crate) fn object() -> Object {
    Object::new()
}

/// Sets a property.
pub(crate) fn set(object: &Object, name: &str, value: &JsValue) {
    // Setting a property of a plain object cannot fail.
    let _ = Reflect::set(object, &name.into(), value);
}

/// Returns the packet's JSON form as an object, with `cid`, `author`, `type`, `size`, `name` and, where given, `content`.
pub(crate) fn packet_value(packet: &Packet, content: Option<&[u8]>) -> JsValue {
    let parsed = JSON::parse(&packet.to_json())
        .ok()
        .and_then(|value| value.dyn_into::<Object>().ok());
    let value = parsed.unwrap_or_default();
    set(&value, "cid", &packet.cid().to_string().into());
    set(&value, "author", &packet.author().to_string().into());
    set(&value, "type", &packet.packet_type().into());
    set(&value, "size", &(size_of(packet) as f64).into());
    if let Some(name) = name_of(packet) {
        set(&value, "name", &name.into());
    }
    if let Some(content) = content {
        set(&value, "content", &Uint8Array::from(content));
    }
    value.into()
}

/// Size of a packet's content in bytes.
pub(crate) fn size_of(packet: &Packet) -> u64 {
    match packet.payload() {
        Payload::Inline(bytes) => bytes.len() as u64,
        Payload::Link { size, .. } => *size,
    }
}

/// The name that a packet's author gave its content: the region of memory that it belongs to.
pub(crate) fn name_of(packet: &Packet) -> Option<String> {
    match &packet.instructions().whither {
        Where::Memory { region } => Some(region.clone()),
        Where::Pattern { .. } | Where::Genetic { .. } => None,
    }
}

/// Returns a connected peer as an object.
pub(crate) fn peer_value(info: &PeerInfo) -> JsValue {
    let value = object();
    set(&value, "id", &info.peer.to_string().into());
    set(&value, "kind", &kind(info).into());
    if let Some(round_trip) = info.round_trip {
        set(
            &value,
            "roundTripMs",
            &(round_trip.as_secs_f64() * 1000.0).into(),
        );
    }
    set(&value, "packetsIn", &(info.packets_in as f64).into());
    set(&value, "bytesIn", &(info.bytes_in as f64).into());
    set(&value, "bytesOut", &(info.bytes_out as f64).into());
    value.into()
}

fn kind(info: &PeerInfo) -> &'static str {
    match (info.role, info.path) {
        (Role::Relay, _) => "relay",
        (_, Path::Direct) => "direct",
        (_, Path::Relayed) => "relayed",
    }
}

/// Returns the node's state as an object.
pub(crate) fn status_value(status: &Status) -> JsValue {
    let value = object();
    let category = match status.category {
        Category::Ready => "ready",
        Category::Proven => "proven",
        Category::Busy => "busy",
        Category::Offline => "offline",
        Category::Unknown => "unknown",
    };
    set(&value, "category", &category.into());
    for (name, count) in [
        ("members", status.members),
        ("relayed", status.relayed),
        ("relays", status.relays),
        ("fetches", status.fetches),
        ("packets", status.packets),
    ] {
        set(&value, name, &(count as f64).into());
    }
    value.into()
}
