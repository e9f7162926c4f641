//! What a node does before anything leaves it: the stages of [`privacy`](crate::privacy) over a file or a text, and
//! sealing, with a preview that the owner sees first.
//!
//! [`prepare`] takes an [`Outgoing`] through all stages and answers with a [`Prepared`]: the bytes that would leave, and a
//! [`Preview`] that says what was taken out, what was dropped, which noise was added and who can read it. Then
//! [`Prepared::into_open`] is for everybody, [`Prepared::seal`] for those with a key. What left is noted in a [`Journal`].
//!
//! What it does not do: it stores and sends nothing, and asks nobody. Content that is neither text nor of a format that
//! it reads is searched as far as it is plain text, and never changed: where something is found it leaves verbatim or not
//! at all; what is packed or coded in it is not read, and the preview says so ([`Preview::is_searched`]). Pictures are not
//! looked at, only what stands beside them in their file.
//!
//! ```
//! use chorus_core::privacy::pseudonym::{EpochLength, NodeSecret};
//! use chorus_core::privacy::scrub::{Policy, Salt, Scrubber};
//! use chorus_core::privacy::Anonymiser;
//! use chorus_core::release::{Outgoing, Rules, prepare};
//! use chorus_core::time::Timestamp;
//! use rand_chacha::ChaCha20Rng;
//! use rand_core::SeedableRng;
//!
//! let today = EpochLength::default().epoch_of(Timestamp::from_millis(1_795_233_600_000));
//! let rules = Rules::new(
//!     Scrubber::new(Policy::default(), Salt::from_bytes([5; 32])),
//!     Anonymiser::new(NodeSecret::from_bytes([7; 32]).pseudonyms("main", today)),
//! );
//! let outgoing = Outgoing {
//!     name: Some("note.txt".into()),
//!     ..Outgoing::new("file", b"Ask ada@example.org".to_vec())
//! };
//! let mut rng = ChaCha20Rng::from_seed([9; 32]); // in earnest: seeded by the system's generator
//! let prepared = prepare(outgoing, &rules, None, &mut rng)?;
//! assert_eq!(prepared.content(), b"Ask [email]");
//! assert_eq!(prepared.preview().findings[0].before, "ada@example.org");
//! # Ok::<(), chorus_core::release::ReleaseError>(())
//! ```

mod error;
mod format;
mod instruction;
mod journal;
mod outgoing;
mod prepare;
mod prepared;
mod preview;
mod published;
mod reader;
pub mod sealing;

#[cfg(test)]
mod engram_tests;
#[cfg(test)]
mod format_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod tests;

pub use self::error::ReleaseError;
pub use self::format::Format;
pub use self::instruction::kept_as;
pub use self::journal::{Entry, Journal, JournalError, MAX_ENTRIES, MAX_JOURNAL_JSON};
pub use self::outgoing::{NoiseWish, Outgoing, Rules};
pub use self::prepare::prepare;
pub use self::prepared::{Open, Prepared, SealedRelease};
pub use self::preview::{
    Dropped, Found, MAX_DROPPED, MAX_FOUND, Measured, NoiseShown, Preview, Readers,
};
pub use self::published::rows;
