//! What the learner exchanges, in the ledger of what left: one line, of which there is news every few seconds.
//!
//! It is written as a journal of one entry, as [`chorus_core::release`] reads it; `www/privacy.js` joins it with what the
//! owner shared. Neither is read here, so that a page does not load what reads journals before somebody shares.

use std::rc::Rc;

use chorus_core::{packet::Packet, time::Timestamp};
use futures::lock::Mutex;

use crate::storage::{Records, StorageError, Whose};

/// The line of one identity, over all its sessions.
#[derive(Debug)]
pub struct Learned {
    records: Rc<Records>,
    held: Mutex<Held>,
}

/// What is known of the line.
#[derive(Debug, Default)]
struct Held {
    /// Whether the sum holds what `records` had. Nothing is written before.
    is_read: bool,
    sum: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    /// When the first left; empty before.
    at: String,
    count: f64,
    bytes: f64,
}

impl Learned {
    /// Opens the line that `records` keep. One that the browser does not give is asked for again before it is written.
    pub async fn open(records: Rc<Records>) -> Self {
        let mut held = Held::default();
        // Asked for again by the first note.
        let _ = held.recall(&records).await;
        Self {
            records,
            held: Mutex::new(held),
        }
    }

    /// Notes a packet that is about to leave `at` this time. Where the browser does not keep it the line ends with the tab,
    /// as the blocks do, and learning goes on.
    pub async fn note(&self, packet: &Packet, at: Timestamp) {
        let mut held = self.held.lock().await;
        let sum = &mut held.sum;
        if sum.at.is_empty() {
            sum.at = at.to_string();
        }
        sum.count += 1.0;
        sum.bytes += packet.payload().size() as f64;
        // Why it is not kept is told by the writer of the blocks.
        let _ = held.keep(&self.records, packet, at).await;
    }
}

impl Held {
    /// Adds the line that `records` keep, once. One that is damaged is kept aside under another name first.
    async fn recall(&mut self, records: &Records) -> Result<(), StorageError> {
        if self.is_read {
            return Ok(());
        }
        if let Some(bytes) = records.get(Whose::Own, RECORD).await? {
            match str::from_utf8(&bytes).ok().and_then(read) {
                Some(before) => {
                    self.sum.at = before.at;
                    self.sum.count += before.count;
                    self.sum.bytes += before.bytes;
                }
                None => records.put(Whose::Own, ASIDE, &bytes).await?,
            }
        }
        self.is_read = true;
        Ok(())
    }

    /// Writes the line, of which `packet` is the last.
    async fn keep(
        &mut self,
        records: &Records,
        packet: &Packet,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        self.recall(records).await?;
        let text = write(&self.sum, packet, at);
        records.put(Whose::Own, RECORD, text.as_bytes()).await
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

/// Reads what [`write`] wrote; `None` where it is damaged.
fn read(text: &str) -> Option<Sum> {
    let line = text.strip_prefix(r#"{"version":1,"entries":[{"#)?;
    let line = line.strip_suffix("}]}")?;
    let field = |name: &str| {
        let (_, rest) = line.split_once(&format!("\"{name}\":"))?;
        rest.split(',').next()
    };
    let number = |name: &str| field(name)?.parse().ok().filter(|n: &f64| *n >= 0.0);
    let at = field("at")?.strip_prefix('"')?.strip_suffix('"')?;
    at.parse::<Timestamp>().ok()?;
    Some(Sum {
        at: at.to_owned(),
        count: number("count")?,
        bytes: number("bytes")?,
    })
}

/// The metric that says what private learning has spent. Finite: a packet has no other.
pub(super) const EPSILON: &str = "privacy.epsilon";
/// Name of the record.
const RECORD: &str = "journal-learned";
/// Name of the record that holds a line that could not be read.
const ASIDE: &str = "journal-learned-damaged";

#[cfg(test)]
mod tests {
    use chorus_core::{key::Keypair, packet::PacketDraft, release::Journal};
    use futures::executor::block_on;

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_795_233_600_000);

    fn weights() -> Packet {
        PacketDraft::inline("weights", vec![7; 10])
            .sign(&Keypair::from_seed(&[1; 32]), "main", AT)
            .unwrap()
    }

    async fn kept(records: &Records, name: &str) -> Option<String> {
        let bytes = records.get(Whose::Own, name).await.unwrap()?;
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// How many packets the line tells of, and of how many bytes, as the ledger reads it.
    async fn told(records: &Records) -> (u64, u64) {
        let text = kept(records, RECORD).await.unwrap();
        let journal = Journal::from_json(&text).unwrap();
        let line = journal.entries().next().unwrap();
        (line.count, line.bytes)
    }

    #[test]
    fn a_line_that_the_browser_did_not_give_is_not_written_over() {
        let records = Rc::new(Records::new_in_memory());
        block_on(async {
            let learned = Learned::open(records.clone()).await;
            learned.note(&weights(), AT).await;
            learned.note(&weights(), AT).await;
            assert_eq!(told(&records).await, (2, 20));

            // Neither the start nor the first note can read it: it stays as it is, and the note is made up for.
            records.refuse(0, 2);
            let again = Learned::open(records.clone()).await;
            again.note(&weights(), AT).await;
            assert_eq!(told(&records).await, (2, 20));
            again.note(&weights(), AT).await;
            assert_eq!(told(&records).await, (4, 40));
        });
    }

    #[test]
    fn a_damaged_line_is_kept_aside_before_a_new_one_begins() {
        let records = Rc::new(Records::new_in_memory());
        let damaged = r#"{"version":1,"entries":[{"at":"2026"#;
        block_on(async {
            let put = records.put(Whose::Own, RECORD, damaged.as_bytes()).await;
            assert_eq!(put, Ok(()));
            // Read, and not copied; then not even read.
            records.refuse(1, 2);
            let learned = Learned::open(records.clone()).await;
            learned.note(&weights(), AT).await;
            assert_eq!(kept(&records, RECORD).await.as_deref(), Some(damaged));
            learned.note(&weights(), AT).await;
            assert_eq!(kept(&records, ASIDE).await.as_deref(), Some(damaged));
            assert_eq!(told(&records).await, (2, 20));
        });
    }
}
