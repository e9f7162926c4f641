//! What the learner exchanges, in the ledger of what left: one line, of which there is news every few seconds.
//!
//! It is written as a journal of one entry, as [`chorus_core::release`] reads it; `www/privacy.js` joins it with what the
//! owner shared. Neither is read here, so that a page does not load what reads journals before somebody shares.

use std::{cell::RefCell, rc::Rc};

use chorus_core::{packet::Packet, time::Timestamp};
use js_sys::{Array, JSON, Reflect};
use wasm_bindgen::JsValue;

use crate::storage::{Records, Whose};

/// The line of one identity, over all its sessions.
#[derive(Debug)]
pub struct Learned {
    records: Rc<Records>,
    sum: RefCell<Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    /// When the first left; empty before.
    at: String,
    count: f64,
    bytes: f64,
}

impl Learned {
    /// Opens the line that `records` keep; begins anew where it cannot be read.
    pub async fn open(records: Rc<Records>) -> Self {
        let kept = records.get(Whose::Own, RECORD).await.ok().flatten();
        let text = kept.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let sum = text.and_then(|text| read(&text)).unwrap_or_default();
        Self {
            records,
            sum: RefCell::new(sum),
        }
    }

    /// Notes a packet that is about to leave `at` this time. Where the browser does not keep it the line ends with the tab,
    /// as the blocks do, and learning goes on.
    pub async fn note(&self, packet: &Packet, at: Timestamp) {
        let text = {
            let mut sum = self.sum.borrow_mut();
            if sum.at.is_empty() {
                sum.at = at.to_string();
            }
            sum.count += 1.0;
            sum.bytes += packet.payload().size() as f64;
            write(&sum, packet, at)
        };
        // Why it is not kept is told by the writer of the blocks.
        let _ = self.records.put(Whose::Own, RECORD, text.as_bytes()).await;
    }
}

/// Writes the line; none of its texts needs an escape.
fn write(sum: &Sum, packet: &Packet, until: Timestamp) -> String {
    let Sum { at, count, bytes } = sum;
    let (cid, digest) = (packet.cid(), packet.content_digest());
    let packet_type = packet.packet_type();
    let epsilon = packet.quality().get(EPSILON);
    let epsilon = epsilon.map_or("null".into(), f64::to_string);
    format!(
        r#"{{"version":1,"entries":[{{"at":"{at}","until":"{until}","count":{count},"cid":"{cid}","packet_type":"{packet_type}","name":null,"bytes":{bytes},"readers":"everybody","findings":{{}},"dropped_total":0,"epsilon_after":{epsilon},"content_digest":"{digest}","is_verbatim":true,"is_routine":true}}]}}"#
    )
}

fn read(text: &str) -> Option<Sum> {
    let get = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).ok();
    let entries = get(&JSON::parse(text).ok()?, "entries")?;
    let line = Array::from(&entries).get(0);
    Some(Sum {
        at: get(&line, "at")?.as_string()?,
        count: get(&line, "count")?.as_f64()?,
        bytes: get(&line, "bytes")?.as_f64()?,
    })
}

/// The metric that says what private learning has spent. Finite: a packet has no other.
pub(super) const EPSILON: &str = "privacy.epsilon";
/// Name of the record.
const RECORD: &str = "journal-learned";
