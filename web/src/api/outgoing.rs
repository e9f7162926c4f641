//! What leaves, before it does: packets that are prepared and not yet shared, and what is kept about those that were.

use std::collections::BTreeSet;

use chorus_core::{
    bounds::DEFAULT_MAX_OBJECT,
    key::{Keypair, PeerId},
    net::{self, PreparedPacket, ShareOptions},
    packet::Instructions,
    seal::{KeyCertificate, SealKey, Validity},
    time::Timestamp,
};
use js_sys::{Array, Uint8Array};
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use super::{ChorusPeer, error, handle_error, parse_cid};
use crate::{
    peer::{Peer, key_packets},
    storage::{StorageError, Whose},
};

/// Content on its way into a packet. Each piece is hashed when it comes: `www/privacy.js` lets the page answer in between.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Pieces(net::Pieces);

#[wasm_bindgen]
impl Pieces {
    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.push(bytes);
    }
}

/// A signed packet that has not left. Nothing leaves where it is freed.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Prepared {
    peer: Peer,
    prepared: PreparedPacket,
}

#[wasm_bindgen]
impl Prepared {
    /// The packet's content id.
    #[wasm_bindgen(getter)]
    pub fn cid(&self) -> String {
        self.prepared.packet().cid().to_string()
    }

    /// The packet's binary form, as it leaves.
    #[wasm_bindgen(getter)]
    pub fn packet(&self) -> Uint8Array {
        self.prepared.as_cbor().into()
    }

    /// The packet's JSON form.
    #[wasm_bindgen(getter)]
    pub fn json(&self) -> String {
        self.prepared.packet().to_json()
    }

    /// The blocks of its content, as they leave.
    #[wasm_bindgen(getter)]
    pub fn blocks(&self) -> Array {
        self.prepared.blocks().map(Uint8Array::from).collect()
    }

    /// Bytes of its content.
    #[wasm_bindgen(getter)]
    pub fn size(&self) -> f64 {
        self.prepared.packet().payload().size() as f64
    }

    /// Throws `ERR_STALE` where it is too old to be shared.
    #[wasm_bindgen(js_name = checkAge)]
    pub fn check_age(&self) -> Result<(), JsValue> {
        let now = Timestamp::from_millis(js_sys::Date::now() as u64);
        self.prepared.check_age(now).map_err(handle_error)
    }

    /// Lets it leave; resolves to its content id. `www/privacy.js` has noted it in the ledger by then.
    pub async fn share(self) -> Result<String, JsValue> {
        let published = self.peer.handle.publish(self.prepared).await;
        Ok(published.map_err(handle_error)?.cid().to_string())
    }
}

#[wasm_bindgen]
impl ChorusPeer {
    /// Begins content that is to leave.
    pub fn pieces(&self) -> Pieces {
        Pieces(net::Pieces::default())
    }

    /// Makes the packet that shares `content`, signed and dated now; `instructions` in their binary form.
    pub fn prepare(
        &self,
        content: Pieces,
        packet_type: &str,
        ttl_secs: f64,
        quality: JsValue,
        instructions: Option<Vec<u8>>,
    ) -> Result<Prepared, JsValue> {
        let invalid = |message: String| error("ERR_INVALID_ARGUMENT", &message);
        let Pieces(content) = content;
        let size = content.size();
        if size > DEFAULT_MAX_OBJECT {
            let text = format!("content has {size} bytes, the limit is {DEFAULT_MAX_OBJECT}");
            return Err(error("ERR_TOO_LARGE", &text));
        }
        let mut options = ShareOptions::new(packet_type);
        options.ttl_secs = ttl_secs as u64;
        if !quality.is_undefined() {
            options.quality = serde_wasm_bindgen::from_value(quality)
                .map_err(|e| invalid(format!("quality: {e}")))?;
        }
        if let Some(bytes) = instructions {
            options.instructions = Instructions::from_bytes(&bytes)
                .map_err(|e| invalid(format!("instructions: {e}")))?;
        }
        let prepared = self.peer.handle.prepare_pieces(content, options);
        Ok(Prepared {
            peer: self.peer.clone(),
            prepared: prepared.map_err(handle_error)?,
        })
    }

    /// Makes the packet that takes back packets of this peer's own.
    #[wasm_bindgen(js_name = prepareRevocation)]
    pub async fn prepare_revocation(&self, cids: Vec<String>) -> Result<Prepared, JsValue> {
        let cids: Result<Vec<_>, _> = cids.iter().map(|cid| parse_cid(cid)).collect();
        let prepared = self.peer.handle.prepare_revocation(&cids?).await;
        Ok(Prepared {
            peer: self.peer.clone(),
            prepared: prepared.map_err(handle_error)?,
        })
    }

    /// Returns the binary forms of the packets of type `key_type` by each of `peers` that can be had.
    #[wasm_bindgen(js_name = keyPackets)]
    pub async fn key_packets(
        &self,
        key_type: String,
        peers: Vec<String>,
    ) -> Result<Array, JsValue> {
        let parse = |peer: &String| {
            let invalid = |e| error("ERR_INVALID_ARGUMENT", &format!("peer id {peer:?}: {e}"));
            peer.parse::<PeerId>().map_err(invalid)
        };
        let wanted: BTreeSet<_> = peers.iter().map(parse).collect::<Result<_, _>>()?;
        let packets = key_packets(&self.peer.handle, &key_type, &wanted).await;
        let packets = packets.map_err(handle_error)?;
        Ok(packets
            .iter()
            .map(|packet| Uint8Array::from(packet.as_cbor()))
            .collect())
    }

    /// Signs with the peer's identity that content for it is to be sealed to `key` (32 bytes) from `from` until `until`
    /// (milliseconds since 1970). Returns the certificate.
    pub fn certify(
        &self,
        key: &[u8],
        epoch: f64,
        from: f64,
        until: f64,
    ) -> Result<Uint8Array, JsValue> {
        let invalid = |message: String| error("ERR_INVALID_ARGUMENT", &message);
        let key = <&[u8; 32]>::try_from(key).map_err(|e| invalid(format!("key: {e}")))?;
        let key = SealKey::from_bytes(key).map_err(|e| invalid(e.to_string()))?;
        let validity = Validity {
            epoch: epoch as u64,
            from: Timestamp::from_millis(from as u64),
            until: Timestamp::from_millis(until as u64),
        };
        let identity = Keypair::from_seed(self.peer.seed());
        KeyCertificate::issue(&identity, self.peer.handle.network(), key, validity)
            .map(|certificate| certificate.as_bytes().into())
            .map_err(|e| invalid(e.to_string()))
    }

    /// Reads a record of this peer's own, or one that all tabs of the profile share.
    pub async fn record(&self, name: String, shared: bool) -> Result<Option<Uint8Array>, JsValue> {
        let found = self.peer.records.get(whose(shared), &name).await;
        let found = found.map_err(not_kept)?;
        Ok(found.map(|bytes| Uint8Array::from(bytes.as_slice())))
    }

    /// Writes a record where it still is `seen`, and nobody writes between. Resolves to whether it did, once it is on disk.
    #[wasm_bindgen(js_name = replaceRecord)]
    pub async fn replace_record(
        &self,
        name: String,
        shared: bool,
        seen: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<bool, JsValue> {
        let (seen, value) = (seen.map(Zeroizing::new), Zeroizing::new(value));
        let is_seen = |stored: Option<&[u8]>| stored == seen.as_ref().map(|seen| seen.as_slice());
        let records = &self.peer.records;
        records
            .replace(whose(shared), &name, &value, is_seen)
            .await
            .map_err(not_kept)
    }
}

fn whose(shared: bool) -> Whose {
    if shared { Whose::Everyones } else { Whose::Own }
}

fn not_kept(failed: StorageError) -> JsValue {
    error("ERR_NOT_KEPT", &failed.to_string())
}
